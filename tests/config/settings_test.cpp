#include "config/settings.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "tests/config/folder.h"

using namespace zgoda;
using namespace zgoda::config;
using std::filesystem::path;

namespace {

using Environment = std::map<std::string, std::string>;

const path source_dir = ZGODA_SOURCE_DIR;

struct Loaded {
    std::optional<Settings> settings;
    std::string problem;
};

Loaded load(const std::optional<path>& file, const Environment& environment, const path& here,
            const path& system_file = "/nonexistent/zgoda.toml") {
    auto result = load_settings(file, environment, here, system_file);
    if (const auto* problem = std::get_if<Problem>(&result)) return {std::nullopt, problem->sentence};
    return {std::get<Settings>(result), ""};
}

Settings good(const Loaded& loaded) {
    REQUIRE_MESSAGE(loaded.settings.has_value(), loaded.problem);
    return *loaded.settings;
}

Settings from_toml(const std::string& toml) {
    const Folder folder;
    return good(load(folder.write("z.toml", toml), {}, "/"));
}

// Everything but the file's own name, in words that can be compared.
std::string all_of(const Settings& s) {
    std::ostringstream out;
    const auto list = [&](const std::vector<std::string>& items) {
        for (const auto& item : items) out << item << ",";
        out << "\n";
    };
    const auto rates = [&](const std::vector<service::Rate>& items) {
        for (const auto& rate : items) out << rate.count << "/" << rate.window << " ";
        out << "\n";
    };
    out << s.server.listen << "\n" << s.server.private_listen << "\n" << s.server.public_url << "\n";
    list(s.server.allowed_origins);
    list(s.server.trusted_proxies);
    out << s.server.threads << "\n" << s.storage.url.file << "\n" << s.storage.withdrawals_journal << "\n";
    if (const auto* relay = std::get_if<Relay>(&s.mail.url)) {
        out << relay->host << " " << relay->port << " " << relay->implicit_tls << "\n";
    } else {
        out << std::get<Maildir>(s.mail.url).folder << "\n";
    }
    out << s.mail.from.name << "|" << s.mail.from.address << "\n";
    list(s.mail.from_domains);
    out << s.mail.bounce_domain << "\n"
        << s.mail.username << "\n"
        << s.mail.password_file << "\n"
        << s.mail.token_file << "\n";
    out << (s.mail.tls == Tls::none) << "\n" << s.mail.connections << "\n" << s.mail.rate_per_second << "\n";
    out << s.mail.letters_per_connection << "\n" << s.mail.domain_per_minute << "\n";
    out << s.mail.imprint << "\n" << s.mail.templates << "\n";
    rates(s.budget.per_address);
    rates(s.budget.preference_links);
    rates(s.budget.per_domain);
    list(s.budget.large_domains);
    rates(s.limits.per_ip);
    out << s.retention.unconfirmed << " " << s.retention.ip_evidence << " " << s.retention.outbox << "\n";
    out << static_cast<int>(s.log.level) << "\n" << s.secrets.key_file << "\n";
    return out.str();
}

}  // namespace

