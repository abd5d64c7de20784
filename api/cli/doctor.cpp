#include "api/cli/doctor.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "api/cli/address.h"
#include "api/cli/sending.h"
#include "api/cli/startup.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "config/key_file.h"
#include "config/secret_file.h"
#include "service/ledger.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

namespace fs = std::filesystem;
using Grade = Finding::Grade;

constexpr std::uintmax_t mib = std::uintmax_t{1024} * 1024;
constexpr std::uintmax_t disk_full = 64 * mib;  // as /readyz has it
constexpr std::uintmax_t disk_low = 1024 * mib;
constexpr service::DurationMs mailer_patience = 10 * service::minute_ms;  // as /readyz has it
constexpr service::DurationMs clock_slack = 5 * service::minute_ms;

std::string size_of(std::uintmax_t bytes) {
    return bytes < 10 * disk_low ? fmt::format("{} MiB", bytes / mib)
                                 : fmt::format("{} GiB", bytes / disk_low);
}

std::optional<DiskSpace> space_of(const fs::path& folder) {
    std::error_code error;
    const fs::space_info space = fs::space(folder, error);
    if (error) return std::nullopt;
    return DiskSpace{space.available, space.capacity};
}

// A file or folder that only its owner may use.
std::optional<Finding> private_path(const fs::path& path, std::string_view setting) {
    struct stat found {};
    if (path.empty() || ::stat(path.c_str(), &found) != 0) return std::nullopt;
    const unsigned mode = found.st_mode & 0777U;
    const bool folder = S_ISDIR(found.st_mode);
    const unsigned too_much = mode & (folder ? 022U : 077U);  // a folder may be walked through
    if (too_much == 0) return std::nullopt;
    return Finding{Grade::failure, "permissions",
                   fmt::format("{} ({}) may be {} by others (mode {:03o})", path.string(), setting,
                               (too_much & 022U) != 0 ? "written" : "read", mode),
                   fmt::format("chmod {} {}", folder ? "go-w" : "600", path.string())};
}

// Whether "3.40.1" is this version or a later one.
bool at_least(std::string_view version, int major, int minor, int patch) {
    int parts[3] = {};
    for (int& part : parts) {
        const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), part);
        if (error != std::errc{}) break;
        version.remove_prefix(static_cast<std::size_t>(end - version.data()));
        if (version.starts_with('.')) version.remove_prefix(1);
    }
    const int least[3] = {major, minor, patch};
    return !std::lexicographical_compare(parts, parts + 3, least, least + 3);
}

bool clock_is_synchronised() {
    timex state{};
    return adjtimex(&state) != -1 && (state.status & STA_UNSYNC) == 0;
}

// What is asked of the database, in one look.
struct Seen {
    service::MailerNote mailer;
    service::OutboxCounts outbox;
    bool paused = false;
    std::optional<service::ProxyNote> proxy;
    std::optional<service::TimeMs> youngest_event;
};

Seen look_into(service::Store& store, service::TimeMs now) {
    Seen seen;
    service::look(store, [&](service::Reader& reader) {
        seen = {reader.mailer_note(), reader.outbox(now), !reader.mail_pauses().empty(), reader.proxy_note(),
                std::nullopt};
        const std::int64_t head = reader.ledger_head().seq;
        if (head > 0) {
            const auto last = reader.events(head - 1, 1);
            if (!last.empty()) seen.youngest_event = last.front().at;
        }
    });
    return seen;
}

void tell(const std::vector<Finding>& findings, bool json) {
    if (json) {
        boost::json::array all;
        Grade worst = Grade::ok;
        for (const Finding& one : findings) {
            worst = std::max(worst, one.grade);
            all.push_back(
                {{"check", one.check}, {"grade", word(one.grade)}, {"what", one.what}, {"to_do", one.to_do}});
        }
        const boost::json::object report{{"grade", word(worst)}, {"findings", std::move(all)}};
        fmt::print("{}\n", boost::json::serialize(report));
        return;
    }
    const bool colour = is_decorated(stdout);
    for (const Finding& one : findings) {
        const char* paint = one.grade == Grade::ok        ? "\033[32m"
                            : one.grade == Grade::warning ? "\033[33m"
                                                          : "\033[31m";
        fmt::print("{}{:<7}{}  {:<11}  {}{}\n", colour ? paint : "", word(one.grade), colour ? "\033[0m" : "",
                   one.check, service::printable(one.what),
                   one.to_do.empty() ? "" : ". " + service::printable(one.to_do));
    }
}

}  // namespace

