// A real server on loopback and a client that writes raw bytes.

#include "api/http/server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace zgoda::http;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

struct Reply {
    int status = 0;  // 0: the connection ended first
    std::string head, body;

    bool closes() const { return head.find("\r\nConnection: close\r\n") != std::string::npos; }
    std::string field(const std::string& name) const {
        const std::size_t at = head.find("\r\n" + name + ": ");
        if (at == std::string::npos) return "";
        const std::size_t begin = at + name.size() + 4;
        return head.substr(begin, head.find("\r\n", begin) - begin);
    }
};

class Client {
 public:
    explicit Client(unsigned short port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) { connect_to(port); }
    explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        connect(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
    ~Client() { ::close(fd_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    bool connected() const { return connected_; }

    void send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    Reply reply(bool head_only = false) {
        Reply reply;
        while (buffer_.find("\r\n\r\n") == std::string::npos)
            if (!more()) return reply;
        const std::size_t end = buffer_.find("\r\n\r\n") + 4;
        reply.head = buffer_.substr(0, end);
        buffer_.erase(0, end);
        const std::string length = reply.field("Content-Length");
        const std::size_t size = length.empty() || head_only ? 0 : std::stoul(length);
        while (buffer_.size() < size)
            if (!more()) return reply;
        reply.body = buffer_.substr(0, size);
        buffer_.erase(0, size);
        reply.status = std::stoi(reply.head.substr(9, 3));
        return reply;
    }

    Reply ask(std::string_view request) {
        send(request);
        return reply();
    }

    /// Everything until the server closes; what arrived before is in it.
    std::string rest() {
        while (more()) {
        }
        return std::exchange(buffer_, {});
    }

    bool ended() { return rest().empty() && !timed_out_; }
    bool was_reset() const { return reset_; }
    int fd() const { return fd_; }

 private:
    void connect_to(unsigned short port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connect(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
    void connect(const sockaddr* address, socklen_t size) {
        const timeval patience{10, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        connected_ = ::connect(fd_, address, size) == 0;
    }
    bool more() {
        char bytes[16384];
        const ssize_t got = ::recv(fd_, bytes, sizeof(bytes), 0);
        if (got > 0) buffer_.append(bytes, static_cast<std::size_t>(got));
        if (got < 0) (errno == EAGAIN ? timed_out_ : reset_) = true;
        return got > 0;
    }

    int fd_;
    bool connected_ = false;
    bool timed_out_ = false;
    bool reset_ = false;
    std::string buffer_;
};

boost::asio::awaitable<Response> echo(const Request& request) {
    co_return Response{200,
                       "text/plain",
                       std::string(name_of(request.method)) + " " + request.path + " ?" + request.query +
                           " from " + request.client + " host " + request.host + " origin " + request.origin +
                           " auth " + request.authorization + " slug " + request.path_parameter + " body " +
                           request.body,
                       {}};
}

boost::asio::awaitable<Response> slow(const Request& request, std::chrono::milliseconds pause) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, pause);
    co_await timer.async_wait(boost::asio::use_awaitable);
    co_return Response{200, "text/plain", "slow " + request.path, {}};
}

boost::asio::awaitable<Response> fail(const Request&) {
    throw std::runtime_error("the disk is on fire");
    co_return Response{};
}

boost::asio::awaitable<Response> split(const Request&) {
    co_return Response{200, "text/plain", "", {{"X-Name", "a\r\nX-Evil: b"}}};
}

boost::asio::awaitable<Response> block(const Request&) {
    std::this_thread::sleep_for(200ms);
    co_return Response{200, "text/plain", "blocked", {}};
}

boost::asio::awaitable<Response> large(const Request&) {
    co_return Response{200, "text/plain", std::string(64 << 20, 'x'), {}};
}

boost::asio::awaitable<Response> nothing(const Request&) {
    co_return Response{204, "", "", {}};
}

/// Gives `first`, `second` and the end; or, of `broken`, the first one only; or throws after it.
boost::asio::awaitable<std::optional<std::string>> next_of(std::shared_ptr<int> given, std::string path) {
    const int number = (*given)++;
    if (number == 0) co_return "first";
    if (path == "/pieces/broken") co_return std::nullopt;
    if (path == "/pieces/failing") throw std::runtime_error("the rest is on fire");
    if (path == "/pieces/long") co_return number < 4000 ? std::string(20'000, 'x') : "";
    co_return number == 1 ? "second" : "";
}

boost::asio::awaitable<Response> pieces(const Request& request) {
    Response response{200, "text/plain", "head ", {}};
    response.pieces = [given = std::make_shared<int>(0), path = request.path] {
        return next_of(given, path);
    };
    co_return response;
}

/// A server whose deadlines are short enough to be waited for, and what it told its callbacks.
class Served {
 public:
    explicit Served(const std::function<void(Options&)>& adjust = {})
        : server_(network_, options(adjust), handler()) {}

    unsigned short port() const { return server_.port(); }
    Server& server() { return server_; }
    Reply ask(std::string_view request) { return Client(port()).ask(request); }

    std::vector<std::string> seen() {  // paths that reached a handler
        const std::lock_guard lock(mutex_);
        return seen_;
    }
    std::vector<std::string> log() {
        const std::lock_guard lock(mutex_);
        return log_;
    }
    std::vector<std::string> troubles() {
        const std::lock_guard lock(mutex_);
        return troubles_;
    }
    bool empties_within(std::chrono::milliseconds patience) const {
        const auto end = Clock::now() + patience;
        while (server_.connections() > 0 && Clock::now() < end) std::this_thread::sleep_for(5ms);
        return server_.connections() == 0;
    }

 private:
    Options options(const std::function<void(Options&)>& adjust) {
        Options options;
        options.deadlines = {.idle = 400ms,
                             .header = 400ms,
                             .body = 400ms,
                             .write = 400ms,
                             .linger = 400ms,
                             .life = 60s,
                             .drain = 5s,
                             .tick = 10ms};
        options.on_exchange = [this](const Exchange& exchange) {
            const std::lock_guard lock(mutex_);
            log_.push_back(std::string(exchange.route) + " " + std::string(name_of(exchange.method)) + " " +
                           std::to_string(exchange.status));
        };
        options.on_trouble = [this](std::string_view what) {
            const std::lock_guard lock(mutex_);
            troubles_.emplace_back(what);
        };
        if (adjust) adjust(options);
        return options;
    }

    Handler handler() {
        return [this](Request& request) {
            {
                const std::lock_guard lock(mutex_);
                seen_.push_back(request.path);
            }
            return dispatch(routes_, request);
        };
    }

    const Routes routes_{
        {Method::get, "/", echo},
        {Method::post, "/", echo},
        {Method::get, "/echo", echo},
        {Method::options, "/echo", echo},
        {Method::post, "/echo", echo},
        {Method::get, "/newsletters/first", echo},
        {Method::get, "/newsletters/{slug}", echo},
        {Method::get, "/newsletters/{slug}/embed", echo},
        {Method::del, "/newsletters/{slug}", echo},
        {Method::get, "/embed.{hash}.js", echo},
        {Method::get, "/slow", [](const Request& request) { return slow(request, 300ms); }},
        {Method::get, "/fail", fail},
        {Method::get, "/split", split},
        {Method::get, "/large", large},
        {Method::get, "/nothing", nothing},
        {Method::get, "/pieces/{kind}", pieces},
    };
    std::mutex mutex_;
    std::vector<std::string> seen_, log_, troubles_;
    Network network_{2};
    Server server_;
};

std::string get(const std::string& target, const std::string& fields = "") {
    return "GET " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

std::string post(const std::string& body, const std::string& fields = "") {
    return "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           fields + "\r\n" + body;
}

std::size_t count(const std::string& text, const std::string& what) {
    std::size_t found = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
}

std::chrono::milliseconds since(Clock::time_point start) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
}

Options listening_on(const std::string& where) {
    Options options;
    options.listen = where;
    return options;
}

void take_chunked(Options& options) {
    options.limits.chunked = true;
}

}  // namespace

TEST_SUITE("server") {
    TEST_CASE("a request is answered and the connection kept") {
        Served served;
        Client client(served.port());
        const Reply first =
            client.ask(get("/echo?a=%41", "Origin: https://news.example\r\nAuthorization: Bearer x\r\n"));
        CHECK(first.status == 200);
        CHECK(first.body ==
              "GET /echo ?a=%41 from 127.0.0.1 host a origin https://news.example auth Bearer x slug  body ");
        CHECK_FALSE(first.closes());
        CHECK(first.field("Content-Type") == "text/plain");
        CHECK(first.field("Server") == "");
        CHECK(first.field("Date").size() == std::string("Sun, 06 Nov 1994 08:49:37 GMT").size());
        CHECK(client.ask(post("hello")).body.ends_with("body hello"));
        CHECK(served.server().connections() == 1);
    }

    TEST_CASE("pipelined requests are answered in order") {
        Served served;
        Client client(served.port());
        client.send(post("one") + get("/newsletters/two") + post("three"));
        CHECK(client.reply().body.ends_with("body one"));
        CHECK(client.reply().body.find("slug two") != std::string::npos);
        CHECK(client.reply().body.ends_with("body three"));
    }

    TEST_CASE("a request may come byte by byte") {
        Served served([](Options& options) { options.deadlines.header = options.deadlines.body = 10s; });
        Client client(served.port());
        for (const char byte : post("hello") + post("again")) client.send(std::string_view(&byte, 1));
        CHECK(client.reply().body.ends_with("body hello"));
        CHECK(client.reply().body.ends_with("body again"));
    }

    TEST_CASE("the table finds the handler") {
        Served served;
        CHECK(served.ask(get("/newsletters/kate")).body.find("slug kate ") != std::string::npos);
        CHECK(served.ask(get("/newsletters/first")).body.find("slug  ") != std::string::npos);
        CHECK(served.ask(get("/newsletters/kate/embed")).body.find("slug kate ") != std::string::npos);
        CHECK(served.ask(get("/newsletters/k%61te")).body.find("slug kate ") != std::string::npos);
        CHECK(served.ask(get("/embed.1f2e.js")).body.find("slug 1f2e ") != std::string::npos);
        for (const std::string path : {"/nowhere", "/newsletters/", "/newsletters/a/b", "/embed..js",
                                       "/echo/", "/Echo", "/newsletters//embed"}) {
            CAPTURE(path);
            CHECK(served.ask(get(path)).status == 404);
        }
        CHECK(served.ask(get("http://a/echo")).status == 200);
        CHECK(served.ask("GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n").body.starts_with("GET / ?x "));
    }

    TEST_CASE("another method is 405 and says which there are") {
        Served served;
        const Reply reply = served.ask("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        CHECK(reply.status == 405);
        CHECK(reply.field("Allow") == "GET, HEAD, OPTIONS, POST");
        CHECK(served.ask("BREW /newsletters/kate HTTP/1.1\r\nHost: a\r\n\r\n").field("Allow") ==
              "GET, HEAD, DELETE");
    }

    TEST_CASE("HEAD is GET without the body") {
        Served served;
        Client client(served.port());
        client.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n");
        const Reply head = client.reply(true);
        CHECK(head.status == 200);
        CHECK(std::stoi(head.field("Content-Length")) > 10);
        CHECK(client.ask(get("/echo")).status == 200);  // nothing stood between
    }

    TEST_CASE("204 has neither body nor length") {
        Served served;
        Client client(served.port());
        const Reply reply = client.ask(get("/nothing"));
        CHECK(reply.status == 204);
        CHECK(reply.field("Content-Length") == "");
        CHECK(client.ask(get("/echo")).status == 200);
    }

    TEST_CASE("a path that is no text is refused") {
        Served served;
        for (const std::string path : {"/%", "/%4", "/%zz", "/%00", "/a%0Ab", "/%7f"}) {
            CAPTURE(path);
            CHECK(served.ask(get(path)).status == 400);
        }
        CHECK(served.seen().empty());
    }

    TEST_CASE("HTTP/1.0 and Connection: close end the connection after the reply") {
        Served served;
        for (const std::string& request :
             {std::string("GET /echo HTTP/1.0\r\nHost: a\r\n\r\n"), get("/echo", "Connection: close\r\n")}) {
            Client client(served.port());
            const Reply reply = client.ask(request);
            CHECK(reply.status == 200);
            CHECK(reply.closes());
            CHECK(client.ended());
        }
    }

    TEST_CASE("an exception of a handler is an internal error and the server goes on") {
        Served served;
        Client client(served.port());
        const Reply reply = client.ask(get("/fail"));
        CHECK(reply.status == 500);
        CHECK(reply.body.find("fire") == std::string::npos);
        CHECK(client.ask(get("/echo")).status == 200);
        REQUIRE(served.troubles().size() == 1);
        CHECK(served.troubles()[0] == "GET /fail failed: the disk is on fire");
    }

    TEST_CASE("a line break in a reply's field never reaches the wire") {
        Served served;
        const Reply reply = served.ask(get("/split"));
        CHECK(reply.status == 500);
        CHECK(reply.head.find("X-Evil") == std::string::npos);
    }

    TEST_CASE("the log has the template of the route, never what was asked") {
        Served served;
        served.ask(get("/newsletters/secret?t=token"));
        served.ask(get("/secret"));
        served.ask("PUT /newsletters/secret HTTP/1.1\r\nHost: a\r\n\r\n");
        served.ask("GET /secret HTTP/1.1\r\n\r\n");
        REQUIRE(served.empties_within(2s));
        std::vector<std::string> log = served.log();
        std::sort(log.begin(), log.end());  // two threads write it
        CHECK(log == std::vector<std::string>{" GET 400", " GET 404", "/newsletters/{slug} GET 200",
                                              "/newsletters/{slug} PUT 405"});
    }
}

TEST_SUITE("server: one request, one end") {
    TEST_CASE("what two programs could read differently is refused, and what follows is not read") {
        struct Row {
            std::string why, bytes;
            int status;
        };
        const std::string chunk = "0\r\n\r\n";
        const auto start = [](const std::string& fields) {
            return "POST /echo HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
        };
        const std::vector<Row> rows{
            {"CL then TE", start("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + chunk, 400},
            {"TE then CL", start("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + chunk, 400},
            {"TE gzip with CL", start("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n") + "hello", 400},
            {"TE identity", start("Transfer-Encoding: identity\r\n"), 400},
            {"TE xchunked", start("Transfer-Encoding: xchunked\r\n") + chunk, 400},
            {"TE chunked, gzip", start("Transfer-Encoding: chunked, gzip\r\n") + chunk, 400},
            {"TE twice", start("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n") + chunk, 400},
            {"TE with a space before the colon", start("Transfer-Encoding : chunked\r\n") + chunk, 400},
            {"chunked on 1.0", "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
             400},
            {"CL twice", start("Content-Length: 5\r\nContent-Length: 5\r\n") + "hello", 400},
            {"CL twice, differing", start("Content-Length: 5\r\nContent-Length: 0\r\n") + "hello", 400},
            {"CL list", start("Content-Length: 5, 5\r\n") + "hello", 400},
            {"CL signed", start("Content-Length: +5\r\n") + "hello", 400},
            {"CL with a space before the colon", start("Content-Length : 5\r\n") + "hello", 400},
            {"two Host", start("Host: b\r\n"), 400},
            {"no Host", "GET /echo HTTP/1.1\r\n\r\n", 400},
            {"another host in the target", "GET http://b/echo HTTP/1.1\r\nHost: a\r\n\r\n", 400},
            {"obs-fold", start("X-A: b\r\n Content-Length: 5\r\n"), 400},
            {"Trailer", start("Transfer-Encoding: chunked\r\nTrailer: Host\r\n") + chunk, 400},
            {"bare LF", "GET /echo HTTP/1.1\nHost: a\n\n", 400},
            {"bare LF between fields", "GET /echo HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
            {"bare CR in a value", start("X-A: b\rc\r\n"), 400},
            {"NUL in a value", start(std::string("X-A: b\0c\r\n", 10)), 400},
            {"NUL in a name", start(std::string("X\0A: b\r\n", 8)), 400},
            {"leading CRLF", "\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 400},
            {"HTTP/1.2", "GET /echo HTTP/1.2\r\nHost: a\r\n\r\n", 400},
            {"HTTP/0.9", "GET /echo\r\n\r\n", 400},
            {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
            {"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400},
            {"TLS hello", std::string("\x16\x03\x01\x00\n", 5), 400},
            {"a chunked body", start("Transfer-Encoding: chunked\r\n") + chunk, 411},
        };
        Served served;
        for (const Row& row : rows) {
            CAPTURE(row.why);
            Client client(served.port());
            client.send(row.bytes + get("/smuggled"));
            const std::string all = client.rest();
            CHECK(all.starts_with("HTTP/1.1 " + std::to_string(row.status) + " "));
            CHECK(count(all, "HTTP/1.1 ") == 1);
            CHECK(all.find("\r\nConnection: close\r\n") != std::string::npos);
            CHECK_FALSE(client.was_reset());
        }
        CHECK(served.seen().empty());
    }

    TEST_CASE("where chunked bodies are taken, they are taken strictly") {
        Served served(take_chunked);
        const std::string start = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
        Client client(served.port());
        CHECK(client.ask(start + "\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").body.ends_with("body abcde"));
        CHECK(client.ask(get("/echo")).status == 200);
        for (const std::string body : {"x\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\n0\n\n", "-1\r\n\r\n",
                                       "ffffffffffffffffff\r\n", "0x3\r\nabc\r\n0\r\n\r\n"}) {
            CAPTURE(body);
            CHECK(served.ask(start + "\r\n" + body).status >= 400);
        }
    }

    TEST_CASE("a trailer changes nothing that was decided") {
        Served served([](Options& options) {
            take_chunked(options);
            options.trusted_proxies = TrustedProxies({"loopback"});
        });
        const Reply reply = served.ask(
            "POST /echo HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer mine\r\nTransfer-Encoding: "
            "chunked\r\n\r\n"
            "1\r\nx\r\n0\r\nHost: evil\r\nAuthorization: Bearer stolen\r\nOrigin: https://evil\r\n"
            "X-Forwarded-For: 203.0.113.66\r\n\r\n");
        CHECK(reply.body == "POST /echo ? from 127.0.0.1 host a origin  auth Bearer mine slug  body x");
    }

    TEST_CASE("trailers and chunk extensions without end are cut off") {
        Served served([](Options& options) {
            take_chunked(options);
            options.deadlines.body = 10s;
        });
        const std::string start = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        std::string trailers = start + "0\r\n";
        for (int i = 0; i < 20'000; ++i) trailers += "a: b\r\n";
        for (const std::string& bytes :
             {trailers + "\r\n", start + "1;" + std::string(100'000, 'x') + "\r\na\r\n0\r\n\r\n"}) {
            Client client(served.port());
            client.send(bytes);
            const std::string all = client.rest();
            CHECK_FALSE(all.starts_with("HTTP/1.1 200"));
        }
        CHECK(served.seen().empty());
    }

    TEST_CASE("the body of a GET is read as a body, not as a request") {
        Served served;
        Client client(served.port());
        const std::string inner = get("/smuggled");
        client.send("GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(inner.size()) +
                    "\r\n\r\n" + inner + get("/newsletters/next"));
        CHECK(client.reply().status == 200);
        CHECK(client.reply().body.find("slug next") != std::string::npos);
        CHECK(served.seen() == std::vector<std::string>{"/echo", "/newsletters/next"});
    }

    TEST_CASE("a client that waits for 100 Continue gets it") {
        Served served;
        Client client(served.port());
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        CHECK(client.reply().status == 100);
        CHECK(client.ask("ok").body.ends_with("body ok"));
    }

    TEST_CASE("a client that waits for 100 Continue is told at once that its body is too large") {
        Served served;
        CHECK(
            served
                .ask(
                    "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n")
                .status == 413);
    }
}

TEST_SUITE("server: limits") {
    TEST_CASE("a header over a limit is refused with its own status") {
        Served served;
        CHECK(served.ask(get("/echo?" + std::string(2042, 'x'))).status == 200);
        CHECK(served.ask(get("/echo?" + std::string(2043, 'x'))).status == 414);
        CHECK(served.ask(get("/" + std::string(20'000, 'x'))).status == 414);
        CHECK(
            served.ask(get("/echo", "X: " + std::string(8192 - get("/echo", "X: \r\n").size(), 'x') + "\r\n"))
                .status == 200);
        CHECK(
            served.ask(get("/echo", "X: " + std::string(8193 - get("/echo", "X: \r\n").size(), 'x') + "\r\n"))
                .status == 431);
        std::string fields;
        for (int i = 0; i < 63; ++i) fields += "a: b\r\n";
        CHECK(served.ask(get("/echo", fields)).status == 200);
        CHECK(served.ask(get("/echo", fields + "a: b\r\n")).status == 431);
    }

    TEST_CASE("a body over its limit is refused, and the client hears of it while it still sends") {
        Served served;
        CHECK(served.ask(post(std::string(16'384, 'x'))).status == 200);
        Client client(served.port());
        client.send(post(std::string(60'000, 'x')));
        CHECK(client.reply().status == 413);
        CHECK(client.ended());
        CHECK_FALSE(client.was_reset());
    }

    TEST_CASE("a chunked body over its limit is refused") {
        Served served(take_chunked);
        std::string bytes = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (int i = 0; i < 20; ++i) bytes += "400\r\n" + std::string(1024, 'x') + "\r\n";
        CHECK(served.ask(bytes).status == 413);
    }

    TEST_CASE("a listener may take larger bodies") {
        Served served([](Options& options) { options.limits.body = 1 << 20; });
        CHECK(served.ask(post(std::string(1 << 20, 'x'))).body.size() > 1 << 20);
        CHECK(served.ask(post(std::string((1 << 20) + 1, 'x'))).status == 413);
    }

    TEST_CASE("a connection has so many requests") {
        Served served([](Options& options) { options.requests_per_connection = 3; });
        Client client(served.port());
        CHECK_FALSE(client.ask(get("/echo")).closes());
        CHECK_FALSE(client.ask(get("/echo")).closes());
        CHECK(client.ask(get("/echo")).closes());
        CHECK(client.ended());
    }

    TEST_CASE("a connection lives so long") {
        Served served([](Options& options) { options.deadlines.life = 250ms; });
        Client client(served.port());
        const auto start = Clock::now();
        CHECK_FALSE(client.ask(get("/echo")).closes());
        CHECK(client.ask(get("/slow")).closes() == false);  // began in time
        CHECK(client.ended());
        CHECK(since(start) < 600ms);
    }

    TEST_CASE("who pipelines without end is not served without end") {
        Served served([](Options& options) { options.deadlines.life = 250ms; });
        Client client(served.port());
        client.send(get("/slow") + get("/echo") + get("/echo"));
        CHECK_FALSE(client.reply().closes());
        CHECK(client.reply().closes());  // began after 300 ms
        CHECK(client.ended());
    }

    TEST_CASE("one connection too many gets a 503") {
        Served served([](Options& options) {
            options.max_connections = 2;
            options.deadlines.idle = 10s;
        });
        Client first(served.port()), second(served.port());
        CHECK(first.ask(get("/echo")).status == 200);
        CHECK(second.ask(get("/echo")).status == 200);
        {
            Client third(served.port());
            const Reply reply = third.reply();
            CHECK(reply.status == 503);
            CHECK(reply.field("Retry-After") == "2");
            CHECK(third.ended());
        }
        CHECK(first.ask(get("/echo", "Connection: close\r\n")).status == 200);
        CHECK(first.ended());
        ::shutdown(first.fd(), SHUT_WR);
        const auto end = Clock::now() + 2s;
        while (served.server().connections() > 1 && Clock::now() < end) std::this_thread::sleep_for(5ms);
        CHECK(served.ask(get("/echo")).status == 200);
    }

    TEST_CASE("without descriptors the server waits instead of spinning, then goes on") {
        Served served([](Options& options) { options.deadlines.idle = 10s; });
        rlimit before{};
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        rlimit none = before;
        none.rlim_cur = 3;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(served.port());
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
        std::this_thread::sleep_for(250ms);
        const auto troubles = served.troubles();
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
        ::close(fd);
        CHECK(troubles.size() >= 1);
        CHECK(troubles.size() <= 4);
        CHECK(served.ask(get("/echo")).status == 200);
    }
}

TEST_SUITE("server: deadlines") {
    TEST_CASE("a connection that asks nothing is closed without a word") {
        Served served;
        Client fresh(served.port()), used(served.port());
        CHECK(used.ask(get("/echo")).status == 200);
        const auto start = Clock::now();
        CHECK(fresh.ended());
        CHECK(used.ended());
        CHECK(since(start) > 200ms);
        CHECK(since(start) < 3s);
    }

    TEST_CASE("a header that drips is cut off at its deadline") {
        Served served;
        Client client(served.port());
        const auto start = Clock::now();
        const std::string request = get("/echo", "X-Filler: " + std::string(60, 'x') + "\r\n");
        std::atomic<bool> answered = false;
        std::thread drip([&] {
            for (const char byte : request) {
                if (answered) return;
                client.send(std::string_view(&byte, 1));
                std::this_thread::sleep_for(40ms);
            }
        });
        const Reply reply = client.reply();
        const auto took = since(start);
        answered = true;
        drip.join();
        CHECK(reply.status == 408);
        CHECK(reply.closes());
        CHECK(took > 350ms);
        CHECK(took < 2s);
        CHECK(served.seen().empty());
    }

    TEST_CASE("a body that drips is cut off at its deadline, chunked or not") {
        Served served(take_chunked);
        for (const std::string framing :
             {"Content-Length: 99\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n63\r\n"}) {
            CAPTURE(framing);
            Client client(served.port());
            client.send("POST /echo HTTP/1.1\r\nHost: a\r\n" + framing);
            const auto start = Clock::now();
            std::atomic<bool> answered = false;
            std::thread drip([&] {
                for (int i = 0; i < 60 && !answered; ++i) {
                    client.send("x");
                    std::this_thread::sleep_for(40ms);
                }
            });
            const Reply reply = client.reply();
            const auto took = since(start);
            answered = true;
            drip.join();
            CHECK(reply.status == 408);
            CHECK(took > 350ms);
            CHECK(took < 2s);
        }
        CHECK(served.seen().empty());
    }

    TEST_CASE("a client that does not read its reply is cut off") {
        Served served([](Options& options) { options.deadlines.header = 10s; });
        Client client(served.port());
        client.send(get("/large"));
        std::this_thread::sleep_for(100ms);
        CHECK(served.server().connections() == 1);
        CHECK(served.empties_within(3s));
    }

    TEST_CASE("after its last reply a connection does not linger longer than allowed") {
        Served served;
        Client client(served.port());
        CHECK(client.ask("nonsense\n").status == 400);
        CHECK(served.server().connections() == 1);  // for the client to read the reply
        CHECK(served.empties_within(3s));
    }

    TEST_CASE("a handler has no deadline of the server's") {
        Served served([](Options& options) { options.deadlines.header = options.deadlines.idle = 50ms; });
        CHECK(served.ask(get("/slow")).status == 200);
    }

    TEST_CASE("a client that goes away leaves nothing behind") {
        Served served([](Options& options) { options.deadlines = {}; });
        { Client idle(served.port()); }
        { Client(served.port()).send("GET /ec"); }
        { Client(served.port()).send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"); }
        { Client(served.port()).send(get("/slow")); }
        CHECK(served.empties_within(3s));
    }
}

TEST_SUITE("server: whose request it is") {
    TEST_CASE("a stranger's X-Forwarded-For is ignored and reported once") {
        Served served;
        for (int i = 0; i < 3; ++i)
            CHECK(served.ask(get("/echo", "X-Forwarded-For: 203.0.113.9\r\n")).body.find("from 127.0.0.1 ") !=
                  std::string::npos);
        REQUIRE(served.troubles().size() == 1);
        CHECK(served.troubles()[0].find("203.0.113.9") == std::string::npos);
    }

    TEST_CASE("whoever asks is told that stranger's address, once") {
        std::mutex mutex;
        std::vector<std::string> strangers;
        Served served([&](Options& options) {
            options.on_untrusted_proxy = [&](const std::string& peer) {
                const std::lock_guard lock(mutex);
                strangers.push_back(peer);
            };
        });
        for (int i = 0; i < 3; ++i) served.ask(get("/echo", "X-Forwarded-For: 203.0.113.9\r\n"));
        const std::lock_guard lock(mutex);
        CHECK(strangers == std::vector<std::string>{"127.0.0.1"});
    }

    TEST_CASE("a trusted proxy's is read over all its fields") {
        Served served([](Options& options) { options.trusted_proxies = TrustedProxies({"loopback"}); });
        CHECK(served.ask(get("/echo", "X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 127.0.0.2\r\n"))
                  .body.find("from 203.0.113.9 ") != std::string::npos);
        CHECK(served.troubles().empty());
    }

    TEST_CASE("a listener with names answers to no other Host") {
        Served served([](Options& options) { options.hosts = {"127.0.0.1", "localhost", "[::1]"}; });
        CHECK(served.ask("GET /echo HTTP/1.1\r\nHost: LocalHost:8081\r\n\r\n").status == 200);
        CHECK(served.ask("GET /echo HTTP/1.1\r\nHost: [::1]:8081\r\n\r\n").status == 200);
        CHECK(served.ask("GET /echo HTTP/1.1\r\nHost: [::1]\r\n\r\n").status == 200);
        CHECK(served.ask("GET /echo HTTP/1.1\r\nHost: rebound.example\r\n\r\n").status == 421);
        CHECK(served.seen().size() == 3);
    }
}

TEST_SUITE("server: the listener") {
    TEST_CASE("it listens on IPv6 where there is IPv6") {
        Network network(1);
        std::optional<Server> server;
        try {
            server.emplace(network, listening_on("[::1]:0"), echo);
        } catch (const std::runtime_error& error) {
            MESSAGE("skipped: " << std::string(error.what()));
            return;
        }
        CHECK(server->port() > 0);
    }

    TEST_CASE("an address that cannot be had is named") {
        Served served;
        Network network(1);
        const std::string taken = "127.0.0.1:" + std::to_string(served.port());
        CHECK_THROWS_WITH(
            Server(network, listening_on(taken), echo),
            doctest::Contains(("cannot listen on \"" + taken + "\": Address already in use").c_str()));
        for (const std::string listen : {"nonsense", "127.0.0.1:99999", "unix:", "256.0.0.1:80"}) {
            CAPTURE(listen);
            CHECK_THROWS_AS(Server(network, listening_on(listen), echo), std::runtime_error);
        }
    }

    TEST_CASE("a Unix socket is for owner and group, replaces a dead one and never a live one") {
        std::string directory = (std::filesystem::temp_directory_path() / "zgoda-http-XXXXXX").string();
        REQUIRE(::mkdtemp(directory.data()) != nullptr);
        const std::string path = directory + "/http.sock";
        const auto listen = [&](Options& options) { options.listen = "unix:" + path; };
        {
            const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            path.copy(address.sun_path, sizeof(address.sun_path) - 1);
            REQUIRE(::bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
            ::close(dead);
        }
        {
            Served served(listen);
            CHECK(served.port() == 0);
            struct stat status {};
            REQUIRE(::stat(path.c_str(), &status) == 0);
            CHECK((status.st_mode & 0777) == 0660);
            CHECK(Client(path).ask(get("/echo")).body.find("from unix ") != std::string::npos);
            CHECK_THROWS_WITH(Served{listen}, doctest::Contains("another process is listening there"));
            CHECK(Client(path).ask(get("/echo")).status == 200);
        }
        CHECK_FALSE(std::filesystem::exists(path));
        {
            std::FILE* file = std::fopen(path.c_str(), "w");
            REQUIRE(file);
            std::fclose(file);
        }
        CHECK_THROWS_WITH(Served{listen}, doctest::Contains("not a socket"));
        std::filesystem::remove_all(directory);
    }

    TEST_CASE("two servers share the threads") {
        Network network(2);
        Server first(network, Options{}, echo);
        Server second(network, Options{}, nothing);
        CHECK(Client(first.port()).ask(get("/")).status == 200);
        CHECK(Client(second.port()).ask(get("/")).status == 204);
        first.drain();
        CHECK_FALSE(Client(first.port()).connected());
        CHECK(Client(second.port()).ask(get("/")).status == 204);
    }
}

TEST_SUITE("server: drain") {
    TEST_CASE("what is in flight is answered, what is idle ends, nobody new comes in") {
        Served served([](Options& options) { options.deadlines.idle = options.deadlines.header = 20s; });
        Client idle(served.port()), busy(served.port()), half(served.port());
        CHECK(idle.ask(get("/echo")).status == 200);
        busy.send(get("/slow") + get("/pipelined"));
        half.send("GET /echo HTTP/1.1\r\n");
        std::this_thread::sleep_for(100ms);

        const auto start = Clock::now();
        auto drained = std::async(std::launch::async, [&] { served.server().drain(); });
        CHECK(idle.ended());
        CHECK(since(start) < 250ms);  // without waiting for the busy one
        CHECK_FALSE(Client(served.port()).connected());
        const Reply reply = busy.reply();
        CHECK(reply.status == 200);
        CHECK(reply.body == "slow /slow");
        CHECK(reply.closes());
        CHECK(busy.ended());
        half.send("Host: a\r\n\r\n");
        const Reply finished = half.reply();
        CHECK(finished.status == 200);
        CHECK(finished.closes());
        ::shutdown(half.fd(), SHUT_WR);
        drained.get();
        CHECK(since(start) < 4s);
        CHECK(served.server().connections() == 0);
        served.server().drain();  // again does nothing
    }

    TEST_CASE("a request that arrived before the order to stop is answered") {
        Network network(1);
        Server server(network, Options{}, block);
        Client waiting(server.port()), busy(server.port());
        CHECK(waiting.ask(get("/")).status == 200);
        busy.send(get("/"));
        std::this_thread::sleep_for(50ms);  // the only thread is in the handler
        auto drained = std::async(std::launch::async, [&] { server.drain(); });
        std::this_thread::sleep_for(20ms);
        waiting.send(get("/"));
        CHECK(busy.reply().status == 200);
        CHECK(waiting.reply().status == 200);
        ::shutdown(waiting.fd(), SHUT_WR);
        ::shutdown(busy.fd(), SHUT_WR);
        drained.get();
    }

    TEST_CASE("what does not end in time is cut") {
        Served served([](Options& options) {
            options.deadlines.drain = 150ms;
            options.deadlines.header = 20s;
        });
        Client half(served.port());
        half.send("GET /echo HTTP/1.1\r\n");
        std::this_thread::sleep_for(50ms);
        const auto start = Clock::now();
        served.server().drain();
        CHECK(since(start) >= 150ms);
        CHECK(since(start) < 3s);
        CHECK(half.ended());
    }

    TEST_CASE("a reply in pieces is chunked, and the connection goes on") {
        Served served;
        Client client(served.port());
        const Reply reply = client.ask(get("/pieces/whole"));
        CHECK(reply.status == 200);
        CHECK(reply.field("Transfer-Encoding") == "chunked");
        CHECK(reply.field("Content-Length") == "");
        client.send("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        const std::string rest = client.rest();
        const std::string body = "5\r\nhead \r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\nHTTP/1.1 200";
        CHECK(rest.starts_with(body));
        Client other(served.port());
        other.send("HEAD /pieces/whole HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(other.reply(true).field("Transfer-Encoding") == "chunked");
        CHECK(other.ask(get("/echo")).status == 200);
    }

    TEST_CASE("a reply in pieces that cannot go on is cut, never ended") {
        Served served;
        for (const char* path : {"/pieces/broken", "/pieces/failing"}) {
            Client client(served.port());
            CHECK(client.ask(get(path)).status == 200);
            CHECK(client.rest() == "5\r\nhead \r\n5\r\nfirst\r\n");
        }
        REQUIRE(served.troubles().size() == 2);
        CHECK(served.troubles()[1] == "a reply was cut off: the rest is on fire");
    }

    TEST_CASE("a client of HTTP/1.0 gets pieces until the end of the connection, or a reset") {
        Served served;
        Client client(served.port());
        client.send("GET /pieces/whole HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        const Reply reply = client.reply();
        CHECK(reply.field("Transfer-Encoding") == "");
        CHECK(reply.closes());
        CHECK(client.rest() == "head firstsecond");
        CHECK_FALSE(client.was_reset());
        Client cut(served.port());
        cut.send("GET /pieces/broken HTTP/1.0\r\nHost: a\r\n\r\n");
        cut.rest();
        CHECK(cut.was_reset());
    }

    TEST_CASE("who does not read a reply in pieces loses the connection") {
        Served served;
        Client client(served.port());
        client.send(get("/pieces/long"));
        CHECK(served.empties_within(3s));
        bool whole = false;
        for (int i = 0; i < 3 && !whole; ++i) {  // a busy machine may be taken for somebody who does not read
            Client reader(served.port());
            reader.send("GET /pieces/long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            whole = reader.rest().ends_with("\r\n0\r\n\r\n");
        }
        CHECK(whole);
    }

    TEST_CASE("the end of a server under load is clean") {
        for (int round = 0; round < 5; ++round) {
            std::vector<std::thread> clients;
            {
                Served served;
                for (int i = 0; i < 4; ++i)
                    clients.emplace_back([port = served.port()] {
                        for (int k = 0; k < 200; ++k) {
                            Client client(port);
                            if (!client.connected()) return;
                            client.ask(post("x"));
                            client.ask(get("/slow"));
                        }
                    });
                std::this_thread::sleep_for(50ms);
            }
            for (std::thread& client : clients) client.join();
        }
    }
}
