// A reader's settings: the page, its forms, the form that sends a link, and the pages of a change of address.

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "service/preferences.h"
#include "tests/api/newsroom.h"

using namespace zgoda;
using namespace zgoda::http;
using service::LetterKind;

namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Settings : Newsroom {
    std::string link;  // "/preferences?t=..."

    explicit Settings(std::vector<service::Rate> per_ip = {}) : Newsroom(std::move(per_ip)) {
        rules.preference_links = *service::parse_rates("1/15min 3/24h");
    }

    // Somebody who receives the daily and opens the link of her letter.
    void reader(const std::string& address = "ada@kyiv.ua", std::vector<std::string> slugs = {"daily"}) {
        subscribed(address, std::move(slugs));
        now += service::hour_ms;
        fresh_link(address);
    }

    void fresh_link(const std::string& address) {
        REQUIRE(post("/v1/preference-links", json_type, "{\"email\":\"" + address + "\"}").status == 202);
        link.clear();
        for (const auto& letter : deliver())
            if (letter.letter.kind == LetterKind::preference_link)
                link = "/preferences?t=" + letter.preferences_token;
        REQUIRE_FALSE(link.empty());
    }

    // What a person does: opens the page, looks at it, presses.
    Response press(const std::string& target, Fields fields, service::DurationMs looks = service::minute_ms) {
        const Response page = get(target);
        fields.emplace_back("nonce", hidden(page, "nonce"));
        now += looks;
        return post(target, form_type, urlencoded(fields), browser);
    }

    // Follows the redirect of a save.
    Response saved(Fields fields) {
        fields.emplace_back("action", "save");
        const Response answer = press(link, fields);
        REQUIRE(answer.status == 303);
        link = field(answer, "Location");
        return get(link);
    }

    void suppress(const std::string& addr_key) {
        service::run(store, [&](service::Transaction& tx) {
            service::Suppression one = service::suppression_keys(keys, addr_key).front();
            one.reason = service::SuppressionReason::complaint;
            one.at = now;
            tx.add(one);
        });
    }

    std::map<std::string, std::string> change_letters() {
        std::map<std::string, std::string> tokens;  // by envelope
        for (const auto& letter : deliver())
            if (letter.letter.kind == LetterKind::address_change)
                tokens[letter.person.envelope] = letter.confirm_token + letter.undo_token;
        now += service::minute_ms;
        return tokens;
    }
};

void check_private(const Response& page) {
    CHECK(field(page, "Cache-Control") == "no-store");
    CHECK(contains(field(page, "X-Robots-Tag"), "noindex"));
    CHECK(field(page, "Referrer-Policy") == "no-referrer");
    CHECK(field(page, "Set-Cookie").empty());
    CHECK_FALSE(contains(page.body, "<script"));
    CHECK(page.body.size() < 20'000);
}

}  // namespace

