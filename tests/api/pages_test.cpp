// The pages of readers: signing up, confirming, "this was not me", leaving.

#include <doctest/doctest.h>

#include "api/http/accept.h"
#include "api/http/pages.h"
#include "service/address_change.h"
#include "tests/api/newsroom.h"

using namespace zgoda;
using namespace zgoda::http;

namespace {

struct Letters {
    std::string confirm, unsubscribe;
};

// Signs up and reads the letter. Gives the paths of its links.
Letters letter_for(Newsroom& room, const std::string& address, std::vector<std::string> newsletters) {
    room.sign_up(address, std::move(newsletters));
    const auto sent = room.deliver();
    REQUIRE(sent.size() == 1);
    return {"?t=" + sent[0].confirm_token, "?t=" + sent[0].newsletters.front().unsubscribe_token};
}

// Leaves by the page; what the undo button would post to.
std::string left_by_page(Newsroom& room, const std::string& address, Response& left) {
    const std::string link = "/unsubscribe?t=" + room.unsubscribe_link(address, "daily");
    left = room.submit_form(link, {{"nonce", hidden(room.get(link), "nonce")}});
    const std::string before = "action=\"";
    const std::size_t at = left.body.find(before + "/undo?t=");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + before.size();
    return left.body.substr(begin, left.body.find('"', begin) - begin);
}

void check_page_headers(const Response& page) {
    CHECK(page.content_type == "text/html; charset=utf-8");
    const std::string policy = field(page, "Content-Security-Policy");
    CHECK(contains(policy, "default-src 'none'"));
    CHECK(contains(policy, "frame-ancestors 'none'"));
    CHECK(contains(policy, "base-uri 'none'"));
    CHECK(field(page, "X-Frame-Options") == "DENY");
    CHECK(field(page, "Referrer-Policy") == "no-referrer");
    CHECK(field(page, "X-Content-Type-Options") == "nosniff");
    CHECK(field(page, "Cross-Origin-Opener-Policy") == "same-origin");
    CHECK(field(page, "Cross-Origin-Resource-Policy") == "same-origin");
    CHECK(field(page, "Cache-Control") == "no-store");
    CHECK(contains(field(page, "Strict-Transport-Security"), "max-age="));
    CHECK(field(page, "Set-Cookie").empty());
    CHECK_FALSE(contains(page.body, "<script>"));  // only files of our own
    CHECK_FALSE(contains(page.body, "style="));
}

}  // namespace

