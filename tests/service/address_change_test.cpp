#include "service/address_change.h"

#include "tests/service/preferences_world.h"

using namespace zgoda::service;
using Kind = AddressChangeView::Kind;

namespace {

struct Moving : PreferencesWorld {
    std::string link;

    Moving() {
        subscribed("old@kyiv.ua", {"daily", "weekly"});
        now += hour_ms;
        link = preferences_of("old@kyiv.ua");
    }

    // Both ends said yes. Returns the letter that can take it back.
    Ends moved(const std::string& to = "new@kyiv.ua") {
        ask_change(link, to);
        const Ends asked = read_change_letters();
        agree(asked.ask_old);
        agree(asked.ask_new);
        return read_change_letters();
    }

    std::string state() {  // all that the asker could see of it
        std::string out;
        look(store, [&](Reader& reader) {
            out = personal_data(reader, *reader.person_by_key("old@kyiv.ua"), rules, now);
        });
        return out;
    }
};

}  // namespace

TEST_SUITE("a change of address") {
    TEST_CASE("asks both ends by letters of their own") {
        Moving world;
        CHECK(world.ask_change(world.link, "new@kyiv.ua") == ChangeAsked::letters_sent);
        const auto ends = world.read_change_letters();
        CHECK(ends.to == std::vector<std::string>{"old@kyiv.ua", "new@kyiv.ua"});
        CHECK(world.change_page(ends.ask_old).kind == Kind::open);
        CHECK_FALSE(world.change_page(ends.ask_old).new_end);
        CHECK(world.change_page(ends.ask_new).new_end);
        CHECK(world.change_page(ends.ask_new).old_address == "o•••d@kyiv.ua");
        CHECK(world.change_page(ends.ask_new).new_address == "n•••w@kyiv.ua");
        CHECK(world.page(ends.ask_old).kind == ConfirmationView::Kind::unknown);
    }

    TEST_CASE("is made when both have confirmed, in either order, and not before") {
        for (const bool old_first : {true, false}) {
            Moving world;
            world.ask_change(world.link, "new@kyiv.ua");
            const auto ends = world.read_change_letters();
            const Person before = *world.person("old@kyiv.ua");
            const std::string first = old_first ? ends.ask_old : ends.ask_new;
            const std::string second = old_first ? ends.ask_new : ends.ask_old;
            CHECK(world.agree(first).kind == Kind::waits);
            CHECK(world.agree(first).kind == Kind::waits);
            CHECK(world.person("old@kyiv.ua"));
            CHECK_FALSE(world.person("new@kyiv.ua"));

            CHECK(world.agree(second).kind == Kind::done);
            CHECK_FALSE(world.person("old@kyiv.ua"));
            const auto after = world.person("new@kyiv.ua");
            REQUIRE(after);
            CHECK(after->id == before.id);
            CHECK(after->envelope == "new@kyiv.ua");
            CHECK(after->abuse_key == "new@kyiv.ua");
            CHECK(after->generation == before.generation + 1);
            CHECK(world.status("new@kyiv.ua", "daily") == "confirmed");
            CHECK_FALSE(world.store.tables.budget.contains("new@kyiv.ua"));
            CHECK(world.events().back().kind == EventKind::address_changed);
            CHECK(world.events().back().identity == R"({"old":"old@kyiv.ua","new":"new@kyiv.ua"})");
            CHECK(world.events().back().details.find("@") == std::string::npos);

            const auto events = world.events().size();
            CHECK(world.agree(second).kind == Kind::done);
            CHECK(world.change_page(first).kind == Kind::done);
            CHECK(world.events().size() == events);
            CHECK_FALSE(world.verify_chain().problem);
        }
    }

    TEST_CASE("leaves no address behind when she is erased") {
        const auto left = [](Moving& world, const std::string& address) {
            return std::any_of(world.store.tables.budget.begin(), world.store.tables.budget.end(),
                               [&](const auto& one) { return one.first.find(address) != std::string::npos; });
        };
        {
            Moving world;
            world.ask_change(world.link, "new@kyiv.ua");
            REQUIRE(left(world, "new@kyiv.ua"));
            world.erase_me(world.link);
            CHECK_FALSE(left(world, "@kyiv.ua"));
            // But what was sent there counts: erasing oneself makes no room for more letters to others.
            world.sign_up("new@kyiv.ua", {"daily"});
            CHECK(world.deliver().empty());
            world.now += day_ms;
            CHECK(world.deliver().size() == 1);
        }
        {
            Moving world;
            world.moved();
            REQUIRE(left(world, "preferences:old@kyiv.ua"));
            world.now += hour_ms;
            const std::string link = world.preferences_of("new@kyiv.ua");
            world.ask_change(link, "third@kyiv.ua");
            world.erase_me(link);
            CHECK_FALSE(left(world, "@kyiv.ua"));
        }
    }

    TEST_CASE("leaves what is counted of somebody else alone when she is erased") {
        Moving world;
        world.ask_for_link("new@kyiv.ua");
        world.ask_change(world.link, "new@kyiv.ua");
        world.sign_up("new@kyiv.ua", {"daily"});
        world.erase_me(world.link);
        CHECK(world.store.tables.budget.contains("new@kyiv.ua"));
        CHECK(world.store.tables.budget.contains("preferences:new@kyiv.ua"));
    }

    TEST_CASE("ends her open links, but not those to unsubscribe") {
        Moving world;
        world.sign_up("old@kyiv.ua", {"culture"});
        const std::string open = world.deliver()[0].confirm_token;
        const std::string unsubscribe = world.unsubscribe_link("old@kyiv.ua", "daily");
        world.now += 20 * minute_ms;
        world.moved();
        CHECK(world.page(open).kind == ConfirmationView::Kind::expired);
        CHECK(world.settings(world.link).kind == PreferencesCase::Kind::expired);
        CHECK(world.leave(unsubscribe).kind == UnsubscribeView::Kind::left);
    }

    TEST_CASE("to the address that she has is none") {
        Moving world;
        CHECK(world.ask_change(world.link, "OLD@kyiv.ua") == ChangeAsked::same_address);
        CHECK(world.read_change_letters().to.empty());
    }

    TEST_CASE("asked twice is one, asked for another address replaces it") {
        Moving world;
        world.ask_change(world.link, "new@kyiv.ua");
        world.ask_change(world.link, "new@kyiv.ua");
        const auto ends = world.read_change_letters();
        CHECK(ends.to.size() == 2);
        world.agree(ends.ask_new);
        world.now += 20 * minute_ms;
        world.ask_change(world.link, "other@kyiv.ua");
        const auto others = world.read_change_letters();
        CHECK(world.change_page(ends.ask_old).kind == Kind::over);
        world.agree(ends.ask_old);
        CHECK(world.person("old@kyiv.ua"));
        world.agree(others.ask_old);
        world.agree(others.ask_new);
        CHECK(world.person("other@kyiv.ua"));
    }

    TEST_CASE("replaced before its letters went out sends none of them") {
        Moving world;
        world.ask_change(world.link, "typo@kyiv.ua");
        world.ask_change(world.link, "new@kyiv.ua");
        CHECK(world.read_change_letters().to == std::vector<std::string>{"new@kyiv.ua"});
        world.now += 20 * minute_ms;  // her own end has paid for the first letter, and waits for the second
        CHECK(world.read_change_letters().to == std::vector<std::string>{"old@kyiv.ua"});
    }

    TEST_CASE("pays each letter from the mail budget of its own end") {
        Moving world;
        world.sign_up("new@kyiv.ua", {"daily"}, lviv);  // somebody has just made us write there
        world.ask_change(world.link, "new@kyiv.ua");
        CHECK(world.read_change_letters().to == std::vector<std::string>{"old@kyiv.ua"});
        world.sign_up("old@kyiv.ua", {"culture"});
        CHECK(world.deliver().empty());  // the change has spent what the old end had
        world.now += 15 * minute_ms;
        CHECK(world.read_change_letters().to == std::vector<std::string>{"new@kyiv.ua"});
    }

    TEST_CASE("lives as long as its links") {
        Moving world;
        world.ask_change(world.link, "new@kyiv.ua");
        const auto ends = world.read_change_letters();
        world.agree(ends.ask_old);
        world.now += 73 * hour_ms;
        CHECK(world.agree(ends.ask_new).kind == Kind::over);
        CHECK(world.person("old@kyiv.ua"));
    }

    TEST_CASE("ends with a withdrawal, as all open links do") {
        Moving world;
        world.ask_change(world.link, "new@kyiv.ua");
        const auto ends = world.read_change_letters();
        world.agree(ends.ask_new);
        world.leave(world.unsubscribe_link("old@kyiv.ua", "daily"));
        CHECK(world.agree(ends.ask_old).kind == Kind::over);
        CHECK(world.person("old@kyiv.ua"));
    }

    TEST_CASE("is not made by a machine that presses while the letter is being delivered") {
        Moving world;
        world.ask_change(world.link, "new@kyiv.ua");
        const auto letters = world.lease_all();
        REQUIRE(letters.size() == 2);
        const std::string token = letters[0].confirm_token;
        CHECK(world.agree(token).kind == Kind::open);
        world.now += 10 * second_ms;
        CHECK(world.agree(token).kind == Kind::open);
        for (const auto& letter : letters) world.report(letter, {Result::Kind::delivered, "250 ok"});
        world.now += 4 * second_ms;
        CHECK(world.agree(token).kind == Kind::open);
        world.now += second_ms;
        CHECK(world.agree(token).kind == Kind::waits);
    }
}

