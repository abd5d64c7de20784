#include "service/admin_token.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "service/audit.h"
#include "service/journal.h"
#include "service/pending.h"

namespace zgoda::service {
namespace {

constexpr std::string_view prefix = "zgoda_";
constexpr std::size_t text_size = 6 + 43;

struct Network {
    std::array<std::uint8_t, 16> base{};  // IPv4 in its first four
    bool v6 = false;
    unsigned bits = 0;
};

// An address is a network of itself. inet_pton is arithmetic on text; no socket is touched.
std::optional<Network> parse_network(std::string_view text) {
    if (text.size() > 64) return std::nullopt;
    const std::size_t slash = std::min(text.find('/'), text.size());
    const std::string address(text.substr(0, slash));
    Network network;
    if (inet_pton(AF_INET, address.c_str(), network.base.data()) == 1)
        network.bits = 32;
    else if (inet_pton(AF_INET6, address.c_str(), network.base.data()) == 1)
        network = {network.base, true, 128};
    else
        return std::nullopt;
    if (slash == text.size()) return network;
    const std::string_view digits = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc() || end != digits.data() + digits.size() || bits > network.bits)
        return std::nullopt;
    network.bits = bits;
    return network;
}

bool same_bits(const Network& left, const Network& right, unsigned bits) {
    for (unsigned bit = 0; bit < bits; ++bit) {
        const unsigned mask = 0x80U >> (bit % 8);
        if (((left.base[bit / 8] ^ right.base[bit / 8]) & mask) != 0) return false;
    }
    return true;
}

// Why these cannot be a token's networks.
std::optional<std::string> network_problem(const std::vector<std::string>& networks) {
    if (networks.size() > 50) return "a token has at most 50 networks";
    for (const std::string& text : networks) {
        const auto network = parse_network(text);
        if (!network)
            return fmt::format("\"{}\" is no network; write it as 203.0.113.0/24 or 2001:db8::/32", text);
        const unsigned all = network->v6 ? 128 : 32;
        for (unsigned bit = network->bits; bit < all; ++bit) {
            if ((network->base[bit / 8] & (0x80U >> (bit % 8))) != 0)
                return fmt::format("\"{}\" has more than its {} first bits set; which network is meant?",
                                   text, network->bits);
        }
    }
    return std::nullopt;
}

// It stands in the record of acts, in logs and on terminals.
std::optional<std::string> name_problem(std::string_view name) {
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_' || c == '.';
    });
    const bool number = name.find_first_not_of("0123456789") == name.npos;
    if (name.empty() || name.size() > 64 || !plain || number)
        return "a token's name is 1 to 64 letters, digits, '-', '_' and '.', and not a number";
    return std::nullopt;
}

std::string details_of(const AdminToken& token) {
    std::string scopes;
    for (const TokenScope scope : token.scopes)
        scopes += (scopes.empty() ? "" : ",") + json_string(word(scope));
    return fmt::format(R"({{"token":{},"name":{},"scopes":[{}]}})", token.id, json_string(token.name),
                       scopes);
}

}  // namespace

std::string admin_token_text(const Seed& secret) {
    return std::string(prefix) + to_base64url(secret);
}

std::variant<AdminToken, std::string> create_admin_token(Transaction& tx, const std::string& who,
                                                         const AdminTokenWish& wish, std::string_view text,
                                                         TimeMs now) {
    if (const auto problem = name_problem(wish.name)) return *problem;
    if (wish.scopes.empty()) return "a token without a scope could do nothing; name one with --scope";
    if (const auto problem = network_problem(wish.networks)) return *problem;
    for (const AdminToken& other : tx.admin_tokens()) {
        if (other.name == wish.name && !other.revoked_at)
            return fmt::format("there is a token {0} already; `zgoda token revoke {0}` ends it", wish.name);
    }
    AdminToken token;
    token.id = tx.new_id();
    token.name = wish.name;
    token.digest = sha256(text);
    for (const TokenScope scope : wish.scopes)
        if (!allows(token, scope)) token.scopes.push_back(scope);
    token.networks = wish.networks;
    token.created_at = now;
    if (wish.life) token.expires_at = now + *wish.life;
    tx.add(token);
    audit(tx, who, "token create", details_of(token), now);
    return token;
}

std::optional<AdminToken> revoke_admin_token(Transaction& tx, const std::string& who,
                                             std::string_view name_or_id, const Keyring& keys, TimeMs now) {
    for (AdminToken token : tx.admin_tokens()) {
        if (token.revoked_at || (token.name != name_or_id && std::to_string(token.id) != name_or_id))
            continue;
        token.revoked_at = now;
        tx.update(token);
        journal(tx, to_hex(token.digest), "token revoked", keys, now);
        audit(tx, who, "token revoke", details_of(token), now);
        return token;
    }
    return std::nullopt;
}

bool expired(const AdminToken& token, TimeMs now) {
    return token.expires_at && *token.expires_at <= now;
}

bool allows(const AdminToken& token, TokenScope scope) {
    return std::find(token.scopes.begin(), token.scopes.end(), scope) != token.scopes.end();
}

std::optional<AdminToken> find_admin_token(Reader& reader, std::string_view text, std::string_view client_ip,
                                           TimeMs now) {
    if (text.size() != text_size || !text.starts_with(prefix)) return std::nullopt;
    const Digest digest = sha256(text);
    auto token = reader.admin_token(digest);
    if (!token || !equal_in_constant_time(token->digest, digest)) return std::nullopt;
    if (token->revoked_at || expired(*token, now)) return std::nullopt;
    const auto& networks = token->networks;
    if (!networks.empty() && std::none_of(networks.begin(), networks.end(), [&](const std::string& network) {
            return in_network(client_ip, network);
        })) {
        return std::nullopt;
    }
    return token;
}

bool use_is_news(const AdminToken& token, TimeMs now) {
    return !token.last_used_at || now - *token.last_used_at >= minute_ms;
}

void note_use(Transaction& tx, Id id, TimeMs now) {
    for (AdminToken token : tx.admin_tokens()) {
        if (token.id != id || !use_is_news(token, now)) continue;
        token.last_used_at = now;
        tx.update(token);
    }
}

std::string actor(const AdminToken& token) {
    return fmt::format("token {} (id {})", token.name, token.id);
}

bool in_network(std::string_view ip, std::string_view network) {
    const auto one = parse_network(ip);
    const auto all = parse_network(network);
    return one && all && one->v6 == all->v6 && one->bits >= all->bits && same_bits(*one, *all, all->bits);
}

}  // namespace zgoda::service
