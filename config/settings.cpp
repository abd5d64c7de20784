#include "config/settings.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "config/file.h"
#include "config/host.h"
#include "config/nearest.h"
#include "config/setting_values.h"
#include "config/toml_file.h"

namespace zgoda::config {
namespace {

using std::filesystem::path;

template <typename Enum>
Wanted read_word(Enum& setting, std::string_view text,
                 std::initializer_list<std::pair<std::string_view, Enum>> words) {
    Wanted wanted;
    for (const auto& [word, value] : words) {
        if (word == text) {
            setting = value;
            return "";
        }
        wanted += fmt::format("{}\"{}\"", wanted.empty() ? "" : ", ", word);
    }
    return "one of " + wanted;
}

// --- the settings, in the order of zgoda.toml

using Texts = std::vector<std::string>;
using ReadText = Wanted (*)(Settings&, const std::string&, const path& base);
using ReadNumber = Wanted (*)(Settings&, std::int64_t);
using ReadList = Wanted (*)(Settings&, const Texts&);

struct Setting {
    std::string_view name;
    std::variant<ReadText, ReadNumber, ReadList> read;
};

// clang-format off: a table
using S = Settings&;
using T = const std::string&;
using L = const Texts&;
using N = std::int64_t;
using B = const path&;
const Setting all_settings[] = {
    {"server.listen", [](S s, T t, B b) { return read_listen(s.server.listen, t, b, false); }},
    {"server.private_listen", [](S s, T t, B b) { return read_listen(s.server.private_listen, t, b, true); }},
    {"server.public_url", [](S s, T t, B) { return read_public_url(s.server.public_url, t); }},
    {"server.allowed_origins", [](S s, L l) { return read_origins(s.server.allowed_origins, l); }},
    {"server.trusted_proxies", [](S s, L l) { return read_proxies(s.server.trusted_proxies, l); }},
    {"server.threads", [](S s, N n) { return read_number(s.server.threads, n, 0, 256); }},
    {"storage.url", [](S s, T t, B b) { return read_storage_url(s.storage.url, t, b); }},
    {"storage.withdrawals_journal",
     [](S s, T t, B b) { return read_path(s.storage.withdrawals_journal, t, b); }},
    {"mail.url", [](S s, T t, B b) { return read_mail_url(s.mail.url, t, b); }},
    {"mail.from", [](S s, T t, B) { return read_sender(s.mail.from, t); }},
    {"mail.from_domains", [](S s, L l) { return read_domains(s.mail.from_domains, l); }},
    {"mail.bounce_domain", [](S s, T t, B) { return read_domain(s.mail.bounce_domain, t); }},
    {"mail.username", [](S s, T t, B) { return read_text(s.mail.username, t); }},
    {"mail.password_file", [](S s, T t, B b) { return read_optional_path(s.mail.password_file, t, b); }},
    {"mail.token_file", [](S s, T t, B b) { return read_optional_path(s.mail.token_file, t, b); }},
    {"mail.tls",
     [](S s, T t, B) {
         return read_word<Tls>(s.mail.tls, t, {{"required", Tls::required}, {"none", Tls::none}});
     }},
    {"mail.connections", [](S s, N n) { return read_number(s.mail.connections, n, 1, 100); }},
    {"mail.letters_per_connection",
     [](S s, N n) { return read_number(s.mail.letters_per_connection, n, 0, 1'000'000); }},
    {"mail.rate_per_second", [](S s, N n) { return read_number(s.mail.rate_per_second, n, 0, 100'000); }},
    {"mail.domain_per_minute",
     [](S s, N n) { return read_number(s.mail.domain_per_minute, n, 0, 1'000'000); }},
    {"mail.imprint", [](S s, T t, B) { return read_text(s.mail.imprint, t); }},
    {"mail.templates", [](S s, T t, B b) { return read_optional_path(s.mail.templates, t, b); }},
    {"budget.per_address", [](S s, T t, B) { return read_rates(s.budget.per_address, t); }},
    {"budget.preference_links", [](S s, T t, B) { return read_rates(s.budget.preference_links, t); }},
    {"budget.per_domain", [](S s, T t, B) { return read_rates(s.budget.per_domain, t); }},
    {"budget.large_domains", [](S s, L l) { return read_domains(s.budget.large_domains, l); }},
    {"limits.per_ip", [](S s, T t, B) { return read_rates(s.limits.per_ip, t); }},
    {"retention.unconfirmed", [](S s, T t, B) { return read_duration(s.retention.unconfirmed, t); }},
    {"retention.ip_evidence", [](S s, T t, B) { return read_duration(s.retention.ip_evidence, t); }},
    {"retention.outbox", [](S s, T t, B) { return read_duration(s.retention.outbox, t); }},
    {"log.level",
     [](S s, T t, B) {
         return read_word<LogLevel>(s.log.level, t,
                                    {{"debug", LogLevel::debug},
                                     {"info", LogLevel::info},
                                     {"warn", LogLevel::warn},
                                     {"error", LogLevel::error}});
     }},
    {"secrets.key_file", [](S s, T t, B b) { return read_path(s.secrets.key_file, t, b); }},
};
// clang-format on

const Setting* find(std::string_view name) {
    for (const Setting& setting : all_settings) {
        if (setting.name == name) return &setting;
    }
    return nullptr;
}

// --- what to suggest for a name that is none

std::string_view section_of(std::string_view name) {
    return name.substr(0, name.find('.'));
}
std::string_view key_of(std::string_view name) {
    return name.substr(name.find('.') + 1);
}

bool is_section(std::string_view name) {
    return std::any_of(std::begin(all_settings), std::end(all_settings),
                       [&](const Setting& setting) { return section_of(setting.name) == name; });
}

// The same key in another section, else the name that is spelled most alike.
std::string nearest_setting(std::string_view name) {
    for (const Setting& setting : all_settings) {
        if (key_of(setting.name) == name.substr(name.rfind('.') + 1)) return std::string(setting.name);
    }
    return nearest(name, setting_names());
}

std::string nearest_section(std::string_view name) {
    std::vector<std::string> sections;
    for (const Setting& setting : all_settings) sections.emplace_back(section_of(setting.name));
    return nearest(name, sections);
}

std::string or_nearest(const std::string& name) {
    return name.empty() ? "" : "; the nearest is " + name;
}

std::string variable(std::string_view setting) {
    std::string name = "ZGODA_";
    for (const char c : setting) {
        name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return name;
}

// --- reading

struct Reading {
    Settings settings;
    path base;                                      // of relative paths
    std::map<std::string_view, std::string> where;  // setting -> how to name it in a sentence

    // "zgoda.toml:12: mail.tls", "ZGODA_MAIL_TLS (mail.tls)"; for a default just its name.
    std::string place(std::string_view setting) const {
        const auto found = where.find(setting);
        return found == where.end() ? std::string(setting) : found->second;
    }
};

using Outcome = std::optional<Problem>;

Outcome set(Reading& reading, const Setting& setting, const TomlEntry::Value& value,
            const std::string& where) {
    reading.where[setting.name] = where;
    Wanted wanted;
    if (const auto* read_a_text = std::get_if<ReadText>(&setting.read)) {
        const auto* text_value = std::get_if<std::string>(&value);
        wanted = !text_value ? "text, in quotes"
                 : !is_plain(*text_value, setting.name == "mail.imprint")
                     ? "UTF-8 without control characters"
                     : (*read_a_text)(reading.settings, *text_value, reading.base);
    } else if (const auto* read_a_number = std::get_if<ReadNumber>(&setting.read)) {
        const auto* number_value = std::get_if<std::int64_t>(&value);
        wanted = !number_value ? "a whole number, without quotes"
                               : (*read_a_number)(reading.settings, *number_value);
    } else {
        const auto* texts = std::get_if<Texts>(&value);
        const bool plain = texts && std::all_of(texts->begin(), texts->end(), [](const std::string& item) {
                               return is_plain(item, false);
                           });
        wanted = !texts   ? R"(a list of texts, such as ["a", "b"])"
                 : !plain ? "UTF-8 without control characters"
                          : std::get<ReadList>(setting.read)(reading.settings, *texts);
    }
    if (wanted.empty()) return std::nullopt;
    return Problem{fmt::format("{} must be {}.", where, wanted)};
}

std::string unknown(const TomlEntry& entry) {
    const std::string_view section = section_of(entry.key);
    const bool in_known_section = section != entry.key && is_section(section);
    if (std::holds_alternative<TomlEntry::Section>(entry.value)) {
        const std::string near = in_known_section ? std::string(section) : nearest_section(entry.key);
        return fmt::format("[{}] is no section of the settings{}", entry.key,
                           or_nearest(near.empty() ? "" : "[" + near + "]"));
    }
    if (section == entry.key && is_section(section)) {
        return fmt::format("{} is a section: write [{}] and its keys on the lines below", entry.key,
                           entry.key);
    }
    return fmt::format("{} is no setting{}", entry.key, or_nearest(nearest_setting(entry.key)));
}

Outcome read_settings(Reading& reading, const path& file) {
    auto read = read_file(file);
    if (const auto* unreadable = std::get_if<Unreadable>(&read)) {
        return Problem{
            fmt::format("The settings file {} cannot be read ({}): make it readable, or name another with "
                        "--config or ZGODA_CONFIG.",
                        file.string(), unreadable->why)};
    }
    auto parsed = parse_toml(std::get<File>(read).content, file.string());
    if (auto* problem = std::get_if<Problem>(&parsed)) return std::move(*problem);
    for (const TomlEntry& entry : std::get<std::vector<TomlEntry>>(parsed)) {
        const bool section = std::holds_alternative<TomlEntry::Section>(entry.value);
        if (section && is_section(entry.key)) continue;
        const Setting* setting = find(entry.key);
        const std::string place = fmt::format("{}:{}: ", file.string(), entry.line);
        if (!setting) return Problem{place + unknown(entry) + "."};
        if (auto problem = set(reading, *setting, entry.value, place + entry.key)) return problem;
    }
    return std::nullopt;
}

Outcome read_variable(Reading& reading, const std::string& name, const std::string& value) {
    const Setting* setting = nullptr;
    for (const Setting& candidate : all_settings) {
        if (variable(candidate.name) == name) setting = &candidate;
    }
    if (!setting) {
        // ZGODA_MAIL_TLS_MODE: the first word is the section, so the nearest is looked for as a setting.
        std::string as_setting = lower_case(std::string_view(name).substr(6));
        const std::size_t underscore = as_setting.find('_');
        if (underscore != std::string::npos) as_setting[underscore] = '.';
        const std::string near = nearest_setting(as_setting);
        return Problem{fmt::format("The environment variable {} is no setting{}.", name,
                                   or_nearest(near.empty() ? "" : variable(near)))};
    }
    const std::string where = fmt::format("{} ({})", name, setting->name);
    if (std::holds_alternative<ReadText>(setting->read)) return set(reading, *setting, value, where);
    if (std::holds_alternative<ReadNumber>(setting->read)) {
        std::int64_t number_value = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number_value);
        if (value.empty() || error != std::errc{} || end != value.data() + value.size()) {
            return Problem{fmt::format("{} must be a whole number.", where)};
        }
        return set(reading, *setting, number_value, where);
    }
    Texts texts;
    for (std::string_view rest = value; !trim(rest).empty();) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        texts.emplace_back(trim(rest.substr(0, comma)));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return set(reading, *setting, texts, where);
}

// What each setting alone cannot know.
Outcome check_together(Reading& reading) {
    Settings& s = reading.settings;
    const auto problem = [&reading](std::string_view setting, std::string_view sentence) {
        return Problem{fmt::format("{} {}.", reading.place(setting), sentence)};
    };
    const auto* relay = std::get_if<Relay>(&s.mail.url);
    const bool distant = relay && !is_loopback(relay->host);

    if (s.server.listen == s.server.private_listen && !s.server.listen.ends_with(":0")) {
        return problem("server.private_listen", "must differ from server.listen");
    }
    if (distant && is_loopback(parse_web_url(s.server.public_url)->host)) {
        // A default has no line: then the setting that does not go with it is named.
        if (!reading.where.contains("server.public_url")) {
            return problem("mail.url",
                           "names a relay that is not loopback, so server.public_url must be set to "
                           "the https address at which readers reach this service");
        }
        return problem("server.public_url",
                       "must be the https address at which readers reach this service, "
                       "because mail.url names a relay that is not loopback");
    }
    if (relay && s.mail.tls == Tls::none) {
        if (distant) {
            return problem("mail.tls",
                           R"(must be "required", because mail.url names a relay that is not loopback)");
        }
        if (relay->implicit_tls)
            return problem("mail.tls", R"(must be "required", because mail.url is smtps://)");
        s.warnings.push_back(
            fmt::format("{} is \"none\": letters go to the relay on this machine unencrypted.",
                        reading.place("mail.tls")));
    }
    if (!s.mail.username.empty() && s.mail.password_file.empty() && s.mail.token_file.empty()) {
        return problem(
            "mail.username",
            "needs mail.password_file, the name of a file that holds the password (or mail.token_file)");
    }
    if (s.mail.username.empty() && !s.mail.token_file.empty()) {
        return problem("mail.token_file", "needs mail.username, the name to log in with");
    }
    if (s.mail.username.empty() && !s.mail.password_file.empty()) {
        return problem("mail.password_file", "needs mail.username, the name to log in with");
    }
    if (distant && s.mail.from.domain() == "localhost") {
        s.warnings.push_back(
            fmt::format("{} is an address at localhost, which few servers accept from the relay in "
                        "mail.url; use one of your own domain.",
                        reading.place("mail.from")));
    }
    return std::nullopt;
}

// --- which file

// A zgoda.toml that happens to lie where one stands decides where secrets are looked for.
bool others_may_write(const struct stat& file) {
    return (file.st_mode & (S_IWGRP | S_IWOTH)) != 0 || (file.st_uid != 0 && file.st_uid != geteuid());
}

path settings_file(const std::optional<path>& explicit_file,
                   const std::map<std::string, std::string>& environment, const path& current_folder,
                   const path& system_file, std::vector<std::string>& warnings) {
    if (explicit_file) return *explicit_file;
    const auto named = environment.find("ZGODA_CONFIG");
    if (named != environment.end() && !named->second.empty()) return named->second;
    path here = current_folder / "zgoda.toml";
    struct stat status {};
    if (stat(here.c_str(), &status) == 0) {
        if (!others_may_write(status)) return here;
        warnings.push_back(
            fmt::format("{} is ignored, because others may write it; name it with --config, or make "
                        "it yours and writable by you alone.",
                        here.string()));
    }
    return stat(system_file.c_str(), &status) == 0 || errno != ENOENT ? system_file : path();
}

}  // namespace

std::string Sender::domain() const {
    return address.substr(address.rfind('@') + 1);
}

std::variant<Settings, Problem> load_settings(const std::optional<path>& explicit_file,
                                              const std::map<std::string, std::string>& environment,
                                              const path& current_folder, const path& system_file) {
    Reading reading;
    Settings& s = reading.settings;
    const path file = settings_file(explicit_file, environment, current_folder, system_file, s.warnings);
    s.file = resolve(current_folder, file);
    reading.base = file.empty() ? current_folder : s.file.parent_path();
    s.storage.url.file = resolve(reading.base, s.storage.url.file);
    s.storage.withdrawals_journal = resolve(reading.base, s.storage.withdrawals_journal);
    s.mail.url = Maildir{resolve(reading.base, std::get<Maildir>(s.mail.url).folder)};
    s.secrets.key_file = resolve(reading.base, s.secrets.key_file);

    if (!file.empty()) {
        if (auto problem = read_settings(reading, s.file)) return *problem;
    }
    for (const auto& [name, value] : environment) {
        if (!name.starts_with("ZGODA_") || name == "ZGODA_CONFIG" || name == "ZGODA_ADDRESS_VERDICTS" ||
            name == "ZGODA_BOUNCES")
            continue;
        if (auto problem = read_variable(reading, name, value)) return *problem;
    }
    if (auto problem = check_together(reading)) return *problem;
    return std::move(s);
}

std::vector<std::string> setting_names() {
    std::vector<std::string> names;
    for (const Setting& setting : all_settings) names.emplace_back(setting.name);
    return names;
}

std::vector<std::string> sender_domains(const Settings& settings) {
    std::vector<std::string> domains = settings.mail.from_domains;
    domains.insert(domains.begin(), settings.mail.from.domain());
    return domains;
}

}  // namespace zgoda::config
