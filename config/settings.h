// The settings: the same sections, names, order and defaults as zgoda.toml, which explains each one.
//
// load_settings() reads them once, at the start; after that they are a value that nobody changes. All that
// can be checked without opening anything else is checked there: types, ranges, addresses, and what does not
// go together. No secret is in here, only the names of the files that hold them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/problem.h"
#include "service/time.h"

namespace zgoda::config {

// storage.url. ("postgresql://..." is understood and refused: this program does not have it yet.)
struct SqliteFile {
    std::filesystem::path file;
};

// mail.url: where letters go.
struct Maildir {
    std::filesystem::path folder;
};
struct Relay {
    std::string host;  // a name or an IP address; IPv6 without its brackets
    std::uint16_t port = 587;
    bool implicit_tls = false;  // smtps:// (RFC 8314); else STARTTLS, unless mail.tls is none
};

// mail.from: "Name <address>"; both are fit for a letter's header: no line ends, one ASCII address.
struct Sender {
    std::string name;  // UTF-8, without quotes; may be empty
    std::string address;

    std::string domain() const;
};

enum class Tls { required, none };
enum class LogLevel { debug, info, warn, error };

// Paths are absolute when load_settings() has made them, and empty where the setting is "".
struct Settings {
    struct Server {
        std::string listen = "127.0.0.1:8080";          // "IP:port", "[IPv6]:port" or "unix:/absolute/path"
        std::string private_listen = "127.0.0.1:8081";  // the same, but loopback or a Unix socket
        std::string public_url = "http://127.0.0.1:8080";              // without a slash at its end
        std::vector<std::string> allowed_origins;                      // exactly as browsers send them
        std::vector<std::string> trusted_proxies{"loopback", "unix"};  // these words, IPs, or IP/bits
        int threads = 0;                                               // 0: one a core
    } server;

    struct Storage {
        SqliteFile url{"var/zgoda.db"};
        std::filesystem::path withdrawals_journal = "var/withdrawals.log";
    } storage;

    struct Mail {
        std::variant<Maildir, Relay> url = Maildir{"var/letters"};
        Sender from{"zgoda", "newsletters@localhost"};
        std::vector<std::string> from_domains;  // besides the one of `from`; lower case, ASCII
        std::string bounce_domain;              // "": no VERP
        std::string username;                   // "": no authentication; else one of the two files is set
        std::filesystem::path password_file;    // see load_password()
        std::filesystem::path token_file;       // OAuth 2
        Tls tls = Tls::required;
        int connections = 4;
        int letters_per_connection = 0;  // these three: 0 is no limit
        int rate_per_second = 0;
        int domain_per_minute = 0;
        std::string imprint;  // may have several lines
        std::filesystem::path templates;
    } mail;

    struct Budget {  // an empty list of rates: no limit
        std::vector<service::Rate> per_address{
            {1, 15 * service::minute_ms}, {3, service::day_ms}, {5, 30 * service::day_ms}};
        std::vector<service::Rate> preference_links{{1, 15 * service::minute_ms}, {3, service::day_ms}};
        std::vector<service::Rate> per_domain;
        std::vector<std::string> large_domains;
    } budget;

    struct Limits {
        std::vector<service::Rate> per_ip{{60, service::hour_ms}};
    } limits;

    struct Retention {
        service::DurationMs unconfirmed = 10 * service::day_ms;
        service::DurationMs ip_evidence = 90 * service::day_ms;
        service::DurationMs outbox = 30 * service::day_ms;
    } retention;

    struct Log {
        LogLevel level = LogLevel::info;
    } log;

    struct Secrets {
        std::filesystem::path key_file = "var/secret.key";
    } secrets;

    std::filesystem::path file;         // where they were read from; empty: the built-in defaults
    std::vector<std::string> warnings;  // sentences to say at the start
};

// Reads `explicit_file` (--config), or $ZGODA_CONFIG, or zgoda.toml in `current_folder` unless others than
// root and this user may write it, or `system_file`, or nothing; then ZGODA_SECTION_KEY from the environment
// over it. Relative paths count from the file's folder, without a file from `current_folder`.
std::variant<Settings, Problem> load_settings(
    const std::optional<std::filesystem::path>& explicit_file,
    const std::map<std::string, std::string>& environment, const std::filesystem::path& current_folder,
    const std::filesystem::path& system_file = "/etc/zgoda/zgoda.toml");

// Every setting there is, as "section.key", in the order of zgoda.toml.
std::vector<std::string> setting_names();

// The domains that a sender may use: of mail.from, and mail.from_domains.
std::vector<std::string> sender_domains(const Settings&);

}  // namespace zgoda::config