TEST_SUITE("whoever is at the new end") {
    TEST_CASE("can refuse: then nothing is made, no form writes there again, and the asker is not told") {
        Moving world;
        world.ask_change(world.link, "new@kyiv.ua");
        const auto ends = world.read_change_letters();
        const std::string before = world.state();
        CHECK(world.disagree(ends.ask_new).kind == Kind::refused);
        CHECK(world.suppressions_of("new@kyiv.ua") == std::vector{SuppressionReason::not_me});
        CHECK(world.state() == before);
        CHECK(world.change_page(ends.ask_new).kind == Kind::over);
        CHECK(world.agree(ends.ask_new).kind == Kind::over);
        CHECK(world.agree(ends.ask_old).kind == Kind::waits);
        CHECK(world.person("old@kyiv.ua"));
        world.now += hour_ms;
        world.sign_up("new@kyiv.ua", {"daily"});
        CHECK(world.deliver().empty());
        // Again changes nothing more.
        const auto events = world.events().size();
        world.disagree(ends.ask_new);
        CHECK(world.events().size() == events);
        CHECK_FALSE(world.verify_chain().problem);
    }

    TEST_CASE("keeps the change from being made also when it is suppressed after its yes") {
        Moving world;
        world.ask_change(world.link, "new@kyiv.ua");
        const auto ends = world.read_change_letters();
        world.agree(ends.ask_new);
        world.suppress("new@kyiv.ua", SuppressionReason::complaint);
        CHECK(world.agree(ends.ask_old).kind == Kind::waits);
        CHECK(world.person("old@kyiv.ua"));
    }

    TEST_CASE("cannot be drawn in by a subscriber's signup: only what is proven there counts") {
        Moving world;
        world.sign_up("new@kyiv.ua", {"culture"}, lviv);
        world.deliver();
        const Id stranger = world.person("new@kyiv.ua")->id;
        world.now += hour_ms;
        world.link = world.preferences_of("old@kyiv.ua");
        world.moved();
        // The one who was never proven is absorbed, and the ledger says so.
        const auto mover = world.person("new@kyiv.ua");
        REQUIRE(mover);
        CHECK(mover->id != stranger);
        CHECK(world.status("new@kyiv.ua", "culture") == "none");
        CHECK(world.count(EventKind::erased) == 1);
        CHECK_FALSE(world.verify_chain().problem);
    }

    TEST_CASE("keeps it if it is proven: told so by letter, and nobody else is told") {
        Moving world;
        world.subscribed("new@kyiv.ua", {"culture"});
        CHECK(world.ask_change(world.link, "new@kyiv.ua") == ChangeAsked::letters_sent);
        const auto ends = world.read_change_letters();
        CHECK(ends.to.size() == 2);
        CHECK(ends.taken);
        CHECK(ends.ask_new.empty());
        CHECK(world.agree(ends.ask_old).kind == Kind::waits);
        CHECK(world.status("new@kyiv.ua", "culture") == "confirmed");
        CHECK(world.status("old@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("keeps it also when it was proven after the letter had asked") {
        for (const bool old_first : {true, false}) {
            Moving world;
            world.ask_change(world.link, "new@kyiv.ua");
            const auto ends = world.read_change_letters();
            world.agree(old_first ? ends.ask_old : ends.ask_new);
            world.now += 16 * minute_ms;
            world.subscribed("new@kyiv.ua", {"culture"});
            const auto view = world.agree(old_first ? ends.ask_new : ends.ask_old);
            CHECK(view.kind == (old_first ? Kind::taken : Kind::waits));
            CHECK(world.change_page(ends.ask_old).kind == Kind::waits);
            CHECK(world.status("old@kyiv.ua", "daily") == "confirmed");
            // "This was not me" does not silence somebody's own subscriptions.
            world.disagree(ends.ask_new);
            CHECK(world.suppressions_of("new@kyiv.ua").empty());
        }
    }

    TEST_CASE("gets no letter if suppressed, and the asker sees no difference") {
        std::vector<std::string> seen;
        std::vector<Id> ids;  // taken from the sequence: a gap would tell
        for (const int state : {0, 1, 2, 3}) {
            Moving world;
            if (state == 1) world.suppress("new@kyiv.ua", SuppressionReason::complaint);
            if (state == 2) world.sign_up("new@kyiv.ua", {"culture"});
            if (state == 3) world.subscribed("new@kyiv.ua", {"culture"});
            world.now = Moving().now + minute_ms;
            const Id last_id = world.store.tables.last_id;
            CHECK(world.ask_change(world.link, "new@kyiv.ua") == ChangeAsked::letters_sent);
            ids.push_back(world.store.tables.last_id - last_id);
            const auto is_of_change = [](const auto& entry) {
                return entry.second.kind == LetterKind::address_change;
            };
            const auto& letters = world.store.tables.letters;
            CHECK(std::count_if(letters.begin(), letters.end(), is_of_change) == (state == 1 ? 1 : 2));
            const auto ends = world.read_change_letters();
            CHECK((ends.to.size() == 2) == (state == 0 || state == 3));  // of 2 the mail budget is used up
            const auto shown = world.change_page(ends.ask_old);
            CHECK(shown.kind == Kind::open);
            const auto pressed = world.agree(ends.ask_old);
            CHECK(pressed.kind == Kind::waits);
            // Ids and the ledger's hashes apart, her data are the same to the byte.
            std::string data = world.state();
            for (const char* member : {"\"letter\":", "\"message_id\":\"", "\"hash\":\"",
                                       "\\\"message_id\\\":", "\"id\":", "\"requests\":[", "\"letters\":["}) {
                for (std::size_t at = 0; (at = data.find(member, at)) != std::string::npos;) {
                    at += std::string(member).size();
                    data.erase(at, data.find_first_of(",}\"", at) - at);
                }
            }
            seen.push_back(data);
        }
        CHECK(seen[0] == seen[1]);
        CHECK(seen[0] == seen[2]);
        CHECK(seen[0] == seen[3]);
        CHECK(ids == std::vector<Id>(4, ids[0]));
    }

    TEST_CASE("is not told to the old end when its letter is refused by the server") {
        Moving world;
        world.ask_change(world.link, "new@kyiv.ua");
        std::string ask_old;
        for (const auto& letter : world.lease_all()) {
            const bool old_end = letter.change_part == LeasedLetter::ChangePart::ask_old;
            if (old_end) ask_old = letter.confirm_token;
            Result result;
            result.kind = old_end ? Result::Kind::delivered : Result::Kind::refused;
            result.reply = old_end ? "250 ok" : "550 no such user";
            world.report(letter, result);
        }
        world.now += minute_ms;
        CHECK(world.state().find("no such user") == std::string::npos);
        CHECK(world.change_page(ask_old).kind == Kind::open);
        CHECK(world.agree(ask_old).kind == Kind::waits);
    }
}

TEST_SUITE("the old end") {
    TEST_CASE("can refuse, and stays as subscribed as it was") {
        Moving world;
        world.ask_change(world.link, "new@kyiv.ua");
        const auto ends = world.read_change_letters();
        world.agree(ends.ask_new);
        CHECK(world.disagree(ends.ask_old).kind == Kind::refused);
        CHECK(world.agree(ends.ask_old).kind == Kind::over);
        CHECK(world.status("old@kyiv.ua", "daily") == "confirmed");
        CHECK(world.suppressions_of("old@kyiv.ua").empty());
        CHECK(world.explained("old@kyiv.ua").find("not me\" to a change of address") != std::string::npos);
    }

    TEST_CASE("can take it back for 7 days, and not after") {
        Moving world;
        const auto ends = world.moved();
        CHECK(ends.to == std::vector<std::string>{"old@kyiv.ua"});
        CHECK(world.undo_page(ends.undo).kind == AddressUndoView::Kind::open);
        world.now += 7 * day_ms - minute_ms;
        CHECK(world.take_back(ends.undo).kind == AddressUndoView::Kind::done);
        const auto back = world.person("old@kyiv.ua");
        REQUIRE(back);
        CHECK(back->generation == 2);
        CHECK(back->envelope == "old@kyiv.ua");
        CHECK(world.status("old@kyiv.ua", "daily") == "confirmed");
        CHECK(world.events().back().details.find("taken_back") != std::string::npos);
        CHECK(world.events().back().identity == R"({"old":"new@kyiv.ua","new":"old@kyiv.ua"})");
        CHECK(world.store.withdrawals_journal.empty());
        const auto events = world.events().size();
        CHECK(world.take_back(ends.undo).kind == AddressUndoView::Kind::done);
        CHECK(world.events().size() == events);

        Moving late;
        const auto old = late.moved();
        late.now += 7 * day_ms + 10 * minute_ms;
        CHECK(late.undo_page(old.undo).kind == AddressUndoView::Kind::expired);
        CHECK(late.take_back(old.undo).kind == AddressUndoView::Kind::expired);
        CHECK(late.person("new@kyiv.ua"));
    }

    TEST_CASE("can take it back though the address was changed once more since") {
        Moving world;
        const auto first = world.moved();
        world.now += hour_ms;
        world.link = world.preferences_of("new@kyiv.ua");
        const auto second = world.moved("third@kyiv.ua");
        REQUIRE(world.person("third@kyiv.ua"));
        CHECK(world.take_back(first.undo).kind == AddressUndoView::Kind::done);
        CHECK(world.person("old@kyiv.ua"));
        CHECK(world.take_back(second.undo).kind == AddressUndoView::Kind::expired);
        CHECK(world.person("old@kyiv.ua"));
    }

    TEST_CASE("cannot take back what somebody proven has by now, but a stranger's signup is no hindrance") {
        Moving world;
        const auto ends = world.moved();
        world.now += hour_ms;
        world.sign_up("old@kyiv.ua", {"culture"}, lviv);
        CHECK(world.undo_page(ends.undo).kind == AddressUndoView::Kind::open);
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        world.press(letters[0].confirm_token);
        CHECK(world.take_back(ends.undo).kind == AddressUndoView::Kind::taken);
        CHECK(world.person("new@kyiv.ua"));

        Moving other;
        const auto undo = other.moved().undo;
        other.sign_up("old@kyiv.ua", {"culture"}, lviv);
        CHECK(other.take_back(undo).kind == AddressUndoView::Kind::done);
        CHECK(other.status("old@kyiv.ua", "daily") == "confirmed");
        CHECK(other.count(EventKind::erased) == 1);
        CHECK_FALSE(other.verify_chain().problem);
    }

    TEST_CASE("takes nothing back with a token of a withdrawal, nor after an erasure") {
        Moving world;
        const auto ends = world.moved();
        Token other;
        other.purpose = TokenPurpose::undo;
        other.a = world.store.tables.address_changes.begin()->first;
        other.b = world.now;
        CHECK(world.undo_page(sign(other, world.keys, 1)).kind == AddressUndoView::Kind::unknown);
        const Moment when = world.moment();
        run(world.store,
            [&](Transaction& tx) { erase(tx, *tx.person_by_key("new@kyiv.ua"), world.rules, when); });
        CHECK(world.take_back(ends.undo).kind == AddressUndoView::Kind::unknown);
    }

    TEST_CASE("leaves no way back by a backup that knows the old address") {
        Moving world;
        world.moved();
        world.leave(world.unsubscribe_link("new@kyiv.ua", "daily"));
        const Digest* key = world.rules.keys.key(1, KeyUse::journal);
        REQUIRE(world.store.withdrawals_journal.size() == 2);
        for (std::size_t i = 0; i < 2; ++i) {
            const char* address = i == 0 ? "new@kyiv.ua" : "old@kyiv.ua";
            const std::string what =
                std::string(address) + "\nnewsletter " + std::to_string(world.id_of("daily"));
            CHECK(world.store.withdrawals_journal[i].ends_with(" 1 " + to_hex(hmac(*key, what))));
        }
    }
}
