#include "mailer/dispatcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <future>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <thread>
#include <utility>

#include "mailer/letter.h"
#include "mailer/schedule.h"

namespace zgoda::mailer {
namespace {

using namespace std::chrono_literals;
using service::Commit;
using service::CommitResult;
using service::LeasedLetter;
using service::Result;
using service::TimeMs;
using Kind = Outcome::Kind;
using Scope = Outcome::Scope;
using Steady = std::chrono::steady_clock;

constexpr service::DurationMs note_runs_every = 5 * service::minute_ms;
constexpr service::DurationMs lease_is_fresh_for = service::second_ms;
constexpr auto look_every = 1s;  // in follow()

TimeMs system_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// What the caller can do something about is returned; a broken database and a broken program are thrown.
Commit outcome_of(std::future<CommitResult> future) {
    const CommitResult result = future.get();
    if (result.commit == Commit::failed) std::rethrow_exception(result.error);
    if (result.commit == Commit::broken) throw service::StorageError("the database can no longer be written");
    return result.commit;
}

Commit submit(service::Store& store, service::Store::Work work) {
    const auto promise = std::make_shared<std::promise<CommitResult>>();  // the store's thread may leave last
    store.submit(std::move(work), [promise](CommitResult result) { promise->set_value(std::move(result)); });
    return outcome_of(promise->get_future());
}

Commit read(service::Store& store, service::Store::Query query) {
    const auto promise = std::make_shared<std::promise<CommitResult>>();
    store.read(std::move(query), [promise](CommitResult result) { promise->set_value(std::move(result)); });
    return outcome_of(promise->get_future());
}

std::uint64_t number_from(const service::Seed& seed) {
    std::uint64_t number = 0;
    std::memcpy(&number, seed.data(), sizeof number);
    return number;
}

// What a server says may repeat addresses; what we log holds none.
std::string without_addresses(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, end);
        out += word.find('@') == word.npos ? word : "(address)";
        out += text.substr(end, 1);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

}  // namespace

struct Dispatcher::Worker {
    std::unique_ptr<Courier> courier;
    std::optional<LetterRenderer> renderer;
};

// What the threads of one run share.
struct Dispatcher::Round {
    std::optional<Steady::time_point> ends;
    std::stop_token stop;

    std::mutex mutex;  // guards all that follows
    std::condition_variable changed;
    std::deque<LeasedLetter> letters;  // leased and not begun
    std::vector<std::pair<service::Id, std::string>>
        untried;                // begun, but the relay took none; and its words
    std::int64_t to_lease = 0;  // what the limit still allows
    bool leasing = false;
    bool drained = false;  // the last lease found less than it asked for
    bool over = false;     // no letter begins any more
    Steady::time_point next_start;
    Summary summary;
    std::exception_ptr error;

    bool ending() const { return over || (ends && Steady::now() >= *ends); }
    void end(std::exception_ptr why = nullptr) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::move(why);
        over = true;
        changed.notify_all();
    }
};

Dispatcher::Dispatcher(service::Store& store, const service::Rules& rules, const Templates& templates,
                       const Stationery& stationery, NewCourier new_courier, DispatchOptions options)
    : store_(store),
      rules_(rules),
      templates_(templates),
      stationery_(stationery),
      new_courier_(std::move(new_courier)),
      options_(std::move(options)) {
    if (!options_.clock) options_.clock = system_now;
    for (int i = 0; i < std::max(1, options_.connections); ++i)
        workers_.push_back(std::make_unique<Worker>());
}

Dispatcher::~Dispatcher() = default;

