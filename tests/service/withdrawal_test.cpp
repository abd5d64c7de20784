#include "service/withdrawal.h"

#include "tests/service/world.h"

using namespace zgoda::service;

TEST_SUITE("leaving") {
    TEST_CASE("ends one newsletter, the second time changes nothing") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        const std::string link = world.unsubscribe_link("ada@kyiv.ua", "daily");
        const auto view = world.leave(link, Way::one_click);
        CHECK(view.kind == UnsubscribeView::Kind::left);
        CHECK(view.newsletter == "The daily");
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "confirmed");
        const auto events = world.events().size();
        world.now += day_ms;
        CHECK(world.leave(link).left_at == view.left_at);
        CHECK(world.events().size() == events);
    }

    TEST_CASE("works for ever") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string link = world.unsubscribe_link("ada@kyiv.ua", "daily");
        world.now += 3650 * day_ms;
        CHECK(world.leave(link).kind == UnsubscribeView::Kind::left);
    }

    TEST_CASE("ends her open confirmation links") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        const std::string open = world.deliver()[0].confirm_token;
        CHECK(world.page(open).kind == ConfirmationView::Kind::open);
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        CHECK(world.page(open).kind == ConfirmationView::Kind::expired);
        CHECK(world.press(open, {"weekly"}).confirmed_now.empty());
        CHECK(world.status("ada@kyiv.ua", "weekly") == "pending");
        // The unsubscribe link of the other one still works.
        CHECK(world.leave(world.unsubscribe_link("ada@kyiv.ua", "weekly")).kind ==
              UnsubscribeView::Kind::left);
    }

    TEST_CASE("is final until her own new, proven signup") {
        World world;
        const std::string old = world.subscribed("ada@kyiv.ua", {"daily"});
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        CHECK(world.press(old, {"daily"}).confirmed_now.empty());
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        world.press(letters[0].confirm_token);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("before confirming ends the request, its letter too") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        CHECK(world.deliver().empty());
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
    }

    TEST_CASE("is written to the journal outside the database, without the address") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        REQUIRE(world.store.withdrawals_journal.size() == 1);
        CHECK(world.store.withdrawals_journal[0].find("ada") == std::string::npos);
        int ended = 0;
        const Moment when = world.moment();
        run(world.store, [&](Transaction& tx) {
            ended = unsubscribe(tx, *tx.person_by_key("ada@kyiv.ua"), std::nullopt, world.rules, when);
        });
        CHECK(ended == 1);
        CHECK(world.store.withdrawals_journal.size() == 2);
    }
}

TEST_SUITE("being forgotten") {
    TEST_CASE("removes everything but a keyed hash and a chain that is still whole") {
        World world;
        world.subscribed("bob@kyiv.ua", {"daily"});
        const std::string link = world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"culture"});
        const Person ada = *world.person("ada@kyiv.ua");
        const std::string unsubscribe = world.unsubscribe_link("ada@kyiv.ua", "daily");
        const Moment when = world.moment();
        run(world.store, [&](Transaction& tx) { erase(tx, ada, world.rules, when); });

        CHECK_FALSE(world.person("ada@kyiv.ua"));
        CHECK(world.deliver().empty());
        CHECK(world.page(link).kind == ConfirmationView::Kind::unknown);
        CHECK(world.leave(unsubscribe).kind == UnsubscribeView::Kind::unknown);
        for (const Event& event : world.events()) {
            CHECK(event.identity.find("ada@") == std::string::npos);
            if (event.person == ada.id && event.kind != EventKind::erased) CHECK_FALSE(event.identity_nonce);
        }
        const Verdict verdict = world.verify_chain();
        CHECK_FALSE(verdict.problem);
        CHECK(verdict.erased > 0);
        CHECK(world.explained("ada@kyiv.ua").find("was erased") != std::string::npos);
        CHECK(world.status("bob@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("does not keep her from coming back by herself") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const Moment when = world.moment();
        run(world.store,
            [&](Transaction& tx) { erase(tx, *tx.person_by_key("ada@kyiv.ua"), world.rules, when); });
        world.now += hour_ms;
        world.subscribed("ada@kyiv.ua", {"daily"});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }
}
