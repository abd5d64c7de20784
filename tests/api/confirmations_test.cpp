// POST /v1/confirmations; and what machines and browsers do with the page of the letter's link.

#include "api/http/confirmations.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "service/keyring.h"
#include "tests/api/newsroom.h"

using namespace zgoda;
using namespace zgoda::http;
namespace json = boost::json;

namespace {

const std::string path = "/v1/confirmations";

std::string try_of(const std::string& ticket, const std::string& code) {
    return json::serialize(json::object{{"ticket", ticket}, {"code", code}});
}

std::string member(const Response& response, const char* name) {
    const json::value value = json::parse(response.body);
    const json::value* one = value.as_object().if_contains(name);
    if (one == nullptr) return "none";
    return one->is_string() ? json::value_to<std::string>(*one) : json::serialize(*one);
}

std::string ticket_for(Newsroom& room, const std::string& address, const std::string& slug = "daily",
                       const std::string& more = "") {
    const Response response =
        room.sign_up_json(R"({"email":")" + address + R"(","newsletters":[")" + slug + "\"]" + more + "}");
    REQUIRE(response.status == 202);
    return member(response, "ticket");
}

std::string wrong_for(const std::string& code) {
    return code == "000000" ? "111111" : "000000";
}

bool asks_again(const Response& page) {
    return page.status == 200 && contains(page.body, "data-confirm data-asked") &&
           contains(page.body, "role=\"alert\"");
}

}  // namespace

