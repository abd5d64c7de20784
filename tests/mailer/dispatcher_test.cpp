#include "mailer/dispatcher.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "scripted_smtp.h"
#include "tests/mailer/letter_world.h"
#include "tests/service/world.h"

using namespace zgoda;
using namespace zgoda::mailer;
using namespace std::chrono_literals;
using service::LetterState;
using service::minute_ms;
using service::second_ms;
using Kind = Outcome::Kind;
using Scope = Outcome::Scope;

namespace {

// The store in memory, made fit for the dispatcher's threads.
struct SharedStore : service::Store {
    explicit SharedStore(zgoda::tests::MemoryStore& one) : store(one) {}

    ~SharedStore() override {
        for (auto& commit : commits) commit.join();
    }

    void submit(Work work, Done done) override {
        if (slow) {
            const std::lock_guard lock(commits_mutex);
            commits.emplace_back([this, work, done] {
                std::this_thread::sleep_for(3ms);
                const std::lock_guard here(mutex);
                store.submit(work, done);
            });
            return;
        }
        const std::lock_guard lock(mutex);
        if (before_submit) before_submit();
        store.submit(std::move(work), std::move(done));
    }
    void read(Query query, Done done) override {
        const std::lock_guard lock(mutex);
        store.read(std::move(query), std::move(done));
    }
    std::unique_ptr<service::MailerPresence> enlist_mailer() override {
        const std::lock_guard lock(mutex);
        return store.enlist_mailer();
    }
    bool mailer_alive(const std::string& id) override { return store.mailer_alive(id); }

    zgoda::tests::MemoryStore& store;
    std::recursive_mutex mutex;
    std::function<void()> before_submit;
    bool slow = false;  // submit() returns at once, as it does with a database, and takes a while
    std::mutex commits_mutex;
    std::vector<std::thread> commits;
};

const Outcome delivered{Kind::delivered, Scope::letter, "250 ok", false};
const Outcome greylisted{Kind::try_later, Scope::letter, "450 4.2.0 greylisted", false};
const Outcome no_mailbox{Kind::refused, Scope::letter, "550 5.1.1 unknown <ada@x.example>", true};
const Outcome lost{Kind::uncertain, Scope::letter, "lost", false};
const Outcome relay_down{Kind::try_later, Scope::relay, "Couldn't connect to server", false};
const Outcome wrong_password{Kind::try_later, Scope::config, "535 5.7.8 no, news@x.example", false};

// A newsroom, and a relay that does what a test says.
struct Newsroom : service::World {
    Newsroom() {
        texts = test::installed_texts();
        store.run_twice = false;
    }

    void sign_up_many(int count) {
        for (int i = 0; i < count; ++i)
            sign_up("reader" + std::to_string(i) + "@mail.example.org", {"daily"});
    }

    Dispatcher dispatcher(DispatchOptions options = {}, Dispatcher::NewCourier couriers = {}) {
        if (!options.clock) options.clock = [this] { return clock.load(); };
        options.on_trouble = [this](std::string_view sentence) { troubles.emplace_back(sentence); };
        struct Pigeon : Courier {
            explicit Pigeon(Newsroom& n) : newsroom(n) {}
            Outcome deliver(const Parcel& parcel, const Parcel* next) override {
                const auto& [envelope, message, may_go] = parcel;
                {
                    const std::lock_guard lock(newsroom.mutex);
                    newsroom.letters.emplace_back(message);
                    newsroom.envelopes.push_back(envelope);
                    if (!announced.empty() && announced != message) ++newsroom.broken_promises;
                    if (next) ++newsroom.announced;
                }
                announced = next ? next->message : "";
                return newsroom.relay(envelope);
            }
            Outcome check() override { return {Outcome::Kind::delivered, {}, {}, false}; }
            Newsroom& newsroom;
            std::string announced;
        };
        return Dispatcher(
            shared, rules, templates, stationery,
            couriers ? std::move(couriers) : [this] { return std::make_unique<Pigeon>(*this); },
            std::move(options));
    }

    Summary run(DispatchOptions options = {}) { return dispatcher(std::move(options)).run({}); }

    service::Letter letter_of(const std::string& address) {
        const auto who = person(address);
        REQUIRE(who);
        for (const auto& [id, letter] : store.tables.letters)
            if (letter.person == who->id) return letter;
        FAIL("no letter");
        return {};
    }

