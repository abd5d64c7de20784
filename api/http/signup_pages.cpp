#include "api/http/signup_pages.h"

#include <algorithm>
#include <boost/json.hpp>

#include "api/http/origin.h"
#include "api/http/store_awaitable.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::FieldRule;
using service::Newsletter;

namespace {

using NewsletterList = std::shared_ptr<const service::Newsletters>;

// What she typed already, and what is wrong with it.
struct Typed {
    service::SignupForm form;
    service::Refusal refusal;

    const service::FieldProblem* problem(std::string_view pointer) const {
        for (const auto& one : refusal.problems)
            if (one.pointer == pointer) return &one;
        return nullptr;
    }
};

asio::awaitable<service::CommitResult> read_newsletters(const Site& site, NewsletterList& list) {
    const auto found = std::make_shared<NewsletterList>();
    service::Store::Query query = [found](service::Reader& reader) { *found = reader.newsletters(); };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit == service::Commit::done) list = *found;
    co_return result;
}

bool asks_something(const Newsletter& one) {
    const auto fields = one.fields();
    return std::any_of(fields.begin(), fields.end(), [](const FieldRule& field) { return field.required; });
}

PageData fields_of(const Newsletter& newsletter, const std::string& locale, const Typed* typed) {
    PageData list(PageData::type::list);
    for (const FieldRule& rule : newsletter.fields()) {
        PageData field;
        field.set("name", rule.name);
        field.set("label", newsletter.label(rule, locale));
        field.set("boolean", rule.type == FieldRule::Type::boolean);
        field.set("type", rule.type == FieldRule::Type::date ? "date" : "text");
        field.set("required", rule.required);
        std::string value;
        if (typed) {
            for (const auto& [name, text] : typed->form.fields)
                if (name == rule.name) value = text;
            if (const auto* problem = typed->problem("/fields/" + rule.name))
                put(field, "field_problem", problem->detail);
        }
        field.set("value", value);
        field.set("ticked", value == "true");
        list.push_back(field);
    }
    return list;
}

// The one field that every form has, and what is wrong with the form as a whole.
void put_typed(PageData& data, const Site& site, const Typed& typed, const std::string& locale) {
    data.set("email", typed.form.email);
    std::string problem = site.text(locale, "problem.check_form");
    for (const auto& one : typed.refusal.problems) {
        if (one.pointer == "/email") {
            data.set("email_problem", site.text(locale, "form.wrong_email"));
            data.set("email_detail", one.detail);
            problem.clear();
            if (!typed.refusal.suggestion) continue;
            // No mail can reach what she typed: the suggestion takes its place, and she need not type again.
            const std::string& meant = *typed.refusal.suggestion;
            data.set("email", meant);
            data.set("suggestion", service::fill(site.text(locale, "page.suggested"), {{"address", meant}}));
        }
    }
    for (const auto& one : typed.refusal.problems) {
        if (one.pointer == "/newsletters" && one.code == "required") {
            problem = site.text(locale, "page.tick_one");
        } else if (one.pointer != "/email" && !one.pointer.starts_with("/fields/")) {
            problem = one.detail;
        }
    }
    put(data, "problem", problem);
}

PageData form_texts(const Site& site, const Newsletter* newsletter, const std::string& locale) {
    const Newsletter none;
    const auto text = [&](std::string_view key) {
        return site.rules.texts.text(newsletter ? *newsletter : none, locale, key);
    };
    PageData data;
    data.set("form", true);
    data.set("lang", locale);
    data.set("enter_email", text("form.enter_email"));
    data.set("subscribe", text("form.subscribe"));
    data.set("required_hint", text("form.required"));
    data.set("leave_empty", site.text(locale, "page.leave_empty"));
    data.set("privacy", site.text(locale, "page.privacy"));
    data.set("choose", site.text(locale, "page.choose"));
    data.set("email", "");
    return data;
}

// A post may end at the newsletter's own page of thanks, and a form may only go where its page's policy says.
void allow_target(std::string& targets, const Newsletter& newsletter, const std::string& locale) {
    const std::string origin = origin_of(newsletter.setting("thanks_url", locale));
    if (!origin.empty() && targets.find(origin) == targets.npos)
        targets += (targets.empty() ? "" : " ") + origin;
}

