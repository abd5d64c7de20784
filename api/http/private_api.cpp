#include "api/http/private_api.h"

#include <boost/json.hpp>
#include <chrono>
#include <memory>

#include "api/http/admin_api.h"
#include "api/http/store_awaitable.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::Commit;

namespace {

constexpr service::DurationMs mailer_patience = 10 * service::minute_ms;

service::TimeMs system_time() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

service::TimeMs time_of(const PrivateOptions& options) {
    return options.now ? options.now() : system_time();
}

struct MailState {
    service::OutboxCounts outbox;
    service::MailerNote mailer;
};

asio::awaitable<bool> look_at_mail(const PrivateOptions& options, MailState& state) {
    const auto found = std::make_shared<MailState>();
    service::Store::Query query = [found, now = time_of(options)](service::Reader& reader) {
        *found = {reader.outbox(now), reader.mailer_note()};
    };
    const auto result = co_await read(options.store, std::move(query));
    if (result.commit == Commit::done) state = *found;
    co_return result.commit == Commit::done;
}

// Letters are due and no mailer has run for ten minutes. Where none ever ran, its first letter may wait as
// long.
bool mail_lies(const MailState& state, service::TimeMs now) {
    const service::TimeMs long_ago = now - mailer_patience;
    if (!state.outbox.oldest_due || state.mailer.last_run_at > long_ago) return false;
    return state.mailer.last_run_at != 0 || *state.outbox.oldest_due <= long_ago;
}

bool disk_nearly_full(const PrivateOptions& options) {
    std::error_code error;
    const auto space = std::filesystem::space(options.data_folder.empty() ? "." : options.data_folder, error);
    return error || space.available < options.least_free;
}

asio::awaitable<Response> live(Request&, const PrivateOptions&) {
    co_return Response{200, "application/json", R"({"status":"alive"})", {{"Cache-Control", "no-store"}}};
}

asio::awaitable<Response> ready(Request&, const PrivateOptions& options) {
    boost::json::array failing;
    service::Store::Work work = [](service::Transaction&) {};
    const auto committed = co_await submit(options.store, std::move(work));
    MailState mail;
    const bool readable = co_await look_at_mail(options, mail);
    if (committed.commit != Commit::done || !readable) failing.emplace_back("storage");
    if (disk_nearly_full(options)) failing.emplace_back("disk");
    if (readable && mail_lies(mail, time_of(options))) failing.emplace_back("mailer");
    if (failing.empty())
        co_return Response{200, "application/json", R"({"status":"ready"})", {{"Cache-Control", "no-store"}}};

    std::string detail = "Failing:";
    for (const auto& check : failing) detail.append(" ").append(check.as_string());
    const boost::json::object body{{"type", "urn:zgoda:problem:not_ready"},
                                   {"title", reason_of(503)},
                                   {"status", 503},
                                   {"detail", detail},
                                   {"failing", failing}};
    co_return Response{
        503, "application/problem+json", boost::json::serialize(body), {{"Cache-Control", "no-store"}}};
}

asio::awaitable<Response> show_metrics(Request&, const PrivateOptions& options) {
    service::Store::Query query = [&metrics = options.metrics](service::Reader& reader) {
        metrics.follow(reader);
    };
    co_await read(options.store, std::move(query));
    MailState mail;
    const bool readable = co_await look_at_mail(options, mail);
    if (!readable) co_return problem(503, "The outbox can't be read.");
    const Metrics::Gauges gauges{mail.outbox, mail.mailer, options.queue_depth ? options.queue_depth() : 0,
                                 options.connections ? options.connections() : 0};
    co_return Response{200,
                       "text/plain; version=0.0.4; charset=utf-8",
                       options.metrics.text(gauges, time_of(options)),
                       {{"Cache-Control", "no-store"}}};
}

asio::awaitable<Response> show_openapi(Request&, const PrivateOptions& options) {
    co_return Response{
        200, "application/json", std::string(options.openapi), {{"Cache-Control", "no-store"}}};
}

struct PrivateApi {
    explicit PrivateApi(PrivateOptions given)
        : options(std::move(given)),
          desk{options.store,
               options.rules,
               options.newsletter_rules,
               options.public_url,
               options.origins,
               options.now ? options.now : system_time,
               aside} {}

    const PrivateOptions options;
    Aside aside;
    const Desk desk;
    Routes routes;
};

}  // namespace

Handler private_api(PrivateOptions options) {
    const auto api = std::make_shared<PrivateApi>(std::move(options));
    const auto on = [&known =
                         api->options](asio::awaitable<Response> (*handle)(Request&, const PrivateOptions&)) {
        return [&known, handle](Request& request) { return handle(request, known); };
    };
    api->routes = {
        {Method::get, "/livez", on(live)},
        {Method::get, "/readyz", on(ready)},
        {Method::get, "/metrics", on(show_metrics)},
        {Method::get, "/openapi.json", on(show_openapi)},
    };
    for (Route& route : admin_routes(api->desk)) api->routes.push_back(std::move(route));
    return [api](Request& request) { return dispatch(api->routes, request); };
}

std::vector<std::string> private_hosts(std::string_view listen) {
    std::vector<std::string> hosts{"localhost", "127.0.0.1", "[::1]"};
    if (!listen.starts_with("unix:")) hosts.emplace_back(listen.substr(0, listen.rfind(':')));
    return hosts;
}

}  // namespace zgoda::http
