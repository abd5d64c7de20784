// A load of signups, or of one GET, over many keep-alive connections from one thread; the client's side of
// script/bench.
//
//     zgoda_load --port 8080 [--connections 64] [--seconds 5 | --requests N] [--get PATH] [--newsletter SLUG]
//     [--acked FILE]
//
// Each signup has an address with a random prefix, as real ones have: equal prefixes would spare the index.
// Prints one line of JSON; --acked gets every address that was answered with 202. Answers that are not the
// expected ones count as "other"; a connection that the server closes is opened again.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Connection {
    int fd = -1;
    std::string in;
    std::uint64_t prefix = 0;  // of the address that is being signed up
    Clock::time_point asked;
    bool waiting = false;  // for an answer
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

std::string address_of(std::uint64_t prefix) {
    char text[64];
    std::snprintf(text, sizeof text, "%016llx@load.example.org", static_cast<unsigned long long>(prefix));
    return text;
}

class Load {
 public:
    explicit Load(std::map<std::string, std::string> options) : options_(std::move(options)) {
        get_ = options_["--get"];
        expected_ = get_.empty() ? "202" : "200";
        host_ = "127.0.0.1:" + options_["--port"];
    }

    void run() {
        const auto seconds = std::chrono::duration<double>(std::stod(options_["--seconds"]));
        wanted_ = std::stoull(options_["--requests"]);
        std::vector<Connection> connections(std::stoul(options_["--connections"]));
        for (Connection& connection : connections) open(connection);
        const Clock::time_point start = Clock::now();
        for (Connection& connection : connections) ask(connection);
        std::vector<epoll_event> events(connections.size());
        while (answered_ < asked_) {
            const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 10'000);
            if (count <= 0) fail("no answer for 10 s");
            const bool more = wanted_ > 0 || Clock::now() - start < seconds;
            for (int i = 0; i < count; ++i) {
                Connection& connection =
                    *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
                if (receive(connection) && more && (wanted_ == 0 || asked_ < wanted_)) ask(connection);
            }
        }
        report(std::chrono::duration<double>(Clock::now() - start).count());
    }

 private:
    void open(Connection& connection) {
        if (connection.fd >= 0) ::close(connection.fd);
        connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(options_["--port"])));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(connection.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("connect");
        const int on = 1;
        ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection.in.clear();
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = &connection;
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) fail("epoll_ctl");
    }

    void ask(Connection& connection) {
        std::string request;
        if (get_.empty()) {
            connection.prefix = random_();
            const std::string body = "{\"email\":\"" + address_of(connection.prefix) +
                                     "\",\"newsletters\":[\"" + options_["--newsletter"] + "\"]}";
            request = "POST /v1/subscriptions HTTP/1.1\r\nHost: " + host_ +
                      "\r\nContent-Type: application/json\r\nAccept-Language: uk\r\nContent-Length: " +
                      std::to_string(body.size()) + "\r\n\r\n" + body;
        } else {
            request = "GET " + get_ + " HTTP/1.1\r\nHost: " + host_ + "\r\n\r\n";
        }
        connection.asked = Clock::now();
        connection.waiting = true;
        ++asked_;
        if (::send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size()))
            fail("send");
    }

    // True when the answer is whole.
    bool receive(Connection& connection) {
        char buffer[16384];
        const ssize_t size = ::recv(connection.fd, buffer, sizeof buffer, 0);
        if (size <= 0) {  // closed by the server: without an answer, or while idle
            const bool unanswered = connection.waiting;
            connection.waiting = false;
            answered_ += unanswered ? 1 : 0;
            other_ += unanswered ? 1 : 0;
            open(connection);
            return unanswered;
        }
        connection.in.append(buffer, static_cast<std::size_t>(size));
        const std::size_t end = connection.in.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const std::string_view head(connection.in.data(), end + 2);
        if (connection.in.size() < end + 4 + std::strtoul(field(head, "content-length").c_str(), nullptr, 10))
            return false;

        ++answered_;
        connection.waiting = false;
        latencies_.push_back(static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - connection.asked).count()));
        if (head.substr(9, 3) != expected_) {
            ++other_;
        } else if (get_.empty()) {
            acked_.push_back(connection.prefix);
        }
        if (field(head, "connection") == "close") {
            open(connection);
        } else {
            connection.in.clear();
        }
        return true;
    }

    // The value of a header field, in small letters; "" if there is none.
    static std::string field(std::string_view head, std::string_view name) {
        for (std::size_t line = head.find("\r\n") + 2; line < head.size();
             line = head.find("\r\n", line) + 2) {
            if (head.size() - line <= name.size() || head[line + name.size()] != ':') continue;
            if (::strncasecmp(head.data() + line, name.data(), name.size()) != 0) continue;
            std::string value(
                head.substr(line + name.size() + 1, head.find("\r\n", line) - line - name.size() - 1));
            value.erase(0, value.find_first_not_of(' '));
            std::transform(value.begin(), value.end(), value.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
            return value;
        }
        return "";
    }

    void report(double seconds) {
        const auto quantile = [&](double q) {
            if (latencies_.empty()) return 0U;
            const auto nth = latencies_.begin() +
                             static_cast<std::ptrdiff_t>(q * static_cast<double>(latencies_.size() - 1));
            std::nth_element(latencies_.begin(), nth, latencies_.end());
            return *nth;
        };
        std::printf(
            "{\"seconds\": %.3f, \"good\": %llu, \"other\": %llu, \"per_second\": %.0f, \"p50_us\": %u, "
            "\"p99_us\": %u}\n",
            seconds, static_cast<unsigned long long>(answered_ - other_),
            static_cast<unsigned long long>(other_), static_cast<double>(answered_ - other_) / seconds,
            quantile(0.5), quantile(0.99));
        if (options_["--acked"].empty()) return;
        std::FILE* file = std::fopen(options_["--acked"].c_str(), "a");
        if (file == nullptr) fail("--acked");
        for (std::uint64_t prefix : acked_) std::fprintf(file, "%s\n", address_of(prefix).c_str());
        if (std::fclose(file) != 0) fail("--acked");
    }

    std::map<std::string, std::string> options_;
    std::string get_, expected_, host_;
    int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    std::mt19937_64 random_{std::random_device{}()};
    std::uint64_t wanted_ = 0, asked_ = 0, answered_ = 0, other_ = 0;
    std::vector<std::uint32_t> latencies_;
    std::vector<std::uint64_t> acked_;
};

}  // namespace

int main(int argc, char** argv) {
    std::map<std::string, std::string> options = {
        {"--connections", "64"}, {"--seconds", "5"}, {"--requests", "0"}, {"--newsletter", "ukraine-daily"},
        {"--port", ""},          {"--get", ""},      {"--acked", ""}};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (options.count(argv[i]) == 0) {
            std::fprintf(stderr, "zgoda_load: unknown option %s\n", argv[i]);
            return 2;
        }
        options[argv[i]] = argv[i + 1];
    }
    Load(std::move(options)).run();
}
