#include "service/withdrawal.h"

#include "tests/service/world.h"

using namespace zgoda::service;

namespace {

UnsubscribeView leave_by_page(World& world, const std::string& slug, const Leaving& leaving = {},
                              const std::string& email = "ada@kyiv.ua") {
    UnsubscribeView view;
    const Moment when = world.moment();
    const std::string link = world.unsubscribe_link(email, slug);
    run(world.store, [&](Transaction& tx) {
        view = unsubscribe(tx, link, leaving, {kyiv, "B"}, world.rules, when);
    });
    return view;
}

UndoView undo_page(World& world, const std::string& token) {
    UndoView view;
    look(world.store, [&](Reader& reader) { view = show_undo(reader, token, world.rules, world.now); });
    return view;
}

bool undo(World& world, const std::string& token) {
    UndoOutcome outcome;
    const Moment when = world.moment();
    run(world.store, [&](Transaction& tx) {
        outcome = undo_withdrawal(tx, token, {kyiv, "B"}, world.rules, when);
    });
    return outcome.done;
}

void give(World& world, const std::string& slug, const std::string& key, const std::string& text,
          const std::string& locale = "") {
    world.edit(slug, [&](Newsletter& one) { one.settings[{key, locale}] = text; });
}

std::string last_details(World& world, EventKind kind) {
    std::string out;
    for (const Event& event : world.events())
        if (event.kind == kind) out = event.details;
    return out;
}

}  // namespace

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

TEST_SUITE("leaving by the page") {
    TEST_CASE("takes all newsletters with it only if she ticks that, and names none") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        world.sign_up("ada@kyiv.ua", {"culture"});
        Leaving all;
        all.all = true;
        const auto view = leave_by_page(world, "daily", all);
        CHECK(view.newsletter == "The daily");
        for (const char* slug : {"daily", "weekly", "culture"})
            CHECK(world.status("ada@kyiv.ua", slug) == "unsubscribed");
        CHECK(world.store.withdrawals_journal.size() == 3);
        CHECK(world.deliver().empty());
        CHECK(last_details(world, EventKind::withdrawn).find("culture") != std::string::npos);
        CHECK(world.count(EventKind::withdrawn) == 1);
        CHECK_FALSE(world.verify_chain().problem);
    }

    TEST_CASE("leaves the others even when this one was left before") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        leave_by_page(world, "daily");
        world.now += day_ms;
        Leaving all;
        all.all = true;
        const auto view = leave_by_page(world, "daily", all);
        CHECK(world.status("ada@kyiv.ua", "weekly") == "unsubscribed");
        CHECK(undo(world, view.undo_token));
        CHECK(world.status("ada@kyiv.ua", "weekly") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");  // that was another day
    }

    TEST_CASE("keeps one reason of a closed set, if she gives one") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        Leaving because;
        because.reason = parse_leaving_reason("too_many");
        leave_by_page(world, "daily", because);
        CHECK(last_details(world, EventKind::withdrawn).find(R"("reason":"too_many")") != std::string::npos);
        leave_by_page(world, "weekly");
        CHECK(last_details(world, EventKind::withdrawn).find("reason") == std::string::npos);
        for (const char* word : {"too_many", "not_interesting", "never_asked", "other"})
            CHECK(zgoda::service::word(*parse_leaving_reason(word)) == word);
        for (const char* word : {"", "none", "Too_many", "other\"}"}) CHECK_FALSE(parse_leaving_reason(word));
    }
}

