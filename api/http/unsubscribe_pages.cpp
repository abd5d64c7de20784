#include "api/http/unsubscribe_pages.h"

#include <memory>

#include "api/http/accept.h"
#include "api/http/form.h"
#include "api/http/store_awaitable.h"
#include "service/token.h"
#include "service/withdrawal.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::UnsubscribeView;
using Kind = service::UnsubscribeView::Kind;

namespace {

std::string filled(const Site& site, const UnsubscribeView& view, std::string_view key) {
    return service::fill(site.text(view.locale, key),
                         {{"address", view.masked_address}, {"newsletter", view.newsletter}});
}

Response unknown_link(const Request& request, const Site& site) {
    if (!prefers_page(request.accept, true)) return refuse(request, site, 404, "unknown_link");
    Frame frame;
    frame.status = 404;
    frame.locale = reader_language(request, site);
    frame.title = site.text(frame.locale, "page.unknown_title");
    frame.private_link = true;
    Message message;
    message.paragraphs = {site.text(frame.locale, "page.unknown_lead")};
    return site.pages.message(frame, message);
}

Response unsubscribe_page(const Request& request, const Site& site, const std::string& token,
                          const UnsubscribeView& view, bool again) {
    if (view.kind == Kind::unknown) return unknown_link(request, site);
    Frame frame;
    frame.locale = view.locale;
    frame.private_link = true;
    Message message;
    if (view.kind == Kind::left) {
        frame.title = filled(site, view, "page.left_title");
        message.paragraphs = {filled(site, view, "page.left_lead")};
        if (view.left_at)
            message.paragraphs.front() +=
                " " + service::fill(site.text(view.locale, "page.left_on"),
                                    {{"date", site.rules.texts.date(view.locale, *view.left_at)}});
        message.note = site.text(view.locale, "page.come_back");
        message.link = {site.text(view.locale, "page.back"), "/?locale=" + view.locale};
    } else {
        frame.title = filled(site, view, "page.unsubscribe_title");
        message.paragraphs = {filled(site, view, "page.unsubscribe_lead")};
        if (again) message.note = site.text(view.locale, "page.again");
        message.button = {site.text(view.locale, "page.unsubscribe_button"), "/unsubscribe?t=" + token,
                          service::page_nonce(token, site.now(), site.rules.keys), false};
    }
    return site.pages.message(frame, message);
}

// For a program that shows nobody what we answer.
Response one_click_answer(const Request& request, const Site& site, const UnsubscribeView& view) {
    if (view.kind == Kind::unknown) return unknown_link(request, site);
    return {
        200,
        "text/plain; charset=utf-8",
        filled(site, view, "page.left_title") + "\n",
        {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}, {"X-Robots-Tag", "noindex"}}};
}

asio::awaitable<Response> show_page(Request& request, const Site& site, std::string token, bool again) {
    const auto view = std::make_shared<UnsubscribeView>();
    service::Store::Query query = [view, token, &rules = site.rules](service::Reader& reader) {
        *view = service::show_unsubscribe(reader, token, rules);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    co_return unsubscribe_page(request, site, token, *view, again);
}

}  // namespace

asio::awaitable<Response> show_unsubscribe(Request& request, const Site& site) {
    const std::string token = query_parameter(request, "t").value_or("");
    auto response = co_await show_page(request, site, token, false);
    co_return response;
}

asio::awaitable<Response> act_unsubscribe(Request& request, const Site& site) {
    const std::string token = query_parameter(request, "t").value_or("");
    bool one_click = false;
    bool from_page = false;
    if (const auto form = parse_form(request.content_type, request.body)) {
        for (const FormField& field : *form) {
            one_click |= field.name == "List-Unsubscribe" && field.value == "One-Click";
            from_page |= field.name == "nonce" &&
                         service::page_nonce_valid(field.value, token, site.now(), site.rules.keys);
        }
    }
    if (!one_click && !from_page) {
        auto response = co_await show_page(request, site, token, true);
        co_return response;
    }

    const auto view = std::make_shared<UnsubscribeView>();
    const service::Moment moment{site.now(), service::random_seed()};
    const service::Way way = one_click ? service::Way::one_click : service::Way::page;
    service::Store::Work work = [view, token, way, moment, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        *view = service::unsubscribe(transaction, token, way, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (one_click) co_return one_click_answer(request, site, *view);
    co_return unsubscribe_page(request, site, token, *view, false);
}

}  // namespace zgoda::http