TEST_SUITE("POST /v1/preference-links") {
    TEST_CASE(
        "answers the same bytes for a known, an unknown and a suppressed address, within budget or not") {
        Settings room;
        room.subscribed("ada@kyiv.ua", {"daily"});
        room.sign_up("eva@kyiv.ua", {"daily"});
        room.deliver();
        room.subscribed("bob@kyiv.ua", {"daily"});
        room.suppress("bob@kyiv.ua");
        std::string first;
        for (const char* address : {"ada@kyiv.ua", "ada@kyiv.ua", "nobody@kyiv.ua", "nobody@kyiv.ua",
                                    "bob@kyiv.ua", "eva@kyiv.ua"}) {
            const int commits = room.store.commits;
            const Response answer =
                room.post("/v1/preference-links", json_type, "{\"email\":\"" + std::string(address) + "\"}");
            CHECK(answer.status == 202);
            CHECK(room.store.commits == commits + 1);
            std::string all = answer.body;
            for (const auto& [name, value] : answer.headers) all += name + value;
            if (first.empty()) first = all;
            CHECK(all == first);

            const Response page = room.submit_form("/v1/preference-links", {{"email", address}});
            CHECK(page.status == 303);
            CHECK(field(page, "Location") == "/preferences/sent?locale=en");
        }
        int links = 0;
        for (const auto& letter : room.deliver()) links += letter.letter.kind == LetterKind::preference_link;
        CHECK(links == 2);  // ada, and eva who has not confirmed yet
    }

    TEST_CASE("takes JSON and both encodings of forms, and nothing else") {
        Settings room;
        CHECK(room.post("/v1/preference-links", form_type, "email=ada%40kyiv.ua").status == 202);
        CHECK(
            room.post("/v1/preference-links", "multipart/form-data; boundary=x",
                      "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nada@kyiv.ua\r\n--x--\r\n")
                .status == 202);
        CHECK(room.post("/v1/preference-links", "text/plain", "ada@kyiv.ua").status == 415);
        CHECK(room.post("/v1/preference-links", json_type, "[1]").status == 400);
        CHECK(room.post("/v1/preference-links", json_type, "{\"email\":7}").status == 422);
        const Response wrong = room.post("/v1/preference-links", json_type, "{\"email\":\"ada@@kyiv.ua\"}");
        CHECK(wrong.status == 422);
        CHECK(boost::json::parse(wrong.body).at("errors").at(0).at("code") == "many_at");
        const Response page = room.submit_form("/v1/preference-links", {{"email", "ada<kyiv.ua"}});
        CHECK(page.status == 422);
        CHECK(contains(page.body, "aria-invalid=\"true\""));
        CHECK(contains(page.body, "value=\"ada&lt;kyiv.ua\""));
        CHECK(contains(page.body, "lacks an @ sign"));
    }

    TEST_CASE("obeys origins and the client's limit") {
        Settings room({{2, service::hour_ms}});
        const std::string body = "{\"email\":\"ada@kyiv.ua\"}";
        CHECK(room.post("/v1/preference-links", json_type, body, "*/*", "https://evil.example").status ==
              403);
        const Response answer =
            room.post("/v1/preference-links", json_type, body, "*/*", "https://news.example");
        CHECK(answer.status == 202);
        CHECK(field(answer, "Access-Control-Allow-Origin") == "https://news.example");
        Request preflight = Newsroom::request_for(Method::options, "/v1/preference-links", "*/*");
        preflight.origin = "https://news.example";
        preflight.access_control_request_method = "POST";
        CHECK(field(room.ask(preflight), "Access-Control-Allow-Methods") == "POST");
        room.post("/v1/preference-links", json_type, body);
        const Response late = room.post("/v1/preference-links", json_type, body);
        CHECK(late.status == 429);
        CHECK_FALSE(field(late, "Retry-After").empty());
    }

    TEST_CASE("has a form of its own, which every page leads to") {
        Settings room;
        const Response form = room.get("/preferences");
        CHECK(form.status == 200);
        CHECK(contains(form.body, "<form method=\"post\" action=\"/v1/preference-links\">"));
        check_private(form);
        CHECK(contains(room.get("/preferences?locale=uk").body, "Надішліть мені посилання"));
        const Response sent = room.get("/preferences/sent?locale=uk");
        CHECK(sent.status == 200);
        CHECK(contains(sent.body, "Перевірте свою пошту"));
        for (const char* path : {"/", "/newsletters/daily", "/confirm?t=x", "/unsubscribe?t=x", "/nothing"})
            CHECK(contains(room.get(path).body, "href=\"/preferences?locale=en\""));
    }
}

