// POST /v1/subscriptions and what belongs to it: the ticket, the list of newsletters, other origins.

#include "api/http/subscriptions.h"

#include <doctest/doctest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <chrono>

#include "api/http/server.h"
#include "service/ticket.h"
#include "tests/api/newsroom.h"

using namespace zgoda;
using namespace zgoda::http;
namespace json = boost::json;

namespace {

const std::string good = R"({"email":"ada@example.org","newsletters":["daily"]})";

json::object object_of(const Response& response) {
    return json::parse(response.body).as_object();
}

std::string text_of(const Response& response, const char* name) {
    return json::value_to<std::string>(object_of(response).at(name));
}

std::vector<std::string> members(const Response& response) {
    std::vector<std::string> names;
    for (const auto& member : object_of(response)) names.emplace_back(member.key());
    return names;
}

// Sends bytes to a listener that closes, and gives what came back.
std::string talk(unsigned short port, const std::string& bytes) {
    boost::asio::io_context loop;
    boost::asio::ip::tcp::socket socket(loop);
    socket.connect({boost::asio::ip::address_v4::loopback(), port});
    boost::asio::write(socket, boost::asio::buffer(bytes));
    std::string answer;
    boost::system::error_code end;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), end);
    return answer;
}

// Never calls `done` until told to.
class SilentStore : public service::Store {
 public:
    std::vector<Work> works;
    std::vector<Done> waiting;

    void submit(Work work, Done done) override {
        works.push_back(std::move(work));
        waiting.push_back(std::move(done));
    }
    void read(Query, Done done) override { waiting.push_back(std::move(done)); }
    std::unique_ptr<service::MailerPresence> enlist_mailer() override { return nullptr; }
    bool mailer_alive(const std::string&) override { return false; }
};

}  // namespace

