#include "api/http/preference_pages.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <memory>

#include "api/http/accept.h"
#include "api/http/form.h"
#include "api/http/private_link.h"
#include "api/http/store_awaitable.h"
#include "api/http/subscriptions.h"
#include "service/address_change.h"
#include "service/personal_data.h"
#include "service/preferences.h"
#include "service/token.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;
using service::AddressChangeView;
using service::PreferencesView;
using Kind = service::PreferencesCase::Kind;

namespace {

// Of the nonce under which somebody is erased: who left the page open does not leave that to the next at the
// desk.
constexpr service::DurationMs erase_nonce_life = 10 * service::minute_ms;

Response see_other(std::string location) {
    return {303, {}, {}, {{"Location", std::move(location)}, {"Cache-Control", "no-store"}}};
}

// --- Asking for the link ---

struct Asking {
    std::string_view title = "preferences.ask_title";
    std::string_view lead = "preferences.ask_lead";
    std::string email;
    std::string problem;  // of the address, a sentence
};

Response asking_page(const Site& site, int status, const std::string& locale, const Asking& asking) {
    Frame frame = frame_of(site, status, locale, asking.title);
    if (status == 200) frame.here = "/preferences";
    PageData data;
    data.set("title", frame.title);
    data.set("lead", site.text(locale, asking.lead));
    data.set("field", site.text(locale, "preferences.ask_field"));
    data.set("button", site.text(locale, "preferences.ask_button"));
    data.set("lang", locale);
    data.set("email", asking.email);
    if (!asking.problem.empty()) {
        data.set("email_problem", site.text(locale, "form.wrong_email"));
        data.set("email_detail", asking.problem);
    }
    return site.pages.page(frame, "page.preference_link.html", data);
}

struct Asked {
    std::string email;
    std::string locale;
};

std::optional<Asked> parse_asked(const Request& request, bool is_json) {
    Asked asked;
    if (!is_json) {
        const auto form = parse_form(request.content_type, request.body);
        if (!form) return std::nullopt;
        for (const FormField& field : *form) {
            if (field.name == "email") asked.email = field.value;
            if (field.name == "locale") asked.locale = field.value;
        }
        return asked;
    }
    json::parse_options options;
    options.max_depth = 4;
    json::error_code error;
    const json::value value = json::parse(request.body, error, {}, options);
    if (error || !value.is_object()) return std::nullopt;
    const auto text = [&value](const char* name) -> std::string {
        const json::value* member = value.get_object().if_contains(name);
        return member != nullptr && member->is_string() ? std::string(member->get_string()) : std::string();
    };
    return Asked{text("email"), text("locale")};
}

// --- The page ---

// What a save answered, or what was wrong with a post.
struct Said {
    int status = 200;
    std::string_view notice, problem, erase_problem;  // keys of texts
    std::string email, email_problem;                 // as typed, and a sentence
    bool never_again = false;
};

PageData option(std::string_view value, const std::string& label, bool selected) {
    PageData one;
    one.set("value", std::string(value));
    one.set("label", label);
    one.set("selected", selected);
    return one;
}

PageData received_data(const Site& site, const std::string& locale, const PreferencesView::Item& item) {
    PageData options(PageData::type::list);
    const auto text = [&](const std::string& key) { return site.text(locale, "preferences." + key); };
    if (item.paused_until) {
        options.push_back(option("keep",
                                 service::fill(text("paused_until"),
                                               {{"date", site.rules.texts.date(locale, *item.paused_until)}}),
                                 true));
        options.push_back(option("resume", text("resume"), false));
    } else {
        options.push_back(option("keep", text("keep"), true));
    }
    for (const int weeks : service::pause_weeks) {
        const std::string name = "pause_" + std::to_string(weeks);
        options.push_back(option(name, text(name), false));
    }
    options.push_back(option("leave", text("leave"), false));
    PageData data;
    data.set("slug", item.slug);
    data.set("name", item.name);
    put(data, "description", item.description);
    data.set("options", options);
    return data;
}

PageData offered_data(const std::string& locale, const PreferencesView::Item& item, bool with_wording) {
    PageData data;
    data.set("slug", item.slug);
    data.set("name", item.name);
    put(data, "description", item.description);
    data.set("own_page", item.asks_fields);
    data.set("href", "/newsletters/" + item.slug + "?locale=" + locale);
    data.set("consent", item.wording.id);
    if (with_wording) {
        data.set("wording", item.wording.text);
        put(data, "privacy_url", item.wording.privacy_url);
    }
    return data;
}

// The one that all of them share, if they do: said once.
const service::Wording* common_wording(const std::vector<PreferencesView::Item>& items) {
    const service::Wording* common = nullptr;
    for (const auto& item : items) {
        if (item.received || item.asks_fields) continue;
        const service::Wording& one = item.wording;
        if (common != nullptr && (common->text != one.text || common->privacy_url != one.privacy_url))
            return nullptr;
        common = &one;
    }
    return common;
}

Response settings_page(const Site& site, const std::string& token, const PreferencesView& view,
                       const Said& said) {
    const std::string& locale = view.locale;
    const auto text = [&](std::string_view key) { return site.text(locale, key); };
    const Frame frame = frame_of(site, said.status, locale, "preferences.title");
    PageData data;
    data.set("title", frame.title);
    data.set("lead", service::fill(text("preferences.lead"), {{"address", view.masked_address}}));
    data.set("action", link("/preferences", token));
    data.set("nonce", service::page_nonce(token, site.now(), site.rules.keys));
    if (!said.notice.empty()) put(data, "notice", text(said.notice));
    if (!said.problem.empty()) put(data, "problem", text(said.problem));

    PageData received(PageData::type::list);
    PageData offered(PageData::type::list);
    PageData wordings(PageData::type::list);
    const service::Wording* common = common_wording(view.items);
    if (common != nullptr) {
        PageData wording;
        wording.set("text", common->text);
        put(wording, "privacy_url", common->privacy_url);
        wordings.push_back(wording);
    }
    for (const auto& item : view.items) {
        if (item.received)
            received.push_back(received_data(site, locale, item));
        else
            offered.push_back(offered_data(locale, item, common == nullptr));
    }
    data.set("received_title", text("preferences.received"));
    if (received.is_empty_list()) data.set("nothing_received", text("preferences.nothing_received"));
    data.set("received", received);
    data.set("has_offered", !offered.is_empty_list());
    data.set("offered_title", text("preferences.offered"));
    data.set("offered", offered);
    data.set("wordings", wordings);
    data.set("privacy", text("page.privacy"));
    PageData languages(PageData::type::list);
    for (const std::string& one : site.rules.texts.locales())
        languages.push_back(option(one, site.text(one, "language.name"), one == locale));
    data.set("language_label", text("preferences.language"));
    data.set("languages", languages);
    data.set("save", text("preferences.save"));

    for (const char* name :
         {"address_title", "address_lead", "address_field", "address_button", "data_title", "data_lead",
          "data_button", "erase_title", "erase_lead", "erase_never", "erase_sure", "erase_button"})
        data.set(name, text("preferences." + std::string(name)));
    data.set("email", said.email);
    put(data, "email_problem", said.email_problem);
    data.set("erase_open", !said.erase_problem.empty());
    if (!said.erase_problem.empty()) put(data, "erase_problem", text(said.erase_problem));
    data.set("never_again", said.never_again);
    return site.pages.page(frame, "page.preferences.html", data);
}

// The link opens nothing: 404 or 410.
Response closed(const Request& request, const Site& site, Kind kind) {
    return ask_for_preference_link(request, site, kind == Kind::expired ? 410 : 404);
}

asio::awaitable<Response> show_settings(Request& request, const Site& site, std::string token, Said said) {
    const auto view = std::make_shared<PreferencesView>();
    service::Store::Query query = [view, token, now = site.now(),
                                   &rules = site.rules](service::Reader& reader) {
        *view = service::show_preferences(reader, token, rules, now);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (view->kind != Kind::open) co_return closed(request, site, view->kind);
    co_return settings_page(site, token, *view, said);
}

// --- What its forms post ---

struct Post {
    std::optional<service::DurationMs> nonce_age;  // of this page's nonce, if it is valid
    std::string action;
    std::vector<std::pair<std::string, std::string>> changes;   // slug, what to do
    std::vector<std::string> joins;                             // slugs
    std::vector<std::pair<std::string, std::string>> wordings;  // slug, id
    std::string locale;
    std::string email;
    bool never_again = false;
    bool sure = false;
};

// "daily" of "do[daily]".
std::optional<std::string> in_brackets(const std::string& name, std::string_view before) {
    if (!name.starts_with(before) || !name.ends_with(']')) return std::nullopt;
    return name.substr(before.size(), name.size() - before.size() - 1);
}

Post read_post(const Request& request, const Site& site, const std::string& token) {
    Post post;
    auto form = parse_form(request.content_type, request.body);
    if (!form) return post;
    for (FormField& field : *form) {
        if (field.name == "nonce" &&
            service::page_nonce_valid(field.value, token, site.now(), site.rules.keys))
            post.nonce_age = service::page_nonce_age(field.value, token, site.now(), site.rules.keys);
        if (field.name == "action") post.action = field.value;
        if (field.name == "join") post.joins.push_back(field.value);
        if (field.name == "locale") post.locale = field.value;
        if (field.name == "email") post.email = field.value;
        if (field.name == "never_again") post.never_again = field.value == "1";
        if (field.name == "sure") post.sure = field.value == "1";
        if (const auto slug = in_brackets(field.name, "do[")) post.changes.emplace_back(*slug, field.value);
        if (const auto slug = in_brackets(field.name, "consent["))
            post.wordings.emplace_back(*slug, field.value);
    }
    return post;
}

// What the page's own options say.
bool is_act(const std::string& what) {
    if (what == "keep" || what == "leave" || what == "resume") return true;
    return std::any_of(service::pause_weeks.begin(), service::pause_weeks.end(),
                       [&](int weeks) { return what == "pause_" + std::to_string(weeks); });
}

std::vector<service::Choice> choices_of(const Post& post, const service::Newsletters& newsletters) {
    using What = service::Choice::What;
    std::vector<service::Choice> choices;
    for (const auto& [slug, what] : post.changes) {
        const auto* newsletter = newsletters.find(slug);
        if (newsletter == nullptr) continue;
        service::Choice one;
        one.newsletter = newsletter->id;
        if (what == "leave") {
            one.what = What::leave;
        } else if (what == "resume") {
            one.what = What::resume;
        } else if (what.starts_with("pause_")) {
            one.what = What::pause;
            std::from_chars(what.data() + 6, what.data() + what.size(), one.weeks);
        } else {
            continue;
        }
        choices.push_back(std::move(one));
    }
    for (const std::string& slug : post.joins) {
        const auto* newsletter = newsletters.find(slug);
        if (newsletter == nullptr) continue;
        service::Choice one;
        one.newsletter = newsletter->id;
        for (const auto& [of, id] : post.wordings)
            if (of == slug) one.wording = id;
        choices.push_back(std::move(one));
    }
    return choices;
}

asio::awaitable<Response> save(Request& request, const Site& site, std::string token, Post post) {
    if (!std::all_of(post.changes.begin(), post.changes.end(),
                     [](const auto& change) { return is_act(change.second); })) {
        Said said;
        said.status = 422;
        said.problem = "page.again";
        auto page = co_await show_settings(request, site, token, said);
        co_return page;
    }
    const auto outcome = std::make_shared<service::PreferencesOutcome>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [outcome, token, post, moment, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        const auto newsletters = transaction.newsletters();
        *outcome = service::save_preferences(transaction, token, choices_of(post, *newsletters), post.locale,
                                             client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (outcome->kind != Kind::open) co_return closed(request, site, outcome->kind);
    if (outcome->wording_changed) {
        Said said;
        said.status = 422;
        said.problem = "preferences.wording_changed";
        auto page = co_await show_settings(request, site, token, said);
        co_return page;
    }
    co_return see_other(link("/preferences", outcome->token) + "&done=saved");
}

asio::awaitable<Response> change_address(Request& request, const Site& site, Limiter& limiter,
                                         std::string token, Post post) {
    // Each new end gets a letter: this is as dear as a signup.
    if (auto refused = over_limit(request, site, limiter)) co_return std::move(*refused);
    const auto address = service::check_address(post.email, site.rules.address);
    const auto outcome = std::make_shared<service::ChangeAsked>(service::ChangeAsked::same_address);
    std::string problem_key;
    if (const auto* problem = std::get_if<service::AddressProblem>(&address)) {
        problem_key = "problem." + std::string(service::code(*problem));
    } else {
        const service::Moment moment{site.now(), service::random_seed()};
        service::Store::Work work = [outcome, token, to = std::get<service::EmailAddress>(address), moment,
                                     client = client_of(request),
                                     &rules = site.rules](service::Transaction& transaction) {
            *outcome = service::ask_address_change(transaction, token, to, client, rules, moment);
        };
        const auto result = co_await submit(site.store, std::move(work));
        if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
        problem_key = "preferences.address_same";
    }
    switch (*outcome) {
        case service::ChangeAsked::unknown:
            co_return closed(request, site, Kind::unknown);
        case service::ChangeAsked::expired:
            co_return closed(request, site, Kind::expired);
        case service::ChangeAsked::letters_sent:
            co_return see_other(link("/preferences", token) + "&done=address");
        case service::ChangeAsked::same_address:
            break;
    }
    // In the language of the page, which only the page knows: the sentence is filled in there.
    const auto view = std::make_shared<PreferencesView>();
    service::Store::Query query = [view, token, now = site.now(),
                                   &rules = site.rules](service::Reader& reader) {
        *view = service::show_preferences(reader, token, rules, now);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (view->kind != Kind::open) co_return closed(request, site, view->kind);
    Said said;
    said.status = 422;
    said.email = post.email;
    said.email_problem = site.text(view->locale, problem_key);
    co_return settings_page(site, token, *view, said);
}

struct Download {
    Kind kind = Kind::unknown;
    std::string document;
};

asio::awaitable<Response> download(Request& request, const Site& site, std::string token) {
    const auto found = std::make_shared<Download>();
    service::Store::Query query = [found, token, now = site.now(),
                                   &rules = site.rules](service::Reader& reader) {
        const auto one = service::open_preferences(reader, token, rules, now);
        found->kind = one.kind;
        if (one.kind == Kind::open) found->document = service::personal_data(reader, one.person, rules, now);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (found->kind != Kind::open) co_return closed(request, site, found->kind);
    co_return Response{200,
                       "application/json",
                       std::move(found->document),
                       {{"Content-Disposition", "attachment; filename=\"my-newsletter-data.json\""},
                        {"Cache-Control", "no-store"},
                        {"X-Content-Type-Options", "nosniff"},
                        {"X-Robots-Tag", "noindex, nofollow"}}};
}

asio::awaitable<Response> erase(Request& request, const Site& site, std::string token, Post post) {
    if (!post.sure || *post.nonce_age > erase_nonce_life) {
        Said said;
        said.status = post.sure ? 200 : 422;
        said.erase_problem = post.sure ? "page.again" : "preferences.erase_tick";
        said.never_again = post.never_again;
        auto page = co_await show_settings(request, site, token, said);
        co_return page;
    }
    const auto outcome = std::make_shared<Kind>();
    const auto language = std::make_shared<std::string>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [outcome, language, token, never_again = post.never_again, moment,
                                 &rules = site.rules](service::Transaction& transaction) {
        *language = service::open_preferences(transaction, token, rules, moment.now).person.locale;
        *outcome = service::erase_by_preferences(transaction, token, never_again, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (*outcome != Kind::open) co_return closed(request, site, *outcome);
    const std::string& locale = *language;
    Message message;
    message.paragraphs = {site.text(locale, "preferences.erased_lead")};
    if (post.never_again) message.paragraphs.push_back(site.text(locale, "preferences.erased_never"));
    co_return site.pages.message(frame_of(site, 200, locale, "preferences.erased_title"), message);
}

// --- A change of address, at one of its ends ---

std::string filled(const Site& site, const AddressChangeView& view, std::string_view key) {
    return service::fill(site.text(view.locale, key), {{"old", view.old_address}, {"new", view.new_address}});
}

Response change_page(const Request& request, const Site& site, const std::string& token,
                     const AddressChangeView& view, bool again) {
    using Change = AddressChangeView::Kind;
    Message message;
    const auto page = [&](int status, std::string_view title, std::string_view lead) {
        message.paragraphs.push_back(filled(site, view, lead));
        return site.pages.message(frame_of(site, status, view.locale, title), message);
    };
    const auto ask_link = [&] {
        message.link = {site.text(view.locale, "preferences.nav"), "/preferences?locale=" + view.locale};
    };
    switch (view.kind) {
        case Change::unknown:
            break;
        case Change::open:
            message.button = {site.text(view.locale, "preferences.change_button"), link("/confirm", token),
                              service::page_nonce(token, site.now(), site.rules.keys), false};
            message.link = {site.text(view.locale, "page.not_me"), link("/not-me", token)};
            if (again) message.note = site.text(view.locale, "page.again");
            return page(200, "preferences.change_title", "preferences.change_lead");
        case Change::waits:
            return page(200, "preferences.change_waits_title", "preferences.change_waits");
        case Change::done:
            return page(200, "preferences.change_done_title", "preferences.change_done");
        case Change::taken:
            ask_link();
            return page(200, "preferences.change_title", "preferences.change_taken");
        case Change::over:
            ask_link();
            return page(410, "preferences.change_over_title", "preferences.change_over");
        case Change::refused:
            return page(200, "preferences.change_refused_title",
                        view.new_end ? "preferences.change_refused_new" : "preferences.change_refused_old");
    }
    return unknown_link(request, site);
}

Response refusal_page(const Request& request, const Site& site, const std::string& token,
                      const AddressChangeView& view, bool again) {
    using Change = AddressChangeView::Kind;
    if (view.kind == Change::unknown || view.kind == Change::done)
        return change_page(request, site, token, view, false);
    Message message;
    message.paragraphs = {
        filled(site, view, view.new_end ? "preferences.change_refuse_new" : "preferences.change_refuse_old")};
    if (again) message.note = site.text(view.locale, "page.again");
    message.button = {site.text(view.locale, "page.not_me"), link("/not-me", token),
                      service::page_nonce(token, site.now(), site.rules.keys), false};
    return site.pages.message(frame_of(site, 200, view.locale, "page.not_me_title"), message);
}

using ChangePage = Response (*)(const Request&, const Site&, const std::string&, const AddressChangeView&,
                                bool again);
using ChangeAct = AddressChangeView (*)(service::Transaction&, std::string_view, const service::Client&,
                                        const service::Rules&, const service::Moment&);

asio::awaitable<Response> show_change(Request& request, const Site& site, ChangePage page, bool again) {
    const std::string token = token_of(request);
    const auto view = std::make_shared<AddressChangeView>();
    service::Store::Query query = [view, token, now = site.now(),
                                   &rules = site.rules](service::Reader& reader) {
        *view = service::show_address_change(reader, token, rules, now);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    co_return page(request, site, token, *view, again);
}

asio::awaitable<Response> act_change(Request& request, const Site& site, ChangePage page, ChangeAct act) {
    const std::string token = token_of(request);
    const Post post = read_post(request, site, token);
    if (!post.nonce_age) {
        auto shown = co_await show_change(request, site, page, true);
        co_return shown;
    }
    const auto view = std::make_shared<AddressChangeView>();
    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [view, token, act, moment, client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        *view = act(transaction, token, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    co_return change_page(request, site, token, *view, true);
}

}  // namespace

Response ask_for_preference_link(const Request& request, const Site& site, int status) {
    const bool expired = status == 410;
    if (!prefers_page(request.accept, true))
        return refuse(request, site, status, expired ? "expired_link" : "unknown_link");
    Asking asking;
    asking.title = expired ? "preferences.expired_title" : "page.unknown_title";
    asking.lead = expired ? "preferences.expired_lead" : "preferences.unknown_lead";
    return asking_page(site, status, reader_language(request, site), asking);
}

asio::awaitable<Response> show_preferences(Request& request, const Site& site) {
    const auto token = query_parameter(request, "t");
    if (!token) co_return asking_page(site, 200, reader_language(request, site), {});
    const auto done = query_parameter(request, "done");
    Said said;
    if (done == "saved") said.notice = "preferences.saved";
    if (done == "address") said.notice = "preferences.address_sent";
    auto page = co_await show_settings(request, site, *token, said);
    co_return page;
}

asio::awaitable<Response> act_preferences(Request& request, const Site& site, Limiter& limiter) {
    const std::string token = token_of(request);
    Post post = read_post(request, site, token);
    const std::string action = post.nonce_age ? post.action : std::string();
    if (action == "save") {
        auto response = co_await save(request, site, token, std::move(post));
        co_return response;
    }
    if (action == "change_address") {
        auto response = co_await change_address(request, site, limiter, token, std::move(post));
        co_return response;
    }
    if (action == "download") {
        auto response = co_await download(request, site, token);
        co_return response;
    }
    if (action == "erase") {
        auto response = co_await erase(request, site, token, std::move(post));
        co_return response;
    }
    Said said;
    said.problem = "page.again";
    auto page = co_await show_settings(request, site, token, said);
    co_return page;
}

asio::awaitable<Response> send_preference_link(Request& request, const Site& site, const Origins& origins,
                                               Limiter& limiter) {
    if (!origins.admits(request)) co_return refuse(request, site, 403, "origin_not_allowed");
    if (auto refused = over_limit(request, site, limiter)) co_return std::move(*refused);
    const std::string type = media_type(request.content_type);
    const bool is_json = type == "application/json";
    if (!is_json && type != "application/x-www-form-urlencoded" && type != "multipart/form-data") {
        Response response = refuse(request, site, 415, "unsupported_type");
        response.headers.emplace_back(
            "Accept-Post", "application/json, application/x-www-form-urlencoded, multipart/form-data");
        co_return response;
    }
    const auto asked = parse_asked(request, is_json);
    if (!asked) co_return refuse(request, site, 400, "bad_request");
    const bool for_page = prefers_page(request.accept, false);
    const std::string locale = site.rules.texts.choose(asked->locale, request.accept_language, "");

    const auto address = service::check_address(asked->email, site.rules.address);
    if (const auto* problem = std::get_if<service::AddressProblem>(&address)) {
        const std::string code(service::code(*problem));
        const std::string& detail = site.text(locale, "problem." + code);
        if (for_page) {
            Asking asking;
            asking.email = asked->email;
            asking.problem = detail;
            co_return asking_page(site, 422, locale, asking);
        }
        const json::array errors{{{"pointer", "/email"}, {"code", code}, {"detail", detail}}};
        co_return problem_json(422, "invalid_form", site.text(locale, "form.wrong_email"),
                               ",\"errors\":" + json::serialize(errors));
    }

    const service::Moment moment{site.now(), service::random_seed()};
    service::Store::Work work = [to = std::get<service::EmailAddress>(address), moment,
                                 client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        service::send_preference_link(transaction, to, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (for_page) co_return see_other("/preferences/sent?locale=" + locale);
    const json::object answer{{"status", "accepted"}, {"message", site.text(locale, "preferences.sent")}};
    co_return Response{202,
                       "application/json",
                       json::serialize(answer),
                       {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
}

asio::awaitable<Response> show_preference_link_sent(Request& request, const Site& site) {
    const std::string locale = reader_language(request, site);
    Frame frame = frame_of(site, 200, locale, "preferences.sent_title");
    frame.here = "/preferences/sent";
    Message message;
    message.paragraphs = {site.text(locale, "preferences.sent")};
    message.link = {site.text(locale, "page.back"), "/?locale=" + locale};
    co_return site.pages.message(frame, message);
}

asio::awaitable<Response> show_address_change(Request& request, const Site& site) {
    auto response = co_await show_change(request, site, change_page, false);
    co_return response;
}

asio::awaitable<Response> act_address_change(Request& request, const Site& site) {
    auto response = co_await act_change(request, site, change_page, service::confirm_address_change);
    co_return response;
}

asio::awaitable<Response> show_refuse_address_change(Request& request, const Site& site) {
    auto response = co_await show_change(request, site, refusal_page, false);
    co_return response;
}

asio::awaitable<Response> act_refuse_address_change(Request& request, const Site& site) {
    auto response = co_await act_change(request, site, refusal_page, service::refuse_address_change);
    co_return response;
}

}  // namespace zgoda::http