TEST_SUITE("POST /v1/confirmations") {
    TEST_CASE("confirms, and says so each time") {
        Newsroom room;
        const std::string ticket = ticket_for(room, "ada@example.org");
        const std::string code = room.deliver()[0].code;
        for (int i = 0; i < 2; ++i) {
            const Response response = room.post(path, json_type, try_of(ticket, code));
            CHECK(response.status == 200);
            CHECK(response.content_type == "application/json");
            CHECK(response.body == R"({"status":"confirmed"})");
            CHECK(field(response, "Cache-Control") == "no-store");
        }
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
        CHECK(room.count(service::EventKind::confirmed) == 1);
    }

    TEST_CASE("takes the bodies that a form can have") {
        const std::string multipart = "multipart/form-data; boundary=b";
        for (const std::string& type : {json_type, form_type, multipart}) {
            CAPTURE(type);
            Newsroom room;
            const std::string ticket = ticket_for(room, "ada@example.org");
            const std::string code = room.deliver()[0].code;
            const auto part = [](const std::string& name, const std::string& value) {
                return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value +
                       "\r\n";
            };
            const std::string body = type == json_type ? try_of(ticket, code)
                                     : type == form_type
                                         ? urlencoded({{"ticket", ticket}, {"code", code}})
                                         : part("ticket", ticket) + part("code", code) + "--b--\r\n";
            CHECK(room.post(path, type, body).status == 200);
        }
    }

    TEST_CASE("counts the wrong ones down, and is dead after five; the link is not") {
        Newsroom room;
        const std::string ticket = ticket_for(room, "ada@example.org");
        const auto letter = room.deliver()[0];
        for (int left = 4; left >= 0; --left) {
            const Response response = room.post(path, json_type, try_of(ticket, wrong_for(letter.code)));
            CHECK(response.status == 422);
            CHECK(response.content_type == "application/problem+json");
            CHECK(member(response, "type") == "urn:zgoda:problem:code_wrong");
            CHECK(member(response, "code") == "code_wrong");
            CHECK(member(response, "tries_left") == std::to_string(left));
        }
        const Response dead = room.post(path, json_type, try_of(ticket, letter.code));
        CHECK(dead.status == 410);
        CHECK(dead.content_type == "application/problem+json");
        CHECK(member(dead, "code") == "code_dead");
        CHECK(room.status("ada@example.org", "daily") == "pending");
        const std::string link = "/confirm?t=" + letter.confirm_token;
        room.submit_form(link, {{"nonce", hidden(room.get(link), "nonce")}, {"newsletter", "daily"}});
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
    }

    TEST_CASE("tells nobody by a byte whether there was a letter") {
        std::vector<std::vector<std::string>> seen;
        for (const std::string state : {"new", "confirmed", "suppressed", "trapped"}) {
            Newsroom room;
            if (state == "confirmed") room.subscribed("ada@example.org", {"daily"});
            if (state == "suppressed") {
                room.sign_up("ada@example.org", {"daily"});
                room.deny(room.deliver()[0].confirm_token);
            }
            room.now += service::day_ms;
            run(room.store, [&](service::Transaction& tx) { tx.note_mailer({room.now, 1000}); });
            const std::string trap = state == "trapped" ? R"(,"website":"x")" : "";
            const std::string first = ticket_for(room, "ada@example.org", "daily", trap);
            const std::string second = ticket_for(room, "ada@example.org", "weekly", trap);
            CHECK(first.size() == second.size());
            room.deliver();
            room.now += service::minute_ms;
            std::vector<std::string> answers{std::to_string(first.size())};
            for (int i = 0; i < 7; ++i) {
                const Response response =
                    room.post(path, json_type, try_of(i % 2 == 0 ? first : second, "12345x"));
                answers.push_back(std::to_string(response.status) + response.body);
                for (const auto& [name, value] : response.headers) answers.back() += name + value;
            }
            seen.push_back(answers);
        }
        for (const auto& one : seen) CHECK(one == seen.front());
        CHECK(contains(seen[0][5], "\"tries_left\":0"));
        CHECK(contains(seen[0][6], "code_dead"));
    }

    TEST_CASE("knows no ticket but ours, for an hour") {
        Newsroom room;
        const std::string ticket = ticket_for(room, "ada@example.org");
        const std::string code = room.deliver()[0].code;
        const Response unknown = room.post(path, json_type, try_of(std::string(84, 'A'), code));
        CHECK(unknown.status == 404);
        CHECK(member(unknown, "code") == "unknown_ticket");
        CHECK(room.post(path, json_type, try_of("", code)).body == unknown.body);
        room.now += service::hour_ms + 1;
        CHECK(room.post(path, json_type, try_of(ticket, code)).body == unknown.body);
    }

    TEST_CASE("refuses what is no try without counting it") {
        Newsroom room;
        const std::string ticket = ticket_for(room, "ada@example.org");
        const std::string code = room.deliver()[0].code;
        const int commits = room.store.commits;
        const std::vector<std::string> bodies{"",
                                              "{",
                                              "[]",
                                              "{}",
                                              R"({"ticket":")" + ticket + R"("})",
                                              R"({"code":")" + code + R"("})",
                                              R"({"ticket":")" + ticket + R"(","code":123456})",
                                              R"({"ticket":["x"],"code":"123456"})"};
        for (const std::string& body : bodies) {
            CAPTURE(body);
            CHECK(room.post(path, json_type, body).status == 400);
        }
        const Response text = room.post(path, "text/plain", try_of(ticket, code));
        CHECK(text.status == 415);
        CHECK(contains(field(text, "Accept-Post"), "application/json"));
        CHECK(room.get(path, "*/*").status == 405);
        CHECK(room.store.commits == commits);
    }

    TEST_CASE("listens to our pages and the allowed ones only") {
        Newsroom room;
        const std::string ticket = ticket_for(room, "ada@example.org");
        const std::string code = room.deliver()[0].code;
        const auto ask = [&](const std::string& origin, const std::string& type, const std::string& body,
                             const std::string& mode) {
            Request request = Newsroom::request_for(Method::post, path, "*/*");
            request.origin = origin;
            request.content_type = type;
            request.sec_fetch_mode = mode;
            request.body = body;
            return room.ask(request);
        };
        const std::string form = urlencoded({{"ticket", ticket}, {"code", code}});
        for (const auto& [origin, type] :
             {std::pair{"https://evil.example", json_type}, std::pair{"https://evil.example", form_type},
              std::pair{"null", json_type}, std::pair{"null", form_type}}) {
            const Response response =
                ask(origin, type, type == json_type ? try_of(ticket, code) : form, "cors");
            CHECK(response.status == 403);
            CHECK(member(response, "code") == "origin_not_allowed");
            CHECK(field(response, "Vary") == "Origin");
            CHECK(field(response, "Access-Control-Allow-Origin").empty());
        }
        CHECK(room.status("ada@example.org", "daily") == "pending");
        const Response wrong =
            ask("https://news.example", json_type, try_of(ticket, wrong_for(code)), "cors");
        CHECK(wrong.status == 422);
        CHECK(field(wrong, "Access-Control-Allow-Origin") == "https://news.example");
        const Response right = ask("https://news.example", json_type, try_of(ticket, code), "cors");
        CHECK(right.status == 200);
        CHECK(field(right, "Access-Control-Allow-Origin") == "https://news.example");
        CHECK(field(right, "Access-Control-Allow-Credentials").empty());

        Request preflight = Newsroom::request_for(Method::options, path, "*/*");
        preflight.origin = "https://news.example";
        CHECK(room.ask(preflight).status == 204);
        CHECK(field(room.ask(preflight), "Access-Control-Allow-Methods") == "POST");
    }

    TEST_CASE("hears 100 wrong codes an hour from one network, and right ones without end") {
        Newsroom room;
        const auto ask = [&](const std::string& client, const std::string& ticket, const std::string& code) {
            Request request = Newsroom::request_for(Method::post, path, "*/*");
            request.client = client;
            request.content_type = json_type;
            request.body = try_of(ticket, code);
            return room.ask(request);
        };
        const std::string ticket = ticket_for(room, "ada@example.org");
        const std::string code = room.deliver()[0].code;
        for (int i = 0; i < 150; ++i) CHECK(ask("203.0.113.9", ticket, code).status == 200);
        for (int person = 0; person < 20; ++person) {
            const std::string one = ticket_for(room, "p" + std::to_string(person) + "@example.org");
            const std::string client = "203.0.113." + std::to_string(person);
            for (int i = 0; i < 5; ++i) CHECK(ask(client, one, "none").status == 422);
            CHECK(ask(client, one, "none").status == (person < 19 ? 410 : 429));
        }
        const Response refused = ask("203.0.113.200", ticket, code);
        CHECK(refused.status == 429);
        CHECK(std::stoi(field(refused, "Retry-After")) > 3500);
        CHECK(refused.content_type == "application/problem+json");
        CHECK(ask("203.0.114.1", ticket, code).status == 200);
    }

    TEST_CASE("stops listening when there are too many wrong ones in all") {
        Newsroom room;
        const auto ask = [&](int network, const std::string& ticket, const std::string& code) {
            Request request = Newsroom::request_for(Method::post, path, "*/*");
            request.client = "198.51." + std::to_string(network) + ".1";
            request.content_type = json_type;
            request.body = try_of(ticket, code);
            return room.ask(request).status;
        };
        const std::string hers = ticket_for(room, "ada@example.org");
        const std::string code = room.deliver()[0].code;
        for (int person = 0; person < 200; ++person) {
            const std::string one = ticket_for(room, "p" + std::to_string(person) + "@example.org");
            for (int i = 0; i < 5; ++i) CHECK(ask(person, one, "none") == 422);
        }
        CHECK(ask(250, hers, code) == 429);
        CHECK(room.status("ada@example.org", "daily") == "pending");
    }

    TEST_CASE("says that nothing was counted when nothing was") {
        Newsroom room;
        const std::string ticket = ticket_for(room, "ada@example.org");
        const std::string code = room.deliver()[0].code;
        room.store.failing = service::Commit::disk_full;
        const Response response = room.post(path, json_type, try_of(ticket, code));
        CHECK(response.status == 503);
        CHECK_FALSE(field(response, "Retry-After").empty());
    }
}

