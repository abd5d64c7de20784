#include "service/personal_data.h"

#include <boost/json.hpp>

#include "tests/service/preferences_world.h"

using namespace zgoda::service;
namespace json = boost::json;

TEST_SUITE("the data of one person") {
    TEST_CASE("are everything held, the ledger with what stands beside it included") {
        PreferencesWorld world;
        world.subscribed("bob@kyiv.ua", {"daily"});
        auto form = world.form("ada@kyiv.ua", {"daily", "weekly"});
        form.name = "Ada";
        form.source = "https://news.example/war?search=secret";
        form.consent = {};
        world.submit(form);
        world.press(world.deliver()[0].confirm_token);
        world.now += hour_ms;
        const std::string link = world.preferences_of("ada@kyiv.ua");
        world.save(link, {world.pausing("weekly", 2)});
        world.now += hour_ms;
        world.ask_change(world.preferences_of("ada@kyiv.ua"), "new@kyiv.ua");
        world.suppress("ada@kyiv.ua", SuppressionReason::admin);
        run(world.store, [&](Transaction& tx) {
            tx.set_bounce_score({tx.person_by_key("ada@kyiv.ua")->id, 2, world.now, 0});
        });

        std::string text;
        look(world.store, [&](Reader& reader) {
            text = personal_data(reader, *reader.person_by_key("ada@kyiv.ua"), world.rules, world.now);
        });
        const json::object all = json::parse(text).as_object();
        const auto list = [&](const char* name) { return all.at(name).as_array(); };
        CHECK(all.at("person").at("address") == "ada@kyiv.ua");
        CHECK(all.at("person").at("name") == "Ada");
        CHECK(all.at("generated_at").as_string() == rfc3339(world.now).c_str());
        REQUIRE(list("subscriptions").size() == 2);
        CHECK(list("subscriptions")[0].at("newsletter") == "daily");
        CHECK(list("subscriptions")[1].at("status") == "paused");
        CHECK(list("subscriptions")[1].at("paused_until").is_string());
        REQUIRE(list("requests").size() == 1);
        CHECK(list("requests")[0].at("ip") == "203.0.113.7");
        CHECK(list("requests")[0].at("source") == "https://news.example/war");
        CHECK(list("requests")[0].at("browser_secret_sha256").is_string());
        CHECK(all.at("returned_mail").at("points") == 2);
        CHECK(all.at("returned_mail").at("refused_at").is_null());
        CHECK(list("letters").size() == 4);  // confirmation, two links, her end of the change
        CHECK(list("letters")[0].at("kind") == "confirmation");
        std::size_t events = 0;
        look(world.store, [&](Reader& reader) {
            events = reader.events_of(reader.person_by_key("ada@kyiv.ua")->id).size();
        });
        CHECK(list("events").size() == events);
        CHECK(list("events")[0].at("kind") == "signup_requested");
        CHECK(list("events")[0].at("identity").at("name") == "Ada");
        CHECK(list("events")[0].at("evidence").at("ip") == "203.0.113.7");
        CHECK(list("suppressions")[0].at("reason") == "admin");
        CHECK(list("mail_budget").size() == 1);
        CHECK(list("preference_links").size() == 2);
        CHECK(list("address_changes")[0].at("new_address") == "new@kyiv.ua");
        CHECK(text.find("bob@") == std::string::npos);
    }

    TEST_CASE("of which the ledger was erased or truncated are still a document") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        for (auto& event : world.store.tables.ledger) {
            event.evidence.clear();
            event.evidence_nonce.reset();
        }
        look(world.store, [&](Reader& reader) {
            const std::string text =
                personal_data(reader, *reader.person_by_key("ada@kyiv.ua"), world.rules, world.now);
            CHECK(json::parse(text).at("events").at(0).at("evidence").is_null());
        });
    }
}