TEST_SUITE("taking it back") {
    TEST_CASE("works once, within 15 minutes, and the journal is told") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const auto confirmed_at = world.page(world.subscribed("bob@kyiv.ua", {"daily"})).confirmed_at;
        CHECK(confirmed_at);
        const std::string token = leave_by_page(world, "daily").undo_token;
        REQUIRE_FALSE(token.empty());
        CHECK(undo_page(world, token).kind == UndoView::Kind::open);
        CHECK(undo_page(world, token).newsletter == "The daily");
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
        world.now += 15 * minute_ms - second_ms;
        CHECK(undo(world, token));
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.count(EventKind::withdrawal_undone) == 1);
        REQUIRE(world.store.withdrawals_journal.size() == 2);
        CHECK(world.store.withdrawals_journal[0].substr(27) != world.store.withdrawals_journal[1].substr(27));
        const Digest hash = hmac(*world.keys.key(1, KeyUse::journal),
                                 "ada@kyiv.ua\nundo newsletter " + std::to_string(world.id_of("daily")));
        CHECK(world.store.withdrawals_journal[1].ends_with(" 1 " + to_hex(hash)));
        CHECK_FALSE(world.verify_chain().problem);

        const auto events = world.events().size();
        CHECK_FALSE(undo(world, token));
        CHECK(undo_page(world, token).kind == UndoView::Kind::over);
        CHECK(world.events().size() == events);
        CHECK(world.store.withdrawals_journal.size() == 2);
        // Nor does it undo the next time she leaves.
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        CHECK_FALSE(undo(world, token));
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
    }

    TEST_CASE("is over after 15 minutes") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string token = leave_by_page(world, "daily").undo_token;
        world.now += 15 * minute_ms;
        CHECK(undo_page(world, token).kind == UndoView::Kind::expired);
        CHECK_FALSE(undo(world, token));
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
    }

    TEST_CASE("is not offered after one click, nor by an administrator") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string link = world.unsubscribe_link("ada@kyiv.ua", "daily");
        CHECK(world.leave(link, Way::one_click).undo_token.empty());
        // Nor to a page that was open meanwhile.
        Leaving shown;
        shown.shown_at = world.now - minute_ms;
        CHECK(leave_by_page(world, "daily", shown).undo_token.empty());
    }

    TEST_CASE("a button pressed twice undoes like one pressed once; a page opened later does not") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        Leaving shown;
        shown.shown_at = world.now - minute_ms;
        const std::string first = leave_by_page(world, "daily", shown).undo_token;
        world.now += second_ms;
        CHECK(leave_by_page(world, "daily", shown).undo_token == first);
        Leaving later;
        later.shown_at = world.now;
        CHECK(leave_by_page(world, "daily", later).undo_token.empty());
        world.now += 15 * minute_ms;
        CHECK(leave_by_page(world, "daily", shown).undo_token.empty());
    }

    TEST_CASE("brings back what was paused as paused, and what was asked for as asked for") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        for (auto& [id, one] : world.store.tables.subscriptions) {
            if (one.newsletter != world.id_of("weekly")) continue;
            one.status = SubscriptionStatus::paused;
            one.paused_until = world.now + 14 * day_ms;
        }
        world.sign_up("ada@kyiv.ua", {"culture"});
        Leaving all;
        all.all = true;
        const std::string token = leave_by_page(world, "daily", all).undo_token;
        CHECK(world.lease_all().empty());
        CHECK(undo_page(world, token).newsletter.empty());
        CHECK(undo(world, token));
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "paused");
        CHECK(world.status("ada@kyiv.ua", "culture") == "pending");
        // Its letter had been cancelled: it asks again, as soon as the mail budget allows.
        world.now += 15 * minute_ms;
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(names(letters[0]) == Slugs{"culture"});
        world.press(letters[0].confirm_token);
        CHECK(world.status("ada@kyiv.ua", "culture") == "confirmed");
    }

    TEST_CASE("leads her from the old letter to a fresh one, if she had not confirmed yet") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string old = world.deliver()[0].confirm_token;
        CHECK(undo(world, leave_by_page(world, "daily").undo_token));
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
        CHECK(world.page(old).kind == ConfirmationView::Kind::expired);
        CHECK(world.page(old).can_resend);
    }

    TEST_CASE("does not bring back a pause from before she last left") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        for (auto& [id, one] : world.store.tables.subscriptions) {
            one.status = SubscriptionStatus::paused;
            one.paused_until = world.now + 84 * day_ms;
        }
        leave_by_page(world, "daily");
        world.now += day_ms;
        world.subscribed("ada@kyiv.ua", {"daily"});
        CHECK(undo(world, leave_by_page(world, "daily").undo_token));
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("does not touch what she decided since") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string token = leave_by_page(world, "daily").undo_token;
        world.now += second_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.press(world.deliver()[0].confirm_token);
        const auto events = world.events().size();
        CHECK_FALSE(undo(world, token));
        CHECK(world.events().size() == events);
        const Moment when = world.moment();
        run(world.store,
            [&](Transaction& tx) { erase(tx, *tx.person_by_key("ada@kyiv.ua"), world.rules, when); });
        CHECK(undo_page(world, token).kind == UndoView::Kind::unknown);
        CHECK_FALSE(undo(world, token));
    }

    TEST_CASE("takes no other token") {
        World world;
        const std::string confirm_token = world.subscribed("ada@kyiv.ua", {"daily"});
        leave_by_page(world, "daily");
        for (const std::string& token : {std::string(), std::string("v1.AAAA"), confirm_token,
                                         world.unsubscribe_link("ada@kyiv.ua", "daily")}) {
            CHECK(undo_page(world, token).kind == UndoView::Kind::unknown);
            CHECK_FALSE(undo(world, token));
        }
        Token of_an_address;
        of_an_address.purpose = TokenPurpose::undo;
        of_an_address.a = world.person("ada@kyiv.ua")->id;
        of_an_address.expires_at = world.now + day_ms;
        CHECK(undo_page(world, sign(of_an_address, world.keys, 1)).kind == UndoView::Kind::unknown);
    }
}

