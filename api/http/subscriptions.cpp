#include "api/http/subscriptions.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <memory>

#include "api/http/accept.h"
#include "api/http/form.h"
#include "api/http/signup_pages.h"
#include "api/http/store_awaitable.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

std::string_view view(const json::string& text) {
    return {text.data(), text.size()};
}

std::string* text_member(service::SignupForm& form, std::string_view name) {
    if (name == "email") return &form.email;
    if (name == "name") return &form.name;
    if (name == "locale") return &form.locale;
    if (name == "source") return &form.source;
    if (name == "form") return &form.form;
    if (name == "website") return &form.website;
    if (name == "browser") return &form.browser;
    return nullptr;
}

std::vector<std::string>* list_member(service::SignupForm& form, std::string_view name) {
    if (name == "newsletters" || name == "newsletter") return &form.newsletters;
    if (name == "consent") return &form.consent;
    return nullptr;
}

bool take_list(const json::value& value, std::vector<std::string>& list) {
    if (value.is_string()) {
        list.emplace_back(view(value.get_string()));
        return true;
    }
    if (!value.is_array()) return false;
    for (const json::value& one : value.get_array()) {
        if (!one.is_string()) return false;
        list.emplace_back(view(one.get_string()));
    }
    return true;
}

void take_fields(const json::value& value, ParsedSignup& parsed) {
    if (!value.is_object()) {
        parsed.wrong_type.emplace_back("/fields");
        return;
    }
    for (const auto& [key, field] : value.get_object()) {
        const std::string name(key);
        if (field.is_string()) {
            parsed.form.fields.emplace_back(name, view(field.get_string()));
        } else if (field.is_number() || field.is_bool()) {
            parsed.form.fields.emplace_back(name, json::serialize(field));
        } else if (!field.is_null()) {
            parsed.wrong_type.push_back(json_pointer("/fields", name));
        }
    }
}

// "city" of "fields[city]".
std::optional<std::string_view> in_brackets(std::string_view name, std::string_view before) {
    if (!name.starts_with(before) || !name.ends_with(']') || name.find('[') != before.size())
        return std::nullopt;
    return name.substr(before.size() + 1, name.size() - before.size() - 2);
}

bool concerns_address(const service::Refusal& refusal) {
    for (const auto& one : refusal.problems)
        if (one.pointer == "/email") return true;
    return false;
}

asio::awaitable<Response> refuse_form(Request& request, const Site& site, service::SignupForm form,
                                      service::Refusal refusal, bool in_frame) {
    if (!prefers_page(request.accept, false)) co_return signup_refused(refusal, site.rules.texts);
    auto page = co_await show_form_again(request, site, std::move(form), std::move(refusal), in_frame);
    co_return page;
}

// A form without JavaScript ends at the newsletter's own page of thanks or at ours, never at one from the
// request.
Response see_other(const service::SignupOutcome& outcome, bool asked_for_one, bool in_frame) {
    std::string location = outcome.thanks_url;
    if (in_frame) {
        location = "/newsletters/" + outcome.newsletter + "/embed/sent?locale=" + outcome.locale;
    } else if (location.empty()) {
        location = asked_for_one ? "/newsletters/" + outcome.newsletter + "/sent" : "/sent";
        location += "?locale=" + outcome.locale;
    }
    return {303, {}, {}, {{"Location", std::move(location)}, {"Cache-Control", "no-store"}}};
}

// The page in a frame that this form was on, if it says so.
std::string framed_form(const Request& request) {
    if (request.body.find("embed") == std::string::npos) return {};
    const auto parsed = parse_signup_form(request.content_type, request.body);
    if (!parsed || !parsed->in_frame || parsed->form.newsletters.empty()) return {};
    const std::string& slug = parsed->form.newsletters.front();
    return service::slug_problem(slug) ? std::string() : "/newsletters/" + slug + "/embed";
}

// What a unit of work owns: it may run after the handler has given up.
struct Attempt {
    service::Signup signup;
    service::SignupOutcome outcome;
};

}  // namespace

