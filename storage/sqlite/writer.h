// The one thread of a process that writes: takes waiting units of work and commits them in groups.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/sqlite/lock_file.h"
#include "storage/sqlite/records.h"
#include "storage/sqlite/sqlite_store.h"
#include "storage/sqlite/wal_vfs.h"
#include "storage/sqlite/withdrawals_journal.h"

namespace zgoda::storage {

class Writer {
 public:
    // Throws StorageError if the database can't be opened for writing.
    Writer(const SqliteOptions&, NewslettersCache&);
    ~Writer();  // runs and answers what waits

    void submit(service::Store::Work, service::Store::Done);
    StoreStats stats() const;

 private:
    using Clock = std::chrono::steady_clock;

    struct Unit {
        service::Store::Work work;
        service::Store::Done done;
        Clock::time_point since;
    };
    struct Outcome {
        Unit unit;
        service::CommitResult result;
    };

    void loop();
    bool fetch();
    void collect();
    void run_group();
    bool begin();
    bool take_lock();
    void drop_stale();
    bool run_units(bool savepoints);
    void start_again();
    std::exception_ptr run_unit(const service::Store::Work&);
    void give_up_group(const SqliteError&);
    void answer(const service::Store::Done&, service::CommitResult);
    void answer_group();
    void checkpoint(int mode);
    void empty_wal();
    void empty_wal_later();
    void break_down(const std::string& what);
    void tell_trouble(const std::string& what);

    const SqliteOptions options_;
    WriteLock lock_;
    WithdrawalsJournal journal_;
    WalVfs vfs_;
    Connection db_;
    Records records_;

    std::mutex mutex_;  // guards the next three
    std::condition_variable arrived_;
    std::deque<Unit> queue_;
    bool stopping_ = false;

    std::atomic<bool> broken_ = false;
    std::atomic<std::size_t> waiting_ = 0;  // in queue_, batch_ and group_

    // The writer's thread only.
    std::deque<Unit> batch_;      // taken from the queue, not run yet
    std::vector<Outcome> group_;  // run, not answered yet
    bool checkpointed_once_ = false;
    bool disk_was_full_ = false;
    Clock::time_point last_checkpoint_{};
    int wal_pages_ = 0;  // as of the last commit
    int checkpoint_at_ = 0;
    bool wal_holds_erased_ = false;  // until it is emptied, it has copies of what was erased
    Clock::time_point tried_to_empty_{};

    struct Counters {
        std::atomic<std::uint64_t> groups = 0, wal_pages = 0, checkpoints = 0, commit_microseconds = 0,
                                   last_commit_ms = 0;
        std::atomic<std::uint64_t> answered[6] = {};  // by Commit
    } counters_;

    std::thread thread_;  // last: it uses all of the above
};

}  // namespace zgoda::storage