TEST_SUITE("a scanner on the confirm page") {
    struct Letter {
        Newsroom room;
        std::string link;

        Letter() {
            room.sign_up("ada@example.org", {"daily", "weekly"});
            link = "/confirm?t=" + room.deliver()[0].confirm_token;
        }
        // Posts what the page shows, at once.
        Response press(const Response& page, const std::string& slug = "daily") {
            return room.post(link, form_type,
                             urlencoded({{"nonce", hidden(page, "nonce")}, {"newsletter", slug}}), browser);
        }
        std::string status() { return room.status("ada@example.org", "daily"); }
    };

    TEST_CASE("that posts within a second confirms nothing, however late it comes") {
        Letter letter;
        letter.room.now += service::hour_ms;
        Response page = letter.room.get(letter.link);
        for (int i = 0; i < 3; ++i) {
            letter.room.now += 999;
            page = letter.press(page);
            CHECK(asks_again(page));
        }
        CHECK(letter.status() == "pending");
        letter.room.now += 1000;
        CHECK(contains(letter.press(page).body, "You are subscribed"));
        CHECK(letter.status() == "confirmed");
    }

    TEST_CASE(
        "that posts within 5 seconds of the delivery is asked once more; only the second button helps") {
        Letter letter;
        const Response first = letter.room.get(letter.link);
        letter.room.now += 2 * service::second_ms;
        const Response second = letter.press(first);
        CHECK(asks_again(second));
        CHECK(contains(second.body, "we ask once more"));
        CHECK(letter.status() == "pending");
        letter.room.now += 10 * service::second_ms;
        CHECK(asks_again(letter.press(first)));
        CHECK(asks_again(letter.press(letter.room.get(letter.link))));
        CHECK(letter.status() == "pending");
        CHECK(contains(letter.press(second).body, "You are subscribed"));
        CHECK(letter.status() == "confirmed");
    }

    TEST_CASE("that presses second buttons as fast as it can waits like a person in the end") {
        Letter letter;
        Response page = letter.room.get(letter.link);
        service::DurationMs waited = 0;
        while (letter.status() == "pending" && waited < service::minute_ms) {
            letter.room.now += service::second_ms;
            waited += service::second_ms;
            page = letter.press(page);
        }
        CHECK(waited == 5 * service::second_ms);
    }

    TEST_CASE("of a whole mail server presses several links within 2 seconds, and is asked once more") {
        Newsroom room;
        std::vector<std::string> links;
        std::vector<Response> pages;
        for (const char* who : {"ada", "bob", "eve"}) {
            room.sign_up(std::string(who) + "@example.org", {"daily"});
            links.push_back("/confirm?t=" + room.deliver()[0].confirm_token);
        }
        room.now += service::hour_ms;
        for (const std::string& link : links) pages.push_back(room.get(link));
        room.now += 2 * service::second_ms;
        const auto press = [&](std::size_t i, const std::string& client) {
            Request request = Newsroom::request_for(Method::post, links[i], browser);
            request.client = client;
            request.content_type = form_type;
            request.body = urlencoded({{"nonce", hidden(pages[i], "nonce")}, {"newsletter", "daily"}});
            return room.ask(request);
        };
        CHECK_FALSE(asks_again(press(0, "203.0.113.1")));
        room.now += 1900;
        const Response asked = press(1, "203.0.113.2");
        CHECK(asks_again(asked));
        CHECK(room.status("bob@example.org", "daily") == "pending");
        CHECK_FALSE(asks_again(press(2, "198.51.100.1")));  // somebody else, elsewhere
        pages[1] = asked;
        room.now += service::second_ms;
        CHECK_FALSE(asks_again(press(1, "203.0.113.2")));
        CHECK(room.status("bob@example.org", "daily") == "confirmed");
    }

    TEST_CASE("finds the choice of the first page on the second") {
        Letter letter;
        const Response first = letter.room.get(letter.link);
        letter.room.now += 2 * service::second_ms;
        const Response second = letter.press(first, "weekly");
        CHECK(contains(second.body, "value=\"weekly\" checked"));
        CHECK(contains(second.body, "value=\"daily\">"));
    }

    TEST_CASE("silences nobody by \"this was not me\" within a second") {
        Letter letter;
        const std::string not_me = "/not-me" + letter.link.substr(8);
        const std::string nonce = hidden(letter.room.get(not_me), "nonce");
        letter.room.now += 900;
        letter.room.post(not_me, form_type, urlencoded({{"nonce", nonce}}), browser);
        CHECK(letter.status() == "pending");
        letter.room.now += 100;
        letter.room.post(not_me, form_type, urlencoded({{"nonce", nonce}}), browser);
        CHECK(letter.status() == "unsubscribed");
    }

    TEST_CASE("is not she who presses her own link again, because the first time nothing was kept") {
        Letter letter;
        const Response page = letter.room.get(letter.link);
        letter.room.now += service::minute_ms;
        letter.room.store.failing = service::Commit::disk_full;
        CHECK(letter.press(page).status == 503);
        letter.room.store.failing = service::Commit::done;
        letter.room.now += service::second_ms;
        CHECK(contains(letter.press(page).body, "You are subscribed"));
    }

    TEST_CASE("is not met by a person, who takes her time") {
        Letter letter;
        letter.room.now += 4 * service::second_ms;  // she is quick
        const Response page = letter.room.get(letter.link);
        CHECK(contains(page.body, "data-confirm>"));
        letter.room.now += 2 * service::second_ms;
        CHECK(contains(letter.press(page).body, "You are subscribed"));
    }
}

