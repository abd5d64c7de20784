#include "service/outbox.h"

#include "tests/service/world.h"

using namespace zgoda::service;

TEST_SUITE("the outbox") {
    TEST_CASE("gives a letter to one mailer only") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(world.lease_all("m1").size() == 1);
        CHECK(world.lease_all("m2").empty());
    }

    TEST_CASE("frees the letters of a dead mailer at the next lease") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto first = world.lease_all("dead");
        std::vector<LeasedLetter> again;
        const Moment when = world.moment();
        const auto alive = [](const std::string& mailer) { return mailer != "dead"; };
        look(world.store, [&](Reader& reader) { CHECK(work_waits(reader, alive, world.rules, world.now)); });
        run(world.store, [&](Transaction& tx) { again = lease(tx, "m2", 10, alive, world.rules, when); });
        REQUIRE(again.size() == 1);
        CHECK(again[0].letter.message_id == first[0].letter.message_id);
        CHECK(again[0].confirm_token == first[0].confirm_token);
    }

    TEST_CASE("frees a lease after half an hour, and its mailer may not send any more") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto first = world.lease_all("slow");
        const auto still = [&] {
            bool out = false;
            look(world.store, [&](Reader& reader) {
                out = still_leased(reader, first[0].letter.id, "slow", world.rules, world.now);
            });
            return out;
        };
        world.now += 30 * minute_ms;
        CHECK(still());
        world.now += second_ms;
        CHECK_FALSE(still());
        CHECK(world.lease_all("m2").size() == 1);
    }

    TEST_CASE("puts off what the server did not take, until the link's life ends") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        int attempts = 0;
        while (world.now < 1'795'514'400'000 + 10 * day_ms) {
            for (const auto& letter : world.lease_all()) {
                ++attempts;
                world.report(letter, {Result::Kind::try_later, "451 not now", world.now + 4 * hour_ms});
            }
            world.now += hour_ms;
        }
        CHECK(attempts == 18);
        CHECK(world.count(EventKind::lapsed) == 1);
        CHECK(world.explained("ada@kyiv.ua").find("451 not now") != std::string::npos);
    }

    TEST_CASE("sends an uncertain letter once more, with the same Message-ID") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto first = world.lease_all();
        world.report(first[0], {Result::Kind::uncertain, "", world.now + 10 * minute_ms});
        CHECK(world.lease_all().empty());
        world.now += 10 * minute_ms;
        const auto second = world.lease_all();
        REQUIRE(second.size() == 1);
        CHECK(second[0].letter.message_id == first[0].letter.message_id);
        world.report(second[0], {Result::Kind::uncertain, "", world.now + 10 * minute_ms});
        world.now += day_ms;
        CHECK(world.lease_all().empty());
    }

    TEST_CASE("does not believe a mailer that lost its lease, unless the letter went out") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto letter = world.lease_all("m1")[0];
        world.report(letter, {Result::Kind::refused, "550"}, "m2");
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
        world.now += hour_ms;
        CHECK(world.lease_all("m2").size() == 1);
        world.report(letter, {Result::Kind::delivered, "250"}, "m1");
        world.now += hour_ms;
        CHECK(world.lease_all("m3").empty());
    }

    TEST_CASE("takes a letter back that was not tried") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.report(world.lease_all()[0], {Result::Kind::given_back, ""});
        const auto again = world.lease_all();
        REQUIRE(again.size() == 1);
        CHECK(again[0].letter.attempts == 0);
    }

    TEST_CASE("freezes what a letter names when it is first leased") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto first = world.lease_all();
        world.sign_up("ada@kyiv.ua", {"weekly"});
        world.report(first[0], {Result::Kind::try_later, "451", world.now + minute_ms});
        world.now += minute_ms;
        const auto again = world.lease_all();
        REQUIRE(again.size() == 1);
        CHECK(names(again[0]) == Slugs{"daily"});
        CHECK(again[0].letter.expires_at == first[0].letter.expires_at);
    }

    TEST_CASE("has nothing to do when nothing is due") {
        World world;
        const auto waits = [&] {
            bool out = false;
            look(world.store, [&](Reader& reader) {
                out = work_waits(
                    reader, [](const std::string&) { return true; }, world.rules, world.now);
            });
            return out;
        };
        CHECK_FALSE(waits());
        world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(waits());
        const auto letter = world.lease_all();
        CHECK_FALSE(waits());
        world.report(letter[0], {Result::Kind::delivered, "250"});
        CHECK_FALSE(waits());
    }
}
