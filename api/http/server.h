// A listener: accepts connections, gives each a session on one of the network threads, and stops gracefully.
//
// One Server is one address. The public and the private one share a Network and know nothing of each other.

#pragma once

#include <cstddef>
#include <memory>

#include "api/http/network.h"
#include "api/http/options.h"
#include "api/http/route.h"

namespace zgoda::http {

class Server {
 public:
    /// Listens and serves at once. `handler` is called on all network threads at the same time.
    /// Throws std::runtime_error with one sentence when it cannot listen there. A Unix socket is made with
    /// mode 0660; one that a dead process left behind is removed, one that someone answers on is not.
    Server(Network& network, Options options, Handler handler);

    /// Stops without waiting for requests in flight; handlers at work are waited for.
    ~Server();

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// The port it listens on; 0 for a Unix socket.
    unsigned short port() const;

    /// Open connections, for a metric.
    std::size_t connections() const;

    /// Stops accepting, ends idle connections, lets each request in flight have its reply ("Connection:
    /// close"), and returns when all are gone or deadlines.drain has passed, whichever is first; what is left
    /// then is cut. Blocks: not to be called from a network thread. Calling it again does nothing.
    void drain();

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace zgoda::http
