#include "mailer/imap_mailbox.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "mailer/smtp_dialogue.h"

namespace zgoda::mailer {
namespace {

constexpr std::size_t longest_line = 4 << 20;  // an answer to SEARCH names some 500,000 mails

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out += '"';
}

// The N of a line that ends in "{N}": so many octets follow it.
std::optional<std::size_t> announced_literal(std::string_view line) {
    const std::size_t open = line.rfind('{');
    if (!line.ends_with('}') || open == line.npos) return std::nullopt;
    std::size_t n = 0;
    const char* end = line.data() + line.size() - 1;
    const auto [stop, error] = std::from_chars(line.data() + open + 1, end, n);
    return error == std::errc() && stop == end ? std::optional(n) : std::nullopt;
}

}  // namespace

ImapMailbox::ImapMailbox(ImapOptions options) : options_(std::move(options)) {
    static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    curl_ = ready ? curl_easy_init() : nullptr;
    if (!curl_) throw ImapTrouble("libcurl cannot be initialised");
    try {
        const bool v6 = options_.host.find(':') != std::string::npos;
        const std::string url =
            fmt::format("{}://{}{}{}:{}/", options_.tls == ImapOptions::Tls::implicit ? "imaps" : "imap",
                        v6 ? "[" : "", options_.host, v6 ? "]" : "", options_.port);
        curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
        curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "imap,imaps");
        curl_easy_setopt(curl_, CURLOPT_PROXY, "");
        curl_easy_setopt(curl_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
        curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
        const bool tls = options_.tls != ImapOptions::Tls::none;
        curl_easy_setopt(curl_, CURLOPT_USE_SSL, static_cast<long>(tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
        curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYPEER, 1L);
        curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYHOST, 2L);
        if (!options_.ca_file.empty()) curl_easy_setopt(curl_, CURLOPT_CAINFO, options_.ca_file.c_str());
        curl_easy_setopt(curl_, CURLOPT_USERNAME, options_.username.c_str());
        if (options_.token.empty()) {
            curl_easy_setopt(curl_, CURLOPT_PASSWORD, options_.password.c_str());
        } else {
            curl_easy_setopt(curl_, CURLOPT_LOGIN_OPTIONS, "AUTH=XOAUTH2;AUTH=OAUTHBEARER");
            curl_easy_setopt(curl_, CURLOPT_XOAUTH2_BEARER, options_.token.c_str());
        }
        const auto seconds = static_cast<long>(options_.timeout.count());
        curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT, seconds);
        curl_easy_setopt(curl_, CURLOPT_SERVER_RESPONSE_TIMEOUT, seconds);
        curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, error_);
        curl_easy_setopt(curl_, CURLOPT_CONNECT_ONLY, 1L);
        if (const CURLcode result = curl_easy_perform(curl_); result != CURLE_OK)
            throw ImapTrouble(printable(fmt::format("{}: {}", curl_easy_strerror(result), error_)));
        ask("SELECT " + quoted(options_.folder));
    } catch (...) {
        curl_easy_cleanup(curl_);
        throw;
    }
}

ImapMailbox::~ImapMailbox() {
    std::size_t n = 0;
    curl_easy_send(curl_, "z0 LOGOUT\r\n", 11, &n);
    curl_easy_cleanup(curl_);  // which says nothing more on a connection of CURLOPT_CONNECT_ONLY
}

std::vector<std::uint32_t> ImapMailbox::unseen() {
    std::vector<std::uint32_t> uids;
    for (const std::string& line : ask("UID SEARCH UNSEEN UNDELETED")) {
        if (!line.starts_with("* SEARCH")) continue;
        for (const char *at = line.data() + 8, *end = line.data() + line.size(); at < end;) {
            std::uint32_t uid = 0;
            const auto [stop, error] = std::from_chars(at, end, uid);
            if (error == std::errc() && uid > 0) uids.push_back(uid);
            at = std::max(stop, at + 1);
        }
    }
    return uids;
}