std::string_view word(Finding::Grade grade) {
    constexpr std::string_view words[] = {"ok", "warning", "failure"};
    return words[static_cast<std::size_t>(grade)];
}

Finding check_disk(const fs::path& folder, const std::optional<DiskSpace>& space) {
    Finding one{Grade::ok, "disk", {}, {}};
    if (!space) {
        one.grade = Grade::failure;
        one.what = fmt::format("the room left in {} can't be seen", folder.string());
        one.to_do = "Look whether the folder is there and may be read";
        return one;
    }
    one.what = fmt::format("{} of {} free in {}", size_of(space->available), size_of(space->capacity),
                           folder.string());
    if (space->available >= disk_low) return one;
    one.grade = space->available < disk_full ? Grade::failure : Grade::warning;
    one.to_do = "Make room: a full disk turns signups away";
    return one;
}

Finding check_clock(service::TimeMs now, std::optional<service::TimeMs> youngest_event, bool synchronised) {
    if (youngest_event && *youngest_event > now + clock_slack) {
        return {Grade::failure, "clock",
                fmt::format("it is {}, but the ledger has an event of {}", service::rfc3339(now),
                            service::rfc3339(*youngest_event)),
                "Set the clock: links run out and budgets end by it"};
    }
    if (!synchronised) {
        return {Grade::warning, "clock",
                fmt::format("it is {}, kept by no time service", service::rfc3339(now)),
                "Turn one on: timedatectl set-ntp true"};
    }
    return {Grade::ok, "clock", fmt::format("it is {}, kept by a time service", service::rfc3339(now))};
}

std::vector<Finding> check_permissions(const config::Settings& settings) {
    std::vector<Finding> findings;
    const auto add = [&findings](std::optional<Finding> one) {
        if (one) findings.push_back(std::move(*one));
    };
    const fs::path& database = settings.storage.url.file;
    add(private_path(database.parent_path(), "storage.url"));
    for (const char* part : {"", "-wal", "-shm"}) add(private_path(database.string() + part, "storage.url"));
    add(private_path(settings.storage.withdrawals_journal, "storage.withdrawals_journal"));
    if (const auto* letters = std::get_if<config::Maildir>(&settings.mail.url))
        add(private_path(letters->folder, "mail.url"));
    struct stat file {};
    if (!settings.file.empty() && ::stat(settings.file.c_str(), &file) == 0 && (file.st_mode & 022U) != 0) {
        findings.push_back({Grade::failure, "permissions",
                            fmt::format("{} may be written by others", settings.file.string()),
                            fmt::format("chmod go-w {}", settings.file.string())});
    }
    const auto password = config::load_password(settings.mail.password_file);
    if (const auto* problem = std::get_if<config::Problem>(&password))
        findings.push_back({Grade::failure, "permissions", problem->sentence, {}});
    if (::access(database.parent_path().c_str(), W_OK) != 0) {
        findings.push_back({Grade::failure, "permissions",
                            fmt::format("{} can't be written to", database.parent_path().string()),
                            "The service makes files beside its database: let its user own the folder"});
    }
    if (findings.empty())
        findings.push_back({Grade::ok, "permissions", "nobody else may read or write the data"});
    return findings;
}

Finding check_relay(const std::string& route, const mailer::Outcome& outcome) {
    using Kind = mailer::Outcome::Kind;
    if (outcome.kind == Kind::delivered) return {Grade::ok, "relay", fmt::format("{} takes letters", route)};
    const bool settings = outcome.scope == mailer::Outcome::Scope::config;
    return {Grade::failure, "relay", fmt::format("{}: {}", route, outcome.reply),
            settings ? "Correct [mail] in the settings" : "Look whether the relay runs and can be reached"};
}