    std::map<LetterState, int> states() {
        std::map<LetterState, int> out;
        for (const auto& [id, letter] : store.tables.letters) ++out[letter.state];
        return out;
    }

    std::set<std::string> message_ids() {
        std::set<std::string> out;
        for (const std::string& letter : letters) {
            const auto at = letter.find("Message-ID: ");
            out.insert(letter.substr(at, letter.find("\r\n", at) - at));
        }
        return out;
    }

    SharedStore shared{store};
    Templates templates = test::installed_templates();
    Stationery stationery{"https://news.example.org", {"News", "news@example.org"}, ""};
    std::atomic<service::TimeMs> clock{now};
    std::function<Outcome(const Envelope&)> relay = [](const Envelope&) { return delivered; };
    std::mutex mutex;
    std::vector<std::string> letters;
    std::vector<Envelope> envelopes;
    std::vector<std::string> troubles;
    int broken_promises = 0;  // letters that were announced, and another came
    int announced = 0;        // letters of which a courier knew while it carried the one before
};

// What a server does to every letter, and what must become of all of them.
struct Fault {
    const char* what;
    test::ScriptedSmtp::Script script;
    LetterState state;  // after the run
    bool attempted;     // all of them; else none has lost an attempt, and all are due again at once
    bool with_name = false;
    bool with_tls = false;
};

const std::string offers = "250-scripted.test\n250-SIZE 1000000\n";
const std::string silent = "<silent>", hangs_up = "<drop>";

const std::vector<Fault> faults{
    {"hangs up after its receipt", {{".", "250 2.0.0 kept" + hangs_up}}, LetterState::sent, true},
    {"will not say goodbye", {{"QUIT", silent}}, LetterState::sent, true},
    {"has another 2xx", {{".", "252 2.0.0 perhaps"}}, LetterState::sent, true},
    {"speaks in many lines", {{".", "250-2.0.0 kept\n250-and\n250 well"}}, LetterState::sent, true},
    {"greylists", {{"RCPT", "450 4.2.0 greylisted"}}, LetterState::deferred, true},
    {"is out of space", {{"RCPT", "452 4.2.2 full"}}, LetterState::deferred, true},
    {"does not take the sender now", {{"MAIL", "451 4.3.0 later"}}, LetterState::deferred, true},
    {"does not take DATA now", {{"DATA", "451 4.3.0 later"}}, LetterState::deferred, true},
    {"does not take the letter now", {{".", "451 4.7.1 later"}}, LetterState::deferred, true},
    {"hangs up at MAIL", {{"MAIL", hangs_up}}, LetterState::deferred, true},
    {"hangs up at RCPT", {{"RCPT", hangs_up}}, LetterState::deferred, true},
    {"hangs up at DATA", {{"DATA", hangs_up}}, LetterState::deferred, true},
    {"is silent at RCPT", {{"RCPT", silent}}, LetterState::deferred, true},
    {"does not know the mailbox", {{"RCPT", "550 5.1.1 unknown user"}}, LetterState::refused, true},
    {"has a policy", {{"RCPT", "554 5.7.1 policy"}}, LetterState::refused, true},
    {"finds the letter too big before it comes", {{"MAIL", "552 5.3.4 too big"}}, LetterState::refused, true},
    {"refuses DATA", {{"DATA", "554 5.5.1 no"}}, LetterState::refused, true},
    {"refuses the letter", {{".", "554 5.7.1 spam"}}, LetterState::refused, true},
    {"hangs up after the dot", {{".", hangs_up}}, LetterState::uncertain, true},
    {"is silent after the dot", {{".", silent}}, LetterState::uncertain, true},
    {"talks rubbish after the dot", {{".", "hello?" + hangs_up}}, LetterState::uncertain, true},
    {"is busy", {{"CONNECT", "421 4.3.2 busy" + hangs_up}}, LetterState::deferred, false},
    {"wants nobody", {{"CONNECT", "554 no service"}}, LetterState::deferred, false},
    {"hangs up at once", {{"CONNECT", hangs_up}}, LetterState::deferred, false},
    {"has no banner", {{"CONNECT", silent}}, LetterState::deferred, false},
    {"has no EHLO now", {{"EHLO", "421 4.3.2 busy" + hangs_up}}, LetterState::deferred, false},
    {"closes at RCPT", {{"RCPT", "421 4.3.2 closing" + hangs_up}}, LetterState::deferred, false},
    {"closes at DATA", {{"DATA", "421 4.3.2 closing" + hangs_up}}, LetterState::deferred, false},
    {"closes after the dot", {{".", "421 4.3.2 closing" + hangs_up}}, LetterState::deferred, false},
    {"refuses our sender", {{"MAIL", "550 5.1.8 bad sender"}}, LetterState::deferred, false},
    {"wants a password", {{"MAIL", "530 5.7.0 authenticate"}}, LetterState::deferred, false},
    {"knows no such password", {{"AUTH", "535 5.7.8 wrong"}}, LetterState::deferred, false, true},
    {"takes no passwords", {{"EHLO", offers + "250 8BITMIME"}}, LetterState::deferred, false, true},
    {"has no STARTTLS", {{"EHLO", offers + "250 AUTH PLAIN"}}, LetterState::deferred, false, true, true},
};

SmtpOptions options_for(const test::ScriptedSmtp& server, const Fault& fault) {
    SmtpOptions options;
    options.host = "127.0.0.1";
    options.port = server.port();
    options.tls = fault.with_tls ? SmtpOptions::Tls::starttls : SmtpOptions::Tls::none;
    if (fault.with_name) {
        options.username = "zgoda";
        options.password = "secret";
    }
    options.connect_timeout = 1s;
    options.reply_timeout = 1s;
    return options;
}

}  // namespace