TEST_SUITE("the signup pages") {
    TEST_CASE("offer every newsletter that is open and listed, and one field for the address") {
        Newsroom room;
        room.add_newsletter("closed");
        room.add_newsletter("hidden");
        room.edit("closed", [](service::Newsletter& one) { one.open = false; });
        room.edit("hidden", [](service::Newsletter& one) { one.settings[{"listed", ""}] = "false"; });
        room.edit("daily", [](service::Newsletter& one) { one.settings[{"name", ""}] = "War & <Peace>"; });
        const Response page = room.get("/");
        CHECK(page.status == 200);
        check_page_headers(page);
        for (const char* slug : {"daily", "weekly", "culture"})
            CHECK(contains(page.body,
                           "type=\"checkbox\" name=\"newsletters\" value=\"" + std::string(slug) + "\""));
        CHECK_FALSE(contains(page.body, "closed"));
        CHECK_FALSE(contains(page.body, "The hidden"));
        CHECK(contains(page.body, "War &amp; &lt;Peace&gt;"));
        CHECK(contains(page.body, "<form method=\"post\" action=\"/v1/subscriptions\""));
        CHECK(contains(page.body, "name=\"email\" type=\"text\" inputmode=\"email\" autocomplete=\"email\""));
        CHECK(contains(page.body, "name=\"website\""));
        CHECK(contains(page.body, "Enter your email to subscribe"));
        CHECK(contains(page.body, "* indicates required"));
        CHECK(hidden(page, "source") == "https://letters.example/");
        CHECK(hidden(page, "locale") == "en");
        CHECK(contains(page.body, "12 Khreshchatyk St, Kyiv"));
        CHECK(field(page, "X-Robots-Tag").empty());
    }

    TEST_CASE("speak the reader's language and lead to the other one") {
        Newsroom room;
        const Response page = room.get("/?locale=uk");
        CHECK(contains(page.body, "<html lang=\"uk\" dir=\"ltr\">"));
        CHECK(contains(page.body, "Наш weekly"));
        CHECK(contains(page.body, "href=\"/?locale=en\" lang=\"en\""));
        CHECK(hidden(page, "locale") == "uk");
        CHECK(field(page, "Content-Language") == "uk");
        Request request = Newsroom::request_for(Method::get, "/newsletters/daily", browser);
        request.accept_language = "uk-UA,uk;q=0.9";
        CHECK(contains(room.ask(request).body, "href=\"/newsletters/daily?locale=en\""));
        room.edit("daily", [](service::Newsletter& one) { one.settings[{"locale", ""}] = "uk"; });
        CHECK(contains(room.get("/newsletters/daily").body, "<html lang=\"uk\""));
    }

    TEST_CASE("show one newsletter with its own words, wording and page of thanks") {
        Newsroom room;
        room.edit("daily", [](service::Newsletter& one) {
            one.settings[{"texts.subscribe", ""}] = "Count me in";
            one.settings[{"consent", ""}] = "I want the daily.";
            one.settings[{"privacy_url", ""}] = "https://news.example/privacy";
            one.settings[{"thanks_url", ""}] = "https://news.example/thanks";
            one.settings[{"description", ""}] = "Every day";
            one.aliases = {"old-name"};
        });
        const Response page = room.get("/newsletters/daily");
        CHECK(page.status == 200);
        CHECK(contains(page.body, "<h1>The daily</h1>"));
        CHECK(contains(page.body, "Every day"));
        CHECK(contains(page.body, "Count me in"));
        CHECK(
            contains(page.body, "I want the daily. <a href=\"https:&#x2F;&#x2F;news.example&#x2F;privacy\"") +
                contains(page.body, "I want the daily. <a href=\"https://news.example/privacy\"") ==
            1);
        CHECK(hidden(page, "newsletters") == "daily");
        CHECK(hidden(page, "consent[daily]").size() == 32);
        CHECK(contains(field(page, "Content-Security-Policy"), "form-action 'self' https://news.example;"));
        CHECK(room.get("/newsletters/old-name").status == 200);
        CHECK(contains(field(room.get("/"), "Content-Security-Policy"),
                       "form-action 'self' https://news.example;"));
        CHECK(contains(field(room.get("/newsletters/weekly"), "Content-Security-Policy"),
                       "form-action 'self';"));
        // Wordings that differ stand beside their newsletters.
        CHECK(contains(room.get("/").body, "<small>I want the daily."));
    }

    TEST_CASE("of a closed newsletter have no form, of an unlisted one they do, of none there is none") {
        Newsroom room;
        room.edit("daily", [](service::Newsletter& one) { one.open = false; });
        room.edit("weekly", [](service::Newsletter& one) { one.settings[{"listed", ""}] = "false"; });
        CHECK(room.get("/newsletters/daily").status == 200);
        CHECK_FALSE(contains(room.get("/newsletters/daily").body, "<form"));
        CHECK(contains(room.get("/newsletters/weekly").body, "<form"));
        const Response none = room.get("/newsletters/none");
        CHECK(none.status == 404);
        check_page_headers(none);
        CHECK(room.get("/newsletters/none/sent").status == 404);
        room.edit("weekly", [](service::Newsletter& one) { one.open = false; });
        room.edit("culture", [](service::Newsletter& one) { one.open = false; });
        CHECK(room.get("/").status == 200);
        CHECK_FALSE(contains(room.get("/").body, "<form"));
    }

    TEST_CASE("that do not exist are a page for a person and a problem for a program") {
        Newsroom room;
        const Response page = room.get("/nothing?locale=uk");
        CHECK(page.status == 404);
        CHECK(contains(page.body, "Такої сторінки немає"));
        check_page_headers(page);
        CHECK(room.get("/nothing", "application/json").content_type == "application/problem+json");
        CHECK(room.get("/v1/nothing", "*/*").content_type == "application/problem+json");
        const Response wrong = room.ask(Newsroom::request_for(Method::del, "/confirm", browser));
        CHECK(wrong.status == 405);
        CHECK(field(wrong, "Allow") == "GET, HEAD, POST");
        CHECK(field(room.get("/v1/subscriptions", "*/*"), "Allow") == "POST, OPTIONS");
        for (const char* path : {"/livez", "/readyz", "/metrics"}) CHECK(room.get(path).status == 404);
    }

    TEST_CASE("have one stylesheet, which is sent once") {
        Newsroom room;
        const Response first = room.get("/zgoda.css", "text/css");
        CHECK(first.status == 200);
        CHECK(first.content_type == "text/css; charset=utf-8");
        CHECK(contains(first.body, "prefers-color-scheme"));
        Request again = Newsroom::request_for(Method::get, "/zgoda.css", "text/css");
        again.if_none_match = field(first, "ETag");
        CHECK(room.ask(again).status == 304);
    }

    TEST_CASE("are 500 when the database breaks, and the log says so") {
        Newsroom room;
        room.store.breaking = true;
        CHECK(room.get("/").status == 500);
        CHECK(room.troubles.size() == 1);
    }
}

