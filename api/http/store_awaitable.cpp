#include "api/http/store_awaitable.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>

namespace zgoda::http {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds usual_patience{2};

// Touched on the coroutine's thread only. Whoever is last lets it go: the store may answer after we left.
struct Pending {
    Pending(const asio::any_io_executor& executor, std::chrono::seconds patience)
        : alarm(executor, patience) {}
    asio::steady_timer alarm;
    std::optional<service::CommitResult> result;
};

service::Store::Done telling(const std::shared_ptr<Pending>& pending) {
    return [pending](service::CommitResult result) {
        asio::post(pending->alarm.get_executor(), [pending, result] {
            pending->result = result;
            pending->alarm.cancel();
        });
    };
}

// The answer is posted to this thread, so it cannot come before the wait has begun.
asio::awaitable<service::CommitResult> outcome(std::shared_ptr<Pending> pending) {
    boost::system::error_code cancelled;
    co_await pending->alarm.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    co_return pending->result.value_or(service::CommitResult{service::Commit::too_late, nullptr});
}

}  // namespace

asio::awaitable<service::CommitResult> submit(service::Store& store, service::Store::Work work) {
    const auto executor = co_await asio::this_coro::executor;
    const auto pending = std::make_shared<Pending>(executor, usual_patience);
    store.submit(std::move(work), telling(pending));
    const auto result = co_await outcome(pending);
    co_return result;
}

asio::awaitable<service::CommitResult> read(service::Store& store, service::Store::Query query) {
    const auto result = co_await read_patiently(store, std::move(query), usual_patience);
    co_return result;
}

asio::awaitable<service::CommitResult> read_patiently(service::Store& store, service::Store::Query query,
                                                      std::chrono::seconds patience) {
    const auto executor = co_await asio::this_coro::executor;
    const auto pending = std::make_shared<Pending>(executor, patience);
    store.read(std::move(query), telling(pending));
    const auto result = co_await outcome(pending);
    co_return result;
}

}  // namespace zgoda::http
