#include "service/outbox.h"

#include "service/bounces.h"
#include "service/code.h"
#include "service/pending.h"
#include "tests/service/world.h"

using namespace zgoda::service;

namespace {

using ChangePart = LeasedLetter::ChangePart;

AddressChange::End end_of(const std::string& email) {
    AddressChange::End end;
    end.addr_key = end.abuse_key = end.address = end.envelope = email;
    return end;
}

// ada@kyiv.ua, subscribed, has asked to be reached at ada@lviv.ua. Returns the change; `asked` says for which
// of its ends there are letters.
AddressChange asks_for_a_change(World& world, bool asked_old = true, bool asked_new = true) {
    world.subscribed("ada@kyiv.ua", {"daily"});
    world.now += hour_ms;
    AddressChange change;
    const Moment when = world.moment();
    run(world.store, [&](Transaction& tx) {
        const Person ada = *tx.person_by_key("ada@kyiv.ua");
        change = {};
        change.id = tx.new_id();
        change.person = ada.id;
        change.from = end_of("ada@kyiv.ua");
        change.to = end_of("ada@lviv.ua");
        change.asked_at = world.now;
        Nonces nonces(when.seed);
        const auto ask = [&](AddressChange::End& end) {
            Person there = ada;
            there.addr_key = there.abuse_key = end.addr_key;
            Letter letter =
                enqueue(tx, there, LetterKind::address_change, "en",
                        cause_of(world.keys, there.abuse_key, kyiv), world.rules, world.now, nonces);
            letter.change = change.id;
            tx.add(letter);
            end.letter = letter.id;
        };
        if (asked_old) ask(change.from);
        if (asked_new) ask(change.to);
        tx.add(change);
    });
    return change;
}

std::vector<LeasedLetter> leased_at(World& world, const std::string& envelope) {
    std::vector<LeasedLetter> out;
    for (auto& letter : world.lease_all())
        if (letter.person.envelope == envelope) out.push_back(std::move(letter));
    return out;
}

AddressChange now_is(World& world, Id change) {
    return world.store.tables.address_changes.at(change);
}

}  // namespace