TEST_SUITE("templates") {
    TEST_CASE("that are missing or broken stop the start, and are named") {
        const service::Texts texts = config::load_texts();
        auto all = std::get<config::Templates>(config::load_templates(""));
        const auto complaint = [&] {
            try {
                Pages(all, texts, "");
            } catch (const std::runtime_error& error) {
                return std::string(error.what());
            }
            return std::string();
        };
        CHECK(complaint().empty());
        all["page.confirm.html"] = "{{#open}}";
        CHECK(contains(complaint(), "page.confirm.html: "));
        all.erase("page.confirm.html");
        CHECK(contains(complaint(), "page.confirm.html: there is no such template"));
    }
}

TEST_SUITE("the confirm page") {
    TEST_CASE("shows what was asked for, ticked, and writes nothing") {
        Newsroom room;
        const std::string link =
            "/confirm" + letter_for(room, "ada@example.org", {"daily", "weekly"}).confirm;
        room.sign_up("ada@example.org", {"culture"}, service::lviv);
        const int commits = room.store.commits;
        const Response page = room.get(link);
        CHECK(page.status == 200);
        check_page_headers(page);
        CHECK(contains(field(page, "X-Robots-Tag"), "noindex"));
        CHECK(contains(page.body, "name=\"newsletter\" value=\"daily\" checked"));
        CHECK(contains(page.body, "name=\"newsletter\" value=\"weekly\" checked"));
        CHECK(contains(page.body, "name=\"newsletter\" value=\"culture\">"));
        CHECK(contains(page.body, "a•••a@example.org"));
        CHECK_FALSE(contains(page.body, "ada@example.org"));
        CHECK(contains(page.body, "method=\"post\" action=\"" + link + "\""));
        CHECK(contains(page.body, "href=\"/not-me" + link.substr(8) + "\""));
        room.ask(Newsroom::request_for(Method::head, link, browser));
        room.get(link + "&nonce=" + hidden(page, "nonce") + "&newsletter=daily");
        CHECK(room.store.commits == commits);
        CHECK(room.status("ada@example.org", "daily") == "pending");
    }

    TEST_CASE("confirms what is ticked when its button is pressed, once") {
        Newsroom room;
        const std::string link =
            "/confirm" + letter_for(room, "ada@example.org", {"daily", "weekly"}).confirm;
        const std::string nonce = hidden(room.get(link), "nonce");
        const Response done = room.submit_form(link, {{"nonce", nonce}, {"newsletter", "daily"}});
        CHECK(done.status == 200);
        check_page_headers(done);
        CHECK(contains(done.body, "You are subscribed"));
        CHECK(contains(done.body, "The daily"));
        CHECK_FALSE(contains(done.body, "The weekly"));
        CHECK_FALSE(contains(done.body, "already"));
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
        CHECK(room.status("ada@example.org", "weekly") == "unsubscribed");

        const auto events = room.events().size();
        for (const Response& again :
             {room.submit_form(link, {{"nonce", nonce}, {"newsletter", "daily"}}), room.get(link)}) {
            CHECK(again.status == 200);
            CHECK(contains(again.body, "already confirmed on 24 November 2026"));
        }
        CHECK(room.events().size() == events);
    }

    TEST_CASE("does nothing without the nonce of a page that was shown, but shows the page") {
        Newsroom room;
        const std::string link = "/confirm" + letter_for(room, "ada@example.org", {"daily"}).confirm;
        const std::string other = "/confirm" + letter_for(room, "bob@example.org", {"daily"}).confirm;
        const std::string nonce = hidden(room.get(link), "nonce");
        const std::string foreign = hidden(room.get(other), "nonce");
        const int commits = room.store.commits;
        const auto shows_again = [&](const Response& response) {
            CHECK(response.status == 200);
            CHECK_FALSE(hidden(response, "nonce").empty());
            CHECK(contains(response.body, "role=\"alert\""));
            CHECK(room.store.commits == commits);
        };
        shows_again(room.submit_form(link, {{"newsletter", "daily"}}));
        shows_again(room.submit_form(link, {{"newsletter", "daily"}, {"nonce", "x"}}));
        shows_again(room.submit_form(link, {{"newsletter", "daily"}, {"nonce", foreign}}));
        shows_again(room.submit_form(link + "&nonce=" + nonce, {{"newsletter", "daily"}}));
        shows_again(room.post(link, json_type, "{}", browser));
        shows_again(room.submit_form(link, {{"nonce", nonce}}));  // nothing is ticked
        room.now += 25 * service::hour_ms;
        shows_again(room.submit_form(link, {{"newsletter", "daily"}, {"nonce", nonce}}));
        CHECK(room.status("ada@example.org", "daily") == "pending");
    }

    TEST_CASE("of an unknown link is 404, of an expired one 410 with the offer of a fresh letter") {
        Newsroom room;
        for (const char* token : {"", "?t=", "?t=v1.AAAA", "?t=%ff%00", "?t=<script>"}) {
            const Response unknown = room.get("/confirm" + std::string(token));
            CHECK(unknown.status == 404);
            check_page_headers(unknown);
            CHECK(contains(field(unknown, "X-Robots-Tag"), "noindex"));
        }
        CHECK(room.get("/confirm?t=x", "application/json").content_type == "application/problem+json");
        CHECK(room.submit_form("/confirm?t=x", {}).status == 404);

        const std::string link = "/confirm" + letter_for(room, "ada@example.org", {"daily"}).confirm;
        room.now += 4 * service::day_ms;
        const Response expired = room.get(link);
        CHECK(expired.status == 410);
        check_page_headers(expired);
        CHECK(contains(expired.body, "name=\"resend\" value=\"1\""));
        CHECK(contains(expired.body, "action=\"" + link + "\""));
        CHECK(room.get(link, "application/json").content_type == "application/problem+json");
        CHECK(room.get(link, "application/json").status == 410);

        CHECK(room.submit_form(link, {{"resend", "1"}}).status == 410);  // no nonce
        CHECK(room.lease_all().empty());
        const Response fresh = room.submit_form(link, {{"resend", "1"}, {"nonce", hidden(expired, "nonce")}});
        CHECK(fresh.status == 200);
        CHECK(contains(fresh.body, "A fresh letter is on its way"));
        const auto letters = room.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(room.get("/confirm?t=" + letters[0].confirm_token).status == 200);
    }

    TEST_CASE("sends fresh letters only within the client's limit; confirming has none") {
        Newsroom room({{1, service::hour_ms}});
        const std::string link = "/confirm" + letter_for(room, "ada@example.org", {"daily"}).confirm;
        for (int i = 0; i < 3; ++i)
            CHECK(room.submit_form(link, {{"newsletter", "none"}, {"nonce", hidden(room.get(link), "nonce")}})
                      .status == 200);
        room.now += 4 * service::day_ms;
        const std::string nonce = hidden(room.get(link), "nonce");
        CHECK(room.submit_form(link, {{"resend", "1"}, {"nonce", nonce}}).status == 200);
        const Response refused = room.submit_form(link, {{"resend", "1"}, {"nonce", nonce}});
        CHECK(refused.status == 429);
        CHECK_FALSE(field(refused, "Retry-After").empty());
    }

    TEST_CASE("says that nothing was kept when nothing was") {
        Newsroom room;
        const std::string link = "/confirm" + letter_for(room, "ada@example.org", {"daily"}).confirm;
        const std::string nonce = hidden(room.get(link), "nonce");
        room.store.failing = service::Commit::disk_full;
        const Response response = room.submit_form(link, {{"nonce", nonce}, {"newsletter", "daily"}});
        CHECK(response.status == 503);
        CHECK_FALSE(field(response, "Retry-After").empty());
        check_page_headers(response);
    }
}