// Which of the newsletters the form will ask for, nobody knows yet: each wording goes with its slug.
PageData consent_of(const Newsletter& newsletter, const service::Wording& wording) {
    PageData data;
    data.set("slug", newsletter.slug);
    data.set("id", wording.id);
    return data;
}

PageData wording_data(const service::Wording& wording) {
    PageData data;
    data.set("text", wording.text);
    put(data, "privacy_url", wording.privacy_url);
    return data;
}

Response one_form(const Site& site, const Newsletter& newsletter, const std::string& locale,
                  const Typed* typed, bool in_frame) {
    Frame frame;
    frame.status = typed ? 422 : 200;
    frame.locale = locale;
    frame.title = newsletter.name(locale);
    frame.here = "/newsletters/" + newsletter.slug;
    frame.script = true;
    if (in_frame)
        frame.framed_by = site.framed_by;
    else
        allow_target(frame.form_targets, newsletter, locale);

    PageData data = form_texts(site, &newsletter, locale);
    data.set("in_frame", in_frame);
    data.set("title", frame.title);
    put(data, "lead", newsletter.description(locale));
    if (!newsletter.open) {
        data.set("form", false);
        data.set("lead", site.rules.texts.text(newsletter, locale, "form.closed"));
    }
    data.set("choice", false);
    data.set("slug", newsletter.slug);
    const auto wording = service::wording_of(newsletter, locale, site.text(locale, "form.consent"));
    PageData wordings(PageData::type::list);
    wordings.push_back(wording_data(wording));
    data.set("wordings", wordings);
    data.set("consent", consent_of(newsletter, wording));
    data.set("fields", fields_of(newsletter, locale, typed));
    data.set("source", site.public_url + frame.here);
    if (!in_frame) data.set("others", site.text(locale, "page.other_newsletters"));
    if (typed) put_typed(data, site, *typed, locale);
    return site.pages.page(frame, "page.signup.html", data);
}

Response all_form(const Site& site, const service::Newsletters& newsletters, const std::string& locale,
                  const Typed* typed) {
    Frame frame;
    frame.status = typed ? 422 : 200;
    frame.locale = locale;
    frame.title = site.text(locale, "page.all_title");
    frame.here = "/";
    frame.script = true;

    std::vector<service::Wording> wordings;
    for (const Newsletter& one : newsletters.all())
        if (one.open && one.listed() && !asks_something(one))
            wordings.push_back(service::wording_of(one, locale, site.text(locale, "form.consent")));
    const bool same = std::all_of(wordings.begin(), wordings.end(), [&](const service::Wording& one) {
        return one.text == wordings.front().text && one.privacy_url == wordings.front().privacy_url;
    });

    PageData choices(PageData::type::list);
    PageData consent(PageData::type::list);
    std::size_t shown = 0;
    for (const Newsletter& one : newsletters.all()) {
        if (!one.open || !one.listed()) continue;
        PageData choice;
        choice.set("slug", one.slug);
        choice.set("name", one.name(locale));
        put(choice, "description", one.description(locale));
        choice.set("own_page", asks_something(one));
        choice.set("href", "/newsletters/" + one.slug + "?locale=" + locale);
        if (!asks_something(one)) {
            const service::Wording& wording = wordings[shown++];
            if (!same) {
                put(choice, "wording", wording.text);
                put(choice, "privacy_url", wording.privacy_url);
            }
            consent.push_back(consent_of(one, wording));
            allow_target(frame.form_targets, one, locale);
        }
        choice.set("ticked",
                   typed && std::find(typed->form.newsletters.begin(), typed->form.newsletters.end(),
                                      one.slug) != typed->form.newsletters.end());
        choices.push_back(choice);
    }

    PageData data = form_texts(site, nullptr, locale);
    data.set("title", frame.title);
    data.set("lead", site.text(locale, "page.all_lead"));
    if (choices.is_empty_list()) {
        data.set("form", false);
        data.set("lead", site.text(locale, "page.none_open"));
    }
    data.set("choice", true);
    data.set("newsletters", choices);
    data.set("consent", consent);
    PageData common(PageData::type::list);
    if (same && !wordings.empty()) common.push_back(wording_data(wordings.front()));
    data.set("wordings", common);
    data.set("source", site.public_url + "/");
    if (typed) put_typed(data, site, *typed, locale);
    return site.pages.page(frame, "page.signup.html", data);
}

}  // namespace

