#include "service/client.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace zgoda::service {

// inet_pton is arithmetic on text; no socket is touched.
std::string client_network(std::string_view ip) {
    std::string text(ip.substr(0, 64));
    std::array<std::uint8_t, 16> bytes{};
    if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
        return fmt::format("{}.{}.{}.0/24", bytes[0], bytes[1], bytes[2]);
    }
    if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
        return fmt::format("{:02x}{:02x}:{:02x}{:02x}:{:02x}{:02x}::/48", bytes[0], bytes[1], bytes[2],
                           bytes[3], bytes[4], bytes[5]);
    }
    return text;
}

}  // namespace zgoda::service