TEST_SUITE("the page \"this was not me\"") {
    TEST_CASE("asks first, and then no form can write to her again") {
        Newsroom room;
        const std::string link = "/not-me" + letter_for(room, "ada@example.org", {"daily"}).confirm;
        const int commits = room.store.commits;
        const Response page = room.get(link);
        CHECK(page.status == 200);
        check_page_headers(page);
        CHECK(room.submit_form(link, {}).status == 200);
        CHECK(room.store.commits == commits);
        CHECK(room.store.tables.suppressions.empty());

        for (int i = 0; i < 2; ++i) {
            const Response done = room.submit_form(link, {{"nonce", hidden(page, "nonce")}});
            CHECK(done.status == 200);
            CHECK(contains(done.body, "Thank you for telling us"));
        }
        CHECK(room.store.tables.suppressions.size() == 1);
        CHECK(room.status("ada@example.org", "daily") == "unsubscribed");
        CHECK(room.get("/not-me?t=x").status == 404);
        CHECK(room.submit_form("/not-me?t=x", {}).status == 404);
    }
}

TEST_SUITE("what a letter's pages tell of before") {
    TEST_CASE("newsletters asked for from elsewhere stand apart, unticked, and with a word why") {
        Newsroom room;
        const std::string link = "/confirm" + letter_for(room, "ada@example.org", {"daily"}).confirm;
        CHECK_FALSE(contains(room.get(link).body, "Also asked for"));
        room.sign_up("ada@example.org", {"culture"}, service::lviv);
        const Response page = room.get(link);
        const std::size_t others = page.body.find("<fieldset aria-describedby=\"others-why\">");
        REQUIRE(others != std::string::npos);
        CHECK(page.body.find("value=\"daily\" checked") < others);
        CHECK(page.body.find("value=\"culture\">") > others);
        CHECK(contains(page.body, "id=\"others-why\">These were asked for from elsewhere"));
        // It stays there when she has ticked it and the page comes again.
        const Response again =
            room.post(link, form_type,
                      urlencoded({{"nonce", hidden(page, "nonce")}, {"newsletter", "culture"}}), browser);
        CHECK(again.body.find("value=\"culture\" checked") >
              again.body.find("aria-describedby=\"others-why\""));
    }

    TEST_CASE("who has left since sees that, when, and how to come back") {
        Newsroom room;
        const Letters letters = letter_for(room, "ada@example.org", {"daily"});
        const std::string link = "/confirm" + letters.confirm;
        room.submit_form(link, {{"nonce", hidden(room.get(link), "nonce")}, {"newsletter", "daily"}});
        const std::string leave = "/unsubscribe" + letters.unsubscribe;
        room.submit_form(leave, {{"nonce", hidden(room.get(leave), "nonce")}});
        REQUIRE(room.status("ada@example.org", "daily") == "unsubscribed");
        const Response page = room.get(link);
        CHECK(page.status == 410);
        CHECK(room.get(link, json_type).status == 410);
        CHECK(contains(page.body, "You have left"));
        CHECK(contains(page.body, "The daily, on 2"));
        CHECK(contains(page.body, "href=\"/newsletters/daily?locale=en\""));
        CHECK_FALSE(contains(page.body, "expired"));
        room.now += 100 * service::day_ms;
        CHECK(contains(room.get(link).body, "You have left"));
        // With a signup of hers waiting, it offers that instead.
        room.sign_up("ada@example.org", {"daily"});
        CHECK(room.get(link).status == 410);
        CHECK(contains(room.get(link).body, "name=\"resend\""));
    }

    TEST_CASE("\"this was not me\" says what goes on coming, to whom it does, and to nobody else") {
        const std::string goes_on = "go on coming";
        Newsroom room;
        const std::string none = "/not-me" + letter_for(room, "eve@example.org", {"daily"}).confirm;
        CHECK_FALSE(contains(room.get(none).body, goes_on));
        CHECK_FALSE(
            contains(room.submit_form(none, {{"nonce", hidden(room.get(none), "nonce")}}).body, goes_on));

        room.subscribed("ada@example.org", {"daily"});
        room.sign_up("ada@example.org", {"weekly"}, service::lviv);
        const std::string link = "/not-me?t=" + room.deliver()[0].confirm_token;
        const Response page = room.get(link);
        CHECK(contains(page.body, goes_on));
        CHECK(contains(page.body, "the one that sends a link to your settings included"));
        const Response done = room.submit_form(link, {{"nonce", hidden(page, "nonce")}});
        CHECK(contains(done.body, "Thank you for telling us"));
        CHECK(contains(done.body, goes_on));
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
        CHECK_FALSE(contains(room.get("/not-me?t=x").body, goes_on));
    }
}

