#include "api/http/unsubscribe_pages.h"

#include <memory>

#include "api/http/accept.h"
#include "api/http/form.h"
#include "api/http/private_link.h"
#include "api/http/store_awaitable.h"
#include "service/address_change.h"
#include "service/token.h"
#include "service/withdrawal.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::AddressUndoView;
using service::LeavingReason;
using service::UndoView;
using service::UnsubscribeView;
using Kind = service::UnsubscribeView::Kind;

namespace {

// --- Leaving ---

std::string filled(const Site& site, const UnsubscribeView& view, std::string_view key) {
    return service::fill(site.text(view.locale, key),
                         {{"address", view.masked_address}, {"newsletter", view.newsletter}});
}

// What the page posts.
struct Answer {
    bool one_click = false;
    std::optional<service::DurationMs> page_age;  // of the nonce; none: not from our page
    bool from_page = false;
    bool all = false;
    std::optional<LeavingReason> reason;
};

Answer answer_of(const Request& request, const Site& site, const std::string& token) {
    Answer answer;
    const auto form = parse_form(request.content_type, request.body);
    if (!form) return answer;
    for (const FormField& field : *form) {
        answer.one_click |= field.name == "List-Unsubscribe" && field.value == "One-Click";
        answer.all |= field.name == "all";
        if (field.name == "reason") answer.reason = service::parse_leaving_reason(field.value);
        if (field.name != "nonce") continue;
        answer.page_age = service::page_nonce_age(field.value, token, site.now(), site.rules.keys);
        answer.from_page = service::page_nonce_valid(field.value, token, site.now(), site.rules.keys);
    }
    return answer;
}

Response leave_page(const Site& site, const std::string& token, const UnsubscribeView& view,
                    const Answer* again) {
    Frame frame;
    frame.locale = view.locale;
    frame.private_link = true;
    frame.title = filled(site, view, "page.unsubscribe_title");
    PageData data;
    data.set("title", frame.title);
    data.set("lead", filled(site, view, "page.unsubscribe_lead"));
    if (again != nullptr) data.set("problem", site.text(view.locale, "page.again"));
    data.set("action", "/unsubscribe?t=" + token);
    data.set("nonce", service::page_nonce(token, site.now(), site.rules.keys));
    data.set("all", site.text(view.locale, "page.unsubscribe_all"));
    data.set("all_ticked", again != nullptr && again->all);
    data.set("why", site.text(view.locale, "page.unsubscribe_why"));
    data.set("button", site.text(view.locale, "page.unsubscribe_button"));
    PageData reasons(PageData::type::list);
    const auto offer = [&](std::string_view word, bool chosen) {
        PageData reason;
        reason.set("value", std::string(word));
        reason.set("label", site.text(view.locale, "page.reason_" + std::string(word)));
        reason.set("chosen", chosen);
        reasons.push_back(reason);
    };
    const auto said = again != nullptr ? again->reason : std::nullopt;
    offer("none", !said);
    for (const LeavingReason reason : {LeavingReason::too_many, LeavingReason::not_interesting,
                                       LeavingReason::never_asked, LeavingReason::other})
        offer(service::word(reason), said == reason);
    data.set("reasons", reasons);
    return site.pages.page(frame, "page.unsubscribe.html", data);
}

// `all`: this very act left all of them.
Response left_page(const Site& site, const UnsubscribeView& view, bool all) {
    Frame frame;
    frame.locale = view.locale;
    frame.private_link = true;
    frame.title = filled(site, view, all ? "page.left_all_title" : "page.left_title");
    Message message;
    message.paragraphs = {filled(site, view, all ? "page.left_all_lead" : "page.left_lead")};
    if (view.left_at && !all && view.undo_token.empty())
        message.paragraphs.front() +=
            " " + service::fill(site.text(view.locale, "page.left_on"),
                                {{"date", site.rules.texts.date(view.locale, *view.left_at)}});
    if (view.undo_token.empty()) {
        message.note = site.text(view.locale, "page.come_back");
    } else {
        message.note = site.text(view.locale, "page.undo_hint");
        message.button = {site.text(view.locale, "page.undo_button"), "/undo?t=" + view.undo_token,
                          service::page_nonce(view.undo_token, site.now(), site.rules.keys), false, true};
    }
    message.link = {site.text(view.locale, "page.back"), "/?locale=" + view.locale};
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

asio::awaitable<Response> show_page(Request& request, const Site& site, std::string token,
                                    const Answer* again) {
    const auto view = std::make_shared<UnsubscribeView>();
    service::Store::Query query = [view, token, &rules = site.rules](service::Reader& reader) {
        *view = service::show_unsubscribe(reader, token, rules);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (view->kind == Kind::unknown) co_return unknown_link(request, site);
    if (view->kind == Kind::left) co_return left_page(site, *view, false);
    co_return leave_page(site, token, *view, again);
}

// --- Taking back ---

bool of_address(const Site& site, const std::string& token) {
    const auto sealed = service::verify(token, service::TokenPurpose::undo, site.rules.keys);
    return sealed && sealed->b == 0;
}

struct Words {
    std::string title, lead;
    int status = 200;
    bool offers = false;  // a button that takes it back
};

Words words_of(const Site& site, const UndoView& view, bool done) {
    const auto say = [&](std::string_view key) {
        return service::fill(site.text(view.locale, key),
                             {{"address", view.masked_address}, {"newsletter", view.newsletter}});
    };
    const std::string several = view.newsletter.empty() ? "_several" : "";
    if (done) return {say("page.undone_title"), say("page.undone_lead" + several)};
    switch (view.kind) {
        case UndoView::Kind::open:
            return {say("page.undo_title"), say("page.undo_lead" + several), 200, true};
        case UndoView::Kind::expired:
            return {say("page.undo_expired_title"), say("page.undo_expired_lead"), 410};
        case UndoView::Kind::over:
        case UndoView::Kind::unknown:
            break;
    }
    return {say("page.undo_over_title"), say("page.undo_over_lead")};
}

Words words_of(const Site& site, const AddressUndoView& view) {
    const auto say = [&](std::string_view key) {
        return service::fill(site.text(view.locale, key),
                             {{"old_address", view.old_address}, {"new_address", view.new_address}});
    };
    switch (view.kind) {
        case AddressUndoView::Kind::open:
            return {say("page.address_undo_title"), say("page.address_undo_lead"), 200, true};
        case AddressUndoView::Kind::expired:
            return {say("page.undo_expired_title"), say("page.address_undo_expired_lead"), 410};
        case AddressUndoView::Kind::taken:
            return {say("page.undo_expired_title"), say("page.address_undo_taken_lead")};
        case AddressUndoView::Kind::done:
        case AddressUndoView::Kind::unknown:
            break;
    }
    return {say("page.address_undone_title"), say("page.address_undone_lead")};
}

Response undo_page(const Request& request, const Site& site, const std::string& token,
                   const std::string& locale, const Words& words, bool again) {
    if (words.status == 410 && !prefers_page(request.accept, true))
        return refuse(request, site, 410, "expired_link");
    Frame frame;
    frame.status = words.status;
    frame.locale = locale;
    frame.title = words.title;
    frame.private_link = true;
    Message message;
    message.paragraphs = {words.lead};
    if (words.offers) {
        if (again) message.note = site.text(locale, "page.again");
        message.button = {site.text(locale, "page.undo_button"), "/undo?t=" + token,
                          service::page_nonce(token, site.now(), site.rules.keys), false};
    } else {
        message.link = {site.text(locale, "page.back"), "/?locale=" + locale};
    }
    return site.pages.message(frame, message);
}

asio::awaitable<Response> show_undo_page(Request& request, const Site& site, std::string token, bool again) {
    const auto left = std::make_shared<UndoView>();
    const auto moved = std::make_shared<AddressUndoView>();
    service::Store::Query query = [left, moved, token, &rules = site.rules,
                                   now = site.now()](service::Reader& reader) {
        *left = service::show_undo(reader, token, rules, now);
        *moved = service::show_address_undo(reader, token, rules, now);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (left->kind != UndoView::Kind::unknown)
        co_return undo_page(request, site, token, left->locale, words_of(site, *left, false), again);
    if (moved->kind != AddressUndoView::Kind::unknown)
        co_return undo_page(request, site, token, moved->locale, words_of(site, *moved), again);
    co_return unknown_link(request, site);
}

}  // namespace

asio::awaitable<Response> show_unsubscribe(Request& request, const Site& site) {
    const std::string token = token_of(request);
    auto response = co_await show_page(request, site, token, nullptr);
    co_return response;
}

asio::awaitable<Response> act_unsubscribe(Request& request, const Site& site, const Origins& origins) {
    const std::string token = token_of(request);
    const Answer answer = answer_of(request, site, token);
    if (!answer.one_click && !origins.from_own_form(request))
        co_return refuse(request, site, 403, "foreign_page");
    if (!answer.one_click && !answer.from_page) {
        auto response = co_await show_page(request, site, token, &answer);
        co_return response;
    }

    const auto view = std::make_shared<UnsubscribeView>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Leaving leaving;
    if (answer.one_click) {
        leaving.way = service::Way::one_click;  // leaves what its link names, whatever else it says
    } else {
        leaving.all = answer.all;
        leaving.reason = answer.reason;
        leaving.shown_at = moment.now - answer.page_age.value_or(0);
    }
    service::Store::Work work = [view, token, leaving, moment, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        *view = service::unsubscribe(transaction, token, leaving, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (answer.one_click) co_return one_click_answer(request, site, *view);
    if (view->kind == Kind::unknown) co_return unknown_link(request, site);
    co_return left_page(site, *view, leaving.all);
}

asio::awaitable<Response> show_undo(Request& request, const Site& site) {
    const std::string token = token_of(request);
    auto response = co_await show_undo_page(request, site, token, false);
    co_return response;
}

asio::awaitable<Response> act_undo(Request& request, const Site& site) {
    const std::string token = token_of(request);
    const bool address = of_address(site, token);
    bool from_page = false;
    if (const auto form = parse_form(request.content_type, request.body)) {
        for (const FormField& field : *form) {
            if (field.name != "nonce") continue;
            // Machines follow the links of letters, and an address is taken back by one; they have no reason
            // to press a button that only a page which they posted has shown.
            from_page |=
                address
                    ? service::page_nonce_valid(field.value, token, site.now(), site.rules.keys)
                    : service::page_nonce_age(field.value, token, site.now(), site.rules.keys).has_value();
        }
    }
    if (!from_page) {
        auto response = co_await show_undo_page(request, site, token, true);
        co_return response;
    }

    const auto left = std::make_shared<service::UndoOutcome>();
    const auto moved = std::make_shared<AddressUndoView>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [left, moved, token, address, moment, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        if (address) {
            *moved = service::take_back_address(transaction, token, client, rules, moment);
        } else {
            *left = service::undo_withdrawal(transaction, token, client, rules, moment);
        }
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (left->view.kind != UndoView::Kind::unknown)
        co_return undo_page(request, site, token, left->view.locale, words_of(site, left->view, left->done),
                            false);
    if (moved->kind != AddressUndoView::Kind::unknown)
        co_return undo_page(request, site, token, moved->locale, words_of(site, *moved), false);
    co_return unknown_link(request, site);
}

}  // namespace zgoda::http
