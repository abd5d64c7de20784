#include "service/preferences.h"

#include "tests/service/preferences_world.h"

using namespace zgoda::service;
using Kind = PreferencesCase::Kind;

TEST_SUITE("the link to one's preferences") {
    TEST_CASE("goes by letter to somebody who has, or had, a subscription") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.ask_for_link("Ada@kyiv.ua");
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].letter.kind == LetterKind::preference_link);
        CHECK(letters[0].person.envelope == "ada@kyiv.ua");
        CHECK(world.settings(letters[0].preferences_token).kind == Kind::open);

        world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        world.now += hour_ms;
        CHECK(world.settings(world.preferences_of("ada@kyiv.ua")).kind == Kind::open);
    }

    TEST_CASE("does not go to strangers, the suppressed and those who never asked for anything") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.suppress("ada@kyiv.ua", SuppressionReason::complaint);
        world.ask_for_link("ada@kyiv.ua");
        world.ask_for_link("nobody@kyiv.ua");
        auto trapped = world.form("bot@kyiv.ua", {"daily"});
        trapped.website = "spam";
        world.submit(trapped);
        world.ask_for_link("bot@kyiv.ua");
        for (const auto& [id, letter] : world.store.tables.letters)
            CHECK(letter.kind != LetterKind::preference_link);
        CHECK(world.deliver().empty());
    }

    TEST_CASE("is counted for an unknown address as for a known one, and something is always committed") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        for (const char* email : {"ada@kyiv.ua", "nobody@kyiv.ua"}) {
            const std::string key = "preferences:" + std::string(email);
            for (int asked = 0; asked < 5; ++asked) {
                const Id before = world.store.tables.last_id;
                world.ask_for_link(email);
                CHECK(world.store.tables.last_id > before);
            }
            CHECK(world.store.tables.budget[key].size() == 1);
        }
        CHECK(world.deliver().size() == 1);
        // Plus tags and dots are one mailbox, here too.
        world.ask_for_link("nobody+1@kyiv.ua");
        CHECK(world.store.tables.budget.size() == 2);
    }

    TEST_CASE("has a budget of its own") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        int letters = 0;
        for (int i = 0; i < 10; ++i) {
            world.ask_for_link("ada@kyiv.ua", kyiv);
            letters += static_cast<int>(world.deliver().size());
            world.now += 16 * minute_ms;
        }
        CHECK(letters == 2);  // the last of the day is kept for another network
        world.ask_for_link("ada@kyiv.ua", lviv);
        CHECK(world.deliver().size() == 1);
        world.ask_for_link("ada@kyiv.ua", "192.0.2.1");
        CHECK(world.deliver().empty());
        // None of it was taken from the budget of letters that ask for a confirmation.
        world.sign_up("ada@kyiv.ua", {"weekly"});
        CHECK(world.deliver().size() == 1);
    }

    TEST_CASE("is one letter as long as that has not been sent") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.ask_for_link("ada@kyiv.ua");
        world.now += 16 * minute_ms;
        world.ask_for_link("ada@kyiv.ua");
        CHECK(world.deliver().size() == 1);
    }

    TEST_CASE("lives for one hour from the letter's first lease") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.ask_for_link("ada@kyiv.ua");
        world.now += 3 * hour_ms;  // the mailer was away
        const std::string link = world.deliver()[0].preferences_token;
        world.now += hour_ms;
        CHECK(world.settings(link).kind == Kind::open);
        world.now += 6 * minute_ms;  // clocks differ by 5 minutes at most
        CHECK(world.settings(link).kind == Kind::expired);
        CHECK(world.save(link, {world.leaving("daily")}).kind == Kind::expired);
        CHECK(world.erase_me(link) == Kind::expired);
        CHECK(world.ask_change(link, "new@kyiv.ua") == ChangeAsked::expired);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("opens nothing for a token of another purpose, and opens nothing else") {
        PreferencesWorld world;
        const std::string confirm = world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string unsubscribe = world.unsubscribe_link("ada@kyiv.ua", "daily");
        const std::string link = world.preferences_of("ada@kyiv.ua");
        for (const std::string& other : {confirm, unsubscribe, std::string("v1.x"), std::string()})
            CHECK(world.settings(other).kind == Kind::unknown);
        CHECK(world.page(link).kind == ConfirmationView::Kind::unknown);
        CHECK(world.leave(link).kind == UnsubscribeView::Kind::unknown);
        CHECK(world.undo_page(link).kind == AddressUndoView::Kind::unknown);
    }
}