TEST_SUITE("buttons of a reader's own pages") {
    struct From {
        std::string site, origin;
        bool ours;
    };
    const std::vector<From> places{
        {"", "", true},      // an old browser
        {"", "null", true},  // another one: our pages send no referrer
        {"", "https://letters.example", true},
        {"same-origin", "null", true},  // today's
        {"same-origin", "https://letters.example", true},
        {"none", "", true},
        {"cross-site", "null", false},
        {"cross-site", "", false},
        {"cross-site", "https://letters.example", false},
        {"same-site", "null", false},
        {"", "https://evil.example", false},
        {"", "https://news.example", false},  // may frame forms, but has no such page
        {"same-origin", "https://evil.example", false},
    };

    Request pressed(const std::string& target, const From& from,
                    const std::vector<std::pair<std::string, std::string>>& fields) {
        Request request = Newsroom::request_for(Method::post, target, browser);
        request.content_type = form_type;
        request.body = urlencoded(fields);
        request.sec_fetch_site = from.site;
        request.sec_fetch_mode = "navigate";
        request.origin = from.origin;
        return request;
    }

    TEST_CASE("are not pressed by pages of other sites, though they know the link and a nonce") {
        for (const From& from : places) {
            const std::string said = from.site + " " + from.origin;
            CAPTURE(said);
            Newsroom room;
            room.rules.preference_links = *service::parse_rates("1/15min 3/24h");
            room.subscribed("ada@example.org", {"weekly"});
            room.now += service::hour_ms;
            const Letters letters = letter_for(room, "ada@example.org", {"daily"});
            room.post("/v1/preference-links", json_type, R"({"email":"ada@example.org"})");
            const std::string settings = "/preferences?t=" + room.deliver()[0].preferences_token;
            const std::string leave = "/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "weekly");
            const std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>>
                buttons{{"/confirm" + letters.confirm, {{"newsletter", "daily"}}},
                        {settings, {{"action", "save"}, {"do[weekly]", "pause_2"}}},
                        {leave, {}},
                        {"/not-me" + letters.confirm, {}}};
            for (const auto& button : buttons) {
                const std::string& link = button.first;
                CAPTURE(link);
                auto sent = button.second;
                sent.emplace_back("nonce", hidden(room.get(link), "nonce"));
                room.now += 10 * service::second_ms;
                const int commits = room.store.commits;
                const Response answer = room.ask(pressed(link, from, sent));
                CHECK((answer.status == 403) == !from.ours);
                CHECK((room.store.commits > commits) == from.ours);
                if (from.ours) continue;
                CHECK(contains(answer.body, "nothing has changed"));
                check_page_headers(answer);
            }
        }
        Newsroom room;
        Request ukrainian = pressed("/confirm?t=x", {"cross-site", "null", false}, {});
        ukrainian.accept_language = "uk";
        CHECK(contains(room.ask(ukrainian).body, "нічого не змінилося"));
    }

    TEST_CASE("are another thing than a mail program's one click, which comes from anywhere") {
        for (const From& from : places) {
            Newsroom room;
            const std::string link =
                "/unsubscribe" + letter_for(room, "ada@example.org", {"daily"}).unsubscribe;
            CHECK(room.ask(pressed(link, from, {{"List-Unsubscribe", "One-Click"}})).status == 200);
            CHECK(room.status("ada@example.org", "daily") == "unsubscribed");
        }
    }

    TEST_CASE("do not take back for other sites either") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        Response left;
        const std::string undo = left_by_page(room, "ada@example.org", left);
        const auto nonce = hidden(left, "nonce");
        CHECK(room.ask(pressed(undo, {"cross-site", "null", false}, {{"nonce", nonce}})).status == 403);
        CHECK(room.status("ada@example.org", "daily") == "unsubscribed");
        CHECK(room.ask(pressed(undo, {"same-origin", "null", true}, {{"nonce", nonce}})).status == 200);
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
    }
}