TEST_SUITE("settings") {
    TEST_CASE("each broken file is refused with the sentence beside it") {
        const path folder = source_dir / "tests/config/bad";
        int files = 0;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            if (entry.path().extension() != ".toml") continue;
            ++files;
            CAPTURE(entry.path().string());
            path sentence = entry.path();
            sentence.replace_extension(".txt");
            std::string said = load(entry.path(), {}, "/").problem;
            for (auto at = said.find(folder.string()); at != std::string::npos;
                 at = said.find(folder.string())) {
                said.erase(at, folder.string().size() + 1);
            }
            CHECK(said + "\n" == read(sentence));
            CHECK(said.find("hunter2") == std::string::npos);
        }
        CHECK(files >= 25);
    }

    TEST_CASE("without a file and environment the defaults hold, in the current folder") {
        const Folder folder;
        const Settings s = good(load(std::nullopt, {}, folder.path));
        CHECK(s.file.empty());
        CHECK(s.warnings.empty());
        CHECK(s.server.listen == "127.0.0.1:8080");
        CHECK(s.server.private_listen == "127.0.0.1:8081");
        CHECK(s.server.public_url == "http://127.0.0.1:8080");
        CHECK(s.server.allowed_origins.empty());
        CHECK(s.server.trusted_proxies == std::vector<std::string>{"loopback", "unix"});
        CHECK(s.server.threads == 0);
        CHECK(s.storage.url.file == folder.path / "var/zgoda.db");
        CHECK(s.storage.withdrawals_journal == folder.path / "var/withdrawals.log");
        CHECK(std::get<Maildir>(s.mail.url).folder == folder.path / "var/letters");
        CHECK(s.mail.from.name == "zgoda");
        CHECK(s.mail.from.address == "newsletters@localhost");
        CHECK(s.mail.password_file.empty());
        CHECK(s.mail.tls == Tls::required);
        CHECK(s.mail.connections == 4);
        CHECK(s.mail.rate_per_second == 0);
        CHECK(s.mail.letters_per_connection == 0);
        CHECK(s.mail.domain_per_minute == 0);
        CHECK(s.mail.token_file.empty());
        CHECK(s.mail.templates.empty());
        CHECK(s.budget.per_address == *service::parse_rates("1/15min 3/24h 5/30d"));
        CHECK(s.budget.preference_links == *service::parse_rates("1/15min 3/24h"));
        CHECK(s.budget.per_domain.empty());
        CHECK(s.limits.per_ip == *service::parse_rates("60/h"));
        CHECK(s.retention.unconfirmed == 10 * service::day_ms);
        CHECK(s.retention.ip_evidence == 90 * service::day_ms);
        CHECK(s.retention.outbox == 30 * service::day_ms);
        CHECK(s.log.level == LogLevel::info);
        CHECK(s.secrets.key_file == folder.path / "var/secret.key");
    }

    TEST_CASE("the sample says every setting, at its default") {
        const std::string sample = read(source_dir / "config/zgoda.toml");
        // "#key = value" is a setting that is off, "# words" is a comment.
        const std::regex off("(^|\n)#(?=[a-z_]+ = )");
        const std::string on = std::regex_replace(sample, off, "$1");
        const Folder folder;
        CHECK(all_of(good(load(folder.write("z.toml", sample), {}, "/"))) ==
              all_of(good(load(std::nullopt, {}, folder.path))));
        CHECK(all_of(good(load(folder.write("z.toml", on), {}, "/"))) ==
              all_of(good(load(std::nullopt, {}, folder.path))));

        std::vector<std::string> said;
        std::string section;
        std::istringstream lines(on);
        for (std::string line; std::getline(lines, line);) {
            std::smatch match;
            if (std::regex_match(line, match, std::regex(R"(\[([a-z]+)\])"))) section = match[1];
            if (std::regex_search(line, match, std::regex("^([a-z_]+) = "))) {
                said.push_back(section + "." + std::string(match[1]));
            }
        }
        CHECK(said == setting_names());
    }

    TEST_CASE("what a publisher really needs is enough, and without a warning") {
        const Settings s = good(load(source_dir / "config/zgoda.minimal.toml", {}, "/"));
        CHECK(s.warnings.empty());
        CHECK(std::get<Relay>(s.mail.url).host == "relay.news.example");
        CHECK(s.mail.password_file == source_dir / "config/relay.password");
    }

    TEST_CASE("an empty file is a file of defaults") {
        const Folder folder;
        CHECK(good(load(folder.write("z.toml", ""), {}, "/")).storage.url.file ==
              folder.path / "var/zgoda.db");
    }

    TEST_CASE("values are kept as the rest of the program wants them") {
        const Settings s = from_toml(R"([server]
listen = "[::1]:0"
private_listen = "unix:run/private.sock"
public_url = "HTTPS://News.Example:443/letters/"
allowed_origins = ["https://news.example", "https://www.news.example:8443", "http://localhost:3000"]
trusted_proxies = ["unix", "10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]
[mail]
url = "smtps://Relay.News.Example"
from = "Новини, Схід <Letters@News.Example>"
from_domains = ["Sport.News.Example"]
imprint = "News\n1 Example Street"
[budget]
per_address = ""
per_domain = "500/h"
large_domains = ["gmail.com", "ukr.net"]
[limits]
per_ip = ""
[log]
level = "debug"
)");
        CHECK(s.server.listen == "[::1]:0");
        CHECK(s.server.public_url == "https://news.example/letters");
        CHECK(s.server.allowed_origins.size() == 3);
        CHECK(s.server.trusted_proxies.size() == 4);
        const auto& relay = std::get<Relay>(s.mail.url);
        CHECK(relay.host == "relay.news.example");
        CHECK(relay.port == 465);
        CHECK(relay.implicit_tls);
        CHECK(sender_domains(s) == std::vector<std::string>{"news.example", "sport.news.example"});
        CHECK(s.mail.imprint == "News\n1 Example Street");
        CHECK(s.budget.per_address.empty());
        CHECK(s.budget.large_domains.size() == 2);
        CHECK(s.limits.per_ip.empty());
        CHECK(s.log.level == LogLevel::debug);
    }

    TEST_CASE("a sender is a name and an address") {
        struct Row {
            const char *text, *name, *address;
        };
        const Row rows[] = {
            {"news@news.example", "", "news@news.example"},
            {"<news@news.example>", "", "news@news.example"},
            {"Kyiv News <news@news.example>", "Kyiv News", "news@news.example"},
            {"Пояснюючи Україну <News@News.Example>", "Пояснюючи Україну", "News@news.example"},
            {"\"News, \\\"East\\\"\" <news@news.example>", "News, \"East\"", "news@news.example"},
            {"\"a <b@c.example>\" <news@news.example>", "a <b@c.example>", "news@news.example"},
        };
        const Folder folder;
        for (const Row& row : rows) {
            CAPTURE(std::string(row.text));
            const Settings s = good(load(std::nullopt, {{"ZGODA_MAIL_FROM", row.text}}, folder.path));
            CHECK(s.mail.from.name == row.name);
            CHECK(s.mail.from.address == row.address);
        }
        for (const std::string bad :
             {"", "news", "@news.example", "a@b@c.example", "a b@news.example", "<a@news.example",
              "a@news.example>", "x <y> <a@news.example>", "a.@news.example", ".a@news.example",
              "a..b@news.example", "a@-x.example", "a@127.0.0.1", "a@news..example", "x <>",
              "\"x <a@news.example>", "\"x\\\" <a@news.example>"}) {
            CAPTURE(bad);
            CHECK(load(std::nullopt, {{"ZGODA_MAIL_FROM", bad}}, folder.path).problem ==
                  "ZGODA_MAIL_FROM (mail.from) must be \"Name <name@news.example>\" or one address, in ASCII "
                  "(an IDN "
                  "in its xn-- form).");
        }
    }

    TEST_CASE("loopback is this machine, whatever it is called, and nothing that looks like it") {
        const Folder folder;
        for (const std::string url :
             {"http://localhost:1", "http://127.0.0.1", "http://127.8.9.1:80/x", "http://[::1]:8080"}) {
            CAPTURE(url);
            CHECK(load(std::nullopt, {{"ZGODA_SERVER_PUBLIC_URL", url}}, folder.path).settings);
        }
        for (const std::string url :
             {"http://localhost.news.example", "http://127.0.0.1.news.example", "http://[::2]",
              "http://10.0.0.1", "http://127.1", "http://notlocalhost"}) {
            CAPTURE(url);
            CHECK_FALSE(load(std::nullopt, {{"ZGODA_SERVER_PUBLIC_URL", url}}, folder.path).settings);
        }
    }

    TEST_CASE("a relay on this machine may do without TLS and a public address, and the start says so") {
        const Folder folder;
        for (const std::string host : {"localhost", "127.0.0.1:2525", "[::1]:25"}) {
            const Settings s =
                good(load(std::nullopt, {{"ZGODA_MAIL_URL", "smtp://" + host}, {"ZGODA_MAIL_TLS", "none"}},
                          folder.path));
            REQUIRE(s.warnings.size() == 1);
            CHECK(s.warnings[0] ==
                  "ZGODA_MAIL_TLS (mail.tls) is \"none\": letters go to the relay on this machine "
                  "unencrypted.");
        }
    }

    TEST_CASE("letters from localhost through a distant relay are warned of") {
        const Folder folder;
        const Settings s = good(load(std::nullopt,
                                     {{"ZGODA_MAIL_URL", "smtp://relay.news.example"},
                                      {"ZGODA_SERVER_PUBLIC_URL", "https://news.example"}},
                                     folder.path));
        REQUIRE(s.warnings.size() == 1);
        CHECK(s.warnings[0].starts_with("mail.from is an address at localhost"));
    }
}