TEST_SUITE("a signup") {
    TEST_CASE("carries the same names in JSON, in a form and in a multipart form") {
        const std::string multipart =
            "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nada@example.org\r\n"
            "--x\r\nContent-Disposition: form-data; name=\"newsletters\"\r\n\r\ndaily\r\n"
            "--x\r\nContent-Disposition: form-data; name=\"newsletters\"\r\n\r\nculture\r\n"
            "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAda\r\n"
            "--x\r\nContent-Disposition: form-data; name=\"fields[city]\"\r\n\r\nKyiv\r\n"
            "--x\r\nContent-Disposition: form-data; name=\"source\"\r\n\r\nhttps://news.example/a?b#c\r\n"
            "--x--\r\n";
        const std::pair<std::string, std::string> bodies[] = {
            {"application/json; charset=utf-8",
             R"({"email":"ada@example.org","newsletters":["daily","culture"],"name":"Ada","fields":{"city":"Kyiv"},)"
             R"("source":"https://news.example/a?b#c","unknown":[1]})"},
            {form_type, urlencoded({{"email", "ada@example.org"},
                                    {"newsletters", "daily"},
                                    {"newsletters", "culture"},
                                    {"name", "Ada"},
                                    {"fields[city]", "Kyiv"},
                                    {"source", "https://news.example/a?b#c"}})},
            {"multipart/form-data; boundary=x", multipart},
        };
        for (const auto& [content_type, body] : bodies) {
            const std::string& type = content_type;  // clang 14 captures no structured binding
            CAPTURE(type);
            Newsroom room;
            room.edit("culture", [](service::Newsletter& one) {
                one.settings[{"fields", ""}] = "city:text";
            });
            const Response response = room.post("/v1/subscriptions", type, body);
            CHECK(response.status == 202);
            REQUIRE(room.store.tables.requests.size() == 1);
            const service::Request& request = room.store.tables.requests.begin()->second;
            CHECK(request.wishes.size() == 2);
            CHECK(request.name == "Ada");
            CHECK(request.fields == R"({"city":"Kyiv"})");
            CHECK(request.source == "https://news.example/a");
            CHECK(request.ip == service::kyiv);
            CHECK(request.user_agent == "Tests/1.0");
            CHECK(room.status("ada@example.org", "culture") == "pending");
        }
    }

    TEST_CASE("is answered with 202, a message and a ticket, whatever the state of the address") {
        Newsroom room;
        const Response first = room.sign_up_json(good);
        CHECK(first.status == 202);
        CHECK(first.content_type == "application/json");
        CHECK(field(first, "Cache-Control") == "no-store");
        CHECK(members(first) == std::vector<std::string>{"status", "message", "ticket"});
        CHECK(text_of(first, "status") == "pending");
        CHECK(text_of(first, "message") ==
              "Thank you for signing up for this newsletter. We’ve sent you a confirmation email.");
        CHECK(text_of(first, "ticket").size() == 84);

        room.deliver();
        room.subscribed("has@example.org", {"daily"});
        for (const char* body :
             {R"({"email":"ada@example.org","newsletters":["daily"]})",
              R"({"email":"has@example.org","newsletters":["daily"]})",
              R"({"email":"bot@example.org","newsletter":"daily","website":"http://x"})"}) {
            const Response other = room.sign_up_json(body);
            CHECK(other.status == 202);
            CHECK(other.headers == first.headers);
            CHECK(other.body.size() == first.body.size());
            const std::size_t until = first.body.find("\"ticket\":\"");
            CHECK(other.body.substr(0, until) == first.body.substr(0, until));
        }
    }

    TEST_CASE("names what it left out and what may be a slip, and only then") {
        Newsroom room;
        const Response response =
            room.sign_up_json(R"({"email":"ada@gmial.com","newsletters":["daily","gone"],"fields":null})");
        CHECK(response.status == 202);
        CHECK(text_of(response, "suggestion") == "ada@gmail.com");
        CHECK(json::serialize(object_of(response).at("skipped")) == R"(["gone"])");
        CHECK(room.status("ada@gmial.com", "daily") == "pending");
    }

    TEST_CASE("speaks the language that the form names, else the reader's") {
        Newsroom room;
        CHECK(contains(
            text_of(room.sign_up_json(R"({"email":"a@example.org","newsletter":"daily","locale":"uk-UA"})"),
                    "message"),
            "Дякуємо"));
        Request request = Newsroom::request_for(Method::post, "/v1/subscriptions", "*/*");
        request.content_type = json_type;
        request.accept_language = "fr, uk;q=0.8, en;q=0.1";
        request.body = good;
        CHECK(contains(text_of(room.ask(request), "message"), "Дякуємо"));
    }

    TEST_CASE("from a form without JavaScript ends at a page of thanks") {
        Newsroom room;
        const std::vector<std::pair<std::string, std::string>> one{{"email", "ada@example.org"},
                                                                   {"newsletter", "daily"}};
        Response response = room.submit_form("/v1/subscriptions", one);
        CHECK(response.status == 303);
        CHECK(field(response, "Location") == "/newsletters/daily/sent?locale=en");
        const Response thanks = room.get("/newsletters/daily/sent?locale=en");
        CHECK(thanks.status == 200);
        CHECK(contains(thanks.body,
                       "Thank you for signing up for this newsletter. We’ve sent you a confirmation email."));

        response = room.submit_form("/v1/subscriptions", {{"email", "ada@example.org"},
                                                          {"newsletters", "weekly"},
                                                          {"newsletters", "culture"},
                                                          {"locale", "uk"}});
        CHECK(field(response, "Location") == "/sent?locale=uk");
        CHECK(contains(room.get("/sent?locale=uk").body, "Дякуємо"));

        room.edit("daily", [](service::Newsletter& news) {
            news.settings[{"thanks_url", ""}] = "https://news.example/thanks";
        });
        response = room.submit_form(
            "/v1/subscriptions",
            {{"email", "ada@example.org"}, {"newsletter", "daily"}, {"thanks_url", "https://evil.example/"}});
        CHECK(field(response, "Location") == "https://news.example/thanks");
    }

    TEST_CASE("from the page with all newsletters keeps the wordings of what was ticked") {
        Newsroom room;
        const Response page = room.get("/");
        const std::string daily = hidden(page, "consent[daily]");
        REQUIRE(daily.size() == 32);
        const Response response =
            room.submit_form("/v1/subscriptions", {{"email", "ada@example.org"},
                                                   {"newsletters", "daily"},
                                                   {"consent[daily]", daily},
                                                   {"consent[weekly]", hidden(page, "consent[weekly]")}});
        CHECK(response.status == 303);
        REQUIRE(room.store.tables.requests.size() == 1);
        CHECK(room.store.tables.requests.begin()->second.wishes.front().wording == daily);
        // One that nobody showed is not taken.
        CHECK(room.sign_up_json(R"({"email":"b@example.org","newsletter":"daily","consent":["0123"]})")
                  .status == 422);
    }
}

TEST_SUITE("a signup that cannot be") {
    struct Row {
        const char* why;
        std::string type;
        std::string body;
        int status;
        std::string code;
    };

    TEST_CASE("is answered with its status and a problem, and nothing is stored") {
        const std::vector<Row> rows{
            {"not JSON", json_type, "{", 400, "bad_request"},
            {"not an object", json_type, "[]", 400, "bad_request"},
            {"nothing", json_type, "", 400, "bad_request"},
            {"two values", json_type, good + "{}", 400, "bad_request"},
            {"too deep", json_type, R"({"fields":{"a":[[[[1]]]]}})", 400, "bad_request"},
            {"bytes that are no text", json_type, "{\"email\":\"\xFF@example.org\"}", 400, "bad_request"},
            {"bad percent-encoding", form_type, "email=%zz", 400, "bad_request"},
            {"no boundary", "multipart/form-data", "x", 400, "bad_request"},
            {"no open newsletter", json_type, R"({"email":"a@example.org","newsletters":["gone"]})", 404,
             "no_open_newsletter"},
            {"plain text", "text/plain", good, 415, "unsupported_type"},
            {"no type", "", good, 415, "unsupported_type"},
            {"no address", json_type, R"({"newsletter":"daily"})", 422, "invalid_form"},
            {"a wrong address", json_type, R"({"email":"a@example..org","newsletter":"daily"})", 422,
             "invalid_form"},
            {"no newsletter", json_type, R"({"email":"a@example.org"})", 422, "invalid_form"},
            {"a number for an address", json_type, R"({"email":5,"newsletter":"daily"})", 422,
             "invalid_form"},
            {"numbers for newsletters", json_type, R"({"email":"a@example.org","newsletters":[1]})", 422,
             "invalid_form"},
            {"a field nobody asked for", json_type,
             R"({"email":"a@example.org","newsletter":"daily","fields":{"x":1}})", 422, "invalid_form"},
        };
        Newsroom room;
        const int before = static_cast<int>(room.store.tables.people.size());
        for (const Row& row : rows) {
            const std::string why = row.why;
            CAPTURE(why);
            const Response response = room.post("/v1/subscriptions", row.type, row.body);
            CHECK(response.status == row.status);
            CHECK(response.content_type == "application/problem+json");
            CHECK(field(response, "Vary") == "Origin");
            CHECK(text_of(response, "type") == "urn:zgoda:problem:" + row.code);
            CHECK(object_of(response).at("status") == row.status);
            CHECK_FALSE(text_of(response, "title").empty());
            CHECK_FALSE(text_of(response, "detail").empty());
            if (row.status == 415)
                CHECK(field(response, "Accept-Post") ==
                      "application/json, application/x-www-form-urlencoded, multipart/form-data");

            const Response page = room.post("/v1/subscriptions", row.type, row.body, browser);
            CHECK(page.status == row.status);
            CHECK(page.content_type == "text/html; charset=utf-8");
            CHECK(contains(field(page, "Content-Security-Policy"), "default-src 'none'"));
        }
        CHECK(static_cast<int>(room.store.tables.people.size()) == before);
        CHECK(room.troubles.empty());
    }

    TEST_CASE("says what is wrong with which field") {
        Newsroom room;
        const Response response = room.sign_up_json(R"({"email":"ada@gmail..com","newsletter":"daily"})");
        CHECK(response.status == 422);
        CHECK(members(response) ==
              std::vector<std::string>{"type", "title", "status", "detail", "errors", "suggestion"});
        CHECK(text_of(response, "detail") == "Please, enter correct email address");
        CHECK(text_of(response, "suggestion") == "ada@gmail.com");
        const json::object error = object_of(response).at("errors").as_array().at(0).as_object();
        CHECK(error.at("pointer") == "/email");
        CHECK(error.at("code") == "domain_dot");
        CHECK(contains(json::value_to<std::string>(error.at("detail")), "two dots in a row"));

        const Response types = room.sign_up_json(R"({"email":[],"fields":{"a/b~c":{}}})");
        const auto errors = object_of(types).at("errors").as_array();
        REQUIRE(errors.size() == 2);
        CHECK(errors[0].at("pointer") == "/email");
        CHECK(errors[1].at("pointer") == "/fields/a~1b~0c");
        CHECK(errors[1].at("code") == "field_type");
    }

    TEST_CASE("in a form is shown again, with the sentence beside the field and what was typed, escaped") {
        Newsroom room;
        const Response page = room.submit_form(
            "/v1/subscriptions", {{"email", "\"><script>x@"}, {"newsletters", "daily"}, {"locale", "uk"}});
        CHECK(page.status == 422);
        CHECK(contains(page.body, "<html lang=\"uk\""));
        CHECK(contains(page.body, "value=\"&quot;&gt;&lt;script&gt;x@\""));
        CHECK_FALSE(contains(page.body, "<script>"));
        CHECK(contains(page.body, "aria-invalid=\"true\" aria-describedby=\"email-problem\""));
        CHECK(contains(page.body, "id=\"email-problem\" role=\"alert\""));
        CHECK(contains(page.body, "Будь ласка, введіть правильну електронну адресу"));
        CHECK(hidden(page, "newsletters") == "daily");

        const Response many = room.submit_form(
            "/v1/subscriptions", {{"email", "x"}, {"newsletters", "weekly"}, {"newsletters", "culture"}});
        CHECK(many.status == 422);
        CHECK(contains(many.body, "value=\"culture\" checked"));
        CHECK(contains(many.body, "value=\"weekly\" checked"));
        CHECK_FALSE(contains(many.body, "value=\"daily\" checked"));
        CHECK(contains(many.body, "Please, enter correct email address"));

        const Response none = room.submit_form("/v1/subscriptions", {{"email", "ada@example.org"}});
        CHECK(none.status == 422);
        CHECK(contains(none.body, "role=\"alert\">Tick at least one newsletter."));
        CHECK(contains(none.body, "value=\"ada@example.org\""));
    }

    TEST_CASE("with a suggestion has that in the field, to be sent by the same button") {
        Newsroom room;
        const Response page =
            room.submit_form("/v1/subscriptions", {{"email", "ada@gmail..com"}, {"newsletters", "daily"}});
        CHECK(page.status == 422);
        CHECK(hidden(page, "email").empty());
        CHECK(contains(page.body, "required value=\"ada@gmail.com\" aria-invalid=\"true\""));
        CHECK(contains(page.body, "Did you mean ada@gmail.com? It is in the field now"));
        CHECK_FALSE(contains(page.body, "ada@gmail..com"));
        // What can be right is left as it was typed.
        room.edit("daily", [](service::Newsletter& one) { one.settings[{"fields", ""}] = "city:required"; });
        const Response typo =
            room.submit_form("/v1/subscriptions", {{"email", "ada@gmial.com"}, {"newsletters", "daily"}});
        CHECK(typo.status == 422);
        CHECK(contains(typo.body, "value=\"ada@gmial.com\""));
        CHECK_FALSE(contains(typo.body, "Did you mean"));
    }

    TEST_CASE("names the fields as the newsletter does, with a star at what is required") {
        Newsroom room;
        room.edit("daily", [](service::Newsletter& one) {
            one.settings[{"fields", ""}] = "adult:boolean:required,city";
            one.settings[{"labels.adult", ""}] = "I am <18>";
            one.settings[{"labels.adult", "uk"}] = "Мені 18";
        });
        const Response form = room.get("/newsletters/daily");
        CHECK(contains(form.body,
                       "name=\"fields[adult]\" value=\"true\" required> <span>I am &lt;18&gt; <span "
                       "class=\"star\" aria-hidden=\"true\">*</span></span>"));
        CHECK(contains(form.body, "<label for=\"field-city\">city</label>"));
        CHECK(contains(room.get("/newsletters/daily?locale=uk").body, "<span>Мені 18 "));
        const Response again = room.submit_form(
            "/v1/subscriptions", {{"email", "x"}, {"newsletters", "daily"}, {"fields[adult]", "true"}});
        CHECK(contains(again.body, "value=\"true\" required checked>"));
        const Response missing =
            room.submit_form("/v1/subscriptions", {{"email", "ada@example.org"}, {"newsletters", "daily"}});
        CHECK(contains(missing.body, "required aria-invalid=\"true\" aria-describedby=\"problem-adult\">"));
        CHECK(contains(missing.body, "id=\"problem-adult\""));
    }

    TEST_CASE("because a field that the newsletter wants is missing has that field in its form") {
        Newsroom room;
        room.edit("daily", [](service::Newsletter& one) {
            one.settings[{"fields", ""}] = "city:text:required:5";
        });
        const Response page = room.submit_form(
            "/v1/subscriptions",
            {{"email", "ada@example.org"}, {"newsletters", "daily"}, {"fields[city]", "Kyivan"}});
        CHECK(page.status == 422);
        CHECK(
            contains(page.body,
                     "name=\"fields[city]\" type=\"text\" value=\"Kyivan\" required aria-invalid=\"true\""));
        CHECK(contains(page.body, "This value is too long."));
        // On the page with all it has a link to its own form instead of a box.
        CHECK_FALSE(contains(room.get("/").body, "value=\"daily\""));
        CHECK(contains(room.get("/").body, "href=\"/newsletters/daily?locale=en\""));
    }

    TEST_CASE("over the client's limit is refused with the time to wait") {
        Newsroom room({{2, service::hour_ms}});
        CHECK(room.sign_up_json(good).status == 202);
        CHECK(room.sign_up_json("{").status == 400);
        const Response response = room.sign_up_json(good);
        CHECK(response.status == 429);
        CHECK_FALSE(field(response, "Retry-After").empty());
        CHECK_FALSE(field(response, "RateLimit").empty());
        CHECK_FALSE(field(response, "RateLimit-Policy").empty());
        CHECK(text_of(response, "type") == "urn:zgoda:problem:too_many_requests");
        CHECK(room.post("/v1/subscriptions", form_type, "", browser).status == 429);

        Request other = Newsroom::request_for(Method::post, "/v1/subscriptions", "*/*");
        other.client = service::lviv;
        other.content_type = json_type;
        other.body = good;
        CHECK(room.ask(other).status == 202);
        // A preflight costs nothing and is answered all the same.
        Request preflight = Newsroom::request_for(Method::options, "/v1/subscriptions", "*/*");
        preflight.origin = "https://news.example";
        CHECK(room.ask(preflight).status == 204);
    }

    TEST_CASE("because nothing can be kept is 503, to be tried again") {
        for (const auto commit : {service::Commit::busy, service::Commit::disk_full,
                                  service::Commit::too_late, service::Commit::broken}) {
            Newsroom room;
            room.store.failing = commit;
            const Response response =
                room.post("/v1/subscriptions", json_type, good, "*/*", "https://news.example");
            CHECK(response.status == 503);
            CHECK_FALSE(field(response, "Retry-After").empty());
            CHECK(field(response, "Access-Control-Allow-Origin") == "https://news.example");
            CHECK(room.post("/v1/subscriptions", json_type, good, browser).content_type ==
                  "text/html; charset=utf-8");
            CHECK(room.store.tables.people.empty());
        }
    }

    TEST_CASE("because something is broken is 500, and the log says what, without the reader") {
        Newsroom room;
        room.store.breaking = true;
        const Response response =
            room.post("/v1/subscriptions", json_type, good, "*/*", "https://news.example");
        CHECK(response.status == 500);
        CHECK(text_of(response, "type") == "urn:zgoda:problem:internal_error");
        CHECK(field(response, "Access-Control-Allow-Origin") == "https://news.example");
        REQUIRE(room.troubles.size() == 1);
        CHECK(contains(room.troubles[0], "POST /v1/subscriptions"));
        CHECK_FALSE(contains(room.troubles[0], "ada"));
    }

    TEST_CASE("because the store is silent for 2 s is 503, though it may be done later") {
        auto silent = std::make_unique<SilentStore>();
        Newsroom room({}, silent.get());
        const auto started = std::chrono::steady_clock::now();
        const Response response = room.sign_up_json(good);
        const auto took = std::chrono::steady_clock::now() - started;
        CHECK(response.status == 503);
        CHECK_FALSE(field(response, "Retry-After").empty());
        CHECK(took >= std::chrono::milliseconds(1900));
        CHECK(took < std::chrono::milliseconds(4000));
        // Its turn comes after all: what the unit of work uses is still there, and nobody waits for the
        // outcome.
        REQUIRE(silent->works.size() == 1);
        service::run(room.store, silent->works[0]);
        CHECK(room.status("ada@example.org", "daily") == "pending");
        silent->waiting[0]({service::Commit::done, nullptr});
        room.loop.restart();
        room.loop.run();
        silent.reset();
    }
}

TEST_SUITE("a form in a frame") {
    TEST_CASE("is told in the frame what went wrong, whatever it is") {
        Newsroom room({{1, service::hour_ms}});
        const auto post = [&room](const std::string& body) {
            return room.post("/v1/subscriptions", form_type, body, browser);
        };
        const std::string framed = "email=ada%40example.org&newsletters=daily&embed=1";
        const auto check_framed = [](const Response& page, int status) {
            CHECK(page.status == status);
            CHECK(contains(page.content_type, "text/html"));
            CHECK(contains(field(page, "Content-Security-Policy"), "frame-ancestors https://news.example"));
            CHECK(field(page, "X-Frame-Options").empty());
            CHECK(contains(page.body, "href=\"/newsletters/daily/embed?locale=en\""));
            CHECK(contains(page.body, "class=\"framed\""));
            CHECK_FALSE(contains(page.body, "<footer>"));
        };
        const auto check_alone = [](const Response& page, int status) {
            CHECK(page.status == status);
            CHECK(contains(field(page, "Content-Security-Policy"), "frame-ancestors 'none'"));
            CHECK(field(page, "X-Frame-Options") == "DENY");
        };
        CHECK(post(framed).status == 303);
        check_framed(post(framed), 429);
        check_alone(post("email=ada%40example.org&newsletters=daily"), 429);
        check_alone(post("email=ada%40example.org&newsletters=daily&embed=0"), 429);
        check_alone(post("email=ada%40example.org&newsletters=..%2Fpreferences&embed=1"), 429);

        Newsroom full;
        full.store.failing = service::Commit::disk_full;
        check_framed(full.post("/v1/subscriptions", form_type, framed, browser), 503);
        check_alone(full.post("/v1/preference-links", form_type, framed, browser), 503);
        Newsroom broken;
        broken.store.breaking = true;
        check_framed(broken.post("/v1/subscriptions", form_type, framed, browser), 500);
        check_framed(Newsroom().post("/v1/subscriptions", form_type, framed, browser, "https://evil.example"),
                     403);
    }
}

TEST_SUITE("other origins") {
    struct Row {
        const char* why;
        std::string origin;
        std::string type;
        std::string accept;
        std::string mode;
        bool admitted;
    };

    TEST_CASE("may post if they are ours or in the settings") {
        const std::vector<Row> rows{
            {"none", "", json_type, "*/*", "", true},
            {"ours", "https://letters.example", json_type, "*/*", "cors", true},
            {"a configured one", "https://news.example", json_type, "*/*", "cors", true},
            {"another", "https://evil.example", json_type, "*/*", "cors", false},
            {"another, by a form", "https://evil.example", form_type, browser, "navigate", false},
            {"another, as text", "https://evil.example", "text/plain", "*/*", "no-cors", false},
            {"another scheme", "http://news.example", json_type, "*/*", "cors", false},
            {"another port", "https://news.example:8443", json_type, "*/*", "cors", false},
            {"one that begins like ours", "https://news.example.evil.example", json_type, "*/*", "", false},
            {"null in a script", "null", json_type, "*/*", "cors", false},
            {"null in a script's form", "null", form_type, "*/*", "cors", false},
            {"null in a script that asks for a page", "null", form_type, browser, "cors", false},
            {"null in a navigation", "null", form_type, browser, "navigate", true},
            {"null in an old browser's navigation", "null", form_type, browser, "", true},
            {"null without a sign of navigation", "null", form_type, "*/*", "", false},
        };
        for (const Row& row : rows) {
            const std::string why = row.why;
            CAPTURE(why);
            Newsroom room;
            Request request = Newsroom::request_for(Method::post, "/v1/subscriptions", row.accept);
            request.origin = row.origin;
            request.content_type = row.type;
            request.sec_fetch_mode = row.mode;
            request.body = row.type == form_type ? "email=ada%40example.org&newsletter=daily" : good;
            const Response response = room.ask(request);
            CHECK(field(response, "Vary") == "Origin");
            CHECK(room.store.tables.people.size() == (row.admitted ? 1 : 0));
            CHECK((response.status == 403) == !row.admitted);
            const bool listed = row.admitted && row.origin.starts_with("https");
            CHECK(field(response, "Access-Control-Allow-Origin") == (listed ? row.origin : ""));
            CHECK(field(response, "Access-Control-Allow-Credentials").empty());
            if (!row.admitted && row.accept != browser)
                CHECK(text_of(response, "type") == "urn:zgoda:problem:origin_not_allowed");
        }
    }

    TEST_CASE("ask first, and are told for ten minutes") {
        Newsroom room;
        Request request = Newsroom::request_for(Method::options, "/v1/subscriptions", "*/*");
        request.access_control_request_method = "POST";
        request.origin = "https://news.example";
        const Response response = room.ask(request);
        CHECK(response.status == 204);
        CHECK(field(response, "Access-Control-Allow-Origin") == "https://news.example");
        CHECK(field(response, "Access-Control-Allow-Methods") == "POST");
        CHECK(field(response, "Access-Control-Allow-Headers") == "content-type");
        CHECK(field(response, "Access-Control-Max-Age") == "600");
        CHECK(field(response, "Vary") == "Origin");
        request.origin = "https://evil.example";
        CHECK(field(room.ask(request), "Access-Control-Allow-Origin").empty());
        CHECK(field(room.ask(request), "Access-Control-Allow-Methods").empty());
    }

    TEST_CASE("can read the refusals that no handler gave") {
        Newsroom room;
        Network network(1);
        Options options;
        options.deadlines.body = std::chrono::milliseconds(200);
        options.deadlines.header = std::chrono::milliseconds(200);
        options.on_refusal = public_refusals("https://letters.example/", {"https://news.example"});
        Server server(network, options, room.handler);
        const auto ask = [&](const std::string& origin, const std::string& rest) {
            return talk(server.port(), "POST /v1/subscriptions HTTP/1.1\r\nHost: x\r\nOrigin: " + origin +
                                           "\r\n" + "Content-Type: application/json\r\n" + rest);
        };
        const std::pair<std::string, std::string> rows[] = {
            {"413", "Content-Length: 20000\r\n\r\n"},
            {"411", "Transfer-Encoding: chunked\r\n\r\n"},
            {"408", "Content-Length: 5\r\n\r\n{"},
            {"400", "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"},
            {"431", "X: " + std::string(9000, 'x') + "\r\n\r\n"},
        };
        for (const auto& [code, rest] : rows) {
            const std::string& status = code;
            CAPTURE(status);
            const std::string answer = ask("https://news.example", rest);
            CHECK(contains(answer, "HTTP/1.1 " + status));
            CHECK(contains(answer, "application/problem+json"));
            CHECK(contains(answer, "\r\nVary: Origin\r\n"));
            if (status != "431")  // its header was not read to the end
                CHECK(contains(answer, "\r\nAccess-Control-Allow-Origin: https://news.example\r\n"));
            CHECK_FALSE(contains(ask("https://evil.example", rest), "Access-Control"));
        }
    }

    TEST_CASE("are written as browsers write them") {
        CHECK(origin_of("HTTPS://News.Example:443/path?q#f") == "https://news.example");
        CHECK(origin_of("http://127.0.0.1:8080") == "http://127.0.0.1:8080");
        CHECK(origin_of("http://news.example:80/") == "http://news.example");
        CHECK(origin_of("https://news.example:80") == "https://news.example:80");
        CHECK(origin_of("") == "");
        CHECK(origin_of("news.example") == "");
    }
}

TEST_SUITE("the list of newsletters") {
    TEST_CASE("has those that are open and listed, in the language asked for") {
        Newsroom room;
        room.edit("weekly", [](service::Newsletter& one) { one.open = false; });
        room.edit("culture", [](service::Newsletter& one) { one.settings[{"listed", ""}] = "false"; });
        room.edit("daily", [](service::Newsletter& one) {
            one.settings[{"description", ""}] = "Every \"day\"";
        });
        CHECK(room.get("/v1/newsletters", "*/*").body ==
              R"([{"slug":"daily","name":"The daily","description":"Every \"day\"","locale":"en"}])");
        CHECK(room.get("/v1/newsletters?locale=uk", "*/*").body ==
              R"([{"slug":"daily","name":"Наш daily","description":"Every \"day\"","locale":"en"}])");

        Request request = Newsroom::request_for(Method::get, "/v1/newsletters", "*/*");
        request.origin = "https://news.example";
        CHECK(field(room.ask(request), "Access-Control-Allow-Origin") == "https://news.example");
        CHECK(field(room.ask(request), "Vary") == "Origin");
    }
}

