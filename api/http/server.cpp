#include "api/http/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "api/http/session.h"

namespace zgoda::http {

namespace asio = boost::asio;
using asio::generic::stream_protocol;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using Acceptor = asio::basic_socket_acceptor<stream_protocol>;

constexpr std::string_view unix_prefix = "unix:";

std::runtime_error cannot_listen(const std::string& where, const std::string& why) {
    return std::runtime_error("cannot listen on \"" + where + "\": " + why);
}

/// Removes what a dead process left; a socket that someone answers on stays.
void remove_stale_socket(const std::string& listen, const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return;
    if (!S_ISSOCK(status.st_mode)) throw cannot_listen(listen, "a file that is not a socket is there");
    asio::io_context context;
    asio::local::stream_protocol::socket probe(context);
    error_code error;
    probe.connect(asio::local::stream_protocol::endpoint(path), error);
    if (error != asio::error::connection_refused)
        throw cannot_listen(listen, "another process is listening there");
    ::unlink(path.c_str());
}

stream_protocol::endpoint resolve(const std::string& listen) {
    if (listen.starts_with(unix_prefix)) {
        const std::string path = listen.substr(unix_prefix.size());
        if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path))
            throw cannot_listen(listen, "the path is empty or too long");
        remove_stale_socket(listen, path);
        return asio::local::stream_protocol::endpoint(path);
    }
    const std::size_t colon = listen.rfind(':');
    if (colon == std::string::npos) throw cannot_listen(listen, "host:port or unix:/path is wanted");
    const std::string port = listen.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
        std::stoi(port) > 65'535)
        throw cannot_listen(listen, "the port is a number up to 65535");
    std::string host = listen.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    asio::io_context context;
    tcp::resolver resolver(context);
    error_code error;
    const auto found = resolver.resolve(host, port, tcp::resolver::passive, error);
    if (error || found.empty()) throw cannot_listen(listen, error.message());
    return found.begin()->endpoint();
}

Acceptor open(asio::io_context& context, const std::string& listen) {
    const stream_protocol::endpoint endpoint = resolve(listen);
    Acceptor acceptor(context);
    try {
        acceptor.open(endpoint.protocol());
        acceptor.set_option(asio::socket_base::reuse_address(true));
        acceptor.bind(endpoint);
        // Nobody can connect before listen(), so there is no moment with a wider mode.
        if (listen.starts_with(unix_prefix) && ::chmod(listen.substr(unix_prefix.size()).c_str(), 0660) != 0)
            throw cannot_listen(listen, std::strerror(errno));
        acceptor.listen(4096);
    } catch (const boost::system::system_error& error) {
        throw cannot_listen(listen, error.code().message());
    }
    return acceptor;
}

std::optional<tcp::endpoint> tcp_endpoint(const stream_protocol::endpoint& endpoint) {
    const int family = endpoint.data()->sa_family;
    if (family != AF_INET && family != AF_INET6) return std::nullopt;
    tcp::endpoint result;
    std::memcpy(result.data(), endpoint.data(), std::min(endpoint.size(), result.capacity()));
    return result;
}

std::string peer_text(const stream_protocol::endpoint& endpoint) {
    const auto peer = tcp_endpoint(endpoint);
    if (!peer) return "unix";
    asio::ip::address address = peer->address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    return address.to_string();
}

void refuse(Socket& socket) {
    constexpr std::string_view reply =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: "
        "close\r\n\r\n";
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(reply), ignored);
    socket.shutdown(Socket::shutdown_send, ignored);
}

}  // namespace

struct Server::Impl {
    /// The sessions of one network thread; touched by that thread alone.
    struct Shard {
        Shard(asio::io_context& loop, Surroundings shared) : context(loop), around(std::move(shared)) {}

        asio::io_context& context;
        Surroundings around;
        std::list<Session> sessions;
        bool watched = false;  // watch() is running
        bool draining = false;
    };

    Impl(Network& threads, Options given, Handler answer)
        : network(threads),
          options(std::move(given)),
          handler(std::move(answer)),
          acceptor(open(network.loop(0), options.listen)) {
        if (const auto endpoint = tcp_endpoint(acceptor.local_endpoint())) port = endpoint->port();
        for (std::size_t i = 0; i < network.size(); ++i)
            shards.push_back(std::make_unique<Shard>(
                network.loop(i), Surroundings{options, handler, warned_of_forwarding, {}}));
        begin();
        asio::co_spawn(network.loop(0), accept(), [this](std::exception_ptr) { end(); });
    }

    asio::awaitable<void> accept();
    asio::awaitable<void> watch(Shard& shard);
    void start(Shard& shard, Socket socket, std::string peer);
    void stop(std::chrono::milliseconds patience);
    void on(Shard& shard, const std::function<void(Shard&)>& action);