TEST_SUITE("the environment") {
    TEST_CASE("every setting can be given there, and goes over the file") {
        const Environment all{
            {"ZGODA_SERVER_LISTEN", "127.0.0.1:1"},
            {"ZGODA_SERVER_PRIVATE_LISTEN", "127.0.0.1:2"},
            {"ZGODA_SERVER_PUBLIC_URL", "https://a.example"},
            {"ZGODA_SERVER_ALLOWED_ORIGINS", "https://a.example, https://b.example"},
            {"ZGODA_SERVER_TRUSTED_PROXIES", "unix"},
            {"ZGODA_SERVER_THREADS", "3"},
            {"ZGODA_STORAGE_URL", "sqlite:a.db"},
            {"ZGODA_STORAGE_WITHDRAWALS_JOURNAL", "a.log"},
            {"ZGODA_MAIL_URL", "smtp://a.example:25"},
            {"ZGODA_MAIL_FROM", "a@a.example"},
            {"ZGODA_MAIL_FROM_DOMAINS", "b.example"},
            {"ZGODA_MAIL_BOUNCE_DOMAIN", "c.example"},
            {"ZGODA_MAIL_USERNAME", "a"},
            {"ZGODA_MAIL_PASSWORD_FILE", "a.pass"},
            {"ZGODA_MAIL_TOKEN_FILE", "a.token"},
            {"ZGODA_MAIL_TLS", "required"},
            {"ZGODA_MAIL_CONNECTIONS", "5"},
            {"ZGODA_MAIL_RATE_PER_SECOND", "6"},
            {"ZGODA_MAIL_LETTERS_PER_CONNECTION", "7"},
            {"ZGODA_MAIL_DOMAIN_PER_MINUTE", "8"},
            {"ZGODA_MAIL_IMPRINT", "A\nB"},
            {"ZGODA_MAIL_TEMPLATES", "t"},
            {"ZGODA_BUDGET_PER_ADDRESS", "7/h"},
            {"ZGODA_BUDGET_PREFERENCE_LINKS", "8/h"},
            {"ZGODA_BUDGET_PER_DOMAIN", "9/h"},
            {"ZGODA_BUDGET_LARGE_DOMAINS", "d.example"},
            {"ZGODA_LIMITS_PER_IP", "10/h"},
            {"ZGODA_RETENTION_UNCONFIRMED", "11d"},
            {"ZGODA_RETENTION_IP_EVIDENCE", "12d"},
            {"ZGODA_RETENTION_OUTBOX", "13d"},
            {"ZGODA_LOG_LEVEL", "warn"},
            {"ZGODA_SECRETS_KEY_FILE", "a.key"},
        };
        CHECK(all.size() == setting_names().size());
        const Folder folder;
        const path file = folder.write("z.toml", "[server]\nthreads = 1\n[log]\nlevel = \"error\"\n");
        const std::string plain = all_of(good(load(file, {}, "/")));
        const Settings s = good(load(file, all, "/"));
        CHECK(s.server.threads == 3);
        CHECK(s.server.allowed_origins == std::vector<std::string>{"https://a.example", "https://b.example"});
        CHECK(s.storage.url.file == folder.path / "a.db");
        CHECK(s.mail.password_file == folder.path / "a.pass");
        CHECK(s.mail.templates == folder.path / "t");
        CHECK(s.secrets.key_file == folder.path / "a.key");
        CHECK(s.log.level == LogLevel::warn);
        CHECK(s.retention.outbox == 13 * service::day_ms);

        // Every line of the two differs, but for mail.tls, which has no other value here.
        std::istringstream a(plain), b(all_of(s));
        int same = 0;
        for (std::string left, right; std::getline(a, left) && std::getline(b, right);) same += left == right;
        CHECK(same == 1);
    }

    TEST_CASE("an empty value is an empty value") {
        const Folder folder;
        const path file =
            folder.write("z.toml", "[server]\ntrusted_proxies = [\"unix\"]\n[limits]\nper_ip = \"1/h\"\n");
        const Settings s =
            good(load(file, {{"ZGODA_SERVER_TRUSTED_PROXIES", ""}, {"ZGODA_LIMITS_PER_IP", ""}}, "/"));
        CHECK(s.server.trusted_proxies.empty());
        CHECK(s.limits.per_ip.empty());
    }

    TEST_CASE("what is wrong there is told by the variable's name") {
        struct Row {
            const char *name, *value, *sentence;
        };
        const Row rows[] = {
            {"ZGODA_MAIL_TLS", "off", "ZGODA_MAIL_TLS (mail.tls) must be one of \"required\", \"none\"."},
            {"ZGODA_MAIL_CONNECTIONS", "",
             "ZGODA_MAIL_CONNECTIONS (mail.connections) must be a whole number."},
            {"ZGODA_MAIL_CONNECTIONS", "4x",
             "ZGODA_MAIL_CONNECTIONS (mail.connections) must be a whole number."},
            {"ZGODA_MAIL_CONNECTIONS", "101",
             "ZGODA_MAIL_CONNECTIONS (mail.connections) must be a number from 1 to 100."},
            {"ZGODA_MAIL_FROM_DOMAINS", "a.example,,b.example",
             "ZGODA_MAIL_FROM_DOMAINS (mail.from_domains) must be a list of domains such as "
             "[\"news.example\"]; an IDN "
             "in its xn-- form."},
            {"ZGODA_MAIL_IMPRINT", "\xff",
             "ZGODA_MAIL_IMPRINT (mail.imprint) must be UTF-8 without control characters."},
            {"ZGODA_MAIL_USERNAME", "a\nb",
             "ZGODA_MAIL_USERNAME (mail.username) must be UTF-8 without control characters."},
            {"ZGODA_MAIL_TSL", "none",
             "The environment variable ZGODA_MAIL_TSL is no setting; the nearest is ZGODA_MAIL_TLS."},
            {"ZGODA_SERVER_PER_IP", "1/h",
             "The environment variable ZGODA_SERVER_PER_IP is no setting; the nearest is "
             "ZGODA_LIMITS_PER_IP."},
            {"ZGODA_FOO_BAR", "none", "The environment variable ZGODA_FOO_BAR is no setting."},
            {"ZGODA_MAIL", "none",
             "The environment variable ZGODA_MAIL is no setting; the nearest is ZGODA_MAIL_URL."},
            {"ZGODA_MAIL_URL", "smtp://relay.news.example",
             "ZGODA_MAIL_URL (mail.url) names a relay that is not loopback, so server.public_url must be set "
             "to the "
             "https address at which readers reach this service."},
        };
        const Folder folder;
        for (const Row& row : rows) {
            CAPTURE(std::string(row.name));
            CHECK(load(std::nullopt, {{row.name, row.value}}, folder.path).problem == row.sentence);
        }
    }

    TEST_CASE("only names that begin with ZGODA_ are ours, and three of them are no settings") {
        const Folder folder;
        CHECK(load(std::nullopt,
                   {{"PATH", "/bin"},
                    {"ZGODAX", "1"},
                    {"ZGODA_CONFIG", ""},
                    {"ZGODA_ADDRESS_VERDICTS", "x"},
                    {"ZGODA_BOUNCES", "x"}},
                   folder.path)
                  .settings);
    }
}

