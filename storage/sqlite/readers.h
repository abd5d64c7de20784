// The reading threads: each has a read-only connection and runs one query at a time, in a transaction of its
// own.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/sqlite/records.h"
#include "storage/sqlite/sqlite_store.h"

namespace zgoda::storage {

class Readers {
 public:
    Readers(const SqliteOptions&, NewslettersCache&);  // throws StorageError
    ~Readers();                                        // runs and answers what waits

    void read(service::Store::Query, service::Store::Done);

 private:
    struct Task {
        service::Store::Query query;
        service::Store::Done done;
    };

    void stop();
    void loop(Connection&, Records&);

    const std::size_t limit_;
    std::mutex mutex_;  // guards the next three
    std::condition_variable arrived_;
    std::deque<Task> queue_;
    bool stopping_ = false;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Records>> records_;
    std::vector<std::thread> threads_;
};

}  // namespace zgoda::storage
