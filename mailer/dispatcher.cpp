#include "mailer/dispatcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <future>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>

#include "mailer/letter.h"
#include "mailer/schedule.h"
#include "service/verp.h"

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

constexpr service::DurationMs lease_is_fresh_for = service::second_ms;
constexpr auto look_every = 1s;  // in follow(), and while limits hold all letters back
constexpr service::DurationMs longest_delivery = 15 * service::minute_ms;  // by SmtpOptions::total_timeout

TimeMs system_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// What was wrong, with `failed` and `broken`.
std::exception_ptr error_of(const CommitResult& result) {
    if (result.commit == Commit::failed) return result.error;
    return std::make_exception_ptr(service::StorageError("the database can no longer be written"));
}

// What the caller can do something about is returned; a broken database and a broken program are thrown.
Commit outcome_of(std::future<CommitResult> future) {
    const CommitResult result = future.get();
    if (result.commit == Commit::failed || result.commit == Commit::broken)
        std::rethrow_exception(error_of(result));
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

// What the outbox is told about a letter that was tried.
Result result_of(const Outcome& outcome, int attempts_before, TimeMs now) {
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
            result.next_attempt_at = now + uncertain_wait_ms(number_from(service::random_seed()));
            break;
        case Kind::try_later:
            result.kind = Result::Kind::try_later;
            result.next_attempt_at =
                now + next_attempt_ms(attempts_before + 1, number_from(service::random_seed()));
            break;
    }
    return result;
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

// Mail that comes back names its letter, where there is a domain to receive it.
std::string return_path_of(const service::Letter& letter, const DispatchOptions& options,
                           const service::Keyring& keys) {
    if (options.bounce_domain.empty()) return options.return_path;
    return service::return_path(letter.id, keys, letter.key_id) + "@" + options.bounce_domain;
}

}  // namespace

struct Dispatcher::Worker {
    std::unique_ptr<Courier> courier;
    std::optional<LetterRenderer> renderer;
    int unrecorded = 0;                // results that are not on disk yet; guarded by the round's mutex
    std::condition_variable recorded;  // one of them is
};

// A leased letter, ready to go, or why it cannot be built.
struct Dispatcher::Draft {
    LeasedLetter leased;
    Parcel parcel;
    std::string problem;
};

// A letter's result, to be recorded.
struct Dispatcher::Done {
    Worker* worker;
    service::Id letter;
    Result result;
    service::Moment moment;
};

// What the threads of one run share.
struct Dispatcher::Round {
    std::optional<Steady::time_point> ends;
    std::stop_token stop;
    std::size_t low = 0;  // fewer letters than this: lease more
    std::size_t most_held = 0;

    std::mutex mutex;                                // guards all that follows
    std::condition_variable changed;                 // for the couriers' threads
    std::condition_variable settled;                 // for run() itself
    std::deque<LeasedLetter> letters;                // leased and not begun
    std::vector<std::shared_ptr<const Done>> stuck;  // results that could not be recorded
    std::vector<std::pair<service::Id, std::string>>
        untried;                // begun, but the relay took none; and its words
    std::int64_t to_lease = 0;  // what the limit still allows
    bool leasing = false;
    bool drained = false;   // the last lease found less than it asked for
    bool starving = false;  // there are letters, but none that may begin now
    Steady::time_point leased_at;
    std::size_t working = 0;     // couriers' threads
    std::size_t unrecorded = 0;  // results of all of them
    bool over = false;           // no letter begins any more
    Summary summary;
    std::exception_ptr error;