TEST_SUITE("letters that a newsletter's own settings ask for") {
    TEST_CASE("a welcome follows each newsletter confirmed that has one") {
        World world;
        give(world, "daily", "welcome", "Welcome to the daily.");
        give(world, "daily", "welcome", "Вітаємо.", "uk");
        give(world, "weekly", "welcome", "Welcome to the weekly.");
        world.subscribed("ada@kyiv.ua", {"daily", "culture"});
        auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].letter.kind == LetterKind::welcome);
        CHECK(letters[0].newsletters[0].text == "Welcome to the daily.");
        CHECK(names(letters[0]) == Slugs{"daily"});
        CHECK_FALSE(letters[0].newsletters[0].unsubscribe_token.empty());
        CHECK(letters[0].confirm_token.empty());
        CHECK(letters[0].code.empty());
        CHECK(world.deliver().empty());

        SignupForm in_ukrainian = world.form("olha@kyiv.ua", {"daily"});
        in_ukrainian.locale = "uk";
        world.submit(in_ukrainian);
        world.press(world.deliver()[0].confirm_token);
        letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].newsletters[0].text == "Вітаємо.");
        CHECK(letters[0].letter.locale == "uk");
    }

    TEST_CASE("the mail budget does not count them, and they do not use it up") {
        World world;
        give(world, "daily", "welcome", "Hello.");
        give(world, "daily", "goodbye", "Bye.");
        world.subscribed("ada@kyiv.ua", {"daily"});
        CHECK(world.store.tables.budget["ada@kyiv.ua"].empty());
        CHECK(world.deliver().size() == 1);
        leave_by_page(world, "daily");
        CHECK(world.deliver().size() == 1);
        CHECK(world.store.tables.budget["ada@kyiv.ua"].empty());
    }

    TEST_CASE("a goodbye follows her leaving, and none a newsletter without one or an administrator's act") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily", "weekly", "culture"});
        leave_by_page(world, "weekly");
        CHECK(world.deliver().empty());
        give(world, "daily", "goodbye", "Bye.");
        give(world, "culture", "goodbye", "Bye.");
        leave_by_page(world, "daily");
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].letter.kind == LetterKind::goodbye);
        CHECK(letters[0].newsletters[0].text == "Bye.");
        CHECK(letters[0].newsletters[0].unsubscribe_token.empty());
        const Moment when = world.moment();
        run(world.store, [&](Transaction& tx) {
            unsubscribe(tx, *tx.person_by_key("ada@kyiv.ua"), std::nullopt, world.rules, when);
        });
        CHECK(world.deliver().empty());
    }

    TEST_CASE("a letter that is no longer true is not sent") {
        World world;
        give(world, "daily", "welcome", "Hello.");
        give(world, "daily", "goodbye", "Bye.");
        world.subscribed("ada@kyiv.ua", {"daily"});
        const std::string token = leave_by_page(world, "daily").undo_token;  // before the welcome went
        undo(world, token);                                                  // before the goodbye went
        auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].letter.kind == LetterKind::welcome);
        leave_by_page(world, "daily");
        give(world, "daily", "goodbye", "");
        CHECK(world.deliver().empty());

        give(world, "weekly", "welcome", "Hello.");
        world.now += hour_ms;
        world.subscribed("ada@kyiv.ua", {"weekly"});
        leave_by_page(world, "weekly");
        CHECK(world.deliver().empty());
    }

    TEST_CASE("joining and leaving by turns floods nobody") {
        World world;
        give(world, "daily", "goodbye", "Bye.");
        world.subscribed("ada@kyiv.ua", {"daily"});
        int sent = 0;
        for (int i = 0; i < 5; ++i) {
            const std::string token = leave_by_page(world, "daily").undo_token;
            sent += static_cast<int>(world.deliver().size());
            world.now += minute_ms;
            undo(world, token);
        }
        CHECK(sent == 1);
        world.now += day_ms;
        leave_by_page(world, "daily");
        CHECK(world.deliver().size() == 1);
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

    TEST_CASE("may be for good: then nobody makes us write to her") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        const Moment when = world.moment();
        run(world.store, [&](Transaction& tx) {
            erase(tx, *tx.person_by_key("ada@kyiv.ua"), world.rules, when, Way::preferences, true);
        });
        CHECK(last_details(world, EventKind::erased) == R"({"method":"preferences"})");
        CHECK(last_details(world, EventKind::suppressed) == R"({"reason":"never_again"})");
        CHECK_FALSE(world.verify_chain().problem);
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(world.deliver().empty());
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