asio::awaitable<Response> show_all_newsletters(Request& request, const Site& site) {
    NewsletterList newsletters;
    const auto result = co_await read_newsletters(site, newsletters);
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    co_return all_form(site, *newsletters, reader_language(request, site), nullptr);
}

namespace {

asio::awaitable<Response> show_form(Request& request, const Site& site, bool in_frame) {
    NewsletterList newsletters;
    const auto result = co_await read_newsletters(site, newsletters);
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    const Newsletter* newsletter = newsletters->find(request.path_parameter);
    if (newsletter == nullptr) co_return refuse(request, site, 404, "not_found");
    co_return one_form(site, *newsletter, reader_language(request, site, newsletter->locale()), nullptr,
                       in_frame);
}

asio::awaitable<Response> show_end(Request& request, const Site& site, bool in_frame) {
    NewsletterList newsletters;
    const auto result = co_await read_newsletters(site, newsletters);
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    Newsletter any;
    const Newsletter* newsletter =
        request.path_parameter.empty() ? &any : newsletters->find(request.path_parameter);
    if (newsletter == nullptr) co_return refuse(request, site, 404, "not_found");

    Frame frame;
    frame.locale = reader_language(request, site, newsletter->locale());
    frame.title = site.text(frame.locale, "page.sent_title");
    frame.private_link = true;
    if (in_frame) {
        frame.framed_by = site.framed_by;
        frame.script = true;
    }
    Message message;
    message.paragraphs = {site.rules.texts.text(*newsletter, frame.locale, "form.thanks")};
    message.note = site.text(frame.locale, "page.sent_hint");
    if (!in_frame)
        message.link = {site.text(frame.locale, "page.other_newsletters"), "/?locale=" + frame.locale};
    co_return site.pages.message(frame, message);
}

}  // namespace

asio::awaitable<Response> show_newsletter(Request& request, const Site& site) {
    return show_form(request, site, false);
}

asio::awaitable<Response> show_framed_newsletter(Request& request, const Site& site) {
    return show_form(request, site, true);
}

asio::awaitable<Response> show_sent(Request& request, const Site& site) {
    return show_end(request, site, false);
}

asio::awaitable<Response> show_framed_sent(Request& request, const Site& site) {
    return show_end(request, site, true);
}

asio::awaitable<Response> list_newsletters(Request& request, const Site& site) {
    NewsletterList newsletters;
    const auto result = co_await read_newsletters(site, newsletters);
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    const auto wanted = query_parameter(request, "locale");
    boost::json::array list;
    for (const Newsletter& one : newsletters->all()) {
        if (!one.open || !one.listed()) continue;
        const std::string locale = site.rules.texts.choose(wanted.value_or(""), "", one.locale());
        list.push_back({{"slug", one.slug},
                        {"name", one.name(locale)},
                        {"description", one.description(locale)},
                        {"locale", one.locale().empty() ? "en" : one.locale()}});
    }
    co_return Response{200,
                       "application/json",
                       boost::json::serialize(list),
                       {{"Cache-Control", "no-cache"}, {"X-Content-Type-Options", "nosniff"}}};
}

asio::awaitable<Response> show_form_again(Request& request, const Site& site, service::SignupForm form,
                                          service::Refusal refusal, bool in_frame) {
    NewsletterList newsletters;
    const auto result = co_await read_newsletters(site, newsletters);
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    const Typed typed{std::move(form), std::move(refusal)};
    const std::string& locale = typed.refusal.locale;
    const Newsletter* one =
        typed.form.newsletters.size() == 1 ? newsletters->find(typed.form.newsletters.front()) : nullptr;
    // Of the page with many the field may hold one tick only: then its own page is as good.
    if (one != nullptr && one->open) co_return one_form(site, *one, locale, &typed, in_frame);
    co_return all_form(site, *newsletters, locale, &typed);
}

}  // namespace zgoda::http
