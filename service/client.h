// Who sent a request, as far as a server can know.
#pragma once

#include <string>
#include <string_view>

namespace zgoda::service {

struct Client {
    std::string ip;  // textual, IPv4-mapped IPv6 already as IPv4; "" when there is none (a Unix socket)
    std::string user_agent;  // at most 256 bytes
};

// The client network: IPv4 /24, IPv6 /48, as "203.0.113.0/24"; what is kept of an address when evidence ages.
// Text that is no address is its own network.
std::string client_network(std::string_view ip);

}  // namespace zgoda::service
