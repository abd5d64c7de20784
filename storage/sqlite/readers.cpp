#include "storage/sqlite/readers.h"

namespace zgoda::storage {

using service::Commit;
using service::Store;

namespace {

constexpr int busy_timeout_ms = 5000;  // only while another process recovers the WAL
constexpr int cache_kib = 4 * 1024;

service::CommitResult run(Connection& db, Records& records, const Store::Query& query) {
    try {
        db.run("BEGIN");
        records.begin_view();
        query(records);
        db.run("COMMIT");
        return {Commit::done, nullptr};
    } catch (...) {
        const auto error = std::current_exception();
        try {
            if (db.in_transaction()) db.run("ROLLBACK");
        } catch (const service::StorageError&) {
            // The first error is the one to tell.
        }
        return {Commit::failed, error};
    }
}

}  // namespace

Readers::Readers(const SqliteOptions& options, NewslettersCache& cache) : limit_(options.queue) {
    for (int i = 0; i < options.readers; ++i) {
        connections_.push_back(std::make_unique<Connection>(options.file, options.vfs, Connection::Mode::read,
                                                            busy_timeout_ms, cache_kib));
        records_.push_back(std::make_unique<Records>(*connections_.back(), cache, nullptr));
    }
    try {
        for (std::size_t i = 0; i < connections_.size(); ++i) {
            threads_.emplace_back([this, i] { loop(*connections_[i], *records_[i]); });
        }
    } catch (...) {
        stop();
        throw;
    }
}

Readers::~Readers() {
    stop();
}

void Readers::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    arrived_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void Readers::read(Store::Query query, Store::Done done) {
    {
        const std::lock_guard lock(mutex_);
        if (queue_.size() < limit_) {
            queue_.push_back({std::move(query), std::move(done)});
            arrived_.notify_one();
            return;
        }
    }
    done({Commit::busy, nullptr});
}

void Readers::loop(Connection& db, Records& records) {
    while (true) {
        Task task;
        {
            std::unique_lock lock(mutex_);
            arrived_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) return;
            task = std::move(queue_.front());
            queue_.pop_front();
        }
        task.done(run(db, records, task.query));
    }
}

}  // namespace zgoda::storage