TEST_SUITE("the preferences page") {
    TEST_CASE("shows her settings, says what each button does, and writes nothing") {
        Settings room;
        room.reader();
        int commits = room.store.commits;
        const Response page = room.get(room.link);
        CHECK(page.status == 200);
        check_private(page);
        CHECK(contains(page.body, "a•••a@kyiv.ua"));
        CHECK_FALSE(contains(page.body, "ada@kyiv.ua"));
        CHECK(contains(page.body, "<select id=\"do-daily\" name=\"do[daily]\">"));
        CHECK(contains(page.body, "name=\"join\" value=\"weekly\""));
        CHECK_FALSE(contains(page.body, "name=\"join\" value=\"weekly\" checked"));
        CHECK(contains(page.body, "name=\"never_again\" value=\"1\"> "));
        CHECK_FALSE(contains(page.body, "<details open"));
        // A wording that all share is said once, others beside their newsletters.
        CHECK(contains(page.body, "<p class=\"consent\">By subscribing I agree"));
        CHECK_FALSE(contains(page.body, "<small>By subscribing"));
        room.edit("culture", [](service::Newsletter& one) {
            one.settings[{"consent", ""}] = "Other words.";
        });
        ++commits;
        const Response mixed = room.get(room.link);
        CHECK(contains(mixed.body, "<small>By subscribing I agree"));
        CHECK(contains(mixed.body, "<small>Other words.</small>"));
        CHECK_FALSE(contains(mixed.body, "<p class=\"consent\">"));
        room.ask(Newsroom::request_for(Method::head, room.link, browser));
        CHECK(room.store.commits == commits);
    }

    TEST_CASE("of a bad or expired link is 404 or 410, with the form that sends a fresh one") {
        Settings room;
        room.reader();
        for (const char* target : {"/preferences?t=", "/preferences?t=v1.x"}) {
            const Response page = room.get(target);
            CHECK(page.status == 404);
            CHECK(contains(page.body, "action=\"/v1/preference-links\""));
            CHECK(room.submit_form(target, {{"action", "save"}}).status == 404);
        }
        room.now += 66 * service::minute_ms;
        const Response page = room.get(room.link);
        CHECK(page.status == 410);
        CHECK(contains(page.body, "action=\"/v1/preference-links\""));
        check_private(page);
        for (const char* action : {"save", "change_address", "download", "erase"}) {
            const std::string token = room.link.substr(room.link.find('=') + 1);
            const Response answer = room.submit_form(
                room.link, {{"action", action},
                            {"email", "new@kyiv.ua"},
                            {"sure", "1"},
                            {"nonce", service::page_nonce(token, room.now - 2000, room.keys)}});
            CHECK(answer.status == 410);
        }
        CHECK(room.get(room.link, "application/json").content_type == "application/problem+json");
    }

    TEST_CASE("saves joins, leaves and language in one go, and goes on under a fresh link") {
        Settings room;
        room.reader("ada@kyiv.ua", {"daily", "weekly"});
        const std::string old_link = room.link;
        const Response before = room.get(room.link);
        const Response page = room.saved({{"do[daily]", "leave"},
                                          {"do[weekly]", "pause_4"},
                                          {"join", "culture"},
                                          {"consent[culture]", hidden(before, "consent[culture]")},
                                          {"locale", "uk"}});
        CHECK(page.status == 200);
        CHECK(contains(page.body, "Збережено."));
        CHECK(contains(page.body, "<html lang=\"uk\""));
        CHECK(contains(page.body, "Призупинено до "));
        CHECK(room.status("ada@kyiv.ua", "daily") == "unsubscribed");
        CHECK(room.status("ada@kyiv.ua", "weekly") == "paused");
        CHECK(room.status("ada@kyiv.ua", "culture") == "confirmed");
        CHECK(room.get(old_link).status == 410);
        CHECK(room.deliver().empty());
        CHECK(room.saved({{"do[weekly]", "resume"}}).status == 200);
        CHECK(room.status("ada@kyiv.ua", "weekly") == "confirmed");
    }

    TEST_CASE("saves nothing if it is asked for what it does not offer") {
        Settings room;
        room.reader("ada@kyiv.ua", {"daily", "weekly"});
        for (const char* act : {"pause_999", "pause_2x", "pause_", "pause_-2", "burn", ""}) {
            const int commits = room.store.commits;
            const Response page = room.press(
                room.link,
                {{"action", "save"}, {"do[daily]", act}, {"do[weekly]", "leave"}, {"locale", "uk"}});
            CHECK(page.status == 422);
            CHECK(contains(page.body, "role=\"alert\""));
            CHECK(room.store.commits == commits);
        }
        CHECK(room.status("ada@kyiv.ua", "weekly") == "confirmed");
    }

    TEST_CASE("asks to look again when a wording has changed meanwhile") {
        Settings room;
        room.reader();
        const std::string shown = hidden(room.get(room.link), "consent[culture]");
        room.edit("culture", [](service::Newsletter& one) {
            one.settings[{"consent", ""}] = "Other words.";
        });
        const Response page =
            room.press(room.link, {{"action", "save"}, {"join", "culture"}, {"consent[culture]", shown}});
        CHECK(page.status == 422);
        CHECK(contains(page.body, "nothing has been saved yet"));
        CHECK(contains(page.body, "Other words."));
        CHECK(room.status("ada@kyiv.ua", "culture") == "none");
    }

    TEST_CASE("acts on no post without its own nonce, nor on one within a second") {
        Settings room;
        room.reader();
        const std::string stolen =
            hidden(room.get("/unsubscribe?t=" + room.unsubscribe_link("ada@kyiv.ua", "daily")), "nonce");
        const int commits = room.store.commits;
        for (const Fields& extra : {Fields{}, Fields{{"nonce", "x"}}, Fields{{"nonce", stolen}}}) {
            for (const char* action : {"save", "change_address", "erase", "download"}) {
                Fields fields{
                    {"action", action}, {"do[daily]", "leave"}, {"email", "new@kyiv.ua"}, {"sure", "1"}};
                fields.insert(fields.end(), extra.begin(), extra.end());
                room.now += 2 * service::second_ms;
                const Response page = room.submit_form(room.link, fields);
                CHECK(page.status == 200);
                CHECK(contains(page.content_type, "text/html"));
                CHECK(contains(page.body, "role=\"alert\""));
            }
        }
        CHECK(room.press(room.link, {{"action", "erase"}, {"sure", "1"}}, 999).status == 200);
        CHECK(room.press(room.link, {{"action", "something"}}).status == 200);
        CHECK(room.store.commits == commits);
        CHECK(room.press(room.link, {{"action", "save"}, {"do[daily]", "leave"}}, 1000).status == 303);
        CHECK(room.status("ada@kyiv.ua", "daily") == "unsubscribed");
    }

    TEST_CASE("hands over her data as a file, by POST only") {
        Settings room;
        room.reader();
        const Response data = room.press(room.link, {{"action", "download"}});
        CHECK(data.status == 200);
        CHECK(data.content_type == "application/json");
        CHECK(contains(field(data, "Content-Disposition"), "attachment; filename="));
        CHECK(field(data, "Cache-Control") == "no-store");
        CHECK(field(data, "X-Content-Type-Options") == "nosniff");
        const auto all = boost::json::parse(data.body).as_object();
        CHECK(all.at("person").at("address") == "ada@kyiv.ua");
        CHECK(all.at("events").as_array().size() >= 3);
        CHECK(contains(room.get(room.link + "&action=download").content_type, "text/html"));
    }
}

