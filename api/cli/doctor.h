// The checks of `zgoda doctor`. Each looks at one thing, changes nothing, and says what is so and what to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "mailer/courier.h"
#include "service/records.h"

namespace zgoda::cli {

struct Finding {
    enum class Grade { ok, warning, failure } grade = Grade::ok;
    std::string check;    // what was looked at: "disk", "clock" ...
    std::string what;     // is so
    std::string to_do{};  // "" where nothing is
};
std::string_view word(Finding::Grade);

struct DiskSpace {
    std::uintmax_t available = 0, capacity = 0;  // bytes
};
// `space` nullopt: nobody could tell.
Finding check_disk(const std::filesystem::path& folder, const std::optional<DiskSpace>& space);

// Against the youngest event of the ledger, which can't be of the future; `synchronised`: by the kernel's
// word, a time service keeps this clock.
Finding check_clock(service::TimeMs now, std::optional<service::TimeMs> youngest_event, bool synchronised);

// Files and folders that hold secrets or addresses: who else may read or write them. What is not there yet is
// passed over.
std::vector<Finding> check_permissions(const config::Settings&);

// What the relay, or the folder of letters, said to Courier::check().
Finding check_relay(const std::string& route, const mailer::Outcome&);

Finding check_mailer(const service::MailerNote&, const service::OutboxCounts&, bool paused,
                     service::TimeMs now);

Finding check_proxies(const std::optional<service::ProxyNote>&,
                      const std::vector<std::string>& trusted_proxies);

Finding check_sqlite(std::string_view version);  // "3.40.1"

}  // namespace zgoda::cli
