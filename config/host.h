// Hosts, ports and web addresses as they appear in the settings: checked as text, nothing is looked up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zgoda::config {

bool is_ip(std::string_view);             // IPv4 or IPv6, without brackets
bool is_ip_or_network(std::string_view);  // also "10.0.0.0/8"; not "/0", which is everybody
bool is_domain(std::string_view);         // RFC 1123, in lower case; an IDN as A-labels; no IP address
bool is_loopback(std::string_view host);  // localhost, 127.0.0.0/8, ::1

std::string lower_case(std::string_view ascii);

struct HostPort {
    std::string host;  // domain or IP in lower case, IPv6 without brackets
    std::optional<std::uint16_t> port;
};
// "host", "host:25", "[::1]:25".
std::optional<HostPort> parse_host_port(std::string_view);

// An http or https URL without name, password, query and fragment.
struct WebUrl {
    std::string scheme;
    std::string host;
    std::string origin;  // as browsers write it: "https://news.example", "http://[::1]:8080"
    std::string path;    // "" or "/..." without a slash at its end
};
std::optional<WebUrl> parse_web_url(std::string_view);

}  // namespace zgoda::config
