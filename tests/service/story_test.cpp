#include "service/story.h"

#include "service/bounces.h"
#include "service/desk.h"
#include "service/journal.h"
#include "service/mail_pause.h"
#include "service/restore.h"
#include "service/retention.h"
#include "service/stats.h"
#include "tests/service/world.h"

using namespace zgoda::service;

namespace {

struct Told : World {
    // The lines of ada@kyiv.ua, those that have this in them.
    std::string told(const std::string& part) {
        std::string out;
        look(store, [&](Reader& reader) {
            for (const StoryLine& line : story(reader, "ada@kyiv.ua", rules, now).lines)
                if (line.text.find(part) != line.text.npos) out += line.text + "\n";
        });
        return out;
    }

    bool says(const std::string& part) { return !told(part).empty(); }

    void pause(MailPause::Scope scope, const std::string& name = "", bool on = true) {
        run(store, [&](Transaction& tx) {
            if (on)
                tx.add(MailPause{scope, name, now});
            else
                tx.remove(MailPause{scope, name, now});
        });
        settle_pauses(store, now);
    }

    void comes_back(Id letter, Returned what = Returned::hard,
                    const std::string& reply = "550 5.1.1 <ada@kyiv.ua>: gone") {
        const Moment when = moment();
        run(store, [&](Transaction& tx) { take_back(tx, letter, what, reply, rules, when); });
    }

    Id last_letter() {
        Id id = 0;
        look(store, [&](Reader& reader) { id = reader.letters_of(person("ada@kyiv.ua")->id).back().id; });
        return id;
    }
};

using Scope = MailPause::Scope;

std::string confirmation(Id letter) {
    return "confirmation letter " + std::to_string(letter);
}

}  // namespace

