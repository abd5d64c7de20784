#include "service/bounces.h"

#include "service/ticket.h"
#include "service/verp.h"
#include "tests/service/world.h"

#include <cctype>

using namespace zgoda::service;

namespace {

struct Bouncing : World {
    Id last_letter(const std::string& addr_key) {
        Id id = 0;
        look(store,
             [&](Reader& reader) { id = reader.letters_of(reader.person_by_key(addr_key)->id).back().id; });
        return id;
    }

    BounceOutcome returns(Id letter, Returned what, const std::string& reply = "550 no such user") {
        BounceOutcome outcome{};
        const Moment when = moment();
        run(store, [&](Transaction& tx) { outcome = take_back(tx, letter, what, reply, rules, when); });
        return outcome;
    }

    bool is_suppressed(const std::string& addr_key) {
        bool out = false;
        look(store, [&](Reader& reader) { out = suppressed_for_letters(reader, addr_key); });
        return out;
    }

    int count(EventKind kind) {
        const auto all = events();
        return static_cast<int>(
            std::count_if(all.begin(), all.end(), [&](const Event& event) { return event.kind == kind; }));
    }

    // Signed up, letter sent, not answered.
    Id asked(const std::string& email) {
        sign_up(email, {"daily"});
        REQUIRE(deliver().size() == 1);
        return last_letter(email);
    }

    // Proven; the id of the letter that she answered.
    Id reader(const std::string& email) {
        subscribed(email, {"daily", "weekly"});
        return last_letter(email);
    }

 private:
    bool suppressed_for_letters(Reader& reader, const std::string& addr_key) {
        for (const Suppression& key : suppression_keys(keys, addr_key)) {
            if (!reader.suppressions(key.key).empty()) return true;
        }
        return false;
    }
};

}  // namespace

