#include "storage/sqlite/writer.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace zgoda::storage {

using namespace std::chrono_literals;
using service::Commit;
using service::CommitResult;
using service::Store;

namespace {

constexpr auto longest_hold = 50ms;   // of the write lock, before other processes get their turn
constexpr auto lock_poll = 250us;     // how often it is asked for
constexpr int busy_timeout_ms = 100;  // for who writes without asking the lock, as the sqlite3 shell does
// Small: a commit walks through all pages of the cache if a page of an index was split in it.
constexpr int cache_kib = 8 * 1024;
constexpr auto empty_again_after = 1s;  // if a reader kept the WAL from being emptied
constexpr auto empty_before_end = 2s;   // the longest that a process stays for that

std::uint64_t microseconds(std::chrono::steady_clock::duration time) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

}  // namespace

Writer::Writer(const SqliteOptions& options, NewslettersCache& cache)
    : options_(options),
      lock_(options.file),
      journal_(options.withdrawals_journal),
      vfs_(options.vfs),
      db_(options.file, vfs_.name(), Connection::Mode::write, busy_timeout_ms, cache_kib),
      records_(db_, cache, &journal_),
      checkpoint_at_(options.checkpoint_pages) {
    sqlite3_wal_hook(
        db_.handle(),
        [](void* pages, sqlite3*, const char*, int count) {
            *static_cast<int*>(pages) = count;
            return SQLITE_OK;
        },
        &wal_pages_);
    if (options.create) journal_.open();
    thread_ = std::thread([this] { loop(); });
}

Writer::~Writer() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    arrived_.notify_one();
    thread_.join();
}

void Writer::submit(Store::Work work, Store::Done done) {
    Commit refused = Commit::done;
    if (broken_) {
        refused = Commit::broken;
    } else if (waiting_.fetch_add(1) >= options_.queue) {
        --waiting_;
        refused = Commit::busy;
    }
    if (refused != Commit::done) {
        ++counters_.answered[static_cast<std::size_t>(refused)];
        done({refused, nullptr});
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        queue_.push_back({std::move(work), std::move(done), Clock::now()});
        if (queue_.size() > 1) return;  // who made it non-empty has notified
    }
    arrived_.notify_one();
}

StoreStats Writer::stats() const {
    const auto answered = [this](Commit commit) {
        return counters_.answered[static_cast<std::size_t>(commit)].load();
    };
    StoreStats s;
    s.queue_depth = waiting_;
    s.groups = counters_.groups;
    s.units = answered(Commit::done);
    s.busy = answered(Commit::busy);
    s.too_late = answered(Commit::too_late);
    s.disk_full = answered(Commit::disk_full);
    s.failed = answered(Commit::failed);
    s.wal_pages = counters_.wal_pages;
    s.checkpoints = counters_.checkpoints;
    s.commit_microseconds = counters_.commit_microseconds;
    s.last_commit_ms = static_cast<service::DurationMs>(counters_.last_commit_ms.load());
    s.broken = broken_;
    return s;
}

void Writer::loop() {
    while (fetch()) {
        try {
            if (batch_.empty())
                empty_wal_later();
            else
                run_group();
        } catch (const std::exception& e) {
            break_down(e.what());
        }
    }
    const auto end = Clock::now() + empty_before_end;
    while (wal_holds_erased_ && !broken_ && Clock::now() < end) {
        empty_wal_later();
        if (wal_holds_erased_) std::this_thread::sleep_for(10ms);
    }
}

// Waits for units, or (with none) until the WAL should be emptied; false when there will be no more.
bool Writer::fetch() {
    std::unique_lock lock(mutex_);
    const auto woken = [this] { return stopping_ || !queue_.empty(); };
    if (batch_.empty() && wal_holds_erased_)
        arrived_.wait_until(lock, tried_to_empty_ + empty_again_after, woken);
    else if (batch_.empty())
        arrived_.wait(lock, woken);
    collect();
    return !batch_.empty() || !stopping_;
}