TEST_SUITE("the preferences page") {
    TEST_CASE("lists what she receives, then what she could, and writes nothing") {
        PreferencesWorld world;
        world.add_newsletter("closed");
        world.add_newsletter("hidden");
        world.add_newsletter("asking");
        world.subscribed("eva@kyiv.ua", {"culture"});
        const Choice join_closed = world.joining(world.preferences_of("eva@kyiv.ua"), "closed");
        world.edit("closed", [](Newsletter& one) { one.open = false; });
        world.edit("hidden", [](Newsletter& one) { one.settings[{"listed", ""}] = "false"; });
        world.edit("asking", [](Newsletter& one) { one.settings[{"fields", ""}] = "city:text:required"; });
        world.subscribed("ada@kyiv.ua", {"weekly"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        const int commits = world.store.commits;
        const PreferencesView view = world.settings(link);
        CHECK(world.store.commits == commits);
        CHECK(view.masked_address == "a•••a@kyiv.ua");
        std::string shown;
        for (const auto& one : view.items) shown += one.slug + (one.received ? "! " : " ");
        CHECK(shown == "weekly! daily culture asking ");
        CHECK(world.item(link, "asking").asks_fields);
        // It cannot be joined without what it asks for.
        world.save(link, {world.joining(link, "asking"), join_closed});
        CHECK(world.status("ada@kyiv.ua", "asking") == "none");
        CHECK(world.status("ada@kyiv.ua", "closed") == "none");
    }

    TEST_CASE("joins without a letter, by the wording shown, and records it") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        world.edit("weekly", [](Newsletter& one) { one.settings[{"consent", ""}] = "I want the weekly."; });
        const Choice join = world.joining(link, "weekly");
        world.save(link, {join});
        CHECK(world.status("ada@kyiv.ua", "weekly") == "confirmed");
        CHECK(world.deliver().empty());
        const Event last = world.events().back();
        CHECK(last.kind == EventKind::confirmed);
        CHECK(last.details.find("\"method\":\"preferences\"") != std::string::npos);
        CHECK(last.details.find("\"wording\":\"" + join.wording + "\"") != std::string::npos);
        look(world.store,
             [&](Reader& reader) { CHECK(reader.wording(join.wording)->text == "I want the weekly."); });
        // The second press changes nothing.
        const auto events = world.events().size();
        world.save(link, {join});
        CHECK(world.events().size() == events);
    }

    TEST_CASE("joins nothing by a wording that is not the newsletter's") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        for (const std::string& wording :
             {world.item(link, "culture").wording.id, std::string("x"), std::string()}) {
            Choice join = world.joining(link, "weekly");
            join.wording = wording;
            const auto outcome = world.save(link, {join, world.leaving("daily")});
            CHECK(outcome.wording_changed);
            CHECK(outcome.token == link);
        }
        CHECK(world.status("ada@kyiv.ua", "weekly") == "none");
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("proves the address of somebody who had not confirmed yet, and ends what asked her") {
        PreferencesWorld world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.ask_for_link("ada@kyiv.ua");
        std::string link;
        for (const auto& letter : world.lease_all()) link += letter.preferences_token;
        CHECK_FALSE(world.item(link, "daily").received);
        world.save(link, {world.joining(link, "daily")});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.person("ada@kyiv.ua")->proven_at == world.now);
        CHECK(world.store.tables.requests.begin()->second.state == RequestState::confirmed);
    }

    TEST_CASE("brings back what she had left") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        const std::string link = world.preferences_of("ada@kyiv.ua");
        // Neither a pause nor a resumption is a way back.
        world.save(link, {world.pausing("daily", 2), world.resuming("daily"), world.leaving("daily")});
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
        world.save(link, {world.joining(link, "daily")});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK_FALSE(world.store.tables.subscriptions.begin()->second.unsubscribed_at);
    }

    TEST_CASE("leaves as finally as any unsubscribe, and goes on under a fresh token") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        const auto outcome = world.save(link, {world.leaving("daily")});
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "confirmed");
        CHECK(world.store.withdrawals_journal.size() == 1);
        CHECK(world.events().back().kind == EventKind::withdrawn);
        CHECK(world.events().back().details.find("\"method\":\"preferences\"") != std::string::npos);
        CHECK(world.settings(link).kind == Kind::expired);
        CHECK(world.settings(outcome.token).kind == Kind::open);
        world.now += 66 * minute_ms;  // the fresh one lives no longer than the first
        CHECK(world.settings(outcome.token).kind == Kind::expired);
    }

    TEST_CASE("changes her language, to one that there is") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        world.save(link, {}, "xx");
        CHECK(world.person("ada@kyiv.ua")->locale == "en");
        CHECK(world.save(link, {}, "uk").locale == "uk");
        CHECK(world.settings(link).items.front().name == "Наш daily");
    }
}

