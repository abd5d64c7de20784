// The admin API where a real program cannot be made to fail; tests/end_to_end/admin_api_test.py has the rest.

#include <doctest/doctest.h>

#include <atomic>
#include <boost/json.hpp>
#include <thread>

#include "api/http/aside.h"
#include "api/http/private_api.h"
#include "service/admin_token.h"
#include "tests/api/newsroom.h"

using namespace zgoda;
using namespace zgoda::http;

namespace {

struct AdminRoom : Newsroom {
    std::string token = service::admin_token_text(service::Seed{7});
    Handler desk;

    AdminRoom() {
        service::AdminTokenWish wish;
        wish.name = "desk";
        for (const auto word : service::scope_words()) wish.scopes.push_back(*service::parse_scope(word));
        run(store,
            [&](service::Transaction& tx) { service::create_admin_token(tx, "root", wish, token, now); });
        PrivateOptions options{store, rules, metrics, std::filesystem::temp_directory_path()};
        options.now = [this] { return now; };
        desk = private_api(options);
    }

    Response see(Method method, const std::string& target, const std::string& body = "") {
        Request request = request_for(method, target, "*/*");
        request.authorization = "Bearer " + token;
        if (!body.empty()) request.content_type = json_type;
        request.body = body;
        return zgoda::http::run(loop, desk, std::move(request));
    }

    std::optional<service::TimeMs> last_use() {
        return store.tables.admin_tokens.begin()->second.last_used_at;
    }
};

boost::asio::awaitable<void> run_aside(Aside& aside, std::function<void()> job, int& ran, int& refused) {
    const bool done = co_await aside.run(std::move(job));
    ++(done ? ran : refused);
}

boost::asio::awaitable<void> await_failure(Aside& aside, std::string& told) {
    try {
        std::function<void()> job = [] { throw std::runtime_error("the job is on fire"); };
        co_await aside.run(std::move(job));
    } catch (const std::exception& error) {
        told = error.what();
    }
}

}  // namespace

TEST_SUITE("the admin API") {
    TEST_CASE("what cannot be committed is a 503, and nothing is done") {
        AdminRoom room;
        room.sign_up("ada@example.org", {"daily"});
        const std::string ada = "/v1/admin/subscribers/" + std::to_string(room.person("ada@example.org")->id);
        const auto acts = room.store.tables.admin_acts.size();
        room.store.failing = service::Commit::disk_full;
        const std::vector<std::tuple<Method, std::string, std::string>> writes{
            {Method::post, "/v1/admin/newsletters", R"({"slug":"new","settings":{"name":"New"}})"},
            {Method::patch, "/v1/admin/newsletters/daily", R"({"slug":"new"})"},
            {Method::post, "/v1/admin/newsletters/daily/close", ""},
            {Method::post, ada + "/unsubscribe", R"({"all":true})"},
            {Method::post, ada + "/confirm", R"({"evidence":"telephone"})"},
            {Method::del, ada, ""},
            {Method::post, "/v1/admin/suppressions", R"({"email":"ada@example.org","reason":"wrote"})"},
            {Method::post, "/v1/admin/suppressions/remove", R"({"email":"a@example.org","reason":"wrote"})"},
            {Method::post, "/v1/admin/subscriptions",
             R"({"email":"a@example.org","newsletters":["daily"],"client_ip":"::1","user_agent":"x"})"},
            {Method::get, "/v1/admin/export?status=all", ""},  // no rows that nobody could be asked about
        };
        for (const auto& [method, path, body] : writes) {
            const Response response = room.see(method, path, body);
            const std::string where = path;
            CAPTURE(where);
            CHECK(response.status == 503);
            CHECK(field(response, "Retry-After") == "5");
            CHECK(contains(response.body, R"("code":"unavailable")"));
        }
        CHECK(room.store.tables.admin_acts.size() == acts);
        CHECK(room.status("ada@example.org", "daily") == "pending");
        CHECK(room.see(Method::get, ada).status == 200);  // reading goes on
    }

    TEST_CASE("the use of a token is written down once a minute, and not by who shows a wrong one") {
        AdminRoom room;
        CHECK_FALSE(room.last_use());
        const std::string right = std::exchange(room.token, "zgoda_" + std::string(43, 'A'));
        CHECK(room.see(Method::get, "/v1/admin/newsletters").status == 401);
        CHECK_FALSE(room.last_use());
        room.token = right;
        room.see(Method::get, "/v1/admin/newsletters");
        const service::TimeMs first = room.now;
        CHECK(room.last_use() == first);
        const int commits = room.store.commits;
        room.now += 59 * service::second_ms;
        for (int i = 0; i < 10; ++i) room.see(Method::get, "/v1/admin/newsletters");
        CHECK(room.last_use() == first);
        CHECK(room.store.commits == commits);
        room.now += service::second_ms;
        room.see(Method::get, "/v1/admin/newsletters");
        CHECK(room.last_use() == room.now);
    }

    TEST_CASE("a token ends between two requests") {
        AdminRoom room;
        CHECK(room.see(Method::get, "/v1/admin/stats").status == 200);
        run(room.store, [&](service::Transaction& tx) {
            service::revoke_admin_token(tx, "root", "desk", room.keys, room.now);
        });
        CHECK(room.see(Method::get, "/v1/admin/stats").status == 401);
    }

    TEST_CASE("what takes long runs aside, one at a time, and a few may wait") {
        boost::asio::io_context loop;
        Aside aside;
        std::atomic<int> at_once = 0, most = 0;
        const auto here = std::this_thread::get_id();
        std::atomic<bool> on_this_thread = false;
        int ran = 0, refused = 0;
        for (int i = 0; i < 6; ++i) {
            boost::asio::co_spawn(loop,
                                  run_aside(
                                      aside,
                                      [&] {
                                          most = std::max(most.load(), ++at_once);
                                          on_this_thread = std::this_thread::get_id() == here;
                                          std::this_thread::sleep_for(std::chrono::milliseconds(20));
                                          --at_once;
                                      },
                                      ran, refused),
                                  [](std::exception_ptr) {});
        }
        loop.run();
        CHECK(ran == 4);
        CHECK(refused == 2);
        CHECK(most == 1);
        CHECK_FALSE(on_this_thread);

        std::string told;
        loop.restart();
        boost::asio::co_spawn(loop, await_failure(aside, told), [](std::exception_ptr) {});
        loop.run();
        CHECK(told == "the job is on fire");
    }
}
