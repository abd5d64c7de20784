// A thread for what takes longer than a request may hold a network thread, as counting through the whole
// ledger.
//
// One job at a time; a few may wait. What a job reads, it reads through the store, on the store's own
// threads.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>

namespace zgoda::http {

class Aside {
 public:
    /// Runs the job and goes on, on the caller's executor, when it has ended. False: too many wait already,
    /// and it was not run. Throws what the job threw. The object must outlive the awaitable.
    boost::asio::awaitable<bool> run(std::function<void()> job);

 private:
    std::atomic<int> jobs_ = 0;
    boost::asio::thread_pool thread_{1};
};

}  // namespace zgoda::http