service::Refusal refusal_of(const std::vector<std::string>& wrong_type, std::string locale,
                            const service::Texts& texts) {
    service::Refusal refusal;
    for (const std::string& where : wrong_type)
        refusal.problems.push_back({where, "field_type", texts.text(locale, "problem.field_type")});
    refusal.locale = std::move(locale);
    return refusal;
}

Response signup_refused(const service::Refusal& refusal, const service::Texts& texts) {
    json::array errors;
    for (const auto& one : refusal.problems)
        errors.push_back({{"pointer", one.pointer}, {"code", one.code}, {"detail", one.detail}});
    std::string more = ",\"errors\":" + json::serialize(errors);
    if (refusal.suggestion) more += ",\"suggestion\":" + json::serialize(json::value(*refusal.suggestion));
    const std::string_view detail = concerns_address(refusal) ? "form.wrong_email" : "problem.check_form";
    return problem_json(422, "invalid_form", texts.text(refusal.locale, detail), more);
}

Response signup_accepted(const service::SignupOutcome& outcome, const std::string& ticket,
                         const std::optional<std::string>& suggestion) {
    unsigned char memory[2048];
    json::monotonic_resource resource(memory, sizeof memory);
    json::object answer(&resource);
    answer.emplace("status", "pending");
    answer.emplace("message", outcome.message);
    answer.emplace("ticket", ticket);
    if (suggestion) answer.emplace("suggestion", *suggestion);
    if (!outcome.skipped.empty()) {
        json::array& skipped = answer.emplace("skipped", json::array(&resource)).first->value().get_array();
        for (const std::string& slug : outcome.skipped) skipped.emplace_back(slug);
    }
    return {202,
            "application/json",
            json::serialize(answer),
            {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
}

std::optional<ParsedSignup> parse_signup_json(std::string_view body) {
    unsigned char memory[8192];
    json::monotonic_resource resource(memory, sizeof memory);
    json::parse_options options;
    options.max_depth = 4;
    json::error_code error;
    const json::value value = json::parse({body.data(), body.size()}, error, &resource, options);
    if (error || !value.is_object()) return std::nullopt;

    ParsedSignup parsed;
    for (const auto& [key, member] : value.get_object()) {
        const std::string_view name(key.data(), key.size());
        if (member.is_null()) continue;
        if (std::string* text = text_member(parsed.form, name)) {
            if (member.is_string())
                *text = view(member.get_string());
            else
                parsed.wrong_type.push_back(json_pointer("", name));
        } else if (std::vector<std::string>* list = list_member(parsed.form, name)) {
            if (!take_list(member, *list)) parsed.wrong_type.push_back(json_pointer("", name));
        } else if (name == "fields") {
            take_fields(member, parsed);
        }
    }
    return parsed;
}

std::optional<ParsedSignup> parse_signup_form(std::string_view content_type, std::string_view body) {
    auto fields = parse_form(content_type, body);
    if (!fields) return std::nullopt;
    ParsedSignup parsed;
    std::vector<std::pair<std::string, std::string>> shown;  // slug and wording
    for (FormField& field : *fields) {
        if (std::string* text = text_member(parsed.form, field.name)) {
            *text = std::move(field.value);
        } else if (std::vector<std::string>* list = list_member(parsed.form, field.name)) {
            list->push_back(std::move(field.value));
        } else if (const auto own = in_brackets(field.name, "fields")) {
            // An empty input of a form means that nothing was said.
            if (!field.value.empty()) parsed.form.fields.emplace_back(*own, std::move(field.value));
        } else if (const auto slug = in_brackets(field.name, "consent")) {
            shown.emplace_back(*slug, std::move(field.value));
        } else if (field.name == "embed") {
            parsed.in_frame = field.value == "1";
        }
    }
    const std::vector<std::string>& asked = parsed.form.newsletters;
    for (auto& [slug, wording] : shown)
        if (std::find(asked.begin(), asked.end(), slug) != asked.end())
            parsed.form.consent.push_back(std::move(wording));
    return parsed;
}

std::optional<Response> over_limit(const Request& request, const Site& site, Limiter& limiter) {
    const auto verdict = limiter.take(request.client, steady_now());
    if (verdict.allowed) return std::nullopt;
    Response response = refuse(request, site, 429, "too_many_requests");
    add_rate_limit_headers(response, verdict);
    return response;
}

asio::awaitable<Response> subscribe(Request& request, const Site& site, const Origins& origins,
                                    Limiter& limiter, Metrics& metrics) {
    request.framed_form = framed_form(request);
    if (!origins.admits(request)) {
        metrics.count(SignupResult::origin_not_allowed);
        co_return refuse(request, site, 403, "origin_not_allowed");
    }
    if (auto refused = over_limit(request, site, limiter)) {
        metrics.count(SignupResult::over_limit);
        co_return std::move(*refused);
    }
    const std::string type = media_type(request.content_type);
    const bool is_json = type == "application/json";
    if (!is_json && type != "application/x-www-form-urlencoded" && type != "multipart/form-data") {
        metrics.count(SignupResult::malformed);
        Response response = refuse(request, site, 415, "unsupported_type");
        response.headers.emplace_back(
            "Accept-Post", "application/json, application/x-www-form-urlencoded, multipart/form-data");
        co_return response;
    }
    auto parsed =
        is_json ? parse_signup_json(request.body) : parse_signup_form(request.content_type, request.body);
    if (!parsed) {
        metrics.count(SignupResult::malformed);
        co_return refuse(request, site, 400, "bad_request");
    }
    service::SignupForm& form = parsed->form;
    const bool in_frame = parsed->in_frame;
    form.accept_language = request.accept_language;
    form.client = client_of(request);
    if (!origins.own(request)) form.browser.clear();
    if (!parsed->wrong_type.empty()) {
        metrics.count(SignupResult::invalid);
        std::string locale = site.rules.texts.choose(form.locale, form.accept_language, "");
        service::Refusal refusal = refusal_of(parsed->wrong_type, std::move(locale), site.rules.texts);
        auto answer = co_await refuse_form(request, site, std::move(form), std::move(refusal), in_frame);
        co_return answer;
    }

    const bool for_page = prefers_page(request.accept, false);
    const service::SignupForm typed = for_page ? form : service::SignupForm();  // to show it again
    auto checked = service::check_signup(std::move(form), site.rules);
    if (auto* refusal = std::get_if<service::Refusal>(&checked)) {
        metrics.count(SignupResult::invalid);
        auto answer = co_await refuse_form(request, site, typed, std::move(*refusal), in_frame);
        co_return answer;
    }

    const auto attempt =
        std::make_shared<Attempt>(Attempt{std::move(std::get<service::Signup>(checked)), {}});
    const service::Moment moment{site.now(), service::random_seed()};
    const auto started = std::chrono::steady_clock::now();
    service::Store::Work work = [attempt, moment, &rules = site.rules](service::Transaction& transaction) {
        attempt->outcome = service::subscribe(transaction, attempt->signup, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    metrics.committed(std::chrono::steady_clock::now() - started);
    if (result.commit != service::Commit::done) {
        metrics.count(SignupResult::unavailable);
        co_return unavailable(request, site, result);
    }

    service::SignupOutcome& outcome = attempt->outcome;
    if (outcome.kind == service::SignupOutcome::Kind::no_open_newsletter) {
        metrics.count(SignupResult::no_open_newsletter);
        co_return refuse(request, site, 404, "no_open_newsletter");
    }
    if (outcome.kind == service::SignupOutcome::Kind::refused) {
        metrics.count(SignupResult::invalid);
        service::Refusal refusal{std::move(outcome.problems), attempt->signup.suggestion, outcome.locale};
        auto answer = co_await refuse_form(request, site, typed, std::move(refusal), in_frame);
        co_return answer;
    }
    metrics.count(SignupResult::accepted);
    if (for_page) co_return see_other(outcome, typed.newsletters.size() == 1, in_frame);
    // Not from the moment's seed: a ticket shows its nonce, and the ledger's come from there.
    service::Nonces nonces(service::random_seed());
    const std::string ticket = service::seal(outcome.ticket, nonces.next(), site.rules.keys);
    co_return signup_accepted(outcome, ticket, attempt->signup.suggestion);
}

}  // namespace zgoda::http