TEST_SUITE("erasing oneself") {
    TEST_CASE("wants the tick and a page that is at most 10 minutes old") {
        Settings room;
        room.reader();
        const Response untouched = room.press(room.link, {{"action", "erase"}, {"never_again", "1"}});
        CHECK(untouched.status == 422);
        CHECK(contains(untouched.body, "<details open"));
        CHECK(contains(untouched.body, "name=\"never_again\" value=\"1\" checked"));
        const Response late =
            room.press(room.link, {{"action", "erase"}, {"sure", "1"}}, 10 * service::minute_ms + 1);
        CHECK(late.status == 200);
        CHECK(contains(late.body, "<details open"));
        CHECK(room.person("ada@kyiv.ua"));

        const Response done =
            room.press(room.link, {{"action", "erase"}, {"sure", "1"}}, 10 * service::minute_ms);
        CHECK(done.status == 200);
        CHECK(contains(done.body, "You are erased"));
        CHECK_FALSE(contains(done.body, "nobody can make us write"));
        check_private(done);
        CHECK_FALSE(room.person("ada@kyiv.ua"));
        CHECK(room.get(room.link).status == 404);
        CHECK_FALSE(room.verify_chain().problem);
        // Her own signup is welcome.
        CHECK(room.sign_up_json(R"({"email":"ada@kyiv.ua","newsletters":["daily"]})").status == 202);
        CHECK(room.deliver().size() == 1);
    }

    TEST_CASE("is answered in her language, not the browser's") {
        Settings room;
        room.reader();
        room.saved({{"locale", "uk"}});
        const Response done = room.press(room.link, {{"action", "erase"}, {"sure", "1"}});
        CHECK_FALSE(room.person("ada@kyiv.ua"));
        CHECK(contains(done.body, "<html lang=\"uk\""));
    }

    TEST_CASE("with the tick \"never again\" ends all letters") {
        Settings room;
        room.reader();
        const Response done =
            room.press(room.link, {{"action", "erase"}, {"sure", "1"}, {"never_again", "1"}});
        CHECK(contains(done.body, "nobody can make us write"));
        CHECK(room.sign_up_json(R"({"email":"ada@kyiv.ua","newsletters":["daily"]})").status == 202);
        CHECK(room.post("/v1/preference-links", json_type, R"({"email":"ada@kyiv.ua"})").status == 202);
        CHECK(room.deliver().empty());
    }
}