// The caller holds mutex_.
void Writer::collect() {
    while (!queue_.empty()) {
        batch_.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
}

void Writer::run_group() {
    if (broken_) {
        break_down("");
        return;
    }
    if (!take_lock()) return;
    // The first checkpoint writes again what an earlier process may have failed to bring to disk. After a
    // full disk, one may make the room that the WAL needs.
    if (!checkpointed_once_ || (disk_was_full_ && Clock::now() - last_checkpoint_ > 1s)) {
        checkpoint(SQLITE_CHECKPOINT_PASSIVE);
    }
    if (broken_) return;
    try {
        if (!begin()) {
            lock_.unlock();
            drop_stale();
            return;
        }
        if (!run_units(false)) {
            start_again();
            run_units(true);
        }
        records_.end_group();
        journal_.append(records_.withdrawals());
        const int wal_before = wal_pages_;
        const auto start = Clock::now();
        db_.run("COMMIT");
        journal_.keep();
        if (records_.erased()) {
            wal_holds_erased_ = true;
            tried_to_empty_ = {};
        }
        if (wal_pages_ < wal_before) checkpoint_at_ = options_.checkpoint_pages;  // the WAL started anew
        const auto took = microseconds(Clock::now() - start);
        counters_.commit_microseconds += took;
        counters_.last_commit_ms = took / 1000;
        counters_.wal_pages = static_cast<std::uint64_t>(wal_pages_);
        ++counters_.groups;
        disk_was_full_ = false;
    } catch (const SqliteError& error) {
        give_up_group(error);
        if (broken_) return;
    }
    const bool to_empty = wal_holds_erased_ && Clock::now() - tried_to_empty_ > empty_again_after;
    const bool long_wal = wal_pages_ >= checkpoint_at_;
    if (!long_wal && !to_empty) lock_.unlock();
    answer_group();
    if (to_empty) {
        empty_wal();
    } else if (long_wal) {
        // PASSIVE never waits for readers. If they kept the WAL from starting anew for long, wait for them.
        checkpoint(wal_pages_ >= 4 * options_.checkpoint_pages ? SQLITE_CHECKPOINT_RESTART
                                                               : SQLITE_CHECKPOINT_PASSIVE);
    }
    if (to_empty || long_wal) lock_.unlock();
}

// Deleted bytes are overwritten in the database, but the WAL still has the pages as they were. The caller
// holds the lock.
void Writer::empty_wal() {
    checkpoint(SQLITE_CHECKPOINT_TRUNCATE);
    tried_to_empty_ = Clock::now();
    std::error_code error;
    const auto length = std::filesystem::file_size(options_.file.string() + "-wal", error);
    if (error || length != 0) return;
    wal_holds_erased_ = false;
    wal_pages_ = 0;
    counters_.wal_pages = 0;
    checkpoint_at_ = options_.checkpoint_pages;
}

// With no unit to run: at once, or not now.
void Writer::empty_wal_later() {
    if (broken_) {
        wal_holds_erased_ = false;
        return;
    }
    if (lock_.try_lock()) empty_wal();
    tried_to_empty_ = Clock::now();
    if (!broken_) lock_.unlock();
}

// Gets the right to write, or runs out of units that may still run.
bool Writer::take_lock() {
    while (!lock_.try_lock()) {
        drop_stale();
        if (batch_.empty()) {
            lock_.unlock();
            return false;
        }
        std::this_thread::sleep_for(lock_poll);
        const std::lock_guard lock(mutex_);
        collect();
    }
    return true;
}

bool Writer::begin() {
    db_.forget_error();
    try {
        db_.run("BEGIN IMMEDIATE");
    } catch (const SqliteError& error) {
        if (error.trouble() == Trouble::locked) return false;
        throw;
    }
    records_.begin_view();
    return true;
}

void Writer::drop_stale() {
    const auto oldest = Clock::now() - std::chrono::milliseconds(options_.stale_after);
    while (!batch_.empty() && batch_.front().since < oldest) {
        answer(batch_.front().done, {Commit::too_late, nullptr});
        batch_.pop_front();
    }
}

// A savepoint for each unit costs a fifth of a signup, because SQLite copies every page that the unit
// touches, and units hardly ever throw. So a group runs without them first. False: a unit threw, and the
// transaction is of no use.
bool Writer::run_units(bool savepoints) {
    const auto stale = std::chrono::milliseconds(options_.stale_after);
    const auto deadline = Clock::now() + longest_hold;
    for (auto now = Clock::now(); !batch_.empty() && now < deadline; now = Clock::now()) {
        group_.push_back({std::move(batch_.front()), {Commit::done, nullptr}});
        batch_.pop_front();
        auto& [unit, result] = group_.back();
        if (now - unit.since > stale) {
            result.commit = Commit::too_late;
            continue;
        }
        if (savepoints) {
            db_.run("SAVEPOINT unit");
            records_.begin_unit();
        }
        if (auto thrown = run_unit(unit.work)) {
            if (!savepoints) return false;
            db_.run("ROLLBACK TO unit");
            records_.undo_unit();
            result = {Commit::failed, std::move(thrown)};
        }
        if (savepoints) db_.run("RELEASE unit");
    }
    return true;
}

void Writer::start_again() {
    db_.run("ROLLBACK");
    vfs_.rolled_back();
    for (; !group_.empty(); group_.pop_back()) batch_.push_front(std::move(group_.back().unit));
    db_.run("BEGIN IMMEDIATE");
    records_.begin_view();
}

// Returns what the unit threw. Throws what is the whole group's trouble.
std::exception_ptr Writer::run_unit(const Store::Work& work) {
    std::exception_ptr thrown;
    try {
        work(records_);
        records_.end_unit();
    } catch (...) {
        thrown = std::current_exception();
    }
    if (const auto& error = db_.error()) {
        // An error of the file is everybody's, whether the unit let it pass or not; so is a lost transaction.
        if (!db_.in_transaction() || error->trouble() != Trouble::statement) throw SqliteError(*error);
        if (!thrown) thrown = std::make_exception_ptr(*error);
        db_.forget_error();
    }
    return thrown;
}

// The transaction came to nothing: so did every unit in it.
void Writer::give_up_group(const SqliteError& error) {
    Commit commit = Commit::failed;
    if (error.trouble() == Trouble::disk_full) commit = Commit::disk_full;
    if (error.trouble() == Trouble::locked) commit = Commit::busy;
    bool undone = error.trouble() != Trouble::broken;
    try {
        if (undone && db_.in_transaction()) db_.run("ROLLBACK");
    } catch (const SqliteError&) {
        undone = false;
    }
    if (!undone) {
        break_down(error.what());
        return;
    }
    vfs_.rolled_back();
    journal_.undo();
    for (auto& outcome : group_) {
        if (outcome.result.commit != Commit::done) continue;
        outcome.result = {commit, commit == Commit::failed ? std::make_exception_ptr(error) : nullptr};
    }
    if (commit == Commit::disk_full) disk_was_full_ = true;
    tell_trouble(error.what());
}

void Writer::answer(const Store::Done& done, CommitResult result) {
    --waiting_;
    ++counters_.answered[static_cast<std::size_t>(result.commit)];
    done(std::move(result));
}

void Writer::answer_group() {
    for (auto& [unit, result] : group_) answer(unit.done, std::move(result));
    group_.clear();
}

// The caller holds the lock.
void Writer::checkpoint(int mode) {
    db_.forget_error();
    last_checkpoint_ = Clock::now();
    errno = 0;
    const int code = sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, mode, nullptr, nullptr);
    // The WAL starts anew with the next commit, or, while a reader needs it, with a later one.
    checkpoint_at_ = wal_pages_ + options_.checkpoint_pages;
    if (code == SQLITE_OK) {
        checkpointed_once_ = true;
        ++counters_.checkpoints;
    }
    if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY) return;
    try {
        db_.fail(code);
    } catch (const SqliteError& error) {
        if (error.trouble() == Trouble::broken) {
            break_down(error.what());
        } else {
            disk_was_full_ = true;
            tell_trouble(error.what());
        }
    }
}

// From here on nothing is acknowledged. The lock is kept: nobody else should trust the file either before a
// start that looks at it anew, and this process is about to end.
void Writer::break_down(const std::string& what) {
    const bool first = !broken_.exchange(true);
    for (auto& outcome : group_) {
        if (outcome.result.commit == Commit::done) outcome.result = {Commit::broken, nullptr};
    }
    answer_group();
    {
        const std::lock_guard lock(mutex_);
        collect();
    }
    for (; !batch_.empty(); batch_.pop_front()) answer(batch_.front().done, {Commit::broken, nullptr});
    if (first && options_.on_broken) options_.on_broken(what);
}

void Writer::tell_trouble(const std::string& what) {
    if (options_.on_trouble) options_.on_trouble(what);
}

}  // namespace zgoda::storage
