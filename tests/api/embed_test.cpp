// What forms on other people's pages need: the script, its words, the page for a frame, the snippet.

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "api/http/embed.h"
#include "tests/api/newsroom.h"

using namespace zgoda;
using namespace zgoda::http;

namespace {

const std::string news = "https://news.example";  // the origin that the newsroom allows

std::string between(const std::string& text, const std::string& before, const std::string& after) {
    const std::size_t begin = text.find(before);
    if (begin == std::string::npos) return "";
    const std::size_t from = begin + before.size();
    return text.substr(from, text.find(after, from) - from);
}

boost::json::object words(Newsroom& room, const std::string& target, const std::string& languages = "") {
    Request request = Newsroom::request_for(Method::get, target, "application/json");
    request.accept_language = languages;
    const Response response = room.ask(std::move(request));
    CHECK(response.status == 200);
    return boost::json::parse(response.body).as_object();
}

std::string text_of(const boost::json::object& words, std::string_view key) {
    return std::string(words.at("texts").as_object().at(key).as_string());
}

service::EmbedScript script_of(Newsroom& room) {
    return service::embed_script(std::get<config::Templates>(config::load_templates("")).at("embed.js"),
                                 room.texts);
}

}  // namespace

TEST_SUITE("embed.js") {
    TEST_CASE("may be loaded by any page, is kept for minutes, and for ever under its hash") {
        Newsroom room;
        const Response plain = room.get("/embed.js", "*/*");
        CHECK(plain.status == 200);
        CHECK(plain.content_type == "text/javascript; charset=utf-8");
        CHECK(field(plain, "Access-Control-Allow-Origin") == "*");
        CHECK(field(plain, "Cross-Origin-Resource-Policy") == "cross-origin");
        CHECK(field(plain, "X-Content-Type-Options") == "nosniff");
        CHECK(field(plain, "Cache-Control") == "public, max-age=300");

        const service::EmbedScript script = script_of(room);
        CHECK(script.text == plain.body);
        const Response hashed = room.get("/embed." + script.hash + ".js", "*/*");
        CHECK(hashed.status == 200);
        CHECK(hashed.body == plain.body);
        CHECK(field(hashed, "Cache-Control") == "public, max-age=31536000, immutable");
        CHECK(field(hashed, "Access-Control-Allow-Origin") == "*");
        CHECK(field(hashed, "Cross-Origin-Resource-Policy") == "cross-origin");
        CHECK(room.get("/embed.0123456789abcdef.js", "*/*").status == 404);
        CHECK(room.get("/embed..js", "*/*").status == 404);

        Request again = Newsroom::request_for(Method::get, "/embed.js", "*/*");
        again.if_none_match = field(plain, "ETag");
        CHECK(room.ask(again).status == 304);
        CHECK(room.ask(again).body.empty());
    }

    TEST_CASE("holds no way to make markup of a text, and keeps nothing") {
        Newsroom room;
        const std::string text = room.get("/embed.js", "*/*").body;
        for (const char* never :
             {"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "cookie",
              "localStorage", "sessionStorage", "setAttribute('style'", "referrer:"})
            CHECK_MESSAGE(!contains(text, never), std::string(never));
    }

    TEST_CASE("says in every language that nobody answered, and another word is another hash") {
        Newsroom room;
        const std::string text = room.get("/embed.js", "*/*").body;
        CHECK_FALSE(contains(text, "{{"));
        for (const std::string& locale : room.texts.locales())
            CHECK(contains(text, room.texts.text(locale, "form.offline")));
        const service::EmbedScript one =
            service::embed_script("// why\n  let a = \"{{unreachable}}\";\n\n", room.texts);
        CHECK(one.text.starts_with("let a = {\"en\":\""));
        const service::EmbedScript other = service::embed_script("let b = 1;", room.texts);
        CHECK(one.hash.size() == 16);
        CHECK(one.hash != other.hash);
        // printf 'let b = 1;\n' | openssl dgst -sha384 -binary | base64
        CHECK(other.text == "let b = 1;\n");
        CHECK(other.integrity == "sha384-MO+DPQZemcE48daheZh47gvoFHMlCqSImcw6TywyzAYAVXNiSy2UN2CQvRNDy+hS");
    }
}