TEST_SUITE("changing the address, on its pages") {
    TEST_CASE("answers the same for a free, a taken and a suppressed address") {
        std::string first;
        for (const int state : {0, 1, 2}) {
            Settings room;
            room.subscribed("taken@kyiv.ua", {"daily"});
            room.suppress("quiet@kyiv.ua");
            room.reader();
            const char* address[] = {"free@kyiv.ua", "taken@kyiv.ua", "quiet@kyiv.ua"};
            const Response answer =
                room.press(room.link, {{"action", "change_address"}, {"email", address[state]}});
            CHECK(answer.status == 303);
            CHECK(field(answer, "Location") == room.link + "&done=address");
            room.now += service::second_ms;
            Response page = room.get(field(answer, "Location"));
            CHECK(contains(page.body, "open the letters in both mailboxes"));
            for (const std::string& one : {hidden(page, "nonce"), room.link.substr(room.link.find('=') + 1)})
                for (std::size_t at; (at = page.body.find(one)) != std::string::npos;)
                    page.body.erase(at, one.size());
            if (first.empty()) first = page.body;
            CHECK(page.body == first);
        }
    }

    TEST_CASE("says what is wrong with an address that cannot be, and keeps what was typed") {
        Settings room;
        room.reader();
        const Response wrong =
            room.press(room.link, {{"action", "change_address"}, {"email", "new.kyiv.ua"}});
        CHECK(wrong.status == 422);
        CHECK(contains(wrong.body, "lacks an @ sign"));
        CHECK(contains(wrong.body, "value=\"new.kyiv.ua\""));
        const Response same = room.press(room.link, {{"action", "change_address"}, {"email", "Ada@kyiv.ua"}});
        CHECK(same.status == 422);
        CHECK(contains(same.body, "that you have here already"));
        CHECK(room.deliver().empty());
    }

    TEST_CASE("counts against the client's limit, because it writes to somebody else") {
        Settings room({{2, service::hour_ms}});
        room.reader();
        CHECK(room.press(room.link, {{"action", "change_address"}, {"email", "b@kyiv.ua"}}).status == 303);
        CHECK(room.press(room.link, {{"action", "change_address"}, {"email", "c@kyiv.ua"}}).status == 429);
    }

    TEST_CASE("is confirmed at both ends by a button, and a look changes nothing") {
        Settings room;
        room.reader();
        room.press(room.link, {{"action", "change_address"}, {"email", "new@kyiv.ua"}});
        const auto letters = room.change_letters();
        REQUIRE(letters.size() == 2);
        const std::string at_old = "/confirm?t=" + letters.at("ada@kyiv.ua");
        const std::string at_new = "/confirm?t=" + letters.at("new@kyiv.ua");
        const int commits = room.store.commits;
        const Response page = room.get(at_new);
        CHECK(page.status == 200);
        check_private(page);
        CHECK(contains(page.body, "a•••a@kyiv.ua"));
        CHECK(contains(page.body, "n•••w@kyiv.ua"));
        CHECK(contains(page.body, "/not-me?t="));
        CHECK(room.submit_form(at_new, {}).status == 200);
        CHECK(room.store.commits == commits);
        CHECK(contains(room.press(at_new, {}).body, "as soon as the other one"));
        CHECK_FALSE(room.person("new@kyiv.ua"));
        CHECK(contains(room.press(at_old, {}).body, "The address has changed"));
        CHECK(room.person("new@kyiv.ua"));
        CHECK(contains(room.get(at_old).body, "The address has changed"));

        const auto undo = room.change_letters();
        REQUIRE(undo.contains("ada@kyiv.ua"));
        const std::string back = "/undo?t=" + undo.at("ada@kyiv.ua");
        CHECK(room.get(back).status == 200);
        CHECK(room.person("new@kyiv.ua"));
        CHECK(room.press(back, {}).status == 200);
        CHECK(room.person("ada@kyiv.ua"));
        CHECK_FALSE(room.person("new@kyiv.ua"));
    }

    TEST_CASE("is refused at either end by \"this was not me\"") {
        for (const char* end : {"ada@kyiv.ua", "new@kyiv.ua"}) {
            Settings room;
            room.reader();
            room.press(room.link, {{"action", "change_address"}, {"email", "new@kyiv.ua"}});
            const auto letters = room.change_letters();
            const std::string target = "/not-me?t=" + letters.at(end);
            CHECK(contains(room.get(target).body, "This was not me"));
            CHECK(room.submit_form(target, {}).status == 200);
            const Response done = room.press(target, {});
            CHECK(contains(done.body, "The change is dropped"));
            for (const auto& [who, token] : letters) room.press("/confirm?t=" + token, {});
            CHECK(room.person("ada@kyiv.ua"));
            CHECK_FALSE(room.person("new@kyiv.ua"));
            CHECK(room.get("/confirm?t=" + letters.at(end)).status == 410);
        }
    }
}
