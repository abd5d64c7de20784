#pragma once

// An SMTP server for tests. It takes every letter, but for what its script says: a table of command and
// reply, in which a test states only the reply that differs.
//
//     ScriptedSmtp server{{"RCPT", "450 4.2.0 greylisted"}};
//
// Commands: CONNECT (the banner), EHLO, HELO, AUTH, MAIL, RCPT, DATA, "." (the reply to the letter), RSET,
// QUIT. "RCPT 2" is the second RCPT of all connections. What comes after a 334 is an AUTH too. A reply may
// have several lines (joined by \n), and may end with
//     <drop>       the connection is closed (after what was said before, if anything)
//     <silent>     nothing more is said until the client goes away
//     <wait N>     N ms pass, then comes the rest of the reply
//     <drip N>     the rest of the reply is said octet by octet, one every N ms
// Where the script says nothing, a command out of its order gets a 503, as servers do: MAIL within a
// transaction, RCPT without MAIL, DATA without RCPT.
//
// A server of this kind listens on 127.0.0.1 (or ::1), serves each connection in its own thread, and stops
// when it dies.

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace zgoda::test {

class ScriptedSmtp {
 public:
    using Script = std::map<std::string, std::string>;

    ScriptedSmtp() : ScriptedSmtp(Script()) {}
    ScriptedSmtp(std::initializer_list<Script::value_type> script) : ScriptedSmtp(Script(script)) {}
    explicit ScriptedSmtp(Script script, bool ipv6 = false);
    ~ScriptedSmtp();
    ScriptedSmtp(const ScriptedSmtp&) = delete;
    ScriptedSmtp& operator=(const ScriptedSmtp&) = delete;

    std::uint16_t port() const { return port_; }

    struct Mail {
        std::string from, to;  // the whole command lines
        std::string data;      // with dots unstuffed
    };
    std::vector<Mail> mails() const;              // that were answered 250
    std::vector<std::string> commands() const;    // all lines that were no letter's, "CONNECT" for each
                                                  // connection, and "(cut) ...", a letter without its end
    int count(const std::string& command) const;  // how many of them begin with it
    int reads() const { return reads_; }          // how often it had to wait for more to read

 private:
    void accept_all();
    void serve(int fd);
    std::string reply_to(const std::string& command, bool in_order = true);
    bool say(int fd, std::string reply);

    Script script_;
    std::uint16_t port_ = 0;
    int listener_ = -1;
    mutable std::mutex mutex_;
    std::map<std::string, int> seen_;
    std::vector<std::string> commands_;
    std::vector<Mail> mails_;
    std::vector<int> open_;
    std::vector<std::thread> threads_;
    std::atomic<int> reads_{0};
    std::atomic<bool> stopping_{false};
    std::thread acceptor_;
};

}  // namespace zgoda::test
