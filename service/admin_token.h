// The keys of programs that administer over HTTP: "zgoda_" and 256 random bits, shown once and kept as a
// SHA-256.
//
// A token may do what its scopes say and nothing else, until it expires or is revoked, and only from its
// networks if it names any. Whether it may is read from the database with every request, so a revoked one is
// dead at once.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "service/keyring.h"
#include "service/store.h"

namespace zgoda::service {

// The text of a token made of this secret: 49 characters.
std::string admin_token_text(const Seed& secret);

struct AdminTokenWish {
    std::string name;
    std::vector<TokenScope> scopes;
    std::optional<DurationMs> life;  // none: never expires
    std::vector<std::string>
        networks;  // "203.0.113.0/24", "2001:db8::/32", or an address; empty: from anywhere
};

// Makes a token of `text`. The string says in one sentence why it cannot be: a name that a living token has,
// no scope, or what is no network.
std::variant<AdminToken, std::string> create_admin_token(Transaction&, const std::string& who,
                                                         const AdminTokenWish&, std::string_view text,
                                                         TimeMs now);

// Ends a living token, by its name or id, and for every restored backup too. nullopt: there is none.
std::optional<AdminToken> revoke_admin_token(Transaction&, const std::string& who,
                                             std::string_view name_or_id, const Keyring&, TimeMs now);

bool expired(const AdminToken&, TimeMs now);
bool allows(const AdminToken&, TokenScope);

// The token of this text, if it may be used now by a client of this address ("": a Unix socket, which is in
// no network). What it may be used for is the caller's question.
std::optional<AdminToken> find_admin_token(Reader&, std::string_view text, std::string_view client_ip,
                                           TimeMs now);

// Its last use is remembered to the minute.
bool use_is_news(const AdminToken&, TimeMs now);
void note_use(Transaction&, Id token, TimeMs now);

// In the record of acts: "token nightly-sync (id 12)".
std::string actor(const AdminToken&);

// Whether the address is in the network; false for what is neither.
bool in_network(std::string_view ip, std::string_view network);

}  // namespace zgoda::service
