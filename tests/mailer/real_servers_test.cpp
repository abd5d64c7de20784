// The couriers with servers that we did not write: Postfix's smtp-sink, Postfix itself and Exim with
// STARTTLS, AUTH and mailboxes, OpenSMTPD. Where they cannot be started the test says so and passes, but not
// in CI.

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "mailer/courier.h"
#include "mailer/letter.h"

namespace fs = std::filesystem;
using namespace zgoda::mailer;
using Kind = Outcome::Kind;
using Scope = Outcome::Scope;
using namespace std::chrono_literals;

namespace {

void skip(const std::string& why) {
    if (::getenv("CI"))
        FAIL("cannot be skipped in CI: " << why);
    else
        MESSAGE("skipped: " << why);
}

std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    ::close(fd);
    return ntohs(address.sin_port);
}

bool listens(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    for (int i = 0; i < 100; ++i) {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        const bool connected = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        ::close(fd);
        if (connected) return true;
        std::this_thread::sleep_for(50ms);
    }
    return false;
}

std::string read_file(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct Folder {
    Folder() {
        char name[] = "/tmp/zgoda-real-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() {
        std::error_code error;  // a server may still be on its way out
        for (int i = 0; i < 40 && (fs::remove_all(path, error), error); ++i)
            std::this_thread::sleep_for(50ms);
    }
    fs::path path;
};

// A child process, ended when the test is over.
struct Child {
    explicit Child(const std::vector<std::string>& words) {
        std::vector<char*> argv;
        for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        pid = ::fork();
        if (pid == 0) {
            const int null = ::open("/dev/null", O_RDWR);
            ::dup2(null, 1);
            ::dup2(null, 2);
            ::execv(argv[0], argv.data());
            ::_exit(127);
        }
    }
    ~Child() {
        ::kill(pid, SIGTERM);
        ::waitpid(pid, nullptr, 0);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    pid_t pid = 0;
};

// A mail server that tests/mailer/NAME.sh starts and stops.
struct MailServer {
    explicit MailServer(const std::string& name) : script(ZGODA_SOURCE_DIR "/tests/mailer/" + name + ".sh") {
        const std::string log = folder.path / "start.log";
        started = ::system((script + " start " + folder.path.string() + " " + std::to_string(port) +
                            " < /dev/null > " + log + " 2>&1")
                               .c_str()) == 0 &&
                  listens(port);
        if (!started) why = read_file(log);
    }
    ~MailServer() {
        if (started)
            (void)!::system((script + " stop " + folder.path.string() + " > /dev/null 2>&1").c_str());
    }
    MailServer(const MailServer&) = delete;
    MailServer& operator=(const MailServer&) = delete;

    // The one letter that came into this box, once it has.
    std::string letter_in(const std::string& box) const {
        const fs::path place = folder.path / "boxes" / box / "new";
        for (int i = 0; i < 200; ++i) {
            if (fs::exists(place) && !fs::is_empty(place))
                return read_file(fs::directory_iterator(place)->path());
            std::this_thread::sleep_for(50ms);
        }
        return {};
    }

    const std::string script;
    const std::uint16_t port = free_port();
    Folder folder;
    bool started = false;
    std::string why;
};

Letter letter_to(std::string recipient) {
    Letter letter;
    letter.from = {"Новини", "news@mail.test"};
    letter.to = std::move(recipient);
    letter.subject = "Підтвердьте підписку";
    letter.text = "Привіт\n.\n.крапка\n";
    letter.html = "<p>Hello\n.\n..</p>\n";
    letter.message_id = "<17.abc@mail.test>";
    return letter;
}

std::string without_cr(std::string text) {
    std::erase(text, '\r');
    return text;
}

}  // namespace

TEST_SUITE("real servers") {
    TEST_CASE("smtp-sink takes every letter of eight couriers at once") {
        if (!fs::exists("/usr/sbin/smtp-sink"))
            return skip("/usr/sbin/smtp-sink (package postfix) is not installed");
        const std::uint16_t port = free_port();
        const Child sink({"/usr/sbin/smtp-sink", "-u", "nobody", "127.0.0.1:" + std::to_string(port), "100"});
        if (!listens(port)) return skip("smtp-sink does not start");

        std::atomic<int> delivered{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                SmtpOptions options;
                options.host = "127.0.0.1";
                options.port = port;
                options.tls = SmtpOptions::Tls::none;
                const auto courier = make_smtp_courier(options);
                const std::string message = build_message(letter_to("ada@mail.test"));
                for (int k = 0; k < 200; ++k)
                    if (courier->deliver({{"news@mail.test", "ada@mail.test", false}, message}).kind ==
                        Kind::delivered)
                        ++delivered;
            });
        for (auto& thread : threads) thread.join();
        CHECK(delivered == 1600);
    }

    TEST_CASE("Postfix takes letters over STARTTLS with a password, and puts them into boxes") {
        const MailServer postfix("postfix");
        if (!postfix.started) return skip("Postfix does not start: " + postfix.why);
        SmtpOptions options;
        options.host = "localhost";
        options.port = postfix.port;
        options.username = "zgoda";
        options.password = "open-sesame";
        options.ca_file = postfix.folder.path / "cert.pem";
        options.helo_name = "client.mail.test";
        const auto deliver = [](const SmtpOptions& with, const std::string& to, bool smtputf8) {
            return make_smtp_courier(with)->deliver(
                {{"news@mail.test", to, smtputf8}, build_message(letter_to(to))});
        };

        Outcome outcome = deliver(options, "ada@mail.test", false);
        CAPTURE(outcome.reply);
        CHECK(outcome.kind == Kind::delivered);
        CHECK(outcome.reply.find("queued as") != std::string::npos);
        CHECK(postfix.letter_in("ada").ends_with(without_cr(build_message(letter_to("ada@mail.test")))));

        outcome = deliver(options, "Оксана@mail.test", true);
        CHECK(outcome.kind == Kind::delivered);
        CHECK(
            postfix.letter_in("oksana").ends_with(without_cr(build_message(letter_to("Оксана@mail.test")))));

        outcome = deliver(options, "nobody@mail.test", false);
        CHECK(outcome.kind == Kind::refused);
        CHECK(outcome.mailbox_unknown);

        SmtpOptions wrong = options;
        wrong.password = "open-rye";
        outcome = deliver(wrong, "ada@mail.test", false);
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::config);
        CHECK(outcome.reply.starts_with("535 5.7.8"));

        wrong = options;
        wrong.ca_file.clear();  // nobody knows this certificate
        outcome = deliver(wrong, "ada@mail.test", false);
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::config);

        wrong = options;
        wrong.host = "127.0.0.1";  // not the certificate's name
        CHECK(deliver(wrong, "ada@mail.test", false).scope == Scope::config);

        wrong = options;
        wrong.tls = SmtpOptions::Tls::none;
        wrong.username.clear();
        outcome = deliver(wrong, "ada@mail.test", false);
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::config);
        CHECK(outcome.reply.starts_with("530 5.7.0"));
    }

    TEST_CASE("Exim takes letters over STARTTLS with a password, and its refusals are understood") {
        const MailServer exim("exim");
        if (!exim.started) return skip("Exim does not start: " + exim.why);
        SmtpOptions options;
        options.host = "localhost";
        options.port = exim.port;
        options.username = "zgoda";
        options.password = "open-sesame";
        options.ca_file = exim.folder.path / "cert.pem";
        const auto courier = make_smtp_courier(options);
        const auto deliver = [&](const std::string& to) {
            return courier->deliver({{"news@mail.test", to, false}, build_message(letter_to(to))});
        };
        Outcome outcome = deliver("ada@mail.test");
        CAPTURE(outcome.reply);
        CHECK(outcome.kind == Kind::delivered);
        CHECK(outcome.reply.starts_with("250 OK id="));
        CHECK(without_cr(exim.letter_in("ada"))
                  .ends_with(without_cr(build_message(letter_to("ada@mail.test")))));

        outcome = deliver("nobody@mail.test");
        CHECK(outcome.kind == Kind::refused);
        CHECK(outcome.reply == "550 5.1.1 unknown user");
        CHECK(outcome.mailbox_unknown);

        outcome = deliver("later@mail.test");
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::letter);
        CHECK(outcome.reply.starts_with("450 4.2.0"));
        CHECK(deliver("ada@mail.test").kind == Kind::delivered);

        SmtpOptions wrong = options;
        wrong.password = "open-rye";
        outcome = make_smtp_courier(wrong)->deliver({{"news@mail.test", "ada@mail.test", false}, "x\r\n"});
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::config);
        CHECK(outcome.reply.starts_with("535"));
    }

    TEST_CASE("OpenSMTPD, which offers no PIPELINING, takes letters, and its refusals are understood") {
        const MailServer opensmtpd("opensmtpd");
        if (!opensmtpd.started) return skip("OpenSMTPD does not start: " + opensmtpd.why);
        SmtpOptions options;
        options.host = "127.0.0.1";
        options.port = opensmtpd.port;
        options.tls = SmtpOptions::Tls::none;
        const auto courier = make_smtp_courier(options);
        const auto deliver = [&](const std::string& to) {
            return courier->deliver({{"news@mail.test", to, false}, build_message(letter_to(to))});
        };
        for (int i = 0; i < 2; ++i) {
            const Outcome outcome = deliver("ada@mail.test");
            CAPTURE(outcome.reply);
            CHECK(outcome.kind == Kind::delivered);
            CHECK(outcome.reply.starts_with("250 2.0.0"));
        }
        CHECK(without_cr(opensmtpd.letter_in("ada"))
                  .ends_with(without_cr(build_message(letter_to("ada@mail.test")))));

        Outcome outcome = deliver("ada@elsewhere.test");
        CAPTURE(outcome.reply);
        CHECK(outcome.kind == Kind::refused);
        CHECK(outcome.reply.starts_with("550"));
        CHECK(deliver("ada@mail.test").kind == Kind::delivered);

        outcome = deliver("later@mail.test");
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::letter);
        CHECK(outcome.reply.starts_with("450 4.2.0"));
        CHECK(deliver("ada@mail.test").kind == Kind::delivered);

        options.tls = SmtpOptions::Tls::starttls;  // it has none here, nor AUTH
        CHECK(make_smtp_courier(options)
                  ->deliver({{"news@mail.test", "ada@mail.test", false}, "x\r\n"})
                  .scope == Scope::config);
        options.tls = SmtpOptions::Tls::none;
        options.username = "zgoda";
        options.password = "open-sesame";
        CHECK(make_smtp_courier(options)
                  ->deliver({{"news@mail.test", "ada@mail.test", false}, "x\r\n"})
                  .scope == Scope::config);
    }

    TEST_CASE("a certificate that is not good says what is wrong with it, and no letter is sent") {
        const Folder folder;
        ::setenv("DIR", folder.path.c_str(), 1);
        const int made = ::system(
            "cd $DIR && exec > log 2>&1 && set -e\n"
            "sign() { openssl x509 -req -in $1.req -CA ca.pem -CAkey ca.key -copy_extensions copy -out "
            "$1.pem -days $2; }\n"
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=authority "
            "-keyout ca.key "
            "-out ca.pem -days 2\n"
            "for one in good expired; do openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
            "-keyout $one.key "
            "-subj /CN=localhost -addext subjectAltName=DNS:localhost -out $one.req; done\n"
            "sign good 2; sign expired -1\n"
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost "
            "-addext subjectAltName=DNS:localhost -keyout self.key -out self.pem -days 2\n");
        ::unsetenv("DIR");
        if (made != 0) return skip("no certificates: " + read_file(folder.path / "log"));
        const auto deliver = [&](const std::string& certificate, const char* trusted, const char* host) {
            const std::uint16_t port = free_port();
            const Child server({"/usr/bin/openssl", "s_server", "-quiet", "-accept", std::to_string(port),
                                "-cert", folder.path / (certificate + ".pem"), "-key",
                                folder.path / (certificate + ".key")});
            REQUIRE(listens(port));
            SmtpOptions options;
            options.host = host;
            options.port = port;
            options.tls = SmtpOptions::Tls::implicit;
            options.connect_timeout = 2s;
            if (trusted) options.ca_file = folder.path / trusted;
            const Outcome outcome =
                make_smtp_courier(options)->deliver({{"news@mail.test", "ada@mail.test", false}, "x\r\n"});
            CHECK(outcome.kind == Kind::try_later);
            return outcome;
        };
        const auto fails = [&](const Outcome& outcome, const char* words) {
            CAPTURE(outcome.reply);
            CHECK(outcome.scope == Scope::config);  // the circuit opens, and no letter loses an attempt
            CHECK(outcome.reply.find(words) != std::string::npos);
        };
        fails(deliver("self", nullptr, "localhost"), "is self-signed");
        fails(deliver("good", nullptr, "localhost"), "authority that this machine does not know");
        fails(deliver("expired", "ca.pem", "localhost"), "has expired");
        fails(deliver("good", "ca.pem", "127.0.0.1"), "another host name");
        // A good one is taken: what fails then is that this server says nothing.
        CHECK(deliver("good", "ca.pem", "localhost").scope == Scope::relay);
    }

    TEST_CASE("letters to Postfix share one TLS connection") {
        const MailServer postfix("postfix");
        if (!postfix.started) return skip("Postfix does not start: " + postfix.why);
        SmtpOptions options;
        options.host = "localhost";
        options.port = postfix.port;
        options.username = "zgoda";
        options.password = "open-sesame";
        options.ca_file = postfix.folder.path / "cert.pem";
        const auto courier = make_smtp_courier(options);
        const std::string message = build_message(letter_to("ada@mail.test"));
        for (int i = 0; i < 10; ++i)
            CHECK(courier->deliver({{"news@mail.test", "ada@mail.test", false}, message}).kind ==
                  Kind::delivered);
        const std::string log = read_file(postfix.folder.path / "mail.log");
        std::size_t connects = 0;
        for (std::size_t at = 0; (at = log.find(": connect from", at)) != log.npos; ++at) ++connects;
        CHECK(connects == 2);  // the first was listens()
    }
}