TEST_SUITE("dispatcher") {
    TEST_CASE("whatever a server does to two hundred letters, each is in the right class, and none is lost") {
        for (const Fault& fault : faults) {
            for (const bool pipelining : {true, false}) {
                const int readers = pipelining ? 200 : 50;
                const std::string what = fault.what;
                CAPTURE(what);
                CAPTURE(pipelining);
                auto script = fault.script;
                std::string& ehlo = script.try_emplace("EHLO", offers + "250 AUTH PLAIN").first->second;
                if (pipelining && ehlo.starts_with("250-"))
                    ehlo.insert(ehlo.find('\n') + 1, "250-PIPELINING\n");
                Newsroom news;
                news.sign_up_many(readers);
                DispatchOptions how;
                how.connections = 50;  // so that silence is waited for together
                {
                    const test::ScriptedSmtp server(script);
                    const Summary first =
                        news.dispatcher(how, [&] { return make_smtp_courier(options_for(server, fault)); })
                            .run({});
                    CAPTURE(first.relay_trouble);
                    CHECK(first.relay_trouble.empty() == fault.attempted);
                    CHECK(news.states()[LetterState::leased] == 0);
                    for (const auto& one : news.store.tables.letters) {
                        const service::Letter& letter = one.second;
                        CAPTURE(letter.reply);
                        const bool untouched = letter.state == LetterState::queued && letter.reply.empty();
                        if (fault.attempted || !untouched) REQUIRE(letter.state == fault.state);
                        if (letter.state == LetterState::deferred)
                            REQUIRE(letter.attempts == (fault.attempted ? 1 : 0));
                        if (!fault.attempted) REQUIRE(letter.due_at <= news.clock);
                    }
                }

                const bool final = fault.state == LetterState::sent || fault.state == LetterState::refused;
                if (fault.state == LetterState::uncertain)
                    news.clock += 12 * minute_ms + second_ms;
                else if (fault.attempted)
                    news.clock += 37 * second_ms;
                const test::ScriptedSmtp good;
                news.dispatcher(how, [&] { return make_smtp_courier(options_for(good, Fault{})); }).run({});
                std::set<std::string> recipients;
                for (const auto& mail : good.mails()) recipients.insert(mail.to);
                CHECK(static_cast<int>(good.mails().size()) == (final ? 0 : readers));
                CHECK(static_cast<int>(recipients.size()) == (final ? 0 : readers));
                CHECK(news.states()[final ? fault.state : LetterState::sent] == readers);
            }
        }
    }

    TEST_CASE("a run sends what is due, each letter once, and says what it did") {
        Newsroom news;
        news.sign_up_many(300);
        const Summary summary = news.run();
        CHECK(summary.sent == 300);
        CHECK(summary.later == 0);
        CHECK(summary.refused == 0);
        CHECK(summary.waiting == 0);
        CHECK(summary.relay_trouble.empty());
        CHECK(news.letters.size() == 300);
        CHECK(news.message_ids().size() == 300);
        CHECK(news.states()[LetterState::sent] == 300);
        CHECK(news.envelopes[0].sender == "news@example.org");
    }

    TEST_CASE("an idle run does nothing but note, every few minutes, that it ran") {
        Newsroom news;
        news.run();
        const int before = news.store.commits;
        news.run();
        CHECK(news.store.commits == before);
        CHECK(news.store.tables.note.last_run_at == news.clock);
        news.clock += 6 * minute_ms;
        news.run();
        CHECK(news.store.tables.note.last_run_at == news.clock);
    }

    TEST_CASE("two at once share the work") {
        Newsroom news;
        news.sign_up_many(300);
        auto one = news.dispatcher(), other = news.dispatcher();
        Summary first, second;
        std::thread thread([&] { first = one.run({}); });
        second = other.run({});
        thread.join();
        CHECK(first.sent + second.sent == 300);
        CHECK(news.message_ids().size() == 300);
        CHECK(news.letters.size() == 300);
    }

    TEST_CASE("what the server says decides what becomes of a letter") {
        Newsroom news;
        news.sign_up("ada@mail.example.org", {"daily"});
        const service::TimeMs now = news.clock;
        const auto run_with = [&](const Outcome& outcome) {
            news.relay = [outcome](const Envelope&) { return outcome; };
            return news.run();
        };
        SUBCASE("a 4xx waits by the schedule, and counts") {
            const Summary summary = run_with(greylisted);
            CHECK(summary.later == 1);
            CHECK(summary.waiting == 1);
            const service::Letter letter = news.letter_of("ada@mail.example.org");
            CHECK(letter.state == LetterState::deferred);
            CHECK(letter.attempts == 1);
            CHECK(letter.due_at >= now + 24 * second_ms);
            CHECK(letter.due_at <= now + 36 * second_ms);
            CHECK(letter.reply == "450 4.2.0 greylisted");
            CHECK(news.store.tables.note.later == 1);
        }
        SUBCASE("later attempts wait for longer") {
            run_with(greylisted);
            news.clock += minute_ms;
            run_with(greylisted);
            CHECK(news.letter_of("ada@mail.example.org").due_at >= news.clock + 96 * second_ms);
        }
        SUBCASE("a refusal is final") {
            CHECK(run_with(no_mailbox).refused == 1);
            CHECK(news.letter_of("ada@mail.example.org").state == LetterState::refused);
            CHECK(news.letter_of("ada@mail.example.org").mailbox_unknown);
            CHECK(news.store.tables.note.refused == 1);
        }
        SUBCASE("an uncertain letter goes once more after ten minutes, as the same letter") {
            CHECK(run_with(lost).later == 1);
            CHECK(news.letter_of("ada@mail.example.org").state == LetterState::uncertain);
            news.clock += 7 * minute_ms;
            CHECK(run_with(lost).later == 0);
            news.clock += 6 * minute_ms;
            run_with(lost);
            REQUIRE(news.letters.size() == 2);
            CHECK(news.letters[0] == news.letters[1]);
            CHECK(news.letter_of("ada@mail.example.org").state == LetterState::sent);
            CHECK(news.store.tables.note.uncertain == 2);
        }
    }

    TEST_CASE("a relay that is down ends the run, and costs the letters nothing") {
        Newsroom news;
        news.sign_up_many(50);
        news.relay = [](const Envelope&) { return relay_down; };
        DispatchOptions options;
        options.connections = 1;
        const Summary summary = news.run(options);
        CHECK(summary.sent == 0);
        CHECK(summary.later == 5);
        CHECK(summary.waiting == 50);
        CHECK(summary.relay_trouble == "Couldn't connect to server");
        CHECK(news.troubles.size() == 1);
        CHECK(news.states()[LetterState::leased] == 0);
        for (const auto& [id, letter] : news.store.tables.letters) CHECK(letter.attempts == 0);
        CHECK(news.store.tables.note.relay_trouble == "Couldn't connect to server");
        CHECK(news.store.tables.note.trouble_since == news.clock);
        CHECK(news.store.tables.note.later == 0);

        news.relay = [](const Envelope&) { return delivered; };
        CHECK(news.run().sent == 50);
        CHECK(news.store.tables.note.relay_trouble.empty());
        CHECK(news.store.tables.note.delivered == 50);
    }

    TEST_CASE("one letter that meets a relay that is down is tried once a run") {
        Newsroom news;
        news.sign_up_many(1);
        news.relay = [](const Envelope&) { return relay_down; };
        const Summary summary = news.run();
        CHECK(summary.later == 1);
        CHECK(summary.relay_trouble == "Couldn't connect to server");
        CHECK(news.letters.size() == 1);
    }

    TEST_CASE("wrong settings end the run with the first letter, and the log holds no address") {
        Newsroom news;
        news.sign_up_many(20);
        news.relay = [](const Envelope&) { return wrong_password; };
        DispatchOptions options;
        options.connections = 1;
        const Summary summary = news.run(options);
        CHECK(summary.later == 1);
        CHECK(summary.waiting == 20);
        CHECK(summary.relay_trouble == "535 5.7.8 no, (address)");
        REQUIRE(news.troubles.size() == 1);
        CHECK(news.troubles[0].find('@') == std::string::npos);
    }

    TEST_CASE("a run keeps its limits") {
        Newsroom news;
        news.sign_up_many(40);
        DispatchOptions options;
        SUBCASE("of letters") {
            options.limit = 7;
            const Summary summary = news.run(options);
            CHECK(summary.sent == 7);
            CHECK(summary.waiting == 33);
            CHECK(news.states()[LetterState::queued] == 33);
        }
        SUBCASE("of time") {
            options.max_time = 200;
            options.connections = 1;
            news.relay = [](const Envelope&) {
                std::this_thread::sleep_for(50ms);
                return delivered;
            };
            const Summary summary = news.run(options);
            CHECK(summary.sent >= 2);
            CHECK(summary.sent <= 5);
            CHECK(news.states()[LetterState::leased] == 0);
        }
        SUBCASE("of rate, over all couriers") {
            options.rate_per_second = 100;
            const auto before = std::chrono::steady_clock::now();
            CHECK(news.run(options).sent == 40);
            CHECK(std::chrono::steady_clock::now() - before >= 380ms);
            CHECK(std::chrono::steady_clock::now() - before < 2s);
        }
    }

    TEST_CASE("while there is enough to do, a courier knows the next letter") {
        Newsroom news;
        news.sign_up_many(300);
        CHECK(news.run().sent == 300);
        CHECK(news.announced > 250);
        CHECK(news.broken_promises == 0);
    }

    TEST_CASE("a letter is not kept behind another while a courier has nothing to do") {
        Newsroom news;
        news.sign_up_many(3);
        CHECK(news.run().sent == 3);
        CHECK(news.announced == 0);
    }

    TEST_CASE("of a courier's letters at most the last one and the one under way are not on disk") {
        Newsroom news;
        news.sign_up_many(40);
        int carried = 0, late = 0;
        news.shared.slow = true;
        news.relay = [&](const Envelope&) {
            const std::lock_guard lock(news.shared.mutex);
            const int recorded = news.states()[LetterState::sent];
            CHECK(recorded >= carried - 1);
            if (recorded < carried++) ++late;
            return delivered;
        };
        DispatchOptions options;
        options.connections = 1;
        CHECK(news.run(options).sent == 40);
        CHECK(late > 0);
    }

    TEST_CASE("letters to one domain keep their distance, and the others overtake them") {
        Newsroom news;
        for (const char* name : {"ada", "ben", "eve"})
            news.sign_up(name + std::string("@slow.example.org"), {"daily"});
        for (const char* domain : {"a", "b", "c"})
            news.sign_up("kate@" + std::string(domain) + ".example.org", {"daily"});
        DispatchOptions options;
        options.connections = 2;
        options.domain_per_minute = 600;
        const auto before = std::chrono::steady_clock::now();
        CHECK(news.run(options).sent == 6);
        CHECK(std::chrono::steady_clock::now() - before >= 200ms);
        REQUIRE(news.envelopes.size() == 6);
        CHECK(news.envelopes[4].recipient.ends_with("@slow.example.org"));
        CHECK(news.envelopes[5].recipient.ends_with("@slow.example.org"));
    }

    TEST_CASE("who signs up while a domain's letters wait does not wait for them") {
        Newsroom news;
        for (const char* name : {"ada", "ben", "eve"})
            news.sign_up(name + std::string("@slow.example.org"), {"daily"});
        news.relay = [&](const Envelope&) {
            const std::lock_guard lock(news.shared.mutex);
            if (!news.person("kate@mail.example.com")) news.sign_up("kate@mail.example.com", {"daily"});
            return delivered;
        };
        DispatchOptions options;
        options.domain_per_minute = 40;
        CHECK(news.run(options).sent == 4);
        REQUIRE(news.envelopes.size() == 4);
        CHECK(news.envelopes[1].recipient == "kate@mail.example.com");
    }

    TEST_CASE("a confirmation goes among the next letters, however many others are due and however slowly") {
        Newsroom news;
        for (int i = 0; i < 200; ++i)
            news.subscribed("reader" + std::to_string(i) + "@mail.example.org", {"daily"});
        news.clock = news.now;
        news.sign_up_many(200);  // each is to be told that she is subscribed
        DispatchOptions options;
        options.connections = 2;
        std::size_t most_before = 8;
        SUBCASE("at full speed") {
            most_before = 64;  // what is leased already
        }
        SUBCASE("with a rate") {
            options.rate_per_second = 20;
            most_before = 20;
        }
        SUBCASE("with a low rate") {
            options.rate_per_second = 4;
        }
        options.limit = 3 + static_cast<std::int64_t>(most_before);
        std::size_t sent = 0, asked = 0, went = 0;
        news.relay = [&](const Envelope& envelope) {
            const std::lock_guard lock(news.shared.mutex);
            if (++sent == 3) {
                news.sign_up("kate@mail.example.com", {"daily"});
                asked = sent;
            }
            if (envelope.recipient == "kate@mail.example.com") went = sent;
            return delivered;
        };
        news.run(options);
        REQUIRE(went > 0);
        CHECK(went - asked <= most_before);
    }

    TEST_CASE("a confirmation does not wait for a domain that has more letters than a mailer holds") {
        Newsroom news;
        for (int i = 0; i < 150; ++i)
            news.subscribed("reader" + std::to_string(i) + "@mail.example.org", {"daily"});
        news.clock = news.now;
        news.sign_up_many(150);
        DispatchOptions options;
        options.most_held = 40;
        options.domain_per_minute = 30;
        options.max_time = 60 * second_ms;
        std::stop_source stop;
        std::size_t sent = 0, went = 0;
        news.relay = [&](const Envelope& envelope) {
            const std::lock_guard lock(news.shared.mutex);
            if (++sent == 2) news.sign_up("kate@mail.example.com", {"daily"});
            if (envelope.recipient == "kate@mail.example.com") {
                went = sent;
                stop.request_stop();
            }
            return delivered;
        };
        news.dispatcher(options).run(stop.get_token());
        CHECK(went > 0);
        CHECK(went <= 5);
    }

    TEST_CASE("told to stop, it finishes the letter under way and gives the others back") {
        Newsroom news;
        news.sign_up_many(40);
        std::stop_source stop;
        news.relay = [&](const Envelope&) {
            stop.request_stop();
            return delivered;
        };
        DispatchOptions options;
        options.connections = 1;
        const Summary summary = news.dispatcher(options).run(stop.get_token());
        CHECK(summary.sent == 1);
        CHECK(news.states()[LetterState::sent] == 1);
        CHECK(news.states()[LetterState::queued] == 39);
    }

    TEST_CASE("the letters of a mailer that died are due again at the next run") {
        Newsroom news;
        news.sign_up_many(5);
        CHECK(news.lease_all("a mailer that is gone").size() == 5);
        CHECK(news.run().sent == 5);
    }

    TEST_CASE("the letters of a mailer that lives are left to it") {
        Newsroom news;
        news.sign_up_many(5);
        const auto presence = news.store.enlist_mailer();
        CHECK(news.lease_all(presence->id()).size() == 5);
        CHECK(news.run().sent == 0);
    }

    TEST_CASE("a lease that could run out on the way is given back") {
        Newsroom news;
        news.sign_up_many(2);
        news.relay = [&](const Envelope&) {
            news.clock += 16 * minute_ms;
            return delivered;
        };
        DispatchOptions options;
        options.connections = 1;
        news.run(options);
        CHECK(news.letters.size() == 1);
        CHECK(news.states()[LetterState::queued] == 1);
    }

    TEST_CASE("who said no after the lease gets no letter") {
        Newsroom news;
        news.sign_up_many(2);
        news.relay = [&](const Envelope&) {
            news.clock += 2 * second_ms;
            const std::lock_guard lock(news.shared.mutex);
            for (auto& [id, letter] : news.store.tables.letters)
                if (letter.person == news.person("reader1@mail.example.org")->id)
                    letter.state = LetterState::cancelled;
            return delivered;
        };
        DispatchOptions options;
        options.connections = 1;
        news.run(options);
        REQUIRE(news.envelopes.size() == 1);
        CHECK(news.envelopes[0].recipient == "reader0@mail.example.org");
    }

    TEST_CASE("while a result cannot be recorded nothing more is sent, and it is recorded in the end") {
        Newsroom news;
        news.sign_up_many(20);
        int failures = 0;
        news.relay = [&](const Envelope&) {
            const std::lock_guard lock(news.shared.mutex);
            news.store.failing = service::Commit::disk_full;
            return delivered;
        };
        news.shared.before_submit = [&] {
            if (news.store.failing == service::Commit::disk_full && ++failures == 4)
                news.store.failing = service::Commit::done;
        };
        DispatchOptions options;
        options.connections = 1;
        const Summary summary = news.run(options);
        CHECK(failures == 4);
        CHECK(news.letters.size() <= 2);
        CHECK(summary.sent == static_cast<int>(news.letters.size()));
        CHECK(news.states()[LetterState::sent] == summary.sent);
        CHECK(news.troubles.size() == 1);
    }

    TEST_CASE("a broken database ends the run with an exception") {
        Newsroom news;
        news.sign_up_many(20);
        news.relay = [&](const Envelope&) {
            const std::lock_guard lock(news.shared.mutex);
            news.store.failing = service::Commit::broken;
            return delivered;
        };
        CHECK_THROWS_AS(news.run(), service::StorageError);
        CHECK(news.letters.size() <= 8);
    }

    TEST_CASE("a letter that cannot be built waits, and the others go") {
        Newsroom news;
        news.sign_up("ada@mail.example.org", {"weekly"});
        news.sign_up_many(3);
        news.edit("weekly", [](service::Newsletter& one) { one.settings[{"from", ""}] = "no address"; });
        const Summary summary = news.run();
        CHECK(summary.sent == 3);
        CHECK(summary.later == 1);
        CHECK(news.letter_of("ada@mail.example.org").attempts == 1);
        CHECK(news.troubles.size() == 1);
    }

    TEST_CASE("a follower sends what comes, tries a relay again, and stops when told") {
        Newsroom news;
        std::stop_source stop;
        std::atomic<bool> down{true};
        news.relay = [&](const Envelope&) { return down ? relay_down : delivered; };
        news.sign_up_many(8);
        std::vector<Summary> summaries;
        DispatchOptions options;
        options.connections = 1;
        std::thread thread([&] {
            news.dispatcher(options).follow(stop.get_token(), [&](const Summary& summary) {
                summaries.push_back(summary);
                if (down) {  // after 5 failures the circuit is open; its probe time comes
                    down = false;
                    news.clock += 5 * second_ms;
                } else {
                    stop.request_stop();
                }
            });
        });
        thread.join();
        REQUIRE(summaries.size() == 2);
        CHECK(summaries[0].later == 5);
        CHECK(summaries[1].sent == 8);
    }

    TEST_CASE("a rehearsal builds every letter and changes nothing") {
        Newsroom news;
        news.sign_up("ada@mail.example.org", {"weekly"});
        news.sign_up_many(3);
        news.edit("weekly", [](service::Newsletter& one) { one.settings[{"from", ""}] = "no address"; });
        const auto rehearsal = [&](std::int64_t limit) {
            return rehearse(news.shared, news.rules, news.templates, news.stationery, limit, news.clock);
        };
        CHECK(rehearsal(0).sent == 3);
        CHECK(rehearsal(0).refused == 1);
        CHECK(rehearsal(0).waiting == 4);
        CHECK(rehearsal(2).sent + rehearsal(2).refused == 2);
        CHECK(news.letters.empty());
        CHECK(news.states()[LetterState::queued] == 4);
    }
}
