// The network threads: one io_context each, so that a connection lives on one thread and needs no lock or
// strand.
//
// Build it before the Servers that use it and let it outlive them: a Server's end waits for these threads.

#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

namespace zgoda::http {

class Network {
 public:
    /// Starts the threads; 0 means one a core.
    explicit Network(int threads);

    /// Stops them. Every Server must be gone.
    ~Network();

    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    std::size_t size() const { return loops_.size(); }
    boost::asio::io_context& loop(std::size_t index) { return loops_[index]->context; }

 private:
    struct Loop {
        boost::asio::io_context context{1};  // one thread runs it, any may post to it
        boost::asio::executor_work_guard<boost::asio::io_context::executor_type> stays{
            context.get_executor()};
        std::thread thread;
    };

    std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace zgoda::http