Finding check_mailer(const service::MailerNote& note, const service::OutboxCounts& outbox, bool paused,
                     service::TimeMs now) {
    Finding one{Grade::ok, "mailer", {}, {}};
    one.what = note.last_run_at == 0 ? "none has run yet"
                                     : fmt::format("ran last at {} or up to 5 minutes later",
                                                   service::rfc3339(note.last_run_at));
    one.what += fmt::format("; {} letters wait, {} of them due", outbox.waiting, outbox.due);
    const bool ran = note.last_run_at > now - mailer_patience;
    if (outbox.oldest_due && *outbox.oldest_due <= now - mailer_patience && !ran) {
        one.grade = Grade::failure;
        one.to_do = fmt::format("The oldest is due since {}: let cron call `zgoda mail` every minute",
                                service::rfc3339(*outbox.oldest_due));
    } else if (paused) {
        one.grade = Grade::warning;
        one.what += "; some or all are paused";
        one.to_do = "`zgoda mail status` says which, `zgoda mail resume` lets them go";
    } else if (note.last_run_at == 0) {
        one.grade = Grade::warning;
        one.to_do = "Let cron call `zgoda mail` every minute";
    }
    return one;
}

Finding check_proxies(const std::optional<service::ProxyNote>& note,
                      const std::vector<std::string>& trusted_proxies) {
    if (!note) {
        std::string all;
        for (const std::string& one : trusted_proxies) all += (all.empty() ? "" : ", ") + one;
        return {Grade::ok, "proxies", fmt::format("trusted: {}", all.empty() ? "none" : all)};
    }
    return {Grade::failure, "proxies",
            fmt::format("X-Forwarded-For came from {} at {} and was ignored", note->network,
                        service::rfc3339(note->at)),
            "If your web server is there, name it in server.trusted_proxies, else all readers count as one "
            "client; if not, let nobody but it reach server.listen. Then restart the service"};
}

Finding check_sqlite(std::string_view version) {
    if (at_least(version, 3, 51, 3)) return {Grade::ok, "sqlite", std::string(version)};
    return {Grade::ok, "sqlite",
            fmt::format("{}, whose WAL-reset bug our locks keep away; open the database with nothing else "
                        "while zgoda runs",
                        version)};
}

Exit doctor(const Doctor& options, const config::Settings& settings, const std::string& command_line,
            const Log& log) {
    using Kind = storage::OpenProblem::Kind;
    const service::TimeMs now = clock_now();
    std::vector<Finding> findings;
    std::optional<Seen> seen;
    auto opened = storage::open_sqlite(sqlite_options(settings, Opener::command, log));
    if (const auto* problem = std::get_if<storage::OpenProblem>(&opened)) {
        if (problem->kind == Kind::missing || problem->kind == Kind::wrong_owner)
            return refuse(*problem, settings, command_line);
        findings.push_back({Grade::failure, "database", problem->sentence,
                            problem->kind == Kind::old_schema ? "Run `zgoda migrate`" : ""});
    } else {
        seen = look_into(*std::get<std::unique_ptr<storage::SqliteStore>>(opened), now);
        findings.push_back({Grade::ok, "database", settings.storage.url.file.string()});
    }

    const auto keys = config::load_keys(settings.secrets.key_file, true, now);
    if (const auto* problem = std::get_if<config::Problem>(&keys))
        findings.push_back({Grade::failure, "keys", problem->sentence});
    else
        findings.push_back({Grade::ok, "keys",
                            fmt::format("{} in {}; a copy belongs somewhere else",
                                        std::get<std::vector<service::MasterKey>>(keys).size(),
                                        settings.secrets.key_file.string())});

    const fs::path folder = settings.storage.url.file.parent_path();
    findings.push_back(check_disk(folder, space_of(folder)));
    findings.push_back(check_clock(now, seen ? seen->youngest_event : std::nullopt, clock_is_synchronised()));
    for (Finding& one : check_permissions(settings)) findings.push_back(std::move(one));

    const auto made = courier_of(settings);
    if (const auto* problem = std::get_if<config::Problem>(&made))
        findings.push_back({Grade::failure, "relay", problem->sentence});
    else
        findings.push_back(check_relay(describe_route(settings), std::get<NewCourier>(made)()->check()));
    if (seen) {
        findings.push_back(check_mailer(seen->mailer, seen->outbox, seen->paused, now));
        findings.push_back(check_proxies(seen->proxy, settings.server.trusted_proxies));
    }
    findings.push_back(check_sqlite(storage::sqlite_version()));
    for (const std::string& warning : settings.warnings)
        findings.push_back({Grade::warning, "settings", warning});

    tell(findings, options.json);
    const bool failed = std::any_of(findings.begin(), findings.end(),
                                    [](const Finding& one) { return one.grade == Grade::failure; });
    return failed ? Exit::failed : Exit::done;
}

}  // namespace zgoda::cli