TEST_SUITE("a ticket") {
    TEST_CASE("tells what became of the letter") {
        Newsroom room;
        const std::string path = "/v1/tickets/" + text_of(room.sign_up_json(good), "ticket");
        Response response = room.get(path, "*/*");
        CHECK(response.status == 200);
        CHECK(members(response) == std::vector<std::string>{"status", "detail"});
        CHECK(text_of(response, "status") == "queued");
        CHECK(field(response, "Cache-Control") == "no-store");
        room.deliver();
        CHECK(text_of(room.get(path, "*/*"), "status") == "sent");
        CHECK(contains(text_of(room.get(path + "?locale=uk", "*/*"), "detail"), "Лист надіслано"));
    }

    TEST_CASE("that is unknown, foreign or expired is the same 404") {
        Newsroom room;
        const std::string ticket = text_of(room.sign_up_json(good), "ticket");
        const Response unknown = room.get("/v1/tickets/" + std::string(84, 'A'), "*/*");
        CHECK(unknown.status == 404);
        CHECK(text_of(unknown, "type") == "urn:zgoda:problem:unknown_ticket");
        std::string changed = ticket;
        changed[30] = changed[30] == 'A' ? 'B' : 'A';
        CHECK(room.get("/v1/tickets/" + changed, "*/*").body == unknown.body);
        room.now += 2 * service::hour_ms;
        CHECK(room.get("/v1/tickets/" + ticket, "*/*").body == unknown.body);
    }

    TEST_CASE("says of at most three letters a day to one network that there is no such mailbox") {
        Newsroom room;
        std::vector<std::string> paths;
        for (const char* who : {"ada", "ben", "cat", "dan"}) {
            const std::string form =
                R"({"email":")" + std::string(who) + R"(@example.org","newsletters":["daily"]})";
            paths.push_back("/v1/tickets/" + text_of(room.sign_up_json(form), "ticket"));
        }
        for (auto& [id, letter] : room.store.tables.letters) {
            letter.state = service::LetterState::refused;
            letter.mailbox_unknown = true;
        }
        const auto ask = [&](const std::string& path, const std::string& client) {
            Request request = Newsroom::request_for(Method::get, path, "*/*");
            request.client = client;
            return text_of(room.ask(request), "status");
        };
        for (int times = 0; times < 5; ++times) CHECK(ask(paths[0], "203.0.113.7") == "refused");
        CHECK(ask(paths[1], "203.0.113.8") == "refused");
        CHECK(ask(paths[2], "203.0.113.9") == "refused");
        CHECK(ask(paths[3], "203.0.113.250") == "sent");
        CHECK(ask(paths[2], "203.0.113.250") == "refused");
        CHECK(ask(paths[3], "198.51.100.1") == "refused");
    }
}
