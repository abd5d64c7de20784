#include "api/http/admin_newsletters.h"

#include <boost/json.hpp>
#include <memory>

#include "service/desk_json.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;
using service::desk::NewsletterOutcome;

namespace {

std::string text_of(const json::string& text) {
    return std::string(text.data(), text.size());
}

// {"name": "Daily", "description": {"": "For all", "uk": "Для всіх"}, "reply_to": null}; null removes.
std::vector<service::desk::SettingChange> settings_in(Body& body) {
    std::vector<service::desk::SettingChange> changes;
    const json::value* settings = body.member("settings");
    if (settings == nullptr) return changes;
    if (!settings->is_object()) {
        body.refuse("/settings", "wrong_type", "This must be an object.");
        return changes;
    }
    const auto take = [&](const std::string& key, const std::string& locale, const json::value& value) {
        if (value.is_string())
            changes.push_back({key, locale, text_of(value.get_string())});
        else if (value.is_null())
            changes.push_back({key, locale, {}});
        else
            body.refuse(json_pointer("/settings", shortened(key)), "wrong_type",
                        "A setting is text, or null to remove it.");
    };
    for (const auto& [key, value] : settings->get_object()) {
        const std::string name(key.data(), key.size());
        if (!value.is_object()) {
            take(name, "", value);
            continue;
        }
        for (const auto& [locale, one] : value.get_object())
            take(name, std::string(locale.data(), locale.size()), one);
    }
    return changes;
}

Response not_found(const std::string& slug) {
    return admin_problem(404, "not_found",
                         "There is no newsletter " + json::serialize(json::value(slug)) + ".");
}

Response told(const NewsletterOutcome& outcome, const std::string& slug, int status) {
    switch (outcome.kind) {
        case NewsletterOutcome::Kind::done: {
            Response response = admin_answer(status, service::desk::json_of(outcome.newsletter));
            if (status == 201)
                response.headers.emplace_back("Location", "/v1/admin/newsletters/" + outcome.newsletter.slug);
            return response;
        }
        case NewsletterOutcome::Kind::unknown:
            return not_found(slug);
        case NewsletterOutcome::Kind::taken:
            return admin_problem(409, "taken", outcome.problem);
        case NewsletterOutcome::Kind::refused:
            break;
    }
    return admin_invalid({{outcome.at == "slug" ? "/slug" : json_pointer("/settings", shortened(outcome.at)),
                           "refused", outcome.problem}});
}

asio::awaitable<Response> change(const Request& request, const Desk& desk, const std::string& who,
                                 service::desk::NewsletterChange wanted) {
    const auto outcome = std::make_shared<NewsletterOutcome>();
    const std::string slug = request.path_parameter;
    service::Store::Work work = [outcome, slug, who, wanted = std::move(wanted), now = desk.now(),
                                 &rules = desk.newsletter_rules](service::Transaction& tx) {
        *outcome = service::desk::change_newsletter(tx, who, slug, wanted, rules, now);
    };
    auto trouble = co_await act(desk, std::move(work));
    if (trouble) co_return std::move(*trouble);
    co_return told(*outcome, slug, 200);
}

asio::awaitable<Response> set_open(const Request& request, const Desk& desk, const std::string& who,
                                   bool open) {
    if (!request.body.empty()) {
        const Body body(request);
        if (auto problem = body.problem()) co_return std::move(*problem);
    }
    service::desk::NewsletterChange wanted;
    wanted.open = open;
    auto response = co_await change(request, desk, who, std::move(wanted));
    co_return response;
}

}  // namespace

asio::awaitable<Response> list_all_newsletters(Request& request, const Desk& desk, const std::string&) {
    Parameters parameters(request, {"limit", "cursor"});
    const std::size_t limit = parameters.limit();
    const service::Id after = parameters.after();
    if (parameters.problem()) co_return *parameters.problem();
    const auto all = std::make_shared<std::shared_ptr<const service::Newsletters>>();
    service::Store::Query query = [all](service::Reader& reader) { *all = reader.newsletters(); };
    auto trouble = co_await see(desk, std::move(query));
    if (trouble) co_return std::move(*trouble);
    json::array list;
    json::value next = nullptr;
    service::Id last = 0;
    for (const service::Newsletter& one : (*all)->all()) {
        if (one.id <= after) continue;
        if (list.size() == limit) {
            next = json::value(cursor_of(std::to_string(last)));
            break;
        }
        list.push_back(service::desk::json_of(one));
        last = one.id;
    }
    co_return admin_answer(200, {{"newsletters", std::move(list)}, {"next", std::move(next)}});
}

asio::awaitable<Response> create_newsletter(Request& request, const Desk& desk, const std::string& who) {
    Body body(request);
    const std::string slug = body.text("slug", true);
    auto settings = settings_in(body);
    if (auto problem = body.problem()) co_return std::move(*problem);
    const auto outcome = std::make_shared<NewsletterOutcome>();
    service::Store::Work work = [outcome, slug, who, settings = std::move(settings), now = desk.now(),
                                 &rules = desk.newsletter_rules](service::Transaction& tx) {
        *outcome = service::desk::add_newsletter(tx, who, slug, settings, rules, now);
    };
    auto trouble = co_await act(desk, std::move(work));
    if (trouble) co_return std::move(*trouble);
    co_return told(*outcome, slug, 201);
}

asio::awaitable<Response> show_one_newsletter(Request& request, const Desk& desk, const std::string&) {
    const Parameters parameters(request, {});
    if (parameters.problem()) co_return *parameters.problem();
    const auto all = std::make_shared<std::shared_ptr<const service::Newsletters>>();
    service::Store::Query query = [all](service::Reader& reader) { *all = reader.newsletters(); };
    auto trouble = co_await see(desk, std::move(query));
    if (trouble) co_return std::move(*trouble);
    const service::Newsletter* one = (*all)->find(request.path_parameter);
    if (one == nullptr) co_return not_found(request.path_parameter);
    co_return admin_answer(200, service::desk::json_of(*one));
}

asio::awaitable<Response> change_newsletter(Request& request, const Desk& desk, const std::string& who) {
    Body body(request);
    service::desk::NewsletterChange wanted;
    wanted.slug = body.text("slug", false);
    const json::value* slug = body.member("slug");
    if (slug != nullptr && slug->is_string() && wanted.slug.empty())
        body.refuse("/slug", "refused", service::slug_problem("").value_or(""));
    wanted.settings = settings_in(body);
    if (auto problem = body.problem()) co_return std::move(*problem);
    auto response = co_await change(request, desk, who, std::move(wanted));
    co_return response;
}

asio::awaitable<Response> close_newsletter(Request& request, const Desk& desk, const std::string& who) {
    auto response = co_await set_open(request, desk, who, false);
    co_return response;
}

asio::awaitable<Response> open_newsletter(Request& request, const Desk& desk, const std::string& who) {
    auto response = co_await set_open(request, desk, who, true);
    co_return response;
}

}  // namespace zgoda::http