TEST_SUITE("the story") {
    TEST_CASE_FIXTURE(Told, "names the pause that holds a letter, and what ends it") {
        sign_up("ada@kyiv.ua", {"daily"});
        CHECK_FALSE(says("held"));
        pause(Scope::newsletter, std::to_string(id_of("daily")));
        CHECK(
            says("is queued, held by `zgoda mail pause` of letters about daily until `zgoda mail resume "
                 "--newsletter daily`. Message-ID <"));
        CHECK_FALSE(says("9999"));
        pause(Scope::newsletter, std::to_string(id_of("daily")), false);
        CHECK_FALSE(says("held"));
        pause(Scope::domain, "kyiv.ua");
        CHECK(
            says("held by `zgoda mail pause` of letters to kyiv.ua until `zgoda mail resume --domain "
                 "kyiv.ua`"));
        pause(Scope::all);
        CHECK(says("held by `zgoda mail pause` until `zgoda mail resume`"));
        pause(Scope::after_restore);
        CHECK(says("held since a restore, until `zgoda mail resume --after-restore`"));
        for (const Scope scope : {Scope::all, Scope::after_restore}) pause(scope, "", false);
        pause(Scope::domain, "kyiv.ua", false);
        CHECK(deliver().size() == 1);
        pause(Scope::all);
        CHECK_FALSE(says("held"));  // it is through
    }

    TEST_CASE_FIXTURE(Told, "has the relay's words and those of the mail that came back, each at its time") {
        sign_up("ada@kyiv.ua", {"daily"});
        const Id letter = deliver().at(0).letter.id;
        const TimeMs sent = now;
        now += hour_ms;
        comes_back(letter);
        const std::string of_letter = confirmation(letter);
        CHECK(says(of_letter + " about daily was sent " + rfc3339(sent) +
                   "; the server said: 250 ok; later it came back"));
        CHECK(says(of_letter + " came back and is given up; the returned mail said: 550 5.1.1 <ada@kyiv.ua>: "
                               "gone."));
        CHECK_FALSE(says("refused for good"));
        CHECK(events().back().kind == EventKind::lapsed);
        CHECK(explained("ada@kyiv.ua").find("250 ok") < explained("ada@kyiv.ua").find("550 5.1.1"));
        const auto all = events();
        CHECK(std::any_of(all.begin(), all.end(), [](const Event& one) {
            return one.kind == EventKind::letter_refused &&
                   one.details.find(R"("came_back":true)") != std::string::npos;
        }));
    }

    TEST_CASE_FIXTURE(Told, "says what came back of a reader, and what it ended") {
        subscribed("ada@kyiv.ua", {"daily", "weekly"});
        const Id letter = last_letter();
        comes_back(letter);
        CHECK(told("came back") ==
              "letter " + std::to_string(letter) +
                  " came back; the returned mail said: 550 5.1.1 <ada@kyiv.ua>: gone; no "
                  "more mail about daily, weekly.\n");
    }

    TEST_CASE_FIXTURE(Told, "says what came back and ended nothing, and what it meant") {
        sign_up("ada@kyiv.ua", {"daily"});
        const auto letters = deliver();
        const Id letter = letters.at(0).letter.id;
        comes_back(letter, Returned::policy, "550 5.7.1 rejected as spam");
        comes_back(letter, Returned::soft, "552 5.2.2 mailbox full");
        const std::string back = confirmation(letter) + " came back; the returned mail said: ";
        CHECK(says(back +
                   "550 5.7.1 rejected as spam; it is about our mail, and not held against this address."));
        CHECK(says(back +
                   "552 5.2.2 mailbox full; not counted: such mail counts once a day, and only after she "
                   "confirmed."));
        CHECK(says(" was sent " + rfc3339(now) + "; the server said: 250 ok"));
        press(letters.at(0).confirm_token);
        for (int day = 0; day < 2; ++day, now += day_ms) comes_back(letter, Returned::soft, "552 still full");
        CHECK(says(back + "552 still full; counted 1 of the 5 points that end all mail to her."));
        CHECK(says(back + "552 still full; counted 2 of the 5 points that end all mail to her."));
        comes_back(letter, Returned::perhaps, "550 perhaps");
        CHECK(says(back + "550 perhaps; a second one, 1 to 30 days later, ends all mail to her."));
        StatsQuery query;
        CHECK(funnel(store, query).all.bounced == 0);
        for (const Event& event : events()) {
            const auto step = funnel_step(event);
            CHECK_FALSE((step && step->kind == FunnelStep::Kind::letter_refused));
        }
    }

    TEST_CASE_FIXTURE(Told, "says when a bounced address may have letters again, and that it may") {
        subscribed("ada@kyiv.ua", {"daily"});
        const std::string line = "no more letters: hard_bounce, until " + rfc3339(now + 7 * day_ms);
        comes_back(last_letter());
        CHECK(told("hard_bounce") == line + ".\n");
        now += 7 * day_ms;
        CHECK(told("hard_bounce") == line + ", which is over.\n");
    }

    TEST_CASE_FIXTURE(Told, "tells a letter over the mail budget as that, once for each") {
        rules.per_address = *parse_rates("1/24h");
        sign_up("ada@kyiv.ua", {"daily"});
        const auto resent = [&] {
            Resent what{};
            const Moment when = moment();
            run(store, [&](Transaction& tx) {
                what = desk::resend(tx, "root", *tx.person_by_key("ada@kyiv.ua"), true, "asked", rules, when);
            });
            return what;
        };
        CHECK(resent() == Resent::under_way);
        CHECK_FALSE(says("over the mail budget"));
        CHECK(store.tables.admin_acts.empty());
        deliver();
        CHECK(says("the mail budget counts 1 letter to this mailbox"));
        CHECK(resent() == Resent::queued);
        CHECK(resent() == Resent::under_way);
        CHECK(told("over the mail budget") ==
              "an administrator had a letter sent to her over the mail budget: asked.\n");
        CHECK_FALSE(says("allowed again"));
        CHECK(store.tables.admin_acts.size() == 1);
        Result later{Result::Kind::try_later, "451 not now", now + hour_ms};
        report(lease_all().at(0), later);
        CHECK(resent() == Resent::sooner);  // not over the budget, but an act
        CHECK(told("over the mail budget").find('\n') == told("over the mail budget").size() - 1);
        CHECK(store.tables.admin_acts.size() == 2);
    }

    TEST_CASE_FIXTURE(Told, "calls only a server's own words so") {
        sign_up("ada@kyiv.ua", {"daily"});
        Result result{Result::Kind::try_later, "Couldn't connect to server: refused", now + hour_ms};
        result.counts = false;
        report(lease_all().at(0), result);
        CHECK(says(" was not handed over yet: Couldn't connect to server: refused; due again " +
                   rfc3339(now + hour_ms)));
        CHECK_FALSE(says("the server said"));
        now += hour_ms;
        result.reply = "421 closing";
        report(lease_all().at(0), result);
        CHECK(says(" was not handed over yet; the server said: 421 closing"));
        result.counts = true;
        result.reply = "451 not now";
        now += hour_ms;
        report(lease_all().at(0), result);
        CHECK(says(" was put off 1 time; the server said: 451 not now"));
        now += hour_ms;
        result.reply = "Timeout was reached: 30 s";
        report(lease_all().at(0), result);
        CHECK(says(" was put off 2 times; the mailer noted: Timeout was reached: 30 s"));
    }

    TEST_CASE_FIXTURE(Told, "knows of a letter from the ledger when its row is gone") {
        sign_up("ada@kyiv.ua", {"daily"});
        const Letter letter = deliver().at(0).letter;
        const TimeMs sent = now;
        const std::string line = confirmation(letter.id) + " was sent " + rfc3339(sent) +
                                 "; the server said: 250 ok. Message-ID <" + letter.message_id + ">";
        CHECK(told("Message-ID").find(" about daily was sent") != std::string::npos);
        now += 40 * day_ms;
        purge(store, {1000 * day_ms, 1000 * day_ms, 30 * day_ms}, rules, now, false);
        REQUIRE(store.tables.letters.empty());
        CHECK(told("Message-ID") == line + "\n");
    }

    TEST_CASE_FIXTURE(Told, "says what the journal brought back as what it is") {
        subscribed("ada@kyiv.ua", {"daily", "weekly"});
        const auto backup = store.tables;
        now += hour_ms;
        leave(unsubscribe_link("ada@kyiv.ua", "weekly"));
        Departures departures;
        for (const std::string& line : store.withdrawals_journal) departures.add(line, keys);
        store.tables = backup;
        CHECK(replay(store, departures, rules).left == 1);
        CHECK(told("left") ==
              "left weekly; known from the withdrawals journal when a backup was restored.\n");
    }
}