std::optional<std::string> ImapMailbox::fetch(std::uint32_t uid, std::size_t most) {
    std::optional<std::string> mail;
    ask(fmt::format("UID FETCH {} (BODY.PEEK[]<0.{}>)", uid, most), most, &mail);
    return mail;
}

void ImapMailbox::mark_seen(std::uint32_t uid) {
    ask(fmt::format("UID STORE {} +FLAGS.SILENT (\\Seen)", uid));
}

std::vector<std::string> ImapMailbox::ask(const std::string& command, std::size_t most,
                                          std::optional<std::string>* literal) {
    const std::string tag = fmt::format("z{}", ++commands_);
    send(tag + " " + command + "\r\n");
    std::vector<std::string> lines;
    for (std::size_t octets = 0;;) {
        std::string line = read_line();
        if (line.starts_with(tag + " ")) {
            if (!line.starts_with(tag + " OK")) throw ImapTrouble(printable(line.substr(tag.size() + 1)));
            return lines;
        }
        while (const auto n = announced_literal(line)) {
            if (!literal || *n > most) throw ImapTrouble("the server sends more than it was asked for");
            *literal = read_octets(*n);
            line = read_line();
        }
        if (line.starts_with("* BYE")) throw ImapTrouble(printable(line.substr(2)));
        if ((octets += line.size()) > longest_line)
            throw ImapTrouble("the server sends more than it was asked for");
        lines.push_back(std::move(line));
    }
}

void ImapMailbox::send(std::string_view octets) {
    while (!octets.empty()) {
        std::size_t n = 0;
        const CURLcode result = curl_easy_send(curl_, octets.data(), octets.size(), &n);
        if (result == CURLE_AGAIN) {
            await(POLLOUT);
            continue;
        }
        if (result != CURLE_OK) throw ImapTrouble(curl_easy_strerror(result));
        octets.remove_prefix(n);
    }
}

std::string ImapMailbox::read_line() {
    std::size_t looked_at = 0;
    for (;;) {
        if (const std::size_t end = heard_.find('\n', looked_at); end != heard_.npos) {
            std::string line = heard_.substr(0, end > 0 && heard_[end - 1] == '\r' ? end - 1 : end);
            heard_.erase(0, end + 1);
            return line;
        }
        looked_at = heard_.size();
        if (looked_at > longest_line) throw ImapTrouble("the server sends more than it was asked for");
        read_more();
    }
}

std::string ImapMailbox::read_octets(std::size_t n) {
    while (heard_.size() < n) read_more();
    std::string octets = heard_.substr(0, n);
    heard_.erase(0, n);
    return octets;
}

void ImapMailbox::read_more() {
    if (!more_) await(POLLIN);  // but TLS may hold what the socket no longer shows
    char buffer[16 * 1024];
    std::size_t n = 0;
    const CURLcode result = curl_easy_recv(curl_, buffer, sizeof buffer, &n);
    more_ = result == CURLE_OK && n == sizeof buffer;
    if (result == CURLE_AGAIN) return;
    if (result != CURLE_OK) throw ImapTrouble(curl_easy_strerror(result));
    if (n == 0) throw ImapTrouble("the server closed the connection");
    heard_.append(buffer, n);
}

void ImapMailbox::await(short events) {
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(curl_, CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK || socket == CURL_SOCKET_BAD)
        throw ImapTrouble("the server closed the connection");
    pollfd fd{socket, events, 0};
    const int ready = ::poll(&fd, 1, static_cast<int>(std::chrono::milliseconds(options_.timeout).count()));
    if (ready == 0)
        throw ImapTrouble(fmt::format("the server says nothing for {} s", options_.timeout.count()));
    if (ready < 0 && errno != EINTR) throw ImapTrouble("the connection cannot be waited for");
}

}  // namespace zgoda::mailer