TEST_SUITE("leaving") {
    const std::string one_click = "List-Unsubscribe=One-Click";

    TEST_CASE("takes one click of a mail program, from anywhere, as often as it likes") {
        Newsroom room({{1, service::hour_ms}});
        const std::string multipart =
            "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
        const std::pair<std::string, std::string> bodies[] = {{form_type, one_click},
                                                              {"multipart/form-data; boundary=b", multipart}};
        int number = 0;
        for (const auto& [type, body] : bodies) {
            const std::string address = "ada" + std::to_string(number++) + "@example.org";
            room.subscribed(address, {"daily", "weekly"});
            const std::string link = "/unsubscribe?t=" + room.unsubscribe_link(address, "daily");
            for (int i = 0; i < 3; ++i) {
                const Response response = room.post(link, type, body, "*/*", "https://mail.example");
                CHECK(response.status == 200);
                CHECK(response.content_type == "text/plain; charset=utf-8");
                CHECK(field(response, "Location").empty());
                CHECK(field(response, "Set-Cookie").empty());
                CHECK(contains(response.body, "The daily"));
                CHECK(room.status(address, "daily") == "unsubscribed");
            }
            CHECK(room.status(address, "weekly") == "confirmed");
        }
        CHECK(room.post("/unsubscribe?t=x", form_type, one_click).status == 404);
    }

    TEST_CASE("takes a page and a button of a person") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        const std::string link = "/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "daily");
        const int commits = room.store.commits;
        const Response page = room.get(link);
        CHECK(page.status == 200);
        check_page_headers(page);
        CHECK(contains(field(page, "X-Robots-Tag"), "noindex"));
        CHECK(contains(page.body, "Leave The daily?"));
        CHECK(contains(page.body, "a•••a@example.org"));
        room.get(link + "&" + one_click);
        CHECK(room.submit_form(link, {{"nonce", "x"}}).status == 200);
        CHECK(room.store.commits == commits);
        CHECK(room.status("ada@example.org", "daily") == "confirmed");

        const Response left = room.submit_form(link, {{"nonce", hidden(page, "nonce")}});
        CHECK(left.status == 200);
        CHECK(contains(left.body, "You have left The daily"));
        CHECK(room.status("ada@example.org", "daily") == "unsubscribed");
        CHECK(contains(room.get(link).body, "You have left The daily"));
        const Response unknown = room.get("/unsubscribe?t=x");
        CHECK(unknown.status == 404);
        check_page_headers(unknown);
        CHECK(room.get("/unsubscribe?t=x", "application/json").content_type == "application/problem+json");
    }

    TEST_CASE("takes all newsletters and a reason along, if the page says so, and lists none") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily", "weekly"});
        room.subscribed("bob@example.org", {"daily", "weekly"});
        const std::string link = "/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "daily");
        const Response page = room.get(link);
        CHECK(contains(page.body, "name=\"all\" value=\"1\">"));
        CHECK_FALSE(contains(page.body, "The weekly"));
        for (const char* reason : {"too_many", "not_interesting", "never_asked", "other"})
            CHECK(contains(page.body, "<option value=\"" + std::string(reason) + "\">"));
        CHECK(contains(page.body, "<option value=\"none\" selected>"));

        // What was ticked is still ticked when the page comes again.
        const Response again = room.submit_form(link, {{"all", "1"}, {"reason", "other"}});
        CHECK(contains(again.body, "role=\"alert\""));
        CHECK(contains(again.body, "name=\"all\" value=\"1\" checked>"));
        CHECK(contains(again.body, "<option value=\"other\" selected>"));

        const Response left =
            room.submit_form(link, {{"nonce", hidden(again, "nonce")}, {"all", "1"}, {"reason", "too_many"}});
        CHECK(contains(left.body, "You have left all our newsletters"));
        CHECK_FALSE(contains(left.body, "The weekly"));
        CHECK(room.status("ada@example.org", "weekly") == "unsubscribed");
        CHECK(room.status("bob@example.org", "weekly") == "confirmed");
        CHECK(contains(room.events().back().details, R"("method":"page","reason":"too_many")"));

        const std::string other = "/unsubscribe?t=" + room.unsubscribe_link("bob@example.org", "daily");
        room.submit_form(other, {{"nonce", hidden(room.get(other), "nonce")}, {"reason", "<b>\"}"}});
        CHECK(room.status("bob@example.org", "daily") == "unsubscribed");
        CHECK_FALSE(contains(room.events().back().details, "reason"));
    }

    TEST_CASE("asks a machine that posts within a second once more") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        const std::string link = "/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "daily");
        const Response page = room.get(link);
        room.now += 900;
        const Response again =
            room.post(link, form_type, urlencoded({{"nonce", hidden(page, "nonce")}, {"all", "1"}}), browser);
        CHECK(contains(again.body, "role=\"alert\""));
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
        room.now += 100;
        room.post(link, form_type, urlencoded({{"nonce", hidden(page, "nonce")}}), browser);
        CHECK(room.status("ada@example.org", "daily") == "unsubscribed");
    }

    TEST_CASE("one click leaves what its link names, whatever else it says, and offers no way back") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily", "weekly"});
        const std::string link = "/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "daily");
        const std::string nonce = hidden(room.get(link), "nonce");
        room.now += service::minute_ms;
        const Response answer = room.post(
            link, form_type,
            urlencoded(
                {{"List-Unsubscribe", "One-Click"}, {"nonce", nonce}, {"all", "1"}, {"reason", "other"}}),
            browser);
        CHECK_FALSE(contains(answer.body, "undo"));
        CHECK(room.status("ada@example.org", "daily") == "unsubscribed");
        CHECK(room.status("ada@example.org", "weekly") == "confirmed");
        CHECK_FALSE(contains(room.events().back().details, "reason"));
        CHECK_FALSE(contains(room.get(link).body, "/undo"));
        CHECK_FALSE(contains(room.submit_form(link, {{"nonce", nonce}}).body, "/undo"));
    }

    TEST_CASE("a goodbye letter is a setting, off") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily", "weekly"});
        room.edit("weekly", [](service::Newsletter& one) { one.settings[{"goodbye", ""}] = "Farewell."; });
        room.post("/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "daily"), form_type,
                  one_click);
        CHECK(room.deliver().empty());
        room.post("/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "weekly"), form_type,
                  one_click);
        CHECK(room.deliver().size() == 1);
    }

    TEST_CASE("is not said to have happened before it is kept") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        room.store.failing = service::Commit::busy;
        const std::string link = "/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "daily");
        CHECK(room.post(link, form_type, one_click).status == 503);
    }
}