    bool wants_letters() const {
        if (leasing || drained || to_lease == 0) return false;
        if (full()) return letters.size() < 2 * most_held && Steady::now() - leased_at > look_every;
        return letters.size() < (starving ? most_held : low);
    }
    bool full() const { return starving && letters.size() >= most_held; }
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
      options_(std::move(options)),
      pace_(options_.rate_per_second, options_.domain_per_minute) {
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

    round.most_held = options_.most_held;
    // With a rate, no more is leased ahead than goes in a second: a confirmation would wait behind it.
    round.low = std::max<std::size_t>(16, 2 * workers_.size());
    if (options_.rate_per_second > 0)
        round.low = std::min(round.low, static_cast<std::size_t>(std::ceil(options_.rate_per_second / 4)));

    if (something_waits()) {
        if (!presence_) presence_ = store_.enlist_mailer();
        round.working = workers_.size();
        for (const auto& worker : workers_) worker->unrecorded = 0;
        std::vector<std::thread> threads;
        for (const auto& worker : workers_) threads.emplace_back([&] { work(*worker, round); });
        see_to_the_end(round);
        for (auto& thread : threads) thread.join();
        if (round.error) {
            presence_.reset();  // what is leased is free when this mailer is gone
            std::rethrow_exception(round.error);
        }
        put_back(round);
        if (round.summary.sent > 0 && !circuit_.open()) round.summary.relay_trouble.clear();
    }
    Summary& summary = round.summary;
    std::string noted;
    read(store_, [&](service::Reader& reader) {
        summary.waiting = reader.outbox(options_.clock()).waiting;
        noted = reader.mailer_note().relay_trouble;
    });
    const bool tried = summary.sent + summary.later + summary.refused > 0;
    if (tried && noted != summary.relay_trouble)
        submit(store_, [&](service::Transaction& tx) {
            service::note_relay(tx, summary.relay_trouble, options_.clock());
        });
    return summary;
}

void Dispatcher::follow(const std::stop_token& stop, const std::function<void(const Summary&)>& on_run) {
    std::mutex mutex;
    std::condition_variable_any wake;
    while (!stop.stop_requested()) {
        const Summary summary = run(stop);
        if (on_run && summary.sent + summary.later + summary.refused > 0) on_run(summary);
        std::chrono::milliseconds pause = look_every;
        if (circuit_.open())
            pause = std::max(pause, std::chrono::milliseconds(circuit_.until_probe(options_.clock())));
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
    const bool set_back = service::was_set_back(note, now);
    if (set_back || note.last_run_at + service::note_runs_every <= now)
        submit(store_, [now](service::Transaction& tx) { service::note_run(tx, now); });
    return waits || set_back;
}

void Dispatcher::work(Worker& worker, Round& round) {
    try {
        std::optional<Draft> draft = take(worker, round, false);
        while (draft) {
            if (!may_begin(worker, round)) {
                const std::lock_guard lock(round.mutex);
                round.letters.push_front(std::move(draft->leased));
                break;
            }
            std::optional<Draft> next = take(worker, round, true);
            carry(worker, *draft, next ? &*next : nullptr, round);
            draft = next ? std::move(next) : take(worker, round, false);
        }
    } catch (...) {
        round.end(std::current_exception());
    }
    const std::lock_guard lock(round.mutex);
    --round.working;
    round.settled.notify_one();
}

// The next letter to send, or nothing when this run has none. `ahead`: while another is to go first, and only
// if this one may go right behind it.
std::optional<Dispatcher::Draft> Dispatcher::take(Worker& worker, Round& round, bool ahead) {
    std::unique_lock lock(round.mutex);
    while (!round.ending()) {
        // The next letters are leased while the last ones go out.
        if (round.wants_letters()) {
            round.leasing = true;
            const int lowest_rank = round.full() ? 0 : 2;
            lock.unlock();
            lease(round, lowest_rank);
            lock.lock();
            continue;
        }
        if (ahead && (round.letters.size() < workers_.size() || circuit_.open())) break;
        const auto now = Steady::now();
        auto soonest = round.letters.begin();
        auto ready_at = now + look_every;
        for (auto one = round.letters.begin(); one != round.letters.end() && ready_at > now; ++one) {
            const auto ready = pace_.ready_at(one->person.envelope);
            if (ready < ready_at) std::tie(ready_at, soonest) = std::pair(ready, one);
            if (!pace_.slows_domains()) break;
        }
        round.starving = pace_.slows_domains() && !round.letters.empty() && ready_at > now;
        if (ready_at > now) {
            if (ahead) break;
            if (round.letters.empty() && !round.leasing) break;
            // Letters for others may have come meanwhile.
            if (round.starving && now - round.leased_at > look_every) round.drained = false;
            round.changed.wait_until(lock, ready_at);
            continue;
        }
        LeasedLetter letter = std::move(*soonest);
        round.letters.erase(soonest);
        pace_.begun(letter.person.envelope, now);
        lock.unlock();
        return prepare(worker, std::move(letter));
    }
    return std::nullopt;
}

// Asks for more letters, and returns at once; they arrive on the store's thread. The caller has set
// `leasing`.
void Dispatcher::lease(Round& round, int lowest_rank) {
    const auto batch = static_cast<std::size_t>(
        std::min(static_cast<std::int64_t>(round.low * 2), round.to_lease));  // changes only while leasing
    const service::Moment moment{options_.clock(), service::random_seed()};
    const auto leased = std::make_shared<std::vector<LeasedLetter>>();
    store_.submit(
        [this, leased, batch, lowest_rank, moment](service::Transaction& tx) {
            const auto alive = [this](const std::string& id) {
                return id == presence_->id() || store_.mailer_alive(id);
            };
            *leased = service::lease(tx, presence_->id(), batch, alive, rules_, moment, lowest_rank);
        },
        [this, leased, batch, &round](const CommitResult& result) {
            if (result.commit != Commit::done) leased->clear();
            if (result.commit == Commit::failed || result.commit == Commit::broken)
                round.end(error_of(result));
            else if (result.commit != Commit::done)
                trouble("no letters could be leased: the database is too busy, or its disk is full");
            const std::lock_guard lock(round.mutex);
            round.leased_at = Steady::now();
            round.to_lease -= static_cast<std::int64_t>(leased->size());
            round.drained = leased->size() < batch;
            std::move(leased->begin(), leased->end(), std::back_inserter(round.letters));
            std::stable_sort(round.letters.begin(), round.letters.end(),
                             [](const LeasedLetter& a, const LeasedLetter& b) {
                                 return service::rank(a.letter.kind) < service::rank(b.letter.kind);
                             });
            round.leasing = false;
            round.changed.notify_all();
            round.settled.notify_one();
        });
}

Dispatcher::Draft Dispatcher::prepare(Worker& worker, LeasedLetter leased) const {
    if (!worker.courier) {
        worker.courier = new_courier_();
        worker.renderer.emplace(templates_, rules_.texts, stationery_);
    }
    Draft draft;
    draft.parcel.envelope = {return_path_of(leased.letter, options_, rules_.keys), leased.person.envelope,
                             leased.person.needs_smtputf8};
    try {
        // Dated by its first lease, so that a letter sent again is the same letter.
        const Letter letter =
            worker.renderer->render(leased, leased.letter.first_leased_at.value_or(leased.letter.created_at));
        if (draft.parcel.envelope.sender.empty()) draft.parcel.envelope.sender = letter.from.address;
        draft.parcel.message = build_message(letter);
    } catch (const std::invalid_argument& error) {
        draft.problem = fmt::format("letter {} cannot be built: {}", leased.letter.id, error.what());
    }
    // The process may be stopped, or the clock be set, while the server takes its time.
    draft.parcel.may_go = [this, since = leased.letter.leased_at.value_or(0)] { return lease_holds(since); };
    draft.leased = std::move(leased);
    return draft;
}

// Waits until the results before the last one are on disk. False when no letter may begin any more.
bool Dispatcher::may_begin(Worker& worker, Round& round) {
    std::unique_lock lock(round.mutex);
    while (!round.ending()) {
        if (worker.unrecorded > 1) {
            worker.recorded.wait_for(lock, 1s);
            continue;
        }
        if (circuit_.may_try(options_.clock())) return true;
        if (!circuit_.probing()) break;
        round.changed.wait_for(lock, 1s);
    }
    return false;
}

void Dispatcher::carry(Worker& worker, const Draft& draft, const Draft* next, Round& round) {
    const service::Letter& letter = draft.leased.letter;
    if (draft.problem.empty() && still_ours(draft.leased)) {
        const bool announced = next && next->problem.empty();
        const Outcome outcome = worker.courier->deliver(draft.parcel, announced ? &next->parcel : nullptr);
        if (outcome.kind != Kind::try_later || lease_holds(letter.leased_at.value_or(0))) {
            settle(worker, letter, outcome, round);
            return;
        }
    }
    {
        const std::lock_guard lock(round.mutex);
        circuit_.not_tried();
    }
    Result result;
    result.kind = Result::Kind::given_back;
    if (!draft.problem.empty()) {
        // Not refused: templates and settings can be mended.
        trouble(draft.problem);
        const Outcome outcome{Kind::try_later, Scope::letter, draft.problem, false};
        count(letter.kind, outcome.kind, round);
        result = result_of(outcome, letter.attempts, options_.clock());
    }
    record(worker, letter.id, std::move(result), round);
}

// Asked right before the letter goes: the lease may have run out, or the reader may have left meanwhile. What
// the lease said a moment ago need not be asked again.
bool Dispatcher::still_ours(const LeasedLetter& leased) {
    const TimeMs now = options_.clock();
    const TimeMs since = leased.letter.leased_at.value_or(0);
    if (since <= now && now - since < lease_is_fresh_for) return true;
    if (since + rules_.lease_cap < now + longest_delivery) return false;
    bool ours = false;
    const auto ask = [&](service::Reader& reader) {
        ours = service::still_leased(reader, leased.letter.id, presence_->id(), rules_, now);
    };
    while (read(store_, ask) != Commit::done) std::this_thread::sleep_for(100ms);
    return ours;
}

bool Dispatcher::lease_holds(TimeMs leased_at) const {
    return options_.clock() <= leased_at + rules_.lease_cap;
}

void Dispatcher::settle(Worker& worker, const service::Letter& letter, const Outcome& outcome, Round& round) {
    const TimeMs now = options_.clock();
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
            round.untried.emplace_back(letter.id, outcome.reply);
        }
        if (circuit_.open() && !was_open)
            sentence =
                (outcome.scope == Scope::relay ? "the relay cannot be used: "
                                               : "the relay does not take letters as [mail] is set: ") +
                round.summary.relay_trouble;
        if (!circuit_.open() && was_open) sentence = "the relay takes letters again";
        if (circuit_.open() || was_open) round.changed.notify_all();
    }
    if (outcome.scope == Scope::letter)
        record(worker, letter.id, result_of(outcome, letter.attempts, now), round);
    if (!sentence.empty()) trouble(sentence);
    count(letter.kind, outcome.kind, round);
}

