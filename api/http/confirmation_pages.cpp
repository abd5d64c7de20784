#include "api/http/confirmation_pages.h"

#include <algorithm>
#include <memory>

#include "api/http/accept.h"
#include "api/http/form.h"
#include "api/http/store_awaitable.h"
#include "api/http/subscriptions.h"
#include "service/confirmation.h"
#include "service/token.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::ConfirmationView;
using Kind = service::ConfirmationView::Kind;

namespace {

std::string link(std::string_view path, const std::string& token) {
    return std::string(path) + "?t=" + token;
}

// A token goes into our own addresses and forms only after it was found to be one of ours.
std::string token_of(const Request& request) {
    return query_parameter(request, "t").value_or("");
}

Frame frame_of(const Site& site, int status, const std::string& locale, std::string_view title) {
    Frame frame;
    frame.status = status;
    frame.locale = locale;
    frame.title = site.text(locale, title);
    frame.private_link = true;
    return frame;
}

Response unknown_link(const Request& request, const Site& site) {
    if (!prefers_page(request.accept, true)) return refuse(request, site, 404, "unknown_link");
    const std::string locale = reader_language(request, site);
    Message message;
    message.paragraphs = {site.text(locale, "page.unknown_lead")};
    message.link = {site.text(locale, "page.back"), "/?locale=" + locale};
    return site.pages.message(frame_of(site, 404, locale, "page.unknown_title"), message);
}

Response expired_link(const Request& request, const Site& site, const std::string& token,
                      const ConfirmationView& view) {
    if (!prefers_page(request.accept, true)) return refuse(request, site, 410, "expired_link");
    Message message;
    if (view.can_resend) {
        message.paragraphs = {
            service::fill(site.text(view.locale, "page.expired_lead"), {{"address", view.masked_address}})};
        message.button = {site.text(view.locale, "page.expired_button"), link("/confirm", token),
                          service::page_nonce(token, site.now(), site.rules.keys), true};
        message.link = {site.text(view.locale, "page.not_me"), link("/not-me", token)};
    } else {
        message.paragraphs = {site.text(view.locale, "page.expired_nothing")};
        message.link = {site.text(view.locale, "page.back"), "/?locale=" + view.locale};
    }
    return site.pages.message(frame_of(site, 410, view.locale, "page.expired_title"), message);
}

Response offer(const Site& site, const std::string& token, const ConfirmationView& view,
               std::string_view problem) {
    const Frame frame = frame_of(site, 200, view.locale, "page.confirm_title");
    PageData data;
    data.set("title", frame.title);
    data.set("lead",
             service::fill(site.text(view.locale, "page.confirm_lead"), {{"address", view.masked_address}}));
    data.set("action", link("/confirm", token));
    data.set("nonce", service::page_nonce(token, site.now(), site.rules.keys));
    if (!problem.empty()) put(data, "problem", site.text(view.locale, problem));
    data.set("choose", site.text(view.locale, "page.choose"));
    PageData offers(PageData::type::list);
    for (const service::Offer& one : view.offers) {
        PageData item;
        item.set("slug", one.slug);
        item.set("name", one.name);
        item.set("ticked", one.ticked);
        offers.push_back(item);
    }
    data.set("offers", offers);
    data.set("button", site.text(view.locale, "page.confirm_button"));
    data.set("not_me", site.text(view.locale, "page.not_me"));
    data.set("not_me_href", link("/not-me", token));
    return site.pages.page(frame, "page.confirm.html", data);
}

Response confirmed(const Site& site, const ConfirmationView& view, bool just_now) {
    Message message;
    if (!just_now && view.confirmed_at) {
        const std::string date = site.rules.texts.date(view.locale, *view.confirmed_at);
        message.paragraphs.push_back(
            service::fill(site.text(view.locale, "page.confirmed_again"), {{"date", date}}));
    }
    if (!view.confirmed_names.empty())
        message.paragraphs.push_back(site.text(view.locale, "page.confirmed_lead"));
    message.items = view.confirmed_names;
    message.note = site.text(view.locale, "page.leave_any_time");
    return site.pages.message(frame_of(site, 200, view.locale, "page.confirmed_title"), message);
}

Response declined(const Site& site, const ConfirmationView& view) {
    Message message;
    message.paragraphs = {site.text(view.locale, "page.declined_lead")};
    message.link = {site.text(view.locale, "page.back"), "/?locale=" + view.locale};
    return site.pages.message(frame_of(site, 200, view.locale, "page.declined_title"), message);
}

Response confirmation_page(const Request& request, const Site& site, const std::string& token,
                           const ConfirmationView& view, bool just_now, std::string_view problem) {
    switch (view.kind) {
        case Kind::expired:
            return expired_link(request, site, token, view);
        case Kind::open:
            return offer(site, token, view, problem);
        case Kind::confirmed:
            return confirmed(site, view, just_now);
        case Kind::declined:
            return declined(site, view);
        case Kind::unknown:
            break;
    }
    return unknown_link(request, site);
}

struct Post {
    bool from_page = false;  // carries the nonce of a page that we showed for this link
    bool resend = false;
    std::vector<std::string> newsletters;
};

Post read_post(const Request& request, const Site& site, const std::string& token) {
    Post post;
    const auto form = parse_form(request.content_type, request.body);
    if (!form) return post;
    for (const FormField& field : *form) {
        if (field.name == "nonce")
            post.from_page = service::page_nonce_valid(field.value, token, site.now(), site.rules.keys);
        if (field.name == "resend") post.resend = field.value == "1";
        if (field.name == "newsletter") post.newsletters.push_back(field.value);
    }
    return post;
}

asio::awaitable<service::CommitResult> look_up(const Site& site, std::string token,
                                               std::shared_ptr<ConfirmationView> view) {
    service::Store::Query query = [view, token, now = site.now(),
                                   &rules = site.rules](service::Reader& reader) {
        *view = service::show_confirmation(reader, token, rules, now);
    };
    const auto result = co_await read(site.store, std::move(query));
    co_return result;
}

asio::awaitable<Response> show_again(Request& request, const Site& site, std::string token,
                                     std::string_view problem) {
    const auto view = std::make_shared<ConfirmationView>();
    const auto result = co_await look_up(site, token, view);
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    co_return confirmation_page(request, site, token, *view, false, problem);
}

asio::awaitable<Response> resend(Request& request, const Site& site, Limiter& limiter, std::string token) {
    if (auto refused = over_limit(request, site, limiter)) co_return std::move(*refused);
    const auto outcome = std::make_shared<service::FreshLetter>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [outcome, token, moment, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        *outcome = service::send_fresh_letter(transaction, token, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (*outcome == service::FreshLetter::unknown) co_return unknown_link(request, site);

    const std::string locale = reader_language(request, site);
    Message message;
    if (*outcome == service::FreshLetter::nothing_pending) {
        message.paragraphs = {site.text(locale, "page.expired_nothing")};
        message.link = {site.text(locale, "page.back"), "/?locale=" + locale};
        co_return site.pages.message(frame_of(site, 200, locale, "page.expired_title"), message);
    }
    message.paragraphs = {site.text(locale, "page.fresh_lead")};
    co_return site.pages.message(frame_of(site, 200, locale, "page.fresh_title"), message);
}

Response ask_not_me(const Site& site, const std::string& token, const ConfirmationView& view, bool again) {
    Message message;
    message.paragraphs = {
        service::fill(site.text(view.locale, "page.not_me_lead"), {{"address", view.masked_address}})};
    if (again) message.note = site.text(view.locale, "page.again");
    message.button = {site.text(view.locale, "page.not_me"), link("/not-me", token),
                      service::page_nonce(token, site.now(), site.rules.keys), false};
    return site.pages.message(frame_of(site, 200, view.locale, "page.not_me_title"), message);
}

asio::awaitable<Response> show_not_me_page(Request& request, const Site& site, bool again) {
    const std::string token = token_of(request);
    const auto view = std::make_shared<ConfirmationView>();
    const auto result = co_await look_up(site, token, view);
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (view->kind == Kind::unknown) co_return unknown_link(request, site);
    co_return ask_not_me(site, token, *view, again);
}

}  // namespace

asio::awaitable<Response> show_confirm(Request& request, const Site& site) {
    const std::string token = token_of(request);
    auto response = co_await show_again(request, site, token, "");
    co_return response;
}

asio::awaitable<Response> act_confirm(Request& request, const Site& site, Limiter& limiter) {
    const std::string token = token_of(request);
    const Post post = read_post(request, site, token);
    if (post.from_page && post.resend) {
        auto response = co_await resend(request, site, limiter, token);
        co_return response;
    }
    if (!post.from_page || post.newsletters.empty()) {
        const std::string_view problem = post.from_page ? "page.tick_one" : "page.again";
        auto response = co_await show_again(request, site, token, problem);
        co_return response;
    }

    const auto outcome = std::make_shared<service::ConfirmationOutcome>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [outcome, token, moment, slugs = post.newsletters,
                                 client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        const auto newsletters = transaction.newsletters();
        std::vector<service::Id> ticked;
        for (const std::string& slug : slugs)
            if (const auto* newsletter = newsletters->find(slug)) ticked.push_back(newsletter->id);
        *outcome = service::confirm(transaction, token, ticked, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    co_return confirmation_page(request, site, token, outcome->view, !outcome->confirmed_now.empty(), "");
}

asio::awaitable<Response> show_not_me(Request& request, const Site& site) {
    auto response = co_await show_not_me_page(request, site, false);
    co_return response;
}

asio::awaitable<Response> act_not_me(Request& request, const Site& site) {
    const std::string token = token_of(request);
    const Post post = read_post(request, site, token);
    if (!post.from_page) {
        auto response = co_await show_not_me_page(request, site, true);
        co_return response;
    }
    const auto outcome = std::make_shared<service::NotMe>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [outcome, token, moment, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        *outcome = service::not_me(transaction, token, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (*outcome == service::NotMe::unknown) co_return unknown_link(request, site);
    const std::string locale = reader_language(request, site);
    Message message;
    message.paragraphs = {site.text(locale, "page.not_me_done_lead")};
    co_return site.pages.message(frame_of(site, 200, locale, "page.not_me_done_title"), message);
}

}  // namespace zgoda::http
