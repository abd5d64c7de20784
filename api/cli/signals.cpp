#include "api/cli/signals.h"

#include <initializer_list>

namespace zgoda::cli {

Signals::Signals() {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGURG}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

int Signals::wait() const {
    int signal = 0;
    while (sigwait(&set_, &signal) != 0) {
    }
    return signal;
}

void Signals::release() const {
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
}

StopOnSignal::StopOnSignal(const Signals& signals)
    : watcher_([this, &signals] {
          while (signals.wait() == SIGURG) {
              if (over_) return;
          }
          stop_.request_stop();
          signals.release();
          over_.wait(false);
      }) {}

StopOnSignal::~StopOnSignal() {
    over_ = true;
    over_.notify_all();
    pthread_kill(watcher_.native_handle(), SIGURG);
    watcher_.join();
}

}  // namespace zgoda::cli
