// The store, for coroutines: hand over a unit of work and go on when its outcome is known.
//
// The coroutine is resumed on its own executor, which must run it on one thread at a time and outlive the
// store's last call of `done`. `work` and `query` are copied and may run, and even commit, after the awaiting
// coroutine has given up: what they point at must be theirs (a shared_ptr) or live as long as the store.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "service/store.h"

namespace zgoda::http {

/// No outcome within 2 s is told as `too_late`, though the work may still be done: doing it again must be
/// harmless.
boost::asio::awaitable<service::CommitResult> submit(service::Store& store, service::Store::Work work);
boost::asio::awaitable<service::CommitResult> read(service::Store& store, service::Store::Query query);

/// For what nobody waits for with a finger on the button: `too_late` after so long.
boost::asio::awaitable<service::CommitResult> read_patiently(service::Store& store,
                                                             service::Store::Query query,
                                                             std::chrono::seconds patience);

}  // namespace zgoda::http
