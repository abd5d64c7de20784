#include "api/http/aside.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>

namespace zgoda::http {

namespace asio = boost::asio;

namespace {

constexpr int most_jobs = 4;

struct Pending {
    explicit Pending(const asio::any_io_executor& executor)
        : ended(executor, asio::steady_timer::time_point::max()) {}
    asio::steady_timer ended;  // cancelled when it is so
    std::exception_ptr error;
};

}  // namespace

asio::awaitable<bool> Aside::run(std::function<void()> job) {
    if (jobs_.fetch_add(1) >= most_jobs) {
        --jobs_;
        co_return false;
    }
    const auto executor = co_await asio::this_coro::executor;
    auto pending = std::make_shared<Pending>(executor);
    asio::post(thread_, [this, pending, job = std::move(job)]() mutable {
        try {
            job();
        } catch (...) {
            pending->error = std::current_exception();
        }
        // Nothing of the job or its error is left to end on this thread while the other one uses it.
        job = nullptr;
        --jobs_;
        // Posted to the waiting coroutine's thread, so it cannot come before the wait has begun.
        const asio::any_io_executor waiting = pending->ended.get_executor();
        asio::post(waiting, [pending = std::move(pending)] { pending->ended.cancel(); });
    });
    boost::system::error_code cancelled;
    co_await pending->ended.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (pending->error) std::rethrow_exception(pending->error);
    co_return true;
}

}  // namespace zgoda::http
