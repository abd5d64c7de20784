// Whose request it is: the peer, unless the peer is a proxy that we trust; then X-Forwarded-For from the
// right.
//
// Addresses are text: "192.0.2.7", "2001:db8::1" (IPv4-mapped ones become IPv4), or "unix" for the peer of a
// Unix socket. Immutable after construction; may be used from any thread.

#pragma once

#include <array>
#include <boost/asio/ip/address.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zgoda::http {

/// An address without port, brackets or zone; ::ffff:a.b.c.d becomes a.b.c.d. Nothing when it is none.
std::optional<boost::asio::ip::address> parse_address(std::string_view text);

class TrustedProxies {
 public:
    TrustedProxies() = default;

    /// Entries are "loopback", "unix", an address or a network ("10.0.0.0/8", "fd00::/8").
    /// Throws std::invalid_argument with one sentence that names the entry.
    explicit TrustedProxies(const std::vector<std::string>& entries);

    bool trusts(std::string_view peer) const;

 private:
    struct Network {
        std::array<unsigned char, 16> base;  // IPv4 as ::ffff:a.b.c.d
        int bits;
    };

    bool unix_ = false;
    std::vector<Network> networks_;
};

/// The address to count and to record. `forwarded` is the X-Forwarded-For of the header section, all fields
/// joined. It is read only when `peer` is trusted, from the right, skipping trusted addresses; ports and
/// brackets are stripped. A malformed element before an untrusted one is found gives `peer`. When all are
/// trusted the leftmost is the client.
std::string client_address(const TrustedProxies& proxies, std::string_view peer, std::string_view forwarded);

}  // namespace zgoda::http
