// SIGTERM, SIGINT and SIGHUP as something to wait for, instead of the end of the process.
#pragma once

#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

namespace zgoda::cli {

// To be made before any other thread is, because threads inherit that these signals are left to wait().
class Signals {
 public:
    Signals();
    ~Signals() { release(); }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    // For the next one: its number. SIGURG, which means nothing to anybody, only wakes who waits.
    int wait() const;

    // From now on they end the process again, as long as this thread lives.
    void release() const;

 private:
    sigset_t set_;
};

// While it lives, the first signal asks for a stop, and the second one ends the process.
class StopOnSignal {
 public:
    explicit StopOnSignal(const Signals&);
    ~StopOnSignal();
    StopOnSignal(const StopOnSignal&) = delete;
    StopOnSignal& operator=(const StopOnSignal&) = delete;

    std::stop_token token() const { return stop_.get_token(); }

 private:
    std::stop_source stop_;
    std::atomic<bool> over_ = false;
    std::thread watcher_;
};

}  // namespace zgoda::cli