Summary Dispatcher::run(const std::stop_token& stop) {
    Round round;
    if (options_.max_time > 0) round.ends = Steady::now() + std::chrono::milliseconds(options_.max_time);
    round.to_lease = options_.limit > 0 ? options_.limit : std::numeric_limits<std::int64_t>::max();
    round.stop = stop;
    const std::stop_callback on_stop(stop, [&round] { round.end(); });

    if (something_waits()) {
        if (!presence_) presence_ = store_.enlist_mailer();
        std::vector<std::thread> threads;
        for (const auto& worker : workers_) threads.emplace_back([&] { work(*worker, round); });
        for (auto& thread : threads) thread.join();
        {
            std::unique_lock lock(round.mutex);
            round.changed.wait(lock, [&round] { return !round.leasing; });
        }
        if (round.error) {
            presence_.reset();  // what is leased is free when this mailer is gone
            std::rethrow_exception(round.error);
        }
        put_back(round);
        if (round.summary.sent > 0 && !circuit_.open()) round.summary.relay_trouble.clear();
    }
    read(store_,
         [&](service::Reader& reader) { round.summary.waiting = reader.outbox(options_.clock()).waiting; });
    return round.summary;
}

void Dispatcher::follow(const std::stop_token& stop, const std::function<void(const Summary&)>& on_run) {
    std::mutex mutex;
    std::condition_variable_any wake;
    while (!stop.stop_requested()) {
        const Summary summary = run(stop);
        if (on_run && summary.sent + summary.later + summary.refused > 0) on_run(summary);
        std::chrono::milliseconds pause = look_every;
        if (circuit_.open())
            pause = std::max(pause, std::chrono::milliseconds(circuit_.next_probe() - options_.clock()));
        std::unique_lock lock(mutex);
        wake.wait_for(lock, stop, pause, [] { return false; });
    }
}

bool Dispatcher::something_waits() {
    const TimeMs now = options_.clock();
    bool waits = false;
    service::MailerNote note;
    read(store_, [&](service::Reader& reader) {
        waits = service::work_waits(
            reader, [this](const std::string& id) { return store_.mailer_alive(id); }, rules_, now);
        note = reader.mailer_note();
    });
    if (note.last_run_at + note_runs_every <= now)
        submit(store_, [now](service::Transaction& tx) { service::note_run(tx, now); });
    return waits;
}

void Dispatcher::work(Worker& worker, Round& round) {
    try {
        while (const auto letter = next(round)) {
            if (!worker.courier) {
                worker.courier = new_courier_();
                worker.renderer.emplace(templates_, rules_.texts, stationery_);
            }
            if (still_ours(*letter)) {
                settle(*letter, deliver(worker, *letter), round);
            } else {
                const std::lock_guard lock(round.mutex);
                circuit_.not_tried();
            }
        }
    } catch (...) {
        round.end(std::current_exception());
    }
}

// The next letter to send, or nothing when this run is over. Waits for the letter's turn under
// rate_per_second.
std::optional<LeasedLetter> Dispatcher::next(Round& round) {
    std::unique_lock lock(round.mutex);
    const std::size_t low = workers_.size() * 8;
    while (!round.ending()) {
        // The next letters are leased while the last ones go out.
        if (!round.leasing && !round.drained && round.to_lease > 0 && round.letters.size() < low) {
            round.leasing = true;
            const auto batch =
                static_cast<std::size_t>(std::min(static_cast<std::int64_t>(low * 2), round.to_lease));
            lock.unlock();
            lease(round, batch);
            lock.lock();
            continue;
        }
        if (round.letters.empty()) {
            if (!round.leasing) break;
            round.changed.wait_for(lock, 1s);
            continue;
        }
        if (!circuit_.may_try(options_.clock())) {
            if (!circuit_.probing()) break;
            round.changed.wait_for(lock, 1s);
            continue;
        }
        LeasedLetter letter = std::move(round.letters.front());
        round.letters.pop_front();
        if (options_.rate_per_second > 0) {
            const auto start = std::max(Steady::now(), round.next_start);
            round.next_start = start + std::chrono::duration_cast<Steady::duration>(
                                           std::chrono::duration<double>(1 / options_.rate_per_second));
            while (Steady::now() < start && !round.ending())
                round.changed.wait_until(lock, std::min(start, Steady::now() + 1s));
            if (round.ending()) {
                round.letters.push_front(std::move(letter));
                circuit_.not_tried();
                break;
            }
        }
        return letter;
    }
    return std::nullopt;
}

