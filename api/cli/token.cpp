#include <fmt/format.h>

#include <boost/json.hpp>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/desk_json.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

std::string status_of(const service::AdminToken& token, service::TimeMs now) {
    if (token.revoked_at) return "revoked " + service::rfc3339(*token.revoked_at);
    if (!token.expires_at) return "never expires";
    return (service::expired(token, now) ? "expired " : "expires ") + service::rfc3339(*token.expires_at);
}

}  // namespace

Exit token_create(const TokenCreate& options, service::Store& store) {
    const std::string text = service::admin_token_text(service::random_seed());
    const std::string who = admin_name();
    const service::TimeMs now = clock_now();
    std::variant<service::AdminToken, std::string> made;
    service::run(store, [&](service::Transaction& tx) {
        made = service::create_admin_token(tx, who, options.wish, text, now);
    });
    if (const auto* problem = std::get_if<std::string>(&made)) return fail(Exit::usage, *problem);
    fmt::print("{}\n", text);
    fmt::print(stderr, "This is the only time that it is shown. {} {}.\n", options.wish.name,
               status_of(std::get<service::AdminToken>(made), now));
    return Exit::done;
}

Exit token_list(const TokenList& options, service::Store& store) {
    std::vector<service::AdminToken> tokens;
    service::look(store, [&](service::Reader& reader) { tokens = reader.admin_tokens(); });
    if (options.json) {
        boost::json::array list;
        for (const auto& token : tokens) list.push_back(service::desk::json_of(token));
        fmt::print("{}\n", boost::json::serialize(list));
        return Exit::done;
    }
    const service::TimeMs now = clock_now();
    for (const service::AdminToken& token : tokens) {
        fmt::print("{:>6}  {}  {}, {}\n", token.id, token.name, status_of(token, now),
                   token.last_used_at ? "last used " + service::rfc3339(*token.last_used_at) : "never used");
        std::string scopes;
        for (const service::TokenScope scope : token.scopes) scopes.append(" ").append(service::word(scope));
        fmt::print("       {}{}{}\n", scopes, token.networks.empty() ? "" : ", only from ",
                   fmt::join(token.networks, " "));
    }
    return Exit::done;
}

Exit token_revoke(const TokenRevoke& options, service::Store& store, const service::Keyring& keys) {
    const std::string who = admin_name();
    const service::TimeMs now = clock_now();
    std::optional<service::AdminToken> ended;
    service::run(store, [&](service::Transaction& tx) {
        ended = service::revoke_admin_token(tx, who, options.token, keys, now);
    });
    if (!ended) {
        return fail(Exit::not_found, fmt::format("there is no living token {}; `zgoda token list` shows all",
                                                 service::printable(options.token)));
    }
    fmt::print("revoked {}\n", ended->name);
    return Exit::done;
}

}  // namespace zgoda::cli