TEST_SUITE("mail that comes back") {
    TEST_CASE("makes an unproven signup undeliverable, and its link dies") {
        for (const Returned what : {Returned::hard, Returned::perhaps}) {
            Bouncing world;
            world.sign_up("ada@kyiv.ua", {"daily"});
            const auto letters = world.deliver();
            REQUIRE(letters.size() == 1);
            const Id letter = letters[0].letter.id;
            CHECK(world.returns(letter, what) == BounceOutcome::undeliverable);
            CHECK(world.status("ada@kyiv.ua", "daily") == "undeliverable");
            CHECK(world.store.tables.letters.at(letter).state == LetterState::refused);
            CHECK(world.store.tables.letters.at(letter).mailbox_unknown);  // so her ticket says refused
            CHECK(world.press(letters[0].confirm_token, {"daily"}).confirmed_now.empty());
            CHECK(world.count(EventKind::letter_refused) == 1);
            CHECK_FALSE(world.is_suppressed("ada@kyiv.ua"));  // a new signup is asked again

            CHECK(world.returns(letter, what) == BounceOutcome::noted);
            CHECK(world.count(EventKind::letter_refused) == 1);
        }
    }

    TEST_CASE("softly means nothing before she confirmed: the outbox did what could be done") {
        Bouncing world;
        const Id letter = world.asked("ada@kyiv.ua");
        for (int day = 0; day < 8; ++day, world.now += day_ms)
            CHECK(world.returns(letter, Returned::soft) == BounceOutcome::noted);
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
        CHECK(world.store.tables.bounce_scores.empty());
    }

    TEST_CASE("ends a reader's letters at once when there is no such mailbox") {
        Bouncing world;
        const Id letter = world.reader("ada@kyiv.ua");
        CHECK(world.returns(letter, Returned::hard) == BounceOutcome::bounced);
        CHECK(world.status("ada@kyiv.ua", "daily") == "bounced");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "bounced");
        CHECK(world.is_suppressed("ada@kyiv.ua"));
        CHECK(world.count(EventKind::bounced) == 1);
        CHECK(world.count(EventKind::suppressed) == 1);

        CHECK(world.returns(letter, Returned::hard) == BounceOutcome::noted);
        CHECK(world.count(EventKind::bounced) == 1);
    }

    TEST_CASE("leaves alone what she had left before") {
        Bouncing world;
        const Id letter = world.reader("ada@kyiv.ua");
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "weekly"));
        CHECK(world.returns(letter, Returned::hard) == BounceOutcome::bounced);
        CHECK(world.status("ada@kyiv.ua", "daily") == "bounced");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "unsubscribed");
    }

    TEST_CASE("lets a bounced reader ask again after seven days") {
        Bouncing world;
        world.returns(world.reader("ada@kyiv.ua"), Returned::hard);
        world.now += 6 * day_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(world.deliver().empty());
        world.now += 2 * day_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        world.press(letters[0].confirm_token);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("perhaps for good counts at the second time, one to thirty days later") {
        struct Row {
            DurationMs later;
            bool bounced;
        };
        for (const Row& row : {Row{hour_ms, false}, Row{day_ms, true}, Row{29 * day_ms, true}}) {
            Bouncing world;
            const Id letter = world.reader("ada@kyiv.ua");
            CHECK(world.returns(letter, Returned::perhaps) == BounceOutcome::noted);
            world.now += row.later;
            CHECK((world.returns(letter, Returned::perhaps) == BounceOutcome::bounced) == row.bounced);
        }
        Bouncing world;
        const Id letter = world.reader("ada@kyiv.ua");
        world.returns(letter, Returned::perhaps);
        world.now += 31 * day_ms;
        world.store.tables.letters.at(letter).sent_at = world.now;  // a newer letter
        CHECK(world.returns(letter, Returned::perhaps) == BounceOutcome::noted);
    }

    TEST_CASE("softly is a point, one a day, and five are too many") {
        Bouncing world;
        const Id letter = world.reader("ada@kyiv.ua");
        for (int day = 1; day <= 4; ++day, world.now += day_ms) {
            CHECK(world.returns(letter, Returned::soft) == BounceOutcome::noted);
            world.now += hour_ms;
            CHECK(world.returns(letter, Returned::soft) == BounceOutcome::noted);  // the same day
            CHECK(world.store.tables.bounce_scores.begin()->second.points == day);
        }
        CHECK(world.returns(letter, Returned::soft) == BounceOutcome::bounced);
        CHECK(world.status("ada@kyiv.ua", "daily") == "bounced");
    }

    TEST_CASE("begins to count anew after fourteen quiet days") {
        Bouncing world;
        const Id letter = world.reader("ada@kyiv.ua");
        for (int day = 0; day < 4; ++day, world.now += day_ms) world.returns(letter, Returned::soft);
        world.now += 14 * day_ms;
        CHECK(world.returns(letter, Returned::soft) == BounceOutcome::noted);
        CHECK(world.store.tables.bounce_scores.begin()->second.points == 1);
    }

    TEST_CASE("by policy says nothing about her mailbox") {
        Bouncing world;
        const Id letter = world.reader("ada@kyiv.ua");
        for (int day = 0; day < 8; ++day, world.now += day_ms)
            CHECK(world.returns(letter, Returned::policy) == BounceOutcome::noted);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.store.tables.bounce_scores.empty());
    }

    TEST_CASE("that ends nothing is in the ledger once, and a flood of it is not") {
        Bouncing world;
        const Id letter = world.asked("ada@kyiv.ua");
        for (int i = 0; i < 3; ++i) world.returns(letter, Returned::policy, "550 5.7.1 spam");
        CHECK(world.count(EventKind::letter_refused) == 1);
        world.returns(letter, Returned::soft, "552 5.2.2 full");
        CHECK(world.count(EventKind::letter_refused) == 2);
        for (int i = 0; i < 20; ++i) world.returns(letter, Returned::policy, "550 " + std::to_string(i));
        CHECK(world.count(EventKind::letter_refused) == 5);
        const std::string other = "550 5.7.1 another letter";
        world.returns(world.reader("eve@kyiv.ua"), Returned::policy, other);
        CHECK(world.count(EventKind::letter_refused) == 6);
    }

    TEST_CASE("as a complaint ends everything, for good") {
        Bouncing world;
        const Id letter = world.reader("ada@kyiv.ua");
        CHECK(world.returns(letter, Returned::complaint) == BounceOutcome::complained);
        CHECK(world.status("ada@kyiv.ua", "daily") == "complained");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "complained");
        CHECK(world.count(EventKind::complained) == 1);
        CHECK(world.store.withdrawals_journal.size() == 3);  // two subscriptions, one suppression
        world.returns(letter, Returned::complaint);
        CHECK(world.count(EventKind::complained) == 1);

        world.now += 365 * day_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(world.deliver().empty());
    }

    TEST_CASE("as a complaint about the question ends a pending signup too") {
        Bouncing world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(world.returns(letters[0].letter.id, Returned::complaint) == BounceOutcome::complained);
        CHECK(world.status("ada@kyiv.ua", "daily") == "complained");
        CHECK(world.press(letters[0].confirm_token, {"daily"}).confirmed_now.empty());
    }

    TEST_CASE("about no letter of ours, or an old one, changes nothing") {
        Bouncing world;
        const Id letter = world.reader("ada@kyiv.ua");
        CHECK(world.returns(999'999, Returned::hard) == BounceOutcome::unknown);
        world.now += 31 * day_ms;
        CHECK(world.returns(letter, Returned::hard) == BounceOutcome::too_old);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }
}

TEST_SUITE("return path") {
    TEST_CASE("names its letter, whatever the case") {
        World world;
        for (const Id id : {Id{1}, Id{42}, Id{0x7FFFFFFFFFFFFFFF}}) {
            std::string path = return_path(id, world.keys, 1);
            CHECK(path.size() == 27);
            CHECK(path.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567-") == std::string::npos);
            CHECK(returned_letter(path, world.keys) == id);
            for (char& c : path) c = static_cast<char>(std::toupper(c));
            CHECK(returned_letter(path, world.keys) == id);
        }
    }

    TEST_CASE("is refused if a single character differs") {
        World world;
        const std::string path = return_path(42, world.keys, 1);
        for (std::size_t i = 0; i < path.size(); ++i) {
            std::string other = path;
            other[i] = other[i] == 'c' ? 'd' : 'c';
            CHECK_FALSE(returned_letter(other, world.keys));
        }
        CHECK_FALSE(returned_letter("", world.keys));
        CHECK_FALSE(returned_letter(path + "a", world.keys));
        CHECK_FALSE(returned_letter(path.substr(1), world.keys));
        CHECK_FALSE(returned_letter(std::string(27, '-'), world.keys));
        CHECK_FALSE(returned_letter("b77" + std::string(13, '7') + "-" + std::string(10, '7'), world.keys));
    }

    TEST_CASE("of another installation is refused") {
        World world;
        MasterKey other;
        other.id = 1;
        other.secret.fill(9);
        CHECK_FALSE(returned_letter(return_path(42, Keyring({other}), 1), world.keys));
    }
}
