// The private listener: health and metrics.

#include "api/http/private_api.h"

#include <doctest/doctest.h>

#include "api/http/server.h"
#include "service/ledger.h"
#include "tests/api/newsroom.h"

using namespace zgoda;
using namespace zgoda::http;

namespace {

struct PrivateRoom : Newsroom {
    std::uintmax_t least_free = 1;
    std::filesystem::path folder = std::filesystem::temp_directory_path();

    Response see(const std::string& path) {
        PrivateOptions options{store, rules, metrics, folder};
        options.least_free = least_free;
        options.now = [this] { return now; };
        options.queue_depth = [] { return 7; };
        options.connections = [] { return 11; };
        return run(loop, private_api(options), request_for(Method::get, path, "*/*"));
    }
};

}  // namespace

TEST_SUITE("the private listener") {
    TEST_CASE("is alive and ready") {
        PrivateRoom room;
        CHECK(room.see("/livez").status == 200);
        CHECK(room.see("/readyz").status == 200);
        CHECK(contains(room.see("/readyz").body, "ready"));
    }

    TEST_CASE("is alive but not ready when it cannot commit") {
        PrivateRoom room;
        room.store.failing = service::Commit::broken;
        CHECK(room.see("/livez").status == 200);
        const Response response = room.see("/readyz");
        CHECK(response.status == 503);
        CHECK(contains(response.body, R"("failing":["storage"])"));
    }

    TEST_CASE("is not ready when the disk is nearly full, or not there") {
        PrivateRoom room;
        room.least_free = std::numeric_limits<std::uintmax_t>::max();
        CHECK(contains(room.see("/readyz").body, R"("failing":["disk"])"));
        room.least_free = 1;
        room.folder = "/nowhere/at/all";
        CHECK(room.see("/readyz").status == 503);
    }

    TEST_CASE("is not ready when letters are due and no mailer has run for ten minutes") {
        PrivateRoom room;
        room.sign_up("ada@example.org", {"daily"});
        CHECK(room.see("/readyz").status == 200);  // cron has a minute
        room.now += 9 * service::minute_ms;
        CHECK(room.see("/readyz").status == 200);
        room.now += 2 * service::minute_ms;
        const Response response = room.see("/readyz");
        CHECK(response.status == 503);
        CHECK(contains(response.body, R"("failing":["mailer"])"));
        room.store.tables.note.last_run_at = room.now - service::minute_ms;
        CHECK(room.see("/readyz").status == 200);
        // A mailer that used to run and stopped is missed with the first letter, not ten minutes after it.
        room.deliver();
        room.store.tables.note.last_run_at = room.now - 11 * service::minute_ms;
        CHECK(room.see("/readyz").status == 200);
        room.sign_up("bob@example.org", {"daily"});
        CHECK(room.see("/readyz").status == 503);
        room.store.tables.note.last_run_at = 0;
        room.deliver();
        CHECK(room.see("/readyz").status == 200);
    }

    TEST_CASE("counts, with labels that hold nothing of a reader") {
        PrivateRoom room;
        room.sign_up_json(R"({"email":"ada@example.org","newsletter":"daily"})");
        room.sign_up_json(R"({"email":"ada","newsletter":"daily"})");
        room.sign_up_json(R"({"email":"ada@example.org","newsletter":"gone"})");
        room.post("/v1/subscriptions", json_type, "{}", "*/*", "https://evil.example");
        room.metrics.count(Exchange{"/confirm", Method::get, 404, {}});
        room.metrics.count(Exchange{"/confirm", Method::get, 410, {}});
        room.metrics.count(Exchange{"", Method::other, 400, {}});
        room.now += 90 * service::second_ms;
        const Response response = room.see("/metrics");
        CHECK(response.status == 200);
        CHECK(response.content_type == "text/plain; version=0.0.4; charset=utf-8");
        for (const char* line : {
                 "zgoda_signups_total{outcome=\"accepted\"} 1",
                 "zgoda_signups_total{outcome=\"invalid\"} 1",
                 "zgoda_signups_total{outcome=\"no_open_newsletter\"} 1",
                 "zgoda_signups_total{outcome=\"origin_not_allowed\"} 1",
                 "zgoda_signups_total{outcome=\"over_limit\"} 0",
                 "zgoda_http_responses_total{class=\"4xx\",route=\"/confirm\"} 2",
                 "zgoda_http_responses_total{class=\"4xx\",route=\"none\"} 1",
                 "zgoda_commit_seconds_count 2",
                 "zgoda_outbox_due 1",
                 "zgoda_outbox_oldest_due_seconds 90",
                 "zgoda_store_queue 7",
                 "zgoda_http_connections 11",
             }) {
            const std::string wanted = line;
            CAPTURE(wanted);
            CHECK(contains(response.body, wanted));
        }
        CHECK_FALSE(contains(response.body, "ada"));
        CHECK_FALSE(contains(response.body, "example"));
    }

    TEST_CASE("counts the funnel from the ledger, each event once, from where it was told to begin") {
        PrivateRoom room;
        room.sign_up("before@example.org", {"daily"});
        service::look(room.store,
                      [&](service::Reader& reader) { room.metrics.follow_after(reader.ledger_head().seq); });
        room.sign_up("ada@example.org", {"daily"});
        room.sign_up("eve@example.org", {"daily"});
        const auto event = [&](service::EventKind kind, const std::string& details) {
            service::run(room.store, [&](service::Transaction& tx) {
                service::Nonces nonces({});
                service::EventDraft draft;
                draft.kind = kind;
                draft.person = 7;
                draft.details = details;
                service::record(tx, room.keys, std::move(draft), room.now, nonces);
            });
        };
        event(service::EventKind::letter_sent, R"({"kind":"confirmation"})");
        event(service::EventKind::letter_refused, R"({"kind":"welcome"})");
        event(service::EventKind::letter_sent, R"({"kind":"of the future"})");
        event(service::EventKind::confirmed, "{}");
        event(service::EventKind::bounced, "{}");
        event(service::EventKind::withdrawn, "{}");
        event(service::EventKind::complained, "{}");
        event(service::EventKind::imported, R"({"batch":1})");
        room.see("/metrics");
        const Response response = room.see("/metrics");
        for (const char* line : {
                 "zgoda_funnel_total{step=\"signup\"} 2",
                 "zgoda_funnel_total{step=\"confirmed\"} 1",
                 "zgoda_funnel_total{step=\"bounced\"} 1",
                 "zgoda_funnel_total{step=\"left\"} 2",
                 "zgoda_letters_total{kind=\"confirmation\",outcome=\"accepted\"} 1",
                 "zgoda_letters_total{kind=\"welcome\",outcome=\"refused\"} 1",
                 "zgoda_letters_total{kind=\"goodbye\",outcome=\"accepted\"} 0",
             }) {
            const std::string wanted = line;
            CAPTURE(wanted);
            CHECK(contains(response.body, wanted));
        }
        CHECK_FALSE(contains(response.body, "future"));
    }

    TEST_CASE("knows no path of the public one") {
        PrivateRoom room;
        for (const char* path : {"/", "/v1/newsletters", "/confirm", "/zgoda.css"})
            CHECK(room.see(path).status == 404);
    }

    TEST_CASE("answers to loopback's names and its own") {
        CHECK(private_hosts("10.0.0.5:8081") ==
              std::vector<std::string>{"localhost", "127.0.0.1", "[::1]", "10.0.0.5"});
        CHECK(private_hosts("unix:/run/zgoda/private.sock").size() == 3);
    }
}
