#include "mailer/courier.h"

#include <unistr.h>

#include <algorithm>

namespace zgoda::mailer {

bool is_safe_address(std::string_view address) {
    if (address.size() < 3 || address.size() > 254) return false;
    if (u8_check(reinterpret_cast<const std::uint8_t*>(address.data()), address.size()) != nullptr)
        return false;
    const std::size_t at = address.find('@');
    if (at == 0 || at == address.npos || at + 1 == address.size()) return false;
    const auto allowed = [](char c) {
        return static_cast<unsigned char>(c) > 0x20 && c != 0x7F &&
               std::string_view("<>\",;\\").find(c) == std::string_view::npos;
    };
    const auto in_domain = [](char c) { return static_cast<unsigned char>(c) < 0x80 && c != '@'; };
    return std::all_of(address.begin(), address.end(), allowed) &&
           std::all_of(address.begin() + static_cast<std::ptrdiff_t>(at) + 1, address.end(), in_domain);
}

}  // namespace zgoda::mailer