TEST_SUITE("what a form is told") {
    TEST_CASE("is every text of its states, in the reader's language, the newsletter's own ones first") {
        Newsroom room;
        room.edit("daily", [](service::Newsletter& one) {
            one.settings[{"texts.subscribe", ""}] = "Count me in";
            one.settings[{"texts.subscribe", "uk"}] = "Я з вами";
            one.settings[{"consent", ""}] = "I want the daily.";
            one.settings[{"privacy_url", ""}] = "https://news.example/privacy";
            one.settings[{"fields", ""}] = "city:required,born:date";
            one.settings[{"labels.city", ""}] = "Your city";
            one.settings[{"labels.city", "uk"}] = "Ваше місто";
        });
        const auto english = words(room, "/newsletters/daily/embed.json");
        CHECK(english.at("slug") == "daily");
        CHECK(english.at("name") == "The daily");
        CHECK(english.at("open") == true);
        CHECK(english.at("locale") == "en");
        CHECK(english.at("dir") == "ltr");
        CHECK(text_of(english, "subscribe") == "Count me in");
        CHECK(text_of(english, "enter_email") == "Enter your email to subscribe");
        CHECK(text_of(english, "wrong_email") == "Please, enter correct email address");
        CHECK(text_of(english, "required") == "* indicates required");
        CHECK(text_of(english, "subscribed") == "Successfully subscribed");
        CHECK(english.at("consent").at("text") == "I want the daily.");
        CHECK(english.at("consent").at("id").as_string().size() == 32);
        CHECK(english.at("consent").at("privacy_url") == "https://news.example/privacy");
        CHECK(boost::json::serialize(english.at("fields")) ==
              R"([{"name":"city","label":"Your city","type":"text","required":true},)"
              R"({"name":"born","label":"born","type":"date","required":false}])");

        for (const auto& ukrainian : {words(room, "/newsletters/daily/embed.json?locale=uk"),
                                      words(room, "/newsletters/daily/embed.json", "uk-UA,en;q=0.5")}) {
            CHECK(ukrainian.at("locale") == "uk");
            CHECK(text_of(ukrainian, "subscribe") == "Я з вами");
            CHECK(ukrainian.at("fields").as_array()[0].at("label").as_string() == "Ваше місто");
            CHECK(ukrainian.at("consent").at("id") != english.at("consent").at("id"));
        }
        const auto any = words(room, "/embed.json?locale=uk");
        CHECK(text_of(any, "subscribe") == room.texts.text("uk", "form.subscribe"));
    }

    TEST_CASE("is enough: the script asks for no text that there is not") {
        Newsroom room;
        const auto told = words(room, "/newsletters/daily/embed.json").at("texts").as_object();
        const std::string script = room.get("/embed.js", "*/*").body;
        int asked = 0;
        for (std::size_t at = script.find("texts."); at != std::string::npos;
             at = script.find("texts.", at + 1)) {
            const std::size_t end = script.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 6);
            const std::string key = script.substr(at + 6, end - at - 6);
            CHECK_MESSAGE(told.contains(key), key);
            ++asked;
        }
        CHECK(asked > 20);
    }

    TEST_CASE("is for the allowed origins, may be kept for a minute, and says that a newsletter is closed") {
        Newsroom room;
        room.edit("daily", [](service::Newsletter& one) { one.open = false; });
        Request request = Newsroom::request_for(Method::get, "/newsletters/daily/embed.json", "*/*");
        request.origin = news;
        const Response allowed = room.ask(request);
        CHECK(boost::json::parse(allowed.body).at("open") == false);
        CHECK(field(allowed, "Access-Control-Allow-Origin") == news);
        CHECK(field(allowed, "Cache-Control") == "public, max-age=60");
        CHECK(field(allowed, "Vary") == "Accept-Language, Origin");
        request.origin = "https://evil.example";
        CHECK(field(room.ask(request), "Access-Control-Allow-Origin").empty());
        request.origin = news;
        request.path = "/newsletters/nothing/embed.json";
        const Response missing = room.ask(request);
        CHECK(missing.status == 404);
        CHECK(field(missing, "Access-Control-Allow-Origin") == news);
    }
}

