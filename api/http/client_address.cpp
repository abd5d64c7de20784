#include "api/http/client_address.h"

#include <algorithm>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <charconv>
#include <stdexcept>

#include "api/http/message.h"

namespace zgoda::http {

namespace ip = boost::asio::ip;

namespace {

constexpr auto npos = std::string_view::npos;

std::array<unsigned char, 16> bytes_of(const ip::address& address) {
    return address.is_v4() ? ip::make_address_v6(ip::v4_mapped, address.to_v4()).to_bytes()
                           : address.to_v6().to_bytes();
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == npos;
}

/// One element of X-Forwarded-For: address, address:port, [address] or [address]:port.
std::optional<ip::address> parse_element(std::string_view text) {
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        if (close == npos) return std::nullopt;
        const std::string_view after = text.substr(close + 1);
        if (!after.empty() && !(after[0] == ':' && is_port(after.substr(1)))) return std::nullopt;
        return parse_address(text.substr(1, close - 1));
    }
    const std::size_t colon = text.find(':');
    if (colon != npos && colon == text.rfind(':')) {  // more colons are an IPv6 address
        if (!is_port(text.substr(colon + 1))) return std::nullopt;
        text = text.substr(0, colon);
    }
    return parse_address(text);
}

}  // namespace

std::optional<ip::address> parse_address(std::string_view text) {
    if (text.empty() || text.size() > 45 || text.find_first_not_of("0123456789abcdefABCDEF:.") != npos)
        return std::nullopt;
    boost::system::error_code error;
    const ip::address address = ip::make_address(std::string(text), error);
    if (error) return std::nullopt;
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        return ip::make_address_v4(ip::v4_mapped, address.to_v6());
    return address;
}

TrustedProxies::TrustedProxies(const std::vector<std::string>& entries) {
    for (const std::string& entry : entries) {
        if (entry == "unix") {
            unix_ = true;
        } else if (entry == "loopback") {
            networks_.push_back({bytes_of(ip::make_address("127.0.0.0")), 96 + 8});
            networks_.push_back({bytes_of(ip::make_address("::1")), 128});
        } else {
            const std::string_view text = entry;
            const std::size_t slash = text.find('/');
            const auto address = parse_address(text.substr(0, slash));
            const int width = address && address->is_v4() ? 32 : 128;
            int bits = width;
            if (slash != npos) {
                const char* end = text.data() + text.size();
                const auto parsed = std::from_chars(text.data() + slash + 1, end, bits);
                if (parsed.ec != std::errc() || parsed.ptr != end) bits = -1;
            }
            if (!address || bits < 0 || bits > width)
                throw std::invalid_argument(
                    "trusted proxy \"" + entry +
                    "\" is neither \"loopback\", \"unix\", an address nor a network like "
                    "10.0.0.0/8");
            networks_.push_back({bytes_of(*address), 128 - width + bits});
        }
    }
}

bool TrustedProxies::trusts(std::string_view peer) const {
    if (peer == "unix") return unix_;
    const auto address = parse_address(peer);
    if (!address) return false;
    const auto bytes = bytes_of(*address);
    return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
        for (int bit = 0; bit < network.bits; ++bit) {
            const auto index = static_cast<std::size_t>(bit / 8);
            if (((bytes[index] ^ network.base[index]) >> (7 - bit % 8)) & 1) return false;
        }
        return true;
    });
}

std::string client_address(const TrustedProxies& proxies, std::string_view peer, std::string_view forwarded) {
    std::string client(peer);
    if (forwarded.empty() || !proxies.trusts(peer)) return client;
    for (std::string_view rest = forwarded;;) {
        const std::size_t comma = rest.rfind(',');
        const auto address = parse_element(trimmed(comma == npos ? rest : rest.substr(comma + 1)));
        if (!address) return std::string(peer);
        client = address->to_string();
        if (comma == npos || !proxies.trusts(client)) return client;
        rest = rest.substr(0, comma);
    }
}

}  // namespace zgoda::http