// Asks for a batch, and returns at once; the letters arrive on the store's thread.
void Dispatcher::lease(Round& round, std::size_t batch) {
    const service::Moment moment{options_.clock(), service::random_seed()};
    const auto leased = std::make_shared<std::vector<LeasedLetter>>();
    store_.submit(
        [this, leased, batch, moment](service::Transaction& tx) {
            const auto alive = [this](const std::string& id) {
                return id == presence_->id() || store_.mailer_alive(id);
            };
            *leased = service::lease(tx, presence_->id(), batch, alive, rules_, moment);
        },
        [this, leased, batch, &round](const CommitResult& result) {
            if (result.commit != Commit::done) leased->clear();
            if (result.commit == Commit::failed)
                round.end(result.error);
            else if (result.commit == Commit::broken)
                round.end(
                    std::make_exception_ptr(service::StorageError("the database can no longer be written")));
            else if (result.commit != Commit::done)
                trouble("no letters could be leased: the database is too busy, or its disk is full");
            const std::lock_guard lock(round.mutex);
            round.to_lease -= static_cast<std::int64_t>(leased->size());
            round.drained = leased->size() < batch;
            std::move(leased->begin(), leased->end(), std::back_inserter(round.letters));
            round.leasing = false;
            round.changed.notify_all();
        });
}

// Asked right before MAIL: the lease may have run out, or the reader may have left meanwhile. What the lease
// said a moment ago need not be asked again.
bool Dispatcher::still_ours(const LeasedLetter& leased) {
    const TimeMs now = options_.clock();
    const TimeMs since = leased.letter.leased_at.value_or(0);
    if (since <= now && now - since < lease_is_fresh_for) return true;
    bool ours = false;
    const auto ask = [&](service::Reader& reader) {
        ours = service::still_leased(reader, leased.letter.id, presence_->id(), rules_, now);
    };
    while (read(store_, ask) != Commit::done) std::this_thread::sleep_for(100ms);
    return ours;
}

Outcome Dispatcher::deliver(Worker& worker, const LeasedLetter& leased) {
    Envelope envelope{options_.return_path, leased.person.envelope, leased.person.needs_smtputf8};
    std::string message;
    try {
        // Dated by its first lease, so that a letter sent again is the same letter.
        const Letter letter =
            worker.renderer->render(leased, leased.letter.first_leased_at.value_or(leased.letter.created_at));
        if (envelope.sender.empty()) envelope.sender = letter.from.address;
        message = build_message(letter);
    } catch (const std::invalid_argument& error) {
        // Not refused: templates and settings can be mended.
        const std::string why = fmt::format("letter {} cannot be built: {}", leased.letter.id, error.what());
        trouble(why);
        return {Kind::try_later, Scope::letter, why, false};
    }
    return worker.courier->deliver(envelope, message);
}

void Dispatcher::settle(const LeasedLetter& leased, const Outcome& outcome, Round& round) {
    const TimeMs now = options_.clock();
    const std::uint64_t random = number_from(service::random_seed());
    std::string sentence;
    {
        const std::lock_guard lock(round.mutex);
        const bool was_open = circuit_.open();
        if (outcome.scope == Scope::letter)
            circuit_.worked();
        else if (outcome.scope == Scope::relay)
            circuit_.failed(now);
        else
            circuit_.needs_human(now);
        if (outcome.scope != Scope::letter) {
            round.summary.relay_trouble = without_addresses(outcome.reply);
            round.untried.emplace_back(leased.letter.id, outcome.reply);
        }
        if (circuit_.open() && !was_open)
            sentence =
                (outcome.scope == Scope::relay ? "the relay cannot be used: "
                                               : "the relay does not take letters as [mail] is set: ") +
                round.summary.relay_trouble;
        if (!circuit_.open() && was_open) sentence = "the relay takes letters again";
        round.changed.notify_all();
    }
    if (!sentence.empty()) trouble(sentence);

    Result result;
    result.reply = outcome.reply;
    result.mailbox_unknown = outcome.mailbox_unknown;
    switch (outcome.kind) {
        case Kind::delivered:
            result.kind = Result::Kind::delivered;
            break;
        case Kind::refused:
            result.kind = Result::Kind::refused;
            break;
        case Kind::uncertain:
            result.kind = Result::Kind::uncertain;
            result.next_attempt_at = now + uncertain_wait_ms(random);
            break;
        case Kind::try_later:
            result.kind = Result::Kind::try_later;
            result.next_attempt_at = now + next_attempt_ms(leased.letter.attempts + 1, random);
            break;
    }
    if (outcome.scope == Scope::letter) record(leased, result, round);

    std::int64_t done = 0;
    {
        const std::lock_guard lock(round.mutex);
        Summary& sum = round.summary;
        ++(outcome.kind == Kind::delivered ? sum.sent
           : outcome.kind == Kind::refused ? sum.refused
                                           : sum.later);
        done = sum.sent + sum.later + sum.refused;
    }
    const std::lock_guard lock(telling_);
    if (options_.on_result) options_.on_result(leased.letter.kind, outcome.kind);
    if (options_.on_progress) options_.on_progress(done);
}