TEST_SUITE("the page for a frame") {
    TEST_CASE("may be framed by the allowed origins, and its form ends in the frame") {
        Newsroom room;
        room.edit("daily", [](service::Newsletter& one) {
            one.settings[{"thanks_url", ""}] = "https://news.example/thanks";
        });
        for (const char* path : {"/newsletters/daily/embed", "/newsletters/daily/embed/sent"}) {
            const Response page = room.get(path);
            CHECK(page.status == 200);
            CHECK(contains(field(page, "Content-Security-Policy"), "frame-ancestors " + news));
            CHECK(contains(field(page, "Content-Security-Policy"), "form-action 'self';"));
            CHECK(field(page, "X-Frame-Options").empty());
            CHECK(contains(page.body, "<script src=\"/zgoda.js\" defer></script>"));
            CHECK_FALSE(contains(page.body, "<header"));
            CHECK_FALSE(contains(page.body, "<a "));
        }
        const Response form = room.get("/newsletters/daily/embed?locale=uk");
        CHECK(hidden(form, "embed") == "1");
        const Response sent = room.submit_form(
            "/v1/subscriptions",
            {{"email", "ada@example.org"}, {"newsletters", "daily"}, {"embed", "1"}, {"locale", "uk"}});
        CHECK(sent.status == 303);
        CHECK(field(sent, "Location") == "/newsletters/daily/embed/sent?locale=uk");
        CHECK(room.get("/newsletters/nothing/embed").status == 404);
    }

    TEST_CASE("shows there what is wrong, and no other page can be framed") {
        Newsroom room;
        const auto post = [&](const char* embed) {
            return room.submit_form("/v1/subscriptions",
                                    {{"email", "ada@"}, {"newsletters", "daily"}, {"embed", embed}});
        };
        const Response framed = post("1");
        CHECK(framed.status == 422);
        CHECK(contains(framed.body, "Please, enter correct email address"));
        CHECK(contains(field(framed, "Content-Security-Policy"), "frame-ancestors " + news));
        CHECK(field(framed, "X-Frame-Options").empty());
        CHECK(hidden(framed, "embed") == "1");
        for (const Response& other :
             {post(""), post("0"), room.get("/"), room.get("/newsletters/daily"), room.get("/sent"),
              room.get("/newsletters/daily/sent"), room.get("/newsletters/nothing/embed")}) {
            CHECK(contains(field(other, "Content-Security-Policy"), "frame-ancestors 'none'"));
            CHECK(field(other, "X-Frame-Options") == "DENY");
        }
    }

    TEST_CASE("is framed by nobody where no origin is allowed") {
        Newsroom room;
        PublicOptions options{room.store,
                              room.rules,
                              room.metrics,
                              std::get<config::Templates>(config::load_templates("")),
                              "https://letters.example",
                              {},
                              {},
                              ""};
        const Response page = run(room.loop, public_api(std::move(options)),
                                  Newsroom::request_for(Method::get, "/newsletters/daily/embed", browser));
        CHECK(page.status == 200);
        CHECK(contains(field(page, "Content-Security-Policy"), "frame-ancestors 'none'"));
        CHECK(field(page, "X-Frame-Options").empty());
    }
}

TEST_SUITE("the snippet") {
    TEST_CASE("names the script by hash and integrity, and is no place for markup") {
        Newsroom room;
        service::Newsletter newsletter;
        newsletter.slug = "daily";
        newsletter.settings[{"name", ""}] = "War & <Peace> \"daily\"";
        const service::EmbedScript script = script_of(room);
        const std::string text = service::embed_snippet(script, newsletter, "https://letters.example");
        CHECK(between(text, "<script src=\"", "\"") ==
              "https://letters.example/embed." + script.hash + ".js");
        CHECK(between(text, "integrity=\"", "\"") == script.integrity);
        CHECK(contains(text, "crossorigin=\"anonymous\" defer></script>"));
        CHECK(contains(text, "<div data-zgoda=\"daily\">"));
        CHECK(contains(text, "War &amp; &lt;Peace&gt; &quot;daily&quot;"));
        CHECK_FALSE(contains(text, "<Peace>"));
    }
}