void Dispatcher::count(service::LetterKind kind, Kind outcome, Round& round) {
    std::int64_t done = 0;
    {
        const std::lock_guard lock(round.mutex);
        Summary& sum = round.summary;
        ++(outcome == Kind::delivered ? sum.sent : outcome == Kind::refused ? sum.refused : sum.later);
        done = sum.sent + sum.later + sum.refused;
    }
    const std::lock_guard lock(telling_);
    if (options_.on_result) options_.on_result(kind, outcome);
    if (options_.on_progress) options_.on_progress(done);
}

void Dispatcher::record(Worker& worker, service::Id letter, Result result, Round& round) {
    {
        const std::lock_guard lock(round.mutex);
        ++worker.unrecorded;
        ++round.unrecorded;
    }
    const service::Moment moment{options_.clock(), service::random_seed()};
    submit_result(std::make_shared<const Done>(Done{&worker, letter, std::move(result), moment}), round);
}

// Returns at once; the store commits what comes together together, and says so on its own thread.
void Dispatcher::submit_result(const std::shared_ptr<const Done>& done, Round& round) {
    store_.submit(
        [this, done](service::Transaction& tx) {
            service::record_result(tx, done->letter, presence_->id(), done->result, rules_, done->moment);
        },
        [done, &round](const CommitResult& result) {
            const bool hopeless = result.commit == Commit::failed || result.commit == Commit::broken;
            if (hopeless) round.end(error_of(result));
            const std::lock_guard lock(round.mutex);
            if (result.commit == Commit::done || hopeless) {
                --round.unrecorded;
                --done->worker->unrecorded;
                done->worker->recorded.notify_one();
            } else {
                round.over = true;
                round.stuck.push_back(done);
            }
            if (!round.stuck.empty() || round.working == 0) round.settled.notify_one();
        });
}

// Waits until the couriers' threads have no more letters and everything is on disk.
void Dispatcher::see_to_the_end(Round& round) {
    std::unique_lock lock(round.mutex);
    for (int tries = 1;; ++tries) {
        round.settled.wait(lock, [&round] {
            return !round.stuck.empty() || (round.working == 0 && round.unrecorded == 0 && !round.leasing);
        });
        if (round.stuck.empty()) return;
        if (round.stop.stop_requested() && tries > 10) {
            if (!round.error)
                round.error = std::make_exception_ptr(
                    service::StorageError("the result of a letter could not be recorded"));
            round.unrecorded -= round.stuck.size();
            round.stuck.clear();
            continue;
        }
        const auto stuck = std::exchange(round.stuck, {});
        lock.unlock();
        if (tries == 1)
            trouble("the result of a letter cannot be recorded; nothing more is sent until it is");
        std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(50ms * tries, 1s));
        for (const auto& done : stuck) submit_result(done, round);
        lock.lock();
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
