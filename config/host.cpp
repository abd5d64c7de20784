#include "config/host.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace zgoda::config {
namespace {

template <typename Number>
std::optional<Number> number(std::string_view text) {
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool is_ip_of(int family, std::string_view text) {
    unsigned char address[sizeof(in6_addr)];
    return inet_pton(family, std::string(text).c_str(), address) == 1;
}

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_label(std::string_view label) {
    return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
           std::all_of(label.begin(), label.end(), [](char c) { return is_letter_or_digit(c) || c == '-'; });
}

bool is_path_char(char c) {
    return is_letter_or_digit(c) || (c >= 'A' && c <= 'Z') ||
           std::string_view("/-._~!$'()*+,;=:@%").find(c) != std::string_view::npos;
}

}  // namespace

bool is_ip(std::string_view text) {
    return is_ip_of(AF_INET, text) || is_ip_of(AF_INET6, text);
}

bool is_ip_or_network(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return is_ip(text);
    const auto bits = number<int>(text.substr(slash + 1));
    const std::string_view address = text.substr(0, slash);
    const int most = is_ip_of(AF_INET, address) ? 32 : is_ip_of(AF_INET6, address) ? 128 : 0;
    return bits && *bits >= 1 && *bits <= most;
}

bool is_domain(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    std::string_view label;
    for (std::size_t start = 0; start <= text.size(); start += label.size() + 1) {
        label = text.substr(start, text.find('.', start) - start);
        if (!is_label(label)) return false;
    }
    return !std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_loopback(std::string_view host) {
    if (host == "localhost") return true;
    if (is_ip_of(AF_INET, host)) return host.starts_with("127.");
    in6_addr address;
    return inet_pton(AF_INET6, std::string(host).c_str(), &address) == 1 && IN6_IS_ADDR_LOOPBACK(&address);
}

std::string lower_case(std::string_view ascii) {
    std::string lower(ascii);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return lower;
}

std::optional<HostPort> parse_host_port(std::string_view text) {
    HostPort result;
    std::string_view rest;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || !is_ip_of(AF_INET6, text.substr(1, end - 1)))
            return std::nullopt;
        result.host = lower_case(text.substr(1, end - 1));
        rest = text.substr(end + 1);
    } else {
        result.host = lower_case(text.substr(0, text.find(':')));
        if (!is_ip_of(AF_INET, result.host) && !is_domain(result.host)) return std::nullopt;
        rest = text.substr(result.host.size());
    }
    if (rest.empty()) return result;
    if (rest[0] != ':') return std::nullopt;
    result.port = number<std::uint16_t>(rest.substr(1));
    if (!result.port) return std::nullopt;
    return result;
}

std::optional<WebUrl> parse_web_url(std::string_view text) {
    WebUrl url;
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos) return std::nullopt;
    url.scheme = lower_case(text.substr(0, colon));
    if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
    const std::string_view rest = text.substr(colon + 3);
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const auto authority = parse_host_port(rest.substr(0, slash));
    if (!authority || authority->port == 0) return std::nullopt;
    url.host = authority->host;
    const bool v6 = url.host.find(':') != std::string::npos;
    url.origin = url.scheme + "://" + (v6 ? "[" + url.host + "]" : url.host);
    if (authority->port && *authority->port != (url.scheme == "http" ? 80 : 443)) {
        url.origin += ":" + std::to_string(*authority->port);
    }
    url.path = rest.substr(slash);
    if (!std::all_of(url.path.begin(), url.path.end(), is_path_char)) return std::nullopt;
    while (url.path.ends_with('/')) url.path.pop_back();
    return url;
}

}  // namespace zgoda::config