TEST_SUITE("which settings file") {
    TEST_CASE("--config, else ZGODA_CONFIG, else the current folder's, else the system's") {
        const Folder folder;
        const auto with_threads = [&](const std::string& name, int threads) {
            return folder.write(name, "[server]\nthreads = " + std::to_string(threads) + "\n");
        };
        const path system = with_threads("etc/zgoda.toml", 4);
        const Environment none;
        CHECK(good(load(std::nullopt, none, folder.path, system)).server.threads == 4);
        with_threads("zgoda.toml", 3);
        CHECK(good(load(std::nullopt, none, folder.path, system)).server.threads == 3);
        with_threads("sub/named.toml", 2);
        const Environment named{{"ZGODA_CONFIG", "sub/named.toml"}};
        const Settings by_name = good(load(std::nullopt, named, folder.path, system));
        CHECK(by_name.server.threads == 2);
        CHECK(by_name.file == folder.path / "sub/named.toml");
        CHECK(by_name.storage.url.file ==
              folder.path / "sub/var/zgoda.db");  // the file's folder, not this one
        with_threads("explicit.toml", 1);
        CHECK(good(load("explicit.toml", named, folder.path, system)).server.threads == 1);
    }

    TEST_CASE("a zgoda.toml that others may write is passed by, with a warning") {
        const Folder folder;
        const path file = folder.write("zgoda.toml", "[server]\nthreads = 3\n");
        for (const mode_t mode : {0664U, 0646U}) {
            chmod(file.c_str(), mode);
            const Settings s = good(load(std::nullopt, {}, folder.path));
            CHECK(s.server.threads == 0);
            CHECK(s.storage.url.file == folder.path / "var/zgoda.db");
            REQUIRE(s.warnings.size() == 1);
            CHECK(s.warnings[0].starts_with(file.string() + " is ignored, because others may write it"));
        }
        CHECK(good(load("zgoda.toml", {}, folder.path)).server.threads == 3);  // whoever names it, means it
        chmod(file.c_str(), 0644);
        CHECK(good(load(std::nullopt, {}, folder.path)).server.threads == 3);
        if (geteuid() == 0) {  // only root can give a file away
            REQUIRE(chown(file.c_str(), 12345, 12345) == 0);
            CHECK(good(load(std::nullopt, {}, folder.path)).server.threads == 0);
        }
    }

    TEST_CASE("a file that was named must be there") {
        const Folder folder;
        CHECK(load("no.toml", {}, folder.path).problem ==
              "The settings file " + (folder.path / "no.toml").string() +
                  " cannot be read (No such file or directory): make it readable, or name another with "
                  "--config or "
                  "ZGODA_CONFIG.");
        CHECK(load(folder.path, {}, "/").problem.find("(it is no regular file)") != std::string::npos);
    }
}