void Dispatcher::record(const LeasedLetter& leased, const Result& result, Round& round) {
    const service::Moment moment{options_.clock(), service::random_seed()};
    for (int tries = 1;; ++tries) {
        const Commit commit = submit(store_, [&](service::Transaction& tx) {
            service::record_result(tx, leased.letter.id, presence_->id(), result, rules_, moment);
        });
        if (commit == Commit::done) return;
        round.end();
        if (tries == 1)
            trouble("the result of a letter cannot be recorded; nothing more is sent until it is");
        if (round.stop.stop_requested() && tries > 10)
            throw service::StorageError("the result of a letter could not be recorded");
        std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(50ms * tries, 1s));
    }
}

// What was leased and not begun, or not taken by the relay, is due again at once. If this cannot be
// committed, it is due when this mailer is gone, or its lease runs out.
void Dispatcher::put_back(Round& round) {
    if (round.letters.empty() && round.untried.empty()) return;
    const service::Moment moment{options_.clock(), service::random_seed()};
    const Commit commit = submit(store_, [&](service::Transaction& tx) {
        Result result;
        result.kind = Result::Kind::given_back;
        for (const LeasedLetter& leased : round.letters)
            service::record_result(tx, leased.letter.id, presence_->id(), result, rules_, moment);
        result.kind = Result::Kind::try_later;
        result.counts = false;
        result.next_attempt_at = moment.now;
        for (const auto& [id, reply] : round.untried) {
            result.reply = reply;
            service::record_result(tx, id, presence_->id(), result, rules_, moment);
        }
    });
    if (commit != Commit::done) presence_.reset();
}

void Dispatcher::trouble(const std::string& sentence) {
    const std::lock_guard lock(telling_);
    if (options_.on_trouble) options_.on_trouble(sentence);
}

Summary rehearse(service::Store& store, const service::Rules& rules, const Templates& templates,
                 const Stationery& stationery, std::int64_t limit, TimeMs now) {
    // Leased in earnest, but the unit of work ends in an exception, which undoes all of it.
    struct Undo {};
    const service::Moment moment{now, service::random_seed()};
    const auto most = static_cast<std::size_t>(limit > 0 ? std::min<std::int64_t>(limit, 1000) : 1000);
    std::vector<LeasedLetter> letters;
    try {
        service::run(store, [&](service::Transaction& tx) {
            letters = service::lease(
                tx, "rehearsal", most, [&store](const std::string& id) { return store.mailer_alive(id); },
                rules, moment);
            throw Undo{};
        });
    } catch (const Undo&) {
    }
    Summary summary;
    LetterRenderer renderer(templates, rules.texts, stationery);
    for (const LeasedLetter& leased : letters) {
        try {
            build_message(renderer.render(leased, now));
            ++summary.sent;
        } catch (const std::invalid_argument&) {
            ++summary.refused;
        }
    }
    service::look(store, [&](service::Reader& reader) { summary.waiting = reader.outbox(now).waiting; });
    return summary;
}

}  // namespace zgoda::mailer