TEST_SUITE("a pause") {
    TEST_CASE("is 2, 4, 8 or 12 weeks, and ends by itself") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        world.save(link, {world.pausing("daily", 3)});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        world.save(link, {world.pausing("daily", 4)});
        CHECK(world.status("ada@kyiv.ua", "daily") == "paused");
        CHECK(world.item(link, "daily").paused_until == world.now + 28 * day_ms);
        CHECK(world.events().back().kind == EventKind::paused);

        const auto alive = [](const std::string&) { return true; };
        const auto waits = [&] {
            bool answer = false;
            look(world.store,
                 [&](Reader& reader) { answer = work_waits(reader, alive, world.rules, world.now); });
            return answer;
        };
        world.now += 28 * day_ms - 1;
        CHECK_FALSE(waits());
        world.deliver();
        CHECK(world.status("ada@kyiv.ua", "daily") == "paused");
        world.now += 1;
        CHECK(waits());
        world.deliver();
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.events().back().kind == EventKind::resumed);
        CHECK(world.events().back().details.find("\"method\":\"time\"") != std::string::npos);
        CHECK_FALSE(waits());
    }

    TEST_CASE("can be ended, prolonged, and left from") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly", "culture"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        for (const char* slug : {"daily", "weekly", "culture"}) world.save(link, {world.pausing(slug, 2)});
        const auto events = world.events().size();
        world.now += second_ms;
        world.save(link, {world.pausing("daily", 2)});  // the same button twice
        CHECK(world.events().size() == events);
        world.save(link, {world.resuming("daily"), world.pausing("weekly", 8), world.leaving("culture")});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "paused");
        CHECK(world.status("ada@kyiv.ua", "culture") == "unsubscribed");
        world.now += 15 * day_ms;
        world.deliver();
        CHECK(world.status("ada@kyiv.ua", "weekly") == "paused");
        CHECK(world.status("ada@kyiv.ua", "culture") == "unsubscribed");  // its pause would have ended
    }

    TEST_CASE("is not ended by a form, but by the letter that the form causes") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        world.save(world.preferences_of("ada@kyiv.ua"), {world.pausing("daily", 8)});
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"daily", "weekly"}, lviv);
        CHECK(world.status("ada@kyiv.ua", "daily") == "paused");
        auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].letter.kind == LetterKind::already_subscribed);
        REQUIRE(letters[0].newsletters.size() == 2);
        CHECK(letters[0].newsletters[0].paused_until);
        CHECK_FALSE(letters[0].newsletters[1].paused_until);

        const std::string token = letters[0].confirm_token;
        const ConfirmationView view = world.page(token);
        CHECK(view.kind == ConfirmationView::Kind::open);
        CHECK(view.resumes);
        CHECK(ticked(view) == Slugs{"daily"});
        CHECK(unticked(view).empty());
        CHECK(world.status("ada@kyiv.ua", "daily") == "paused");
        // A machine is asked once more, as with any letter; there is nothing to deny.
        CHECK(world.post(token, {{world.id_of("daily")}}).ask_once_more);
        CHECK(world.deny(token) == NotMe::unknown);
        CHECK(world.press(token, {"weekly"}).confirmed_now.empty());
        CHECK(world.status("ada@kyiv.ua", "daily") == "paused");

        world.now += 5 * minute_ms;
        const int confirmed = world.count(EventKind::confirmed);
        CHECK(world.press(token).confirmed_now == std::vector<Id>{world.id_of("daily")});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.count(EventKind::resumed) == 1);
        CHECK(world.count(EventKind::confirmed) == confirmed);
        CHECK(world.page(token).kind == ConfirmationView::Kind::confirmed);
        CHECK(world.press(token).confirmed_now.empty());
        CHECK(world.count(EventKind::resumed) == 1);
        CHECK_FALSE(world.verify_chain().problem);
        // Once nothing is paused, such a letter has no link.
        world.now += day_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].confirm_token.empty());
    }

    TEST_CASE("stays if she leaves instead, or lets that letter's link run out") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.save(world.preferences_of("ada@kyiv.ua"), {world.pausing("daily", 8)});
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string token = world.deliver()[0].confirm_token;
        world.now += 4 * day_ms;
        CHECK(world.page(token).kind == ConfirmationView::Kind::expired);
        CHECK_FALSE(world.page(token).can_resend);
        CHECK(world.press(token, {"daily"}).confirmed_now.empty());
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string second = world.deliver()[0].confirm_token;
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        CHECK(world.press(second, {"daily"}).confirmed_now.empty());
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
    }

    TEST_CASE("ends together with the confirmation of what was asked for in the same form") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const auto pause_daily = [&] {
            world.save(world.preferences_of("ada@kyiv.ua"), {world.pausing("daily", 8)});
            world.now += hour_ms;
            REQUIRE(world.status("ada@kyiv.ua", "daily") == "paused");
        };
        pause_daily();
        world.sign_up("ada@kyiv.ua", {"daily", "weekly"});
        std::string token = world.deliver()[0].confirm_token;
        CHECK(ticked(world.page(token)) == Slugs{"daily", "weekly"});
        world.press(token, {"weekly"});  // unticked is no answer to what she has
        CHECK(world.status("ada@kyiv.ua", "daily") == "paused");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "confirmed");
        CHECK(world.count(EventKind::declined) == 0);
        world.now += day_ms;
        const auto outcome = world.sign_up("ada@kyiv.ua", {"daily", "culture"});
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(world.type(outcome.ticket, letters[0].code).kind == CodeOutcome::Kind::confirmed);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "culture") == "confirmed");
        CHECK(world.count(EventKind::resumed) == 1);
        CHECK_FALSE(world.verify_chain().problem);
    }

    TEST_CASE("of what she does not receive is none") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        world.save(link, {world.pausing("weekly", 2), world.resuming("daily"), world.leaving("culture")});
        CHECK(world.status("ada@kyiv.ua", "weekly") == "none");
        CHECK(world.events().back().kind == EventKind::letter_sent);
    }
}