TEST_SUITE("the browser that signed up on our own page") {
    const std::string secret = "00112233445566778899aabbccddeeff";
    const std::string hash = service::to_hex(service::sha256(secret));

    // Signs up with the hash, from a page of this origin; then opens the letter's link with the secret.
    Response opened(Newsroom & room, const std::string& origin, const std::string& site,
                    const std::string& shown) {
        Request request = Newsroom::request_for(Method::post, "/v1/subscriptions", browser);
        request.content_type = form_type;
        request.origin = origin;
        request.sec_fetch_site = site;
        request.sec_fetch_mode = "navigate";
        request.body =
            urlencoded({{"email", "ada@example.org"}, {"newsletters", "daily"}, {"browser", hash}});
        const Response signed_up = room.ask(request);
        REQUIRE(signed_up.status == 303);
        CHECK_FALSE(contains(field(signed_up, "Location") + signed_up.body, hash));
        const std::string link = "/confirm?t=" + room.deliver()[0].confirm_token;
        const std::string nonce = hidden(room.get(link), "nonce");
        return room.post(link, form_type,
                         urlencoded({{"nonce", nonce}, {"newsletter", "daily"}, {"browser", shown}}),
                         browser);
    }

    TEST_CASE("is spared the button, at once") {
        for (const auto& [origin, site] : {std::pair{"https://letters.example", "same-origin"},
                                           std::pair{"null", "same-origin"}}) {  // our pages send no referrer
            Newsroom room;
            CHECK(contains(opened(room, origin, site, secret).body, "You are subscribed"));
            CHECK(room.status("ada@example.org", "daily") == "confirmed");
        }
    }

    TEST_CASE("is offered what was asked for elsewhere, after its own") {
        Newsroom room;
        room.sign_up("ada@example.org", {"weekly"}, service::lviv);
        const Response page = opened(room, "https://letters.example", "same-origin", secret);
        CHECK(room.status("ada@example.org", "daily") == "confirmed");
        CHECK(room.status("ada@example.org", "weekly") == "pending");
        CHECK(contains(page.body, "role=\"status\">You are subscribed: The daily."));
        CHECK(contains(page.body, "data-confirm data-asked"));
        CHECK(contains(page.body, "value=\"weekly\""));
        CHECK_FALSE(contains(page.body, "value=\"daily\""));
        const std::size_t at = page.body.find("/confirm?t=");
        const std::string link = page.body.substr(at, page.body.find('"', at) - at);
        const Response rest =
            room.submit_form(link, {{"nonce", hidden(page, "nonce")}, {"newsletter", "weekly"}});
        CHECK(contains(rest.body, "<h1>You are subscribed"));
        CHECK(room.status("ada@example.org", "weekly") == "confirmed");
    }

    TEST_CASE("is not believed from elsewhere") {
        for (const auto& [origin, site] : {std::pair{"https://news.example", "cross-site"}, std::pair{"", ""},
                                           std::pair{"null", "cross-site"}, std::pair{"null", ""}}) {
            Newsroom room;
            const Response page = opened(room, origin, site, secret);
            CHECK(page.status == 200);
            CHECK(contains(page.body, "data-confirm data-asked"));
            CHECK(room.status("ada@example.org", "daily") == "pending");
        }
    }

    TEST_CASE("with another secret gets the page, whose button no script presses again") {
        Newsroom room;
        const Response page = opened(room, "https://letters.example", "same-origin", std::string(32, '0'));
        CHECK(contains(page.body, "data-confirm data-asked"));
        CHECK_FALSE(contains(page.body, "role=\"alert\""));
        CHECK(contains(page.body, "value=\"daily\" checked"));
        CHECK(room.status("ada@example.org", "daily") == "pending");
    }

    TEST_CASE("needs the nonce of the page all the same") {
        Newsroom room;
        service::SignupForm form = room.form("ada@example.org", {"daily"});
        form.browser = hash;
        room.submit(form);
        const std::string link = "/confirm?t=" + room.deliver()[0].confirm_token;
        room.now += service::minute_ms;
        for (const std::string nonce : {"", "x"}) {
            const Response page =
                room.submit_form(link, {{"nonce", nonce}, {"newsletter", "daily"}, {"browser", secret}});
            CHECK(contains(page.body, "data-confirm data-asked"));
        }
        CHECK(room.status("ada@example.org", "daily") == "pending");
    }
}