TEST_SUITE("letters of each kind") {
    TEST_CASE("a confirmation carries the code of its own key, the same on every retry") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto first = world.lease_all();
        REQUIRE(first.size() == 1);
        CHECK(first[0].code == confirmation_code(first[0].letter.id, first[0].letter.key_id, world.keys));
        CHECK(first[0].code.size() == 6);
        world.report(first[0], {Result::Kind::try_later, "451", world.now + hour_ms});
        world.now += hour_ms;
        CHECK(world.lease_all()[0].code == first[0].code);
    }

    TEST_CASE("a link to the preferences names no newsletter and lives an hour from its first lease") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.now += hour_ms;
        const Moment when = world.moment();
        run(world.store, [&](Transaction& tx) {
            Nonces nonces(when.seed);
            tx.add(enqueue_over_budget(tx, *tx.person_by_key("ada@kyiv.ua"), LetterKind::preference_link,
                                       "en", world.rules, world.now, nonces));
        });
        world.now += 5 * hour_ms;  // no mailer ran
        auto letters = world.lease_all();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].newsletters.empty());
        CHECK(letters[0].confirm_token.empty());
        CHECK(letters[0].code.empty());
        CHECK(letters[0].letter.expires_at == world.now + hour_ms);
        const auto token = verify(letters[0].preferences_token, TokenPurpose::preferences, world.keys);
        REQUIRE(token);
        CHECK(token->a == world.person("ada@kyiv.ua")->id);
        CHECK(token->expires_at == (world.now + hour_ms) / second_ms * second_ms);
        // Nobody wants a dead link: it is not tried for longer.
        world.report(letters[0], {Result::Kind::try_later, "451", world.now + 61 * minute_ms});
        world.now += 2 * hour_ms;
        CHECK(world.lease_all().empty());
        CHECK(world.explained("ada@kyiv.ua").find("preference_link letter") != std::string::npos);
        CHECK(world.explained("ada@kyiv.ua").find("expired before it could be delivered") !=
              std::string::npos);
    }

    TEST_CASE("a change of address asks both ends, each at its own address and with the other one masked") {
        World world;
        asks_for_a_change(world);
        const auto letters = world.lease_all();
        REQUIRE(letters.size() == 2);
        CHECK(letters[0].change_part == ChangePart::ask_old);
        CHECK(letters[0].person.envelope == "ada@kyiv.ua");
        CHECK(letters[1].change_part == ChangePart::ask_new);
        CHECK(letters[1].person.envelope == "ada@lviv.ua");
        for (const auto& letter : letters) {
            CHECK(letter.old_address == "a•••a@kyiv.ua");
            CHECK(letter.new_address == "a•••a@lviv.ua");
            const auto token = verify(letter.confirm_token, TokenPurpose::confirm, world.keys);
            REQUIRE(token);
            CHECK(token->b == letter.letter.id);
            CHECK(token->a == letter.letter.person);
            CHECK(letter.undo_token.empty());
            CHECK(letter.newsletters.empty());
        }
        world.report(letters[1], {Result::Kind::delivered, "250 ok"});
        CHECK(world.events().back().identity == R"({"address":"ada@lviv.ua"})");
    }

    TEST_CASE("each end pays for its own letter") {
        World world;
        world.sign_up("ada@lviv.ua", {"daily"}, lviv);
        world.deliver();
        asks_for_a_change(world);
        world.now -= 50 * minute_ms;  // the new end had a letter minutes ago
        CHECK(leased_at(world, "ada@lviv.ua").empty());
        world.now += 60 * minute_ms;
        CHECK(leased_at(world, "ada@lviv.ua").size() == 1);
        CHECK(world.store.tables.budget["ada@lviv.ua"].size() == 2);
        CHECK(world.store.tables.budget["ada@kyiv.ua"].size() == 1);
    }

    TEST_CASE("an end that is suppressed gets no letter, the other one does") {
        World world;
        const AddressChange change = asks_for_a_change(world);
        Suppression wish = suppression_keys(world.keys, "ada@lviv.ua").front();
        wish.reason = SuppressionReason::not_me;
        run(world.store, [&](Transaction& tx) { tx.add(wish); });
        const auto letters = world.lease_all();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].change_part == ChangePart::ask_old);
        CHECK_FALSE(now_is(world, change.id).ended_at);  // which would tell the asker
    }

    TEST_CASE("who is proven at the new address is told that nothing changes, with nothing to press") {
        World world;
        world.subscribed("ada@lviv.ua", {"weekly"});
        asks_for_a_change(world);
        const auto letters = leased_at(world, "ada@lviv.ua");
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].change_part == ChangePart::taken);
        CHECK(letters[0].confirm_token.empty());
    }

    TEST_CASE("a change that is over asks nobody") {
        World world;
        AddressChange change = asks_for_a_change(world);
        change.ended_at = world.now;
        run(world.store, [&](Transaction& tx) { tx.update(change); });
        CHECK(world.lease_all().empty());
    }

    TEST_CASE("mail that comes back from the new end says nothing of her own mailbox") {
        World world;
        const AddressChange change = asks_for_a_change(world);
        const auto comes_back = [&](Id letter) {
            BounceOutcome outcome{};
            const Moment when = world.moment();
            run(world.store, [&](Transaction& tx) {
                outcome = take_back(tx, letter, Returned::hard, "550 no such user", world.rules, when);
            });
            return outcome;
        };
        CHECK(comes_back(*change.to.letter) == BounceOutcome::noted);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(comes_back(*change.from.letter) == BounceOutcome::bounced);
        CHECK(world.status("ada@kyiv.ua", "daily") == "bounced");
    }

    TEST_CASE("a letter that the new end refuses tells the old end nothing") {
        World world;
        const AddressChange change = asks_for_a_change(world);
        const auto letters = world.lease_all();
        REQUIRE(letters.size() == 2);
        world.report(letters[0], {Result::Kind::try_later, "451", world.now + hour_ms});
        world.report(letters[1], {Result::Kind::refused, "550 5.1.1 no such user", 0, true, true});
        CHECK_FALSE(now_is(world, change.id).ended_at);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        world.now += hour_ms;
        CHECK(world.lease_all().size() == 1);
    }

    TEST_CASE("when it is done, the old end hears of it and can take it back for 7 days") {
        World world;
        AddressChange change = asks_for_a_change(world, false, false);
        const Moment when = world.moment();
        change.done_at = world.now;
        run(world.store, [&](Transaction& tx) {
            tx.update(change);
            Person ada = *tx.person_by_key("ada@kyiv.ua");
            ada.addr_key = ada.abuse_key = ada.address = ada.envelope = "ada@lviv.ua";
            tx.update(ada);
            Nonces nonces(when.seed);
            Letter letter = enqueue_over_budget(tx, ada, LetterKind::address_change, "en", world.rules,
                                                world.now, nonces);
            letter.change = change.id;
            tx.add(letter);
        });
        world.now += hour_ms;
        const auto letters = world.lease_all();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].change_part == ChangePart::done);
        CHECK(letters[0].person.envelope == "ada@kyiv.ua");
        CHECK(letters[0].confirm_token.empty());
        const auto token = verify(letters[0].undo_token, TokenPurpose::undo, world.keys);
        REQUIRE(token);
        CHECK(token->a == change.id);
        CHECK(token->b == 0);
        CHECK(token->expires_at == *change.done_at + 7 * day_ms);
        CHECK(letters[0].letter.expires_at == *change.done_at + 7 * day_ms);
    }

    TEST_CASE("a lease ends pauses whose time has come") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        for (auto& [id, one] : world.store.tables.subscriptions) {
            one.status = SubscriptionStatus::paused;
            one.paused_until = world.now + day_ms;
        }
        const auto waits = [&] {
            bool out = false;
            look(world.store, [&](Reader& reader) {
                out = work_waits(
                    reader, [](const std::string&) { return true; }, world.rules, world.now);
            });
            return out;
        };
        CHECK_FALSE(waits());
        world.lease_all();
        CHECK(world.status("ada@kyiv.ua", "daily") == "paused");
        world.now += day_ms;
        CHECK(waits());
        world.lease_all();
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK_FALSE(waits());
    }
}

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
        CHECK(world.lease_all("slow").empty());  // it may be under way there
        CHECK(world.lease_all("m2").size() == 1);
    }

    TEST_CASE("a clock that is set back keeps no letter waiting") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.report(world.lease_all()[0], {Result::Kind::try_later, "451 not now", world.now + hour_ms});
        world.sign_up("ben@kyiv.ua", {"daily"});
        const auto ran = [&] { run(world.store, [&](Transaction& tx) { note_run(tx, world.now); }); };
        ran();
        world.now -= 30 * second_ms;  // as the clocks of two processes may differ
        ran();
        CHECK(world.lease_all().empty());
        world.now -= 2 * hour_ms;
        look(world.store, [&](Reader& reader) {
            CHECK(was_set_back(reader.mailer_note(), world.now));
            CHECK_FALSE(work_waits(
                reader, [](const std::string&) { return true; }, world.rules, world.now));
        });
        ran();
        CHECK(world.lease_all().size() == 2);
        look(world.store,
             [&](Reader& reader) { CHECK_FALSE(was_set_back(reader.mailer_note(), world.now)); });
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