TEST_SUITE("\"erase me\"") {
    TEST_CASE("removes her everywhere, her letters in the outbox too, and the chain stays whole") {
        PreferencesWorld world;
        world.subscribed("bob@kyiv.ua", {"daily"});
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string link = world.preferences_of("ada@kyiv.ua");
        world.ask_change(link, "new@kyiv.ua");
        world.now += hour_ms / 2;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        const auto held = world.lease_all();  // a mailer has her letters in its hands
        REQUIRE(held.size() == 3);
        const Id ada = world.person("ada@kyiv.ua")->id;
        CHECK(world.erase_me(link) == Kind::open);

        CHECK_FALSE(world.person("ada@kyiv.ua"));
        const auto& tables = world.store.tables;
        for (const auto& [id, letter] : tables.letters) CHECK(letter.person != ada);
        CHECK(tables.address_changes.empty());
        CHECK_FALSE(tables.budget.contains("preferences:ada@kyiv.ua"));
        CHECK_FALSE(tables.budget.contains("ada@kyiv.ua"));
        for (const auto& letter : held) {
            look(world.store, [&](Reader& reader) {
                CHECK_FALSE(still_leased(reader, letter.letter.id, "m1", world.rules, world.now));
            });
        }
        for (const Event& event : world.events()) {
            CHECK(event.identity.find("ada@") == std::string::npos);
            CHECK(event.details.find("ada@") == std::string::npos);
        }
        CHECK(world.events().back().kind == EventKind::erased);
        CHECK(world.events().back().details.find("\"method\":\"preferences\"") != std::string::npos);
        CHECK_FALSE(world.verify_chain().problem);
        CHECK(world.status("bob@kyiv.ua", "daily") == "confirmed");
        CHECK(world.settings(link).kind == Kind::unknown);
        CHECK(world.erase_me(link) == Kind::unknown);
    }

    TEST_CASE("refuses imports for ever, and welcomes her own new signup") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.erase_me(world.preferences_of("ada@kyiv.ua"));
        CHECK(world.suppressions_of("ada@kyiv.ua") == std::vector{SuppressionReason::erased});
        world.now += hour_ms;
        world.subscribed("ada@kyiv.ua", {"daily"});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("with \"never again\" ends letters of whatever form") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.erase_me(world.preferences_of("ada@kyiv.ua"), true);
        CHECK(world.suppressions_of("ada@kyiv.ua").size() == 2);
        world.now += 30 * day_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.ask_for_link("ada@kyiv.ua");
        CHECK(world.deliver().empty());
        CHECK_FALSE(world.verify_chain().problem);
        // Outside the database, both are known after a restore.
        CHECK(world.store.withdrawals_journal.size() == 4);  // what she did, and both suppressions
    }

    TEST_CASE("remembers the addresses that she had before, for imports") {
        PreferencesWorld world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.now += hour_ms;
        world.ask_change(world.preferences_of("ada@kyiv.ua"), "new@kyiv.ua");
        const auto ends = world.read_change_letters();
        world.agree(ends.ask_old);
        world.agree(ends.ask_new);
        world.now += hour_ms;
        world.erase_me(world.preferences_of("new@kyiv.ua"));
        CHECK(world.suppressions_of("ada@kyiv.ua") == std::vector{SuppressionReason::erased});
        CHECK(world.suppressions_of("new@kyiv.ua") == std::vector{SuppressionReason::erased});
    }
}