    /// Everything that refers to this object from a network thread stands between begin() and end().
    void begin() {
        const std::lock_guard lock(mutex);
        ++running;
    }
    void end() {
        const std::lock_guard lock(mutex);
        if (--running == 0) all_ended.notify_all();
    }

    Network& network;
    const Options options;
    const Handler handler;
    Acceptor acceptor;  // touched by the first network thread only
    unsigned short port = 0;
    std::atomic<bool> warned_of_forwarding = false;
    std::atomic<bool> stopping = false;
    std::atomic<std::size_t> connections = 0;
    std::vector<std::unique_ptr<Shard>> shards;

    std::mutex mutex;
    std::condition_variable all_ended;
    std::size_t running = 0;
};

asio::awaitable<void> Server::Impl::accept() {
    std::size_t next = 0;
    asio::steady_timer pause(network.loop(0));
    while (!stopping) {
        Shard& shard = *shards[next];
        Socket socket(shard.context);
        stream_protocol::endpoint peer;
        error_code error;
        co_await acceptor.async_accept(socket, peer, asio::redirect_error(asio::use_awaitable, error));
        if (error == asio::error::operation_aborted || stopping) break;
        if (error == asio::error::connection_aborted) continue;
        if (error) {  // no descriptors or memory left: what is open must end first
            if (options.on_trouble) options.on_trouble("accepting a connection failed: " + error.message());
            pause.expires_after(std::chrono::milliseconds(100));
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
            continue;
        }
        if (connections >= options.max_connections) {
            refuse(socket);
            continue;
        }
        ++connections;
        next = (next + 1) % shards.size();
        if (tcp_endpoint(peer)) socket.set_option(tcp::no_delay(true), error);
        begin();
        asio::post(shard.context,
                   [this, &shard, socket = std::move(socket), text = peer_text(peer)]() mutable {
                       start(shard, std::move(socket), std::move(text));
                   });
    }
    error_code ignored;
    acceptor.close(ignored);
}

void Server::Impl::start(Shard& shard, Socket socket, std::string peer) {
    const auto session =
        shard.sessions.emplace(shard.sessions.end(), std::move(socket), std::move(peer), shard.around);
    if (shard.draining) session->drain();
    asio::co_spawn(shard.context, session->run(), [this, &shard, session](std::exception_ptr error) {
        shard.sessions.erase(session);
        --connections;
        if (error && options.on_trouble) options.on_trouble("a connection ended by an exception");
        end();
    });
    if (!shard.watched) {
        shard.watched = true;
        begin();
        asio::co_spawn(shard.context, watch(shard), [this](std::exception_ptr) { end(); });
    }
}

// One timer a thread instead of one a connection: an operation then costs no timer, and a server without
// connections does not wake.
asio::awaitable<void> Server::Impl::watch(Shard& shard) {
    asio::steady_timer timer(shard.context);
    while (!shard.sessions.empty()) {
        timer.expires_after(options.deadlines.tick);
        error_code error;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
        const auto now = Session::Clock::now();
        for (Session& session : shard.sessions) session.check_deadline(now);
    }
    shard.watched = false;
}

void Server::Impl::on(Shard& shard, const std::function<void(Shard&)>& action) {
    begin();
    asio::post(shard.context, [this, &shard, action] {
        action(shard);
        end();
    });
}

void Server::Impl::stop(std::chrono::milliseconds patience) {
    if (!stopping.exchange(true) && options.listen.starts_with(unix_prefix))
        ::unlink(options.listen.substr(unix_prefix.size()).c_str());
    on(*shards[0], [this](Shard&) {
        error_code ignored;
        acceptor.close(ignored);
    });
    for (const auto& shard : shards)
        on(*shard, [](Shard& mine) {
            mine.draining = true;
            for (Session& session : mine.sessions) session.drain();
        });
    std::unique_lock lock(mutex);
    if (all_ended.wait_for(lock, patience, [this] { return running == 0; })) return;
    lock.unlock();
    for (const auto& shard : shards)
        on(*shard, [](Shard& mine) {
            for (Session& session : mine.sessions) session.abandon();
        });
    lock.lock();
    all_ended.wait(lock, [this] { return running == 0; });
}

Server::Server(Network& network, Options options, Handler handler)
    : impl_(std::make_unique<Impl>(network, std::move(options), std::move(handler))) {}

Server::~Server() {
    impl_->stop(std::chrono::milliseconds(0));
}

unsigned short Server::port() const {
    return impl_->port;
}

std::size_t Server::connections() const {
    return impl_->connections;
}

void Server::drain() {
    impl_->stop(impl_->options.deadlines.drain);
}

}  // namespace zgoda::http
