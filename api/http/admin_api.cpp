#include "api/http/admin_api.h"

#include <memory>

#include "api/http/admin_export.h"
#include "api/http/admin_newsletters.h"
#include "api/http/admin_signup.h"
#include "api/http/admin_stats.h"
#include "api/http/admin_subscribers.h"
#include "api/http/admin_suppressions.h"
#include "service/admin_token.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::TokenScope;

namespace {

/// "" when there is none.
std::string bearer_of(const Request& request) {
    const std::string_view field = trimmed(request.authorization);
    const std::size_t space = field.find(' ');
    if (space == field.npos || !equal_ignoring_case(field.substr(0, space), "Bearer")) return {};
    return std::string(trimmed(field.substr(space)));
}

Response unauthorized(bool shown) {
    Response response =
        shown ? admin_problem(
                    401, "token_refused",
                    "This token is not known, has expired, was revoked, or may not be used from here.")
              : admin_problem(401, "token_missing", "Show a token: `Authorization: Bearer zgoda_...`.");
    response.headers.emplace_back("WWW-Authenticate", shown
                                                          ? "Bearer realm=\"zgoda\", error=\"invalid_token\""
                                                          : "Bearer realm=\"zgoda\"");
    return response;
}

/// What an act does not look at must not be there: `dry_run` would be taken for a promise. Who reads looks at
/// its own query, who takes a body at its own members.
std::optional<Response> unexpected(const Request& request) {
    const bool reads = request.method == Method::get || request.method == Method::head;
    if (!reads) {
        const Parameters none(request, {});
        if (none.problem()) return none.problem();
    }
    if ((reads || request.method == Method::del) && !request.body.empty()) return Body(request).problem();
    return std::nullopt;
}

Response forbidden(TokenScope scope) {
    const std::string name(service::word(scope));
    Response response =
        admin_problem(403, "scope_missing", "This token does not have the scope " + name + ".");
    response.headers.emplace_back(
        "WWW-Authenticate", "Bearer realm=\"zgoda\", error=\"insufficient_scope\", scope=\"" + name + "\"");
    return response;
}

asio::awaitable<Response> admit(Request& request, const Desk& desk, TokenScope scope, AdminHandler handle) {
    const std::string bearer = bearer_of(request);
    if (bearer.empty()) co_return unauthorized(false);
    const std::string ip = request.client == "unix" ? std::string() : request.client;
    const auto found = std::make_shared<std::optional<service::AdminToken>>();
    const service::TimeMs now = desk.now();
    service::Store::Query query = [found, bearer, ip, now](service::Reader& reader) {
        *found = service::find_admin_token(reader, bearer, ip, now);
    };
    auto trouble = co_await see(desk, std::move(query));
    if (trouble) co_return std::move(*trouble);
    if (!*found) co_return unauthorized(true);
    const service::AdminToken& token = **found;
    if (service::use_is_news(token, now)) {
        const service::Id id = token.id;
        desk.store.submit([id, now](service::Transaction& tx) { service::note_use(tx, id, now); },
                          [](const service::CommitResult&) {});
    }
    if (!service::allows(token, scope)) co_return forbidden(scope);
    if (auto problem = unexpected(request)) co_return std::move(*problem);
    const std::string who = service::actor(token);
    auto response = co_await handle(request, desk, who);
    co_return response;
}

}  // namespace

Routes admin_routes(const Desk& desk) {
    const auto behind = [&desk](TokenScope scope, AdminHandler handle) -> Handler {
        return [&desk, scope, handle](Request& request) { return admit(request, desk, scope, handle); };
    };
    return {
        {Method::get, "/v1/admin/newsletters", behind(TokenScope::newsletters_read, list_all_newsletters)},
        {Method::post, "/v1/admin/newsletters", behind(TokenScope::newsletters_write, create_newsletter)},
        {Method::get, "/v1/admin/newsletters/{slug}",
         behind(TokenScope::newsletters_read, show_one_newsletter)},
        {Method::patch, "/v1/admin/newsletters/{slug}",
         behind(TokenScope::newsletters_write, change_newsletter)},
        {Method::post, "/v1/admin/newsletters/{slug}/close",
         behind(TokenScope::newsletters_write, close_newsletter)},
        {Method::post, "/v1/admin/newsletters/{slug}/open",
         behind(TokenScope::newsletters_write, open_newsletter)},
        {Method::get, "/v1/admin/subscribers", behind(TokenScope::subscribers_read, list_subscribers)},
        {Method::post, "/v1/admin/subscribers/search",
         behind(TokenScope::subscribers_read, search_subscribers)},
        {Method::get, "/v1/admin/subscribers/{id}", behind(TokenScope::subscribers_read, show_subscriber)},
        {Method::del, "/v1/admin/subscribers/{id}", behind(TokenScope::subscribers_erase, erase_subscriber)},
        {Method::post, "/v1/admin/subscribers/{id}/unsubscribe",
         behind(TokenScope::subscribers_write, unsubscribe_subscriber)},
        {Method::post, "/v1/admin/subscribers/{id}/confirm",
         behind(TokenScope::subscribers_confirm, confirm_subscriber)},
        {Method::post, "/v1/admin/subscriptions", behind(TokenScope::signup_write, sign_up_for_reader)},
        {Method::get, "/v1/admin/export", behind(TokenScope::subscribers_export, export_subscribers)},
        {Method::get, "/v1/admin/suppressions", behind(TokenScope::suppressions_write, list_suppressions)},
        {Method::post, "/v1/admin/suppressions", behind(TokenScope::suppressions_write, add_suppression)},
        {Method::post, "/v1/admin/suppressions/remove",
         behind(TokenScope::suppressions_write, remove_suppressions)},
        {Method::get, "/v1/admin/stats", behind(TokenScope::stats_read, show_stats)},
    };
}

}  // namespace zgoda::http
