#include "api/cli/address.h"

#include <fmt/format.h>

#include <chrono>

#include "api/cli/terminal.h"
#include "service/printable.h"

namespace zgoda::cli {

std::optional<service::EmailAddress> read_address(const std::string& typed, const service::Rules& rules) {
    auto checked = service::check_address(typed, rules.address);
    if (auto* address = std::get_if<service::EmailAddress>(&checked)) return std::move(*address);
    const std::string key =
        "problem." + std::string(service::code(std::get<service::AddressProblem>(checked)));
    fail(Exit::usage, fmt::format("{}: {}", service::printable(typed), rules.texts.text("en", key)));
    return std::nullopt;
}

Exit nobody(const service::EmailAddress& address) {
    return fail(Exit::not_found, fmt::format("nothing is known of {}", service::printable(address.address)));
}

service::TimeMs clock_now() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace zgoda::cli
