#pragma once

// A courier takes one letter to one place and says what became of it. There are two: SMTP (smtp_courier.cpp,
// pipelined_courier.cpp where the relay offers PIPELINING) and a Maildir on this machine
// (maildir_courier.cpp).
//
// A courier is used by one thread, keeps its one connection between letters, and never throws for what a
// server or a disk may do: that is an Outcome.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace zgoda::mailer {

// Who the letter is from and to as the SMTP server sees it (RFC 5321). Domains are A-labels.
struct Envelope {
    std::string sender;
    std::string recipient;
    bool needs_smtputf8 = false;  // the recipient's local part is not ASCII (RFC 6531)
};

struct Parcel {
    Envelope envelope;
    std::string message;  // with CRLF line ends
    std::function<bool()>
        may_go{};  // asked last, when the server waits for the message: false, and it does not go
};

struct Outcome {
    enum class Kind {
        delivered,  // the server took responsibility
        try_later,  // not delivered, and may be later
        refused,    // not delivered, and never will be as it is
        uncertain,  // the connection was lost after the final dot: perhaps delivered
    };
    // What a try_later is about. Only `letter` counts as an attempt at this letter.
    enum class Scope {
        letter,
        relay,   // the server cannot be reached or is closing: every letter must wait
        config,  // name, password, certificate or sender are wrong: every letter waits for a human
    };
    Kind kind = Kind::try_later;
    Scope scope = Scope::letter;
    std::string reply;  // the server's own words, or ours about what went wrong: at most 500 octets, and
                        // what is not printable made visible in them
    bool mailbox_unknown = false;  // refused because this mailbox or domain does not exist
};

class Courier {
 public:
    virtual ~Courier() = default;

    // Blocks until the server has answered or the timeouts have passed. `next` is the parcel of the next
    // call, where it is known: its envelope may go to the server behind this letter, its message does not. If
    // that call brings another after all, nothing is lost but a connection.
    virtual Outcome deliver(const Parcel& parcel, const Parcel* next = nullptr) = 0;

    // Whether a letter could go: connects, logs in, and sends nothing. Blocks like deliver(). `delivered`:
    // yes.
    virtual Outcome check() = 0;
};

struct SmtpOptions {
    enum class Tls {
        none,      // for loopback only
        starttls,  // required: a server that does not offer it gets no letter
        implicit,  // smtps, RFC 8314
    };
    std::string host;
    std::uint16_t port = 587;
    Tls tls = Tls::starttls;
    std::string username;    // empty: no authentication. With it, a server without AUTH gets no letter
    std::string password;    // empty, without a token: Kerberos, with a ticket of this process's user
    std::string token_file;  // instead of a password: holds an OAuth 2 token, read for each connection
    std::string helo_name;   // our own host name; empty: what the system calls us
    std::string ca_file;     // certificates to trust; empty: the system's
    std::chrono::seconds connect_timeout{30};  // until the server is ready for a letter
    std::chrono::seconds reply_timeout{300};   // for each reply. Too short means letters sent twice
    std::chrono::seconds total_timeout{900};   // of a letter; its body does not begin later
    std::chrono::seconds longest_idle{25};     // of a connection that is used again; below relays' limits
    int letters_per_connection = 0;            // 0: as many as the relay takes
    std::function<void(std::string_view)>
        on_reply;  // hears each line of the server, for showing the dialogue
};

std::unique_ptr<Courier> make_smtp_courier(SmtpOptions options);

// Each letter becomes a file in `folder`/new, exactly its bytes, and is on the disk before this says
// "delivered". The folder is made (0700) with the first letter. Couriers may share a folder.
std::unique_ptr<Courier> make_maildir_courier(std::string folder);

// The last guard before an address goes onto the wire or into a header: valid UTF-8, one '@', an ASCII
// domain, and nothing that ends or quotes an address there. (Whether it is a good address is decided
// elsewhere.)
bool is_safe_address(std::string_view address);

}  // namespace zgoda::mailer
