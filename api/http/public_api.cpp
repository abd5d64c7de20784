#include "api/http/public_api.h"

#include <chrono>
#include <memory>

#include "api/http/accept.h"
#include "api/http/confirmation_pages.h"
#include "api/http/confirmations.h"
#include "api/http/embed.h"
#include "api/http/limiter.h"
#include "api/http/origin.h"
#include "api/http/preference_pages.h"
#include "api/http/signup_pages.h"
#include "api/http/site.h"
#include "api/http/subscriptions.h"
#include "api/http/tickets.h"
#include "api/http/unsubscribe_pages.h"

namespace zgoda::http {

namespace asio = boost::asio;

namespace {

asio::awaitable<Response> answer(Response response) {
    co_return response;
}

service::TimeMs system_time() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::string without_final_slash(std::string url) {
    while (url.ends_with('/')) url.pop_back();
    return url;
}

// For frame-ancestors.
std::string framed_by(const std::vector<std::string>& origins) {
    std::string all;
    for (const std::string& origin : origins) all += (all.empty() ? "" : " ") + origin_of(origin);
    return all.empty() ? "'none'" : all;
}

struct PublicApi {
    explicit PublicApi(PublicOptions options)
        : embed(service::embed_script(options.templates["embed.js"], options.rules.texts)),
          site{options.store,
               options.rules,
               Pages(std::move(options.templates), options.rules.texts, std::move(options.imprint)),
               without_final_slash(options.public_url),
               framed_by(options.allowed_origins),
               options.now ? options.now : system_time},
          origins(options.public_url, options.allowed_origins),
          limiter(std::move(options.per_ip)),
          metrics(options.metrics),
          on_trouble(std::move(options.on_trouble)) {}

    Routes table() {
        const auto on = [this](asio::awaitable<Response> (*handle)(Request&, const Site&)) {
            return [this, handle](Request& request) { return handle(request, site); };
        };
        // Beside the nonce: a page of another site presses no button of ours.
        const auto own = [this](Handler handle) -> Handler {
            return [this, handle = std::move(handle)](Request& request) {
                return origins.from_own_form(request) ? handle(request)
                                                      : answer(refuse(request, site, 403, "foreign_page"));
            };
        };
        return {
            {Method::post, "/v1/subscriptions",
             [this](Request& request) { return subscribe(request, site, origins, limiter, metrics); }},
            {Method::options, "/v1/subscriptions",
             [this](Request& request) { return answer(origins.preflight(request, "POST")); }},
            {Method::post, "/v1/confirmations",
             [this](Request& request) { return try_code(request, site, origins, wrong_codes); }},
            {Method::options, "/v1/confirmations",
             [this](Request& request) { return answer(origins.preflight(request, "POST")); }},
            {Method::get, "/v1/newsletters", on(list_newsletters)},
            {Method::get, "/v1/tickets/{ticket}",
             [this](Request& request) { return show_ticket(request, site, refusals); }},
            {Method::get, "/", on(show_all_newsletters)},
            {Method::get, "/sent", on(show_sent)},
            {Method::get, "/newsletters/{slug}", on(show_newsletter)},
            {Method::get, "/newsletters/{slug}/sent", on(show_sent)},
            {Method::get, "/newsletters/{slug}/embed", on(show_framed_newsletter)},
            {Method::get, "/newsletters/{slug}/embed/sent", on(show_framed_sent)},
            {Method::get, "/newsletters/{slug}/embed.json",
             [this](Request& request) { return describe_form(request, site, origins); }},
            {Method::get, "/embed.json",
             [this](Request& request) { return describe_form(request, site, origins); }},
            {Method::get, "/embed.js",
             [this](Request& request) { return answer(show_script(request, embed)); }},
            {Method::get, "/embed.{hash}.js",
             [this](Request& request) { return answer(show_hashed_script(request, site, embed)); }},
            {Method::get, "/confirm", on(show_confirm)},
            {Method::post, "/confirm",
             own([this](Request& request) { return act_confirm(request, site, limiter, pressed_links); })},
            {Method::get, "/not-me", on(show_not_me)},
            {Method::post, "/not-me", own(on(act_not_me))},
            {Method::get, "/unsubscribe", on(show_unsubscribe)},
            {Method::post, "/unsubscribe",
             [this](Request& request) { return act_unsubscribe(request, site, origins); }},
            {Method::get, "/preferences", on(show_preferences)},
            {Method::post, "/preferences",
             own([this](Request& request) { return act_preferences(request, site, limiter); })},
            {Method::get, "/preferences/sent", on(show_preference_link_sent)},
            {Method::post, "/v1/preference-links",
             [this](Request& request) { return send_preference_link(request, site, origins, limiter); }},
            {Method::options, "/v1/preference-links",
             [this](Request& request) { return answer(origins.preflight(request, "POST")); }},
            {Method::get, "/undo", on(show_undo)},
            {Method::post, "/undo", own(on(act_undo))},
            {Method::get, "/zgoda.css",
             [this](Request& request) { return answer(site.pages.file(request, "zgoda.css", "text/css")); }},
            {Method::get, "/zgoda.js",
             [this](Request& request) {
                 return answer(site.pages.file(request, "zgoda.js", "text/javascript"));
             }},
        };
    }

    service::EmbedScript embed;
    Site site;
    Origins origins;
    Limiter limiter;
    Refusals refusals;
    WrongCodes wrong_codes;
    PressedLinks pressed_links;
    Metrics& metrics;
    std::function<void(std::string_view)> on_trouble;
    Routes routes = table();
};

// dispatch() knows neither languages nor pages.
Response in_words(const Request& request, const Site& site, Response response) {
    const bool unhandled = response.status == 404 ? request.route.empty() : response.status == 405;
    if (!unhandled) return response;
    Response page =
        refuse(request, site, response.status, response.status == 404 ? "not_found" : "method_not_allowed");
    for (auto& header : response.headers)
        if (header.first == "Allow") page.headers.push_back(std::move(header));
    return page;
}

asio::awaitable<Response> serve(PublicApi& api, Request& request) {
    Response response;
    std::string trouble;
    try {
        auto answered = co_await dispatch(api.routes, request);
        response = in_words(request, api.site, std::move(answered));
    } catch (const std::exception& error) {
        trouble = error.what();
    }
    if (!trouble.empty()) {
        if (api.on_trouble)
            api.on_trouble(std::string(name_of(request.method)) + " " + std::string(request.route) + ": " +
                           trouble);
        response = refuse(request, api.site, 500, "internal_error");
    }
    if (request.path.starts_with("/v1/")) api.origins.add_headers(request, response);
    if (api.site.public_url.starts_with("https:") && response.content_type.starts_with("text/html"))
        response.headers.emplace_back("Strict-Transport-Security", "max-age=31536000");
    co_return response;
}

}  // namespace

Handler public_api(PublicOptions options) {
    const auto api = std::make_shared<PublicApi>(std::move(options));
    return [api](Request& request) { return serve(*api, request); };
}

std::function<void(const Request&, Response&)> public_refusals(
    const std::string& public_url, const std::vector<std::string>& allowed_origins) {
    return [origins = Origins(public_url, allowed_origins)](const Request& request, Response& response) {
        origins.add_headers(request, response);
    };
}

}  // namespace zgoda::http
