#include "scripted_smtp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace zgoda::test {
namespace {

const ScriptedSmtp::Script usual{
    {"CONNECT", "220 scripted.test ESMTP"},
    {"EHLO", "250-scripted.test\n250-SIZE 1000000\n250-8BITMIME\n250-SMTPUTF8\n250 AUTH PLAIN LOGIN"},
    {"HELO", "250 scripted.test"},
    {"AUTH", "235 2.7.0 welcome"},
    {"MAIL", "250 2.1.0 ok"},
    {"RCPT", "250 2.1.5 ok"},
    {"DATA", "354 go ahead"},
    {".", "250 2.0.0 queued as 1234"},
    {"RSET", "250 2.0.0 ok"},
    {"QUIT", "221 2.0.0 bye"},
};

std::string verb_of(const std::string& line) {
    std::string verb = line.substr(0, line.find_first_of(" :"));
    std::transform(verb.begin(), verb.end(), verb.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return verb;
}

}  // namespace

ScriptedSmtp::ScriptedSmtp(Script script, bool ipv6) : script_(std::move(script)) {
    listener_ = ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_loopback;
    auto* address = ipv6 ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
    socklen_t size = ipv6 ? sizeof v6 : sizeof v4;
    if (::bind(listener_, address, size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, address, &size) != 0)
        throw std::runtime_error("the scripted server cannot listen");
    port_ = ntohs(ipv6 ? v6.sin6_port : v4.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedSmtp::~ScriptedSmtp() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
        const std::lock_guard lock(mutex_);
        for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (auto& thread : threads_) thread.join();
    ::close(listener_);
}

std::vector<ScriptedSmtp::Mail> ScriptedSmtp::mails() const {
    const std::lock_guard lock(mutex_);
    return mails_;
}

std::vector<std::string> ScriptedSmtp::commands() const {
    const std::lock_guard lock(mutex_);
    return commands_;
}

int ScriptedSmtp::count(const std::string& command) const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(std::count_if(commands_.begin(), commands_.end(), [&](const std::string& line) {
        return line.starts_with(command);
    }));
}

void ScriptedSmtp::accept_all() {
    for (;;) {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        const std::lock_guard lock(mutex_);
        open_.push_back(fd);
        threads_.emplace_back([this, fd] {
            serve(fd);
            const std::lock_guard done(mutex_);
            std::erase(open_, fd);
            ::close(fd);
        });
    }
}

std::string ScriptedSmtp::reply_to(const std::string& command, bool in_order) {
    const std::lock_guard lock(mutex_);
    const std::string nth = command + " " + std::to_string(++seen_[command]);
    for (const auto& key : {nth, command})
        if (const auto found = script_.find(key); found != script_.end()) return found->second;
    if (!in_order) return "503 5.5.1 not now";
    const auto found = usual.find(command);
    return found == usual.end() ? "500 5.5.1 what?" : found->second;
}

// False when the connection is to be closed.
bool ScriptedSmtp::say(int fd, std::string reply) {
    const auto send = [fd](std::string text) {
        if (text.empty()) return;
        std::string wire;
        for (const char c : text + "\n") wire += c == '\n' ? std::string("\r\n") : std::string(1, c);
        (void)!::send(fd, wire.data(), wire.size(), MSG_NOSIGNAL);
    };
    const auto mark = reply.find('<');
    if (mark == reply.npos) {
        send(reply);
        return true;
    }
    const auto end = reply.find('>', mark);
    const std::string action = reply.substr(mark + 1, end - mark - 1);
    send(reply.substr(0, mark));
    if (action.starts_with("wait ")) {
        for (int ms = std::stoi(action.substr(5)); ms > 0 && !stopping_; ms -= 10)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        const std::string rest = reply.substr(end + 1);
        return rest.empty() || say(fd, rest);
    }
    if (action.starts_with("drip ")) {
        for (const char c : reply.substr(end + 1) + "\r\n") {
            std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(action.substr(5))));
            (void)!::send(fd, &c, 1, MSG_NOSIGNAL);
        }
        return true;
    }
    if (action == "silent") {
        char buffer[512];
        while (!stopping_ && ::recv(fd, buffer, sizeof buffer, 0) > 0) continue;
    }
    ::shutdown(fd, SHUT_RDWR);
    return false;
}

void ScriptedSmtp::serve(int fd) {
    std::string input;
    const auto line_from = [&](std::string& line) {
        std::size_t end;
        while ((end = input.find("\r\n")) == input.npos) {
            char buffer[16384];
            ++reads_;
            const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
            if (n <= 0) return false;
            input.append(buffer, static_cast<std::size_t>(n));
        }
        line = input.substr(0, end);
        input.erase(0, end + 2);
        return true;
    };
    const auto note = [this](const std::string& line) {
        const std::lock_guard lock(mutex_);
        commands_.push_back(line);
    };

    note("CONNECT");
    if (!say(fd, reply_to("CONNECT"))) return;
    Mail mail;
    std::string line;
    bool challenged = false;
    while (line_from(line)) {
        note(line);
        const std::string verb = challenged ? "AUTH" : verb_of(line);
        const bool in_order = verb == "MAIL"   ? mail.from.empty()
                              : verb == "RCPT" ? !mail.from.empty()
                              : verb == "DATA" ? !mail.to.empty()
                                               : true;
        const std::string reply = reply_to(verb, in_order);
        const bool good = reply.starts_with('2');
        challenged = reply.starts_with("334");
        if (verb == "MAIL" && good) mail.from = line;
        if (verb == "RCPT" && good) mail.to = line;
        if (verb == "RSET" || verb == "EHLO") mail = {};
        if (!say(fd, reply)) return;
        if (verb == "QUIT") return;
        if (verb == "DATA" && reply.starts_with("354")) {
            mail.data.clear();
            while (line_from(line) && line != ".")
                mail.data += (line.starts_with('.') ? line.substr(1) : line) + "\r\n";
            if (line != ".") {
                note("(cut) " + mail.data);
                return;
            }
            const std::string verdict = reply_to(".");
            if (verdict.starts_with("250")) {
                const std::lock_guard lock(mutex_);
                mails_.push_back(mail);
            }
            mail = {};
            if (!say(fd, verdict)) return;
        }
    }
}

}  // namespace zgoda::test
