#include "api/http/confirmation_pages.h"

#include <algorithm>
#include <memory>

#include "api/http/accept.h"
#include "api/http/form.h"
#include "api/http/preference_pages.h"
#include "api/http/private_link.h"
#include "api/http/store_awaitable.h"
#include "api/http/subscriptions.h"
#include "service/confirmation.h"
#include "service/token.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::ConfirmationView;
using Kind = service::ConfirmationView::Kind;

namespace {

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

// Which answer to which post a page is.
struct Asked {
    std::string_view problem;  // the text to show, "" for none
    bool before = false;       // this is not the first page: no script presses its button
    bool once_more = false;    // its button is the second one
};

// What the nonce of a page is bound to. The two kinds must not be taken for each other.
std::string bound_to(const std::string& token, bool once_more) {
    return (once_more ? "once more " : "") + token;
}

std::string paused(const Site& site, const std::string& locale, service::TimeMs until) {
    return service::fill(site.text(locale, "preferences.paused_until"),
                         {{"date", site.rules.texts.date(locale, until)}});
}

Response offer(const Site& site, const std::string& token, const ConfirmationView& view, bool just_now,
               const Asked& asked) {
    Frame frame = frame_of(site, 200, view.locale, view.resumes ? "page.resume_title" : "page.confirm_title");
    frame.script = true;
    PageData data;
    data.set("title", frame.title);
    data.set("lead",
             service::fill(site.text(view.locale, view.resumes ? "page.resume_lead" : "page.confirm_lead"),
                           {{"address", view.masked_address}}));
    data.set("action", link("/confirm", token));
    data.set("nonce", service::page_nonce(bound_to(token, asked.once_more), site.now(), site.rules.keys));
    data.set("asked", asked.before);
    if (just_now) {
        std::string names;
        for (const auto& one : view.has) names += (names.empty() ? "" : ", ") + one.name;
        put(data, "notice",
            service::fill(site.text(view.locale, "page.confirmed_some"), {{"newsletters", names}}));
    }
    if (!asked.problem.empty()) put(data, "problem", site.text(view.locale, asked.problem));
    data.set("choose", site.text(view.locale, "page.choose"));
    PageData offers(PageData::type::list);
    PageData others(PageData::type::list);
    for (const service::Offer& one : view.offers) {
        PageData item;
        item.set("slug", one.slug);
        item.set("name", one.name);
        item.set("ticked", one.ticked);
        if (one.paused_until) put(item, "paused", paused(site, view.locale, *one.paused_until));
        (one.elsewhere ? others : offers).push_back(item);
    }
    data.set("has_offers", !offers.is_empty_list());
    data.set("offers", offers);
    data.set("has_others", !others.is_empty_list());
    data.set("others_title", site.text(view.locale, "page.others"));
    data.set("others_why", site.text(view.locale, "page.others_why"));
    data.set("others", others);
    data.set("button", site.text(view.locale, view.resumes ? "page.resume_button" : "page.confirm_button"));
    if (!view.resumes) put(data, "not_me", site.text(view.locale, "page.not_me"));
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
    if (!view.has.empty()) message.paragraphs.push_back(site.text(view.locale, "page.confirmed_lead"));
    for (const auto& one : view.has) {
        message.items.push_back(one.paused_until
                                    ? one.name + " (" + paused(site, view.locale, *one.paused_until) + ")"
                                    : one.name);
    }
    message.note = site.text(view.locale, "page.leave_any_time");
    return site.pages.message(frame_of(site, 200, view.locale, "page.confirmed_title"), message);
}

Response declined(const Site& site, const ConfirmationView& view) {
    Message message;
    message.paragraphs = {site.text(view.locale, "page.declined_lead")};
    message.link = {site.text(view.locale, "page.back"), "/?locale=" + view.locale};
    return site.pages.message(frame_of(site, 200, view.locale, "page.declined_title"), message);
}

// She left after this letter, which ended its link: that, and how to come back.
Response has_left(const Request& request, const Site& site, const ConfirmationView& view) {
    if (!prefers_page(request.accept, true)) return refuse(request, site, 410, "expired_link");
    Message message;
    message.paragraphs = {
        service::fill(site.text(view.locale, "page.has_left_lead"), {{"address", view.masked_address}})};
    for (const auto& one : view.left) {
        message.items.push_back(
            service::fill(site.text(view.locale, "page.has_left_item"),
                          {{"newsletter", one.name}, {"date", site.rules.texts.date(view.locale, one.at)}}));
    }
    message.note = site.text(view.locale, "page.has_left_back");
    const std::string form = view.left.size() == 1 ? "/newsletters/" + view.left.front().slug : "/";
    message.link = {site.text(view.locale, "page.sign_up_again"), form + "?locale=" + view.locale};
    return site.pages.message(frame_of(site, 410, view.locale, "page.has_left_title"), message);
}

Response confirmation_page(const Request& request, const Site& site, const std::string& token,
                           const ConfirmationView& view, bool just_now, const Asked& asked) {
    switch (view.kind) {
        case Kind::expired:
            return expired_link(request, site, token, view);
        case Kind::open:
            return offer(site, token, view, just_now, asked);
        case Kind::confirmed:
            return confirmed(site, view, just_now);
        case Kind::declined:
            return declined(site, view);
        case Kind::left:
            return has_left(request, site, view);
        case Kind::unknown:
            break;
    }
    return unknown_link(request, site);
}

struct Post {
    bool from_page = false;  // carries the nonce of a page that we showed for this link
    bool too_soon = false;   // but only just
    bool once_more = false;  // and it was the second page
    bool resend = false;
    std::string browser;
    std::vector<std::string> newsletters;
};

Post read_post(const Request& request, const Site& site, const std::string& token) {
    Post post;
    const auto form = parse_form(request.content_type, request.body);
    if (!form) return post;
    for (const FormField& field : *form) {
        if (field.name == "nonce") {
            for (const bool once_more : {false, true}) {
                const auto age = service::page_nonce_age(field.value, bound_to(token, once_more), site.now(),
                                                         site.rules.keys);
                if (!age) continue;
                post.from_page = true;
                post.too_soon = *age < service::second_ms;
                post.once_more = once_more;
            }
        }
        if (field.name == "browser") post.browser = field.value;
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

// The token of no confirmation letter: it may be of one about a change of address.
asio::awaitable<Response> address_change(Request& request, const Site& site) {
    return request.method == Method::post ? act_address_change(request, site)
                                          : show_address_change(request, site);
}

asio::awaitable<Response> refusal_of_address_change(Request& request, const Site& site) {
    return request.method == Method::post ? act_refuse_address_change(request, site)
                                          : show_refuse_address_change(request, site);
}

asio::awaitable<Response> show_again(Request& request, const Site& site, std::string token, Post post,
                                     std::string_view problem) {
    const auto view = std::make_shared<ConfirmationView>();
    const auto result = co_await look_up(site, token, view);
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (view->kind == Kind::unknown) {
        auto response = co_await address_change(request, site);
        co_return response;
    }
    if (post.from_page && post.browser.empty()) {
        for (service::Offer& one : view->offers) {
            one.ticked = std::find(post.newsletters.begin(), post.newsletters.end(), one.slug) !=
                         post.newsletters.end();
        }
    }
    const Asked asked{problem, request.method == Method::post, post.once_more};
    co_return confirmation_page(request, site, token, *view, false, asked);
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
    if (view.receives) message.paragraphs.push_back(site.text(view.locale, "page.not_me_keeps"));
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
    if (view->kind == Kind::unknown || view->resumes) {
        auto response = co_await refusal_of_address_change(request, site);
        co_return response;
    }
    co_return ask_not_me(site, token, *view, again);
}

}  // namespace

bool PressedLinks::crowded(const std::string& network, const std::string& token, service::TimeMs now) {
    constexpr service::DurationMs together = 2 * service::second_ms;
    constexpr std::size_t most_networks = 10'000;
    const std::lock_guard lock(mutex_);
    if (latest_.size() >= most_networks) {
        std::erase_if(latest_, [&](const auto& one) { return one.second.at + together < now; });
        if (latest_.size() >= most_networks) latest_.clear();
    }
    Pressed& latest = latest_[network];
    const bool crowded = !latest.token.empty() && latest.token != token && now <= latest.at + together;
    latest = {token, now};
    return crowded;
}

asio::awaitable<Response> show_confirm(Request& request, const Site& site) {
    const std::string token = token_of(request);
    const Post nothing;  // a temporary here would be destroyed twice: g++ 12
    auto response = co_await show_again(request, site, token, nothing, "");
    co_return response;
}

asio::awaitable<Response> act_confirm(Request& request, const Site& site, Limiter& limiter,
                                      PressedLinks& pressed) {
    const std::string token = token_of(request);
    const Post post = read_post(request, site, token);
    if (post.from_page && !post.too_soon && post.resend) {
        auto response = co_await resend(request, site, limiter, token);
        co_return response;
    }
    const bool by_script = !post.browser.empty();
    if (!post.from_page || (!by_script && (post.too_soon || post.newsletters.empty()))) {
        const std::string_view problem = post.from_page && !post.too_soon ? "page.tick_one" : "page.again";
        auto response = co_await show_again(request, site, token, post, problem);
        co_return response;
    }

    service::Press press;
    press.asked_again = post.once_more;
    press.in_a_crowd = !by_script && pressed.crowded(network_of(request), token, site.now());
    const auto outcome = std::make_shared<service::ConfirmationOutcome>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [outcome, token, moment, post, press, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        if (!post.browser.empty()) {
            *outcome = service::confirm_by_browser(transaction, token, post.browser, client, rules, moment);
            return;
        }
        const auto newsletters = transaction.newsletters();
        service::Press all = press;
        for (const std::string& slug : post.newsletters)
            if (const auto* newsletter = newsletters->find(slug)) all.ticked.push_back(newsletter->id);
        *outcome = service::confirm(transaction, token, all, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (outcome->view.kind == Kind::unknown) {
        auto response = co_await address_change(request, site);
        co_return response;
    }
    const Asked asked{outcome->ask_once_more ? "page.once_more" : "", true, outcome->ask_once_more};
    co_return confirmation_page(request, site, token, outcome->view, !outcome->confirmed_now.empty(), asked);
}

asio::awaitable<Response> show_not_me(Request& request, const Site& site) {
    auto response = co_await show_not_me_page(request, site, false);
    co_return response;
}

asio::awaitable<Response> act_not_me(Request& request, const Site& site) {
    const std::string token = token_of(request);
    const Post post = read_post(request, site, token);
    if (!post.from_page || post.too_soon || post.once_more) {
        auto response = co_await show_not_me_page(request, site, true);
        co_return response;
    }
    const auto outcome = std::make_shared<service::NotMe>();
    const auto view = std::make_shared<ConfirmationView>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [outcome, view, token, moment, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        *outcome = service::not_me(transaction, token, client, rules, moment);
        *view = service::show_confirmation(transaction, token, rules, moment.now);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (*outcome == service::NotMe::unknown) {
        auto response = co_await refusal_of_address_change(request, site);
        co_return response;
    }
    Message message;
    message.paragraphs = {site.text(view->locale, "page.not_me_done_lead")};
    if (view->receives) message.paragraphs.push_back(site.text(view->locale, "page.not_me_keeps"));
    co_return site.pages.message(frame_of(site, 200, view->locale, "page.not_me_done_title"), message);
}

}  // namespace zgoda::http
