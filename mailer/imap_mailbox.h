#pragma once

// A mailbox on an IMAP server (RFC 3501), and the mails in it that nobody has seen. libcurl makes the
// connection, with TLS and AUTH; the commands are ours, because libcurl's own FETCH marks a mail as seen
// before anybody has acted on it. Nothing is ever deleted or moved.
//
// Every call blocks until the server has answered or the timeout has passed, and throws ImapTrouble then and
// for everything else that a server may do. Not for several threads at once.

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace zgoda::mailer {

struct ImapOptions {
    enum class Tls {
        none,      // for loopback only
        starttls,  // required: a server that does not offer it gets no password
        implicit,  // imaps, RFC 8314
    };
    std::string host;  // IPv6 without its brackets
    std::uint16_t port = 993;
    Tls tls = Tls::implicit;
    std::string username;
    std::string password;
    std::string token;                 // instead of a password: OAuth 2, for XOAUTH2 and OAUTHBEARER
    std::string folder = "INBOX";      // printable ASCII
    std::string ca_file;               // certificates to trust; empty: the system's
    std::chrono::seconds timeout{60};  // for the connection, and for each answer
};

// What went wrong, in the server's words or libcurl's; printable.
struct ImapTrouble : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class ImapMailbox {
 public:
    explicit ImapMailbox(ImapOptions);  // connects, and opens the folder
    ~ImapMailbox();                     // does not wait for the server's goodbye
    ImapMailbox(const ImapMailbox&) = delete;
    ImapMailbox& operator=(const ImapMailbox&) = delete;

    std::vector<std::uint32_t> unseen();  // the UIDs of mails that are neither seen nor deleted

    // The first `most` octets of a mail, which stays unseen; nullopt if it is gone meanwhile.
    std::optional<std::string> fetch(std::uint32_t uid, std::size_t most);

    void mark_seen(std::uint32_t uid);

 private:
    // The untagged lines of the answer to a command; one literal of them, of at most `most` octets, goes into
    // `literal`.
    std::vector<std::string> ask(const std::string& command, std::size_t most = 0,
                                 std::optional<std::string>* literal = nullptr);
    void send(std::string_view octets);
    std::string read_line();
    std::string read_octets(std::size_t n);
    void read_more();
    void await(short events);

    ImapOptions options_;
    CURL* curl_ = nullptr;
    char error_[CURL_ERROR_SIZE] = {};
    int commands_ = 0;
    std::string heard_;  // octets of the server that were not looked at
    bool more_ = false;  // the last read filled its buffer
};

}  // namespace zgoda::mailer
