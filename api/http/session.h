// One connection: reads a request, asks the handler, writes the reply, until one side has had enough.
//
// Everything in here runs on the thread of the connection's io_context. Only server.cpp uses it.

#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <ctime>
#include <string>
#include <string_view>

#include "api/http/options.h"
#include "api/http/route.h"

namespace zgoda::http {

/// TCP and Unix sockets alike, so that nothing here is a template.
using Socket = boost::asio::generic::stream_protocol::socket;

/// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", made once a second. One a thread.
class DateLine {
 public:
    std::string_view now();

 private:
    std::time_t second_ = -1;
    std::string line_;
};

/// What the sessions of one listener share on one thread. Outlives them.
struct Surroundings {
    const Options& options;
    const Handler& handler;
    std::atomic<bool>& warned_of_forwarding;
    DateLine date;
};

class Session {
 public:
    using Clock = std::chrono::steady_clock;

    /// `peer` is an address as text, or "unix".
    Session(Socket socket, std::string peer, Surroundings& around);

    /// The whole life of the connection; the socket is closed when it returns.
    boost::asio::awaitable<void> run();

    /// Ends the phase whose deadline has passed. The server calls it for every session, once a tick.
    void check_deadline(Clock::time_point now);

    /// No further request: an idle connection ends at once, a busy one after its reply.
    void drain();

    /// Ends it now. A handler that is still working is waited for, its reply is not sent.
    void abandon();

 private:
    enum class Arrival { complete, refused, gone };

    boost::asio::awaitable<bool> wait_for_request();
    boost::asio::awaitable<bool> exchange(bool last);
    boost::asio::awaitable<Arrival> read_request(Request& request, Refusal& refusal);
    boost::asio::awaitable<Arrival> read_head(std::size_t& size, Refusal& refusal);
    boost::asio::awaitable<Response> answer(Request& request);
    boost::asio::awaitable<bool> write(const Response& response, bool head_only, bool close);
    boost::asio::awaitable<bool> write_pieces(const Response& response);
    boost::asio::awaitable<bool> write_piece(std::string_view piece);
    boost::asio::awaitable<void> linger();

    void start_phase(std::chrono::milliseconds allowed);
    std::string_view buffered() const;
    std::optional<Refusal> settle_client(Request& request);

    Socket socket_;
    const std::string peer_;
    const bool peer_is_trusted_;
    Surroundings& around_;
    boost::beast::flat_buffer buffer_;
    const Clock::time_point end_of_life_;
    Clock::time_point deadline_ = Clock::time_point::max();
    bool expired_ = false;  // the deadline of this phase passed
    bool waiting_ = false;  // between two requests
    bool draining_ = false;
    bool keep_alive_ = true;  // as far as the client is concerned
    bool chunks_ = true;      // the client understands chunked replies
};

}  // namespace zgoda::http
