// How one listener behaves. Every default is the contract of the public listener; tests shorten the
// deadlines.

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/client_address.h"
#include "api/http/framing.h"
#include "api/http/message.h"

namespace zgoda::http {

/// Each is absolute: it starts with its phase and no byte that arrives moves it. They are looked at every
/// `tick`.
struct Deadlines {
    std::chrono::milliseconds idle{15'000};    // for the first byte of a request; then close without a word
    std::chrono::milliseconds header{10'000};  // from the first byte to the blank line; then 408
    std::chrono::milliseconds body{10'000};    // then 408
    std::chrono::milliseconds write{10'000};   // for the whole reply; then close
    std::chrono::milliseconds linger{1'000};   // after our last reply, for the client to read it and go
    std::chrono::milliseconds life{300'000};   // of a connection: the reply after it says "Connection: close"
    std::chrono::milliseconds drain{10'000};   // for what is in flight when the server stops
    std::chrono::milliseconds tick{100};
};

/// What happened to one request; for the log and the metrics. Neither path nor query: they may hold a token.
struct Exchange {
    std::string_view
        route;  // the template of the table, "" when none fitted or the request was refused before
    Method method;
    int status;
    std::chrono::microseconds took;  // from the complete request to the reply handed to the system
};

struct Options {
    /// "127.0.0.1:8080", "[::1]:8080", "localhost:8080" (port 0: any free one) or
    /// "unix:/run/zgoda/http.sock".
    std::string listen = "127.0.0.1:0";

    Limits limits;
    Deadlines deadlines;
    int requests_per_connection = 1'000;
    std::size_t max_connections = 8'000;  // more get a 503 and are closed

    /// Whose X-Forwarded-For is believed.
    TrustedProxies trusted_proxies;

    /// When not empty, the Host field without its port must be one of these, or the answer is 421: a page of
    /// another origin that rebinds its name to our loopback address gets nowhere. Not looked at on a Unix
    /// socket.
    std::vector<std::string> hosts;

    /// Called once a request, on a network thread: must be thread-safe and quick. May be empty.
    std::function<void(const Exchange&)> on_exchange;

    /// One sentence for the log about what the operator should know: an exception of a handler, accept()
    /// failing, X-Forwarded-For from someone untrusted (once). Never holds anything that a client sent. May
    /// be empty.
    std::function<void(std::string_view)> on_trouble;

    /// Told the first peer that sent X-Forwarded-For without being trusted: an address, or "unix". May be
    /// empty.
    std::function<void(const std::string& peer)> on_untrusted_proxy;

    /// Called on a refusal that no handler saw, before it is written. Of the request only `origin` is sure to
    /// be there, if it had one. May be empty.
    std::function<void(const Request&, Response&)> on_refusal;
};

}  // namespace zgoda::http