TEST_SUITE("the undo page") {
    TEST_CASE("takes back what a person has just done, once, and the journal is told") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        Response left;
        const std::string undo = left_by_page(room, "ada@example.org", left);
        REQUIRE_FALSE(undo.empty());
        CHECK(room.store.withdrawals_journal.size() == 1);
        const int commits = room.store.commits;
        const Response page = room.get(undo);
        CHECK(page.status == 200);
        check_page_headers(page);
        CHECK(contains(field(page, "X-Robots-Tag"), "noindex"));
        CHECK(contains(page.body, "a•••a@example.org will receive The daily again"));
        room.ask(Newsroom::request_for(Method::head, undo, browser));
        room.submit_form(undo, {{"nonce", "x"}});
        room.submit_form(undo, {});
        CHECK(room.store.commits == commits);

        const Response done = room.submit_form(undo, {{"nonce", hidden(left, "nonce")}});
        CHECK(done.status == 200);
        CHECK(contains(done.body, "Everything is as it was"));
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
        CHECK(room.store.withdrawals_journal.size() == 2);
        const Response again = room.submit_form(undo, {{"nonce", hidden(left, "nonce")}});
        CHECK(again.status == 200);
        CHECK(contains(again.body, "There is nothing to take back"));
        CHECK(room.store.withdrawals_journal.size() == 2);
    }

    TEST_CASE("may be pressed at once: only a page that she posted has that button") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        Response left;
        const std::string undo = left_by_page(room, "ada@example.org", left);
        room.post(undo, form_type, urlencoded({{"nonce", hidden(left, "nonce")}}), browser);
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
    }

    TEST_CASE("is offered again to whoever pressed the button twice") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        const std::string link = "/unsubscribe?t=" + room.unsubscribe_link("ada@example.org", "daily");
        const std::string nonce = hidden(room.get(link), "nonce");
        room.submit_form(link, {{"nonce", nonce}});
        CHECK(contains(room.submit_form(link, {{"nonce", nonce}}).body, "/undo?t="));
        CHECK_FALSE(contains(room.get(link).body, "/undo"));
    }

    TEST_CASE("is 410 after 15 minutes, 404 for what is no such link") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        Response left;
        const std::string undo = left_by_page(room, "ada@example.org", left);
        room.now += 15 * service::minute_ms;
        CHECK(room.get(undo).status == 410);
        CHECK(room.get(undo, "application/json").content_type == "application/problem+json");
        const Response late = room.submit_form(undo, {{"nonce", hidden(left, "nonce")}});
        CHECK(late.status == 410);
        check_page_headers(late);
        CHECK(room.status("ada@example.org", "daily") == "unsubscribed");
        for (const char* token : {"", "?t=", "?t=v1.AAAA", "?t=<script>"}) {
            CHECK(room.get("/undo" + std::string(token)).status == 404);
            CHECK(room.submit_form("/undo" + std::string(token), {}).status == 404);
        }
        CHECK(room.get("/undo?t=" + room.unsubscribe_link("ada@example.org", "daily")).status == 404);
    }

    TEST_CASE("says that nothing was kept when nothing was") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        Response left;
        const std::string undo = left_by_page(room, "ada@example.org", left);
        room.store.failing = service::Commit::disk_full;
        CHECK(room.submit_form(undo, {{"nonce", hidden(left, "nonce")}}).status == 503);
    }

    TEST_CASE("takes back a change of address, but not for a machine that follows the letter's link") {
        Newsroom room;
        room.subscribed("ada@example.org", {"daily"});
        service::AddressChange change;
        const auto end_of = [](const std::string& email) {
            service::AddressChange::End end;
            end.addr_key = end.abuse_key = end.address = end.envelope = email;
            return end;
        };
        service::run(room.store, [&](service::Transaction& tx) {
            service::Person ada = *tx.person_by_key("ada@example.org");
            change = {};
            change.id = tx.new_id();
            change.person = ada.id;
            change.from = end_of("ada@example.org");
            change.to = end_of("ada@example.net");
            change.asked_at = change.from.confirmed_at.emplace(room.now);
            change.to.confirmed_at = change.done_at = room.now;
            tx.add(change);
            ada.addr_key = ada.abuse_key = ada.address = ada.envelope = "ada@example.net";
            tx.update(ada);
        });
        const std::string link = "/undo?t=" + service::address_undo_token(change, room.rules, 1);
        const Response page = room.get(link);
        CHECK(page.status == 200);
        CHECK(contains(page.body, "a•••a@example.net"));
        const std::string body = urlencoded({{"nonce", hidden(page, "nonce")}});
        CHECK(contains(room.post(link, form_type, body, browser).body, "name=\"nonce\""));
        CHECK(room.person("ada@example.net"));
        const Response done = room.submit_form(link, {{"nonce", hidden(page, "nonce")}});
        CHECK(done.status == 200);
        CHECK(contains(done.body, "The change of address is taken back"));
        CHECK(room.person("ada@example.org"));
        CHECK_FALSE(room.person("ada@example.net"));
        room.now += 8 * service::day_ms;
        CHECK(contains(room.get(link).body, "The change of address is taken back"));
    }
}

TEST_SUITE("Accept") {
    TEST_CASE("decides between a page and JSON") {
        CHECK(prefers_page(browser, false));
        CHECK(prefers_page("text/html", false));
        CHECK(prefers_page("text/html, */*", false));
        CHECK(prefers_page("application/json;q=0.5, text/html;q=0.9", false));
        CHECK_FALSE(prefers_page("application/json", true));
        CHECK_FALSE(prefers_page("application/problem+json", true));
        CHECK_FALSE(prefers_page("application/json, text/plain, */*", true));
        CHECK_FALSE(prefers_page("text/html;q=0, */*", true));
        CHECK_FALSE(prefers_page("text/html;q=0.1, application/json", true));
        for (const char* says_nothing : {"", "*/*", "image/png", "text/html, application/json", ";;,q=,="}) {
            CHECK(prefers_page(says_nothing, true));
            CHECK_FALSE(prefers_page(says_nothing, false));
        }
    }
}
