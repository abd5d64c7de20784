#include "api/http/admin_signup.h"

#include <algorithm>
#include <boost/json.hpp>
#include <iterator>
#include <memory>

#include "api/http/client_address.h"
#include "api/http/subscriptions.h"
#include "service/audit.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

// Those of the public form, some of which mean nothing here, and the reader's own.
constexpr std::string_view members[] = {"email",   "newsletters", "newsletter", "name",      "locale",
                                        "fields",  "source",      "form",       "consent",   "website",
                                        "browser", "altcha",      "client_ip",  "user_agent"};

// What of the body parse_signup_json() does not know.
std::string text_member(const json::object& body, std::string_view name) {
    const json::value* value = body.if_contains({name.data(), name.size()});
    if (value == nullptr || !value->is_string()) return {};
    return std::string(value->get_string().data(), value->get_string().size());
}

// What a unit of work owns: it may run after the handler has given up.
struct Attempt {
    service::Signup signup;
    service::SignupOutcome outcome;
};

}  // namespace

asio::awaitable<Response> sign_up_for_reader(Request& request, const Desk& desk, const std::string& who) {
    if (media_type(request.content_type) != "application/json") {
        const Body body(request);
        co_return body.problem().value();
    }
    auto parsed = parse_signup_json(request.body);
    if (!parsed) co_return admin_problem(400, "bad_request", "The body is not a JSON object (RFC 8259).");
    const json::value whole = json::parse(request.body);
    service::SignupForm& form = parsed->form;
    form.website.clear();  // a trap for forms, and a secret of browsers: neither is here
    form.browser.clear();
    form.client = {text_member(whole.get_object(), "client_ip"),
                   text_member(whole.get_object(), "user_agent").substr(0, 256)};
    std::vector<MemberProblem> problems;
    if (const auto address = parse_address(form.client.ip))
        form.client.ip = address->to_string();
    else
        problems.push_back({"/client_ip", "required", "This must be the IP address of the reader."});
    if (form.client.user_agent.empty())
        problems.push_back(
            {"/user_agent", "required", "This must be the User-Agent of the reader's browser."});
    for (const auto& [key, value] : whole.get_object()) {
        const std::string name(key.data(), key.size());
        if (std::find(std::begin(members), std::end(members), name) == std::end(members))
            problems.push_back(
                {json_pointer("", shortened(name)), "unknown", "There is no such member here."});
    }
    if (!problems.empty()) co_return admin_invalid(problems);
    if (!parsed->wrong_type.empty()) {
        std::string locale = desk.rules.texts.choose(form.locale, "", "");
        co_return signup_refused(refusal_of(parsed->wrong_type, std::move(locale), desk.rules.texts),
                                 desk.rules.texts);
    }
    auto checked = service::check_signup(std::move(form), desk.rules);
    if (const auto* refusal = std::get_if<service::Refusal>(&checked))
        co_return signup_refused(*refusal, desk.rules.texts);

    const auto attempt =
        std::make_shared<Attempt>(Attempt{std::move(std::get<service::Signup>(checked)), {}});
    service::Store::Work work = [attempt, who, moment = moment_of(desk),
                                 &rules = desk.rules](service::Transaction& tx) {
        attempt->outcome = service::subscribe(tx, attempt->signup, rules, moment);
        if (attempt->outcome.kind == service::SignupOutcome::Kind::accepted)
            service::audit(tx, who, "signup",
                           "{\"person\":" + std::to_string(attempt->outcome.ticket.person) + "}", moment.now);
    };
    auto trouble = co_await act(desk, std::move(work));
    if (trouble) co_return std::move(*trouble);
    service::SignupOutcome& outcome = attempt->outcome;
    if (outcome.kind == service::SignupOutcome::Kind::no_open_newsletter)
        co_return admin_problem(404, "no_open_newsletter", "None of these newsletters is open.");
    if (outcome.kind == service::SignupOutcome::Kind::refused) {
        const service::Refusal refusal{std::move(outcome.problems), attempt->signup.suggestion,
                                       outcome.locale};
        co_return signup_refused(refusal, desk.rules.texts);
    }
    service::Nonces nonces(service::random_seed());  // not the moment's: a ticket shows its nonce
    const std::string ticket = service::seal(outcome.ticket, nonces.next(), desk.rules.keys);
    co_return signup_accepted(outcome, ticket, attempt->signup.suggestion);
}

}  // namespace zgoda::http
