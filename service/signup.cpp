#include "service/signup.h"

#include <fmt/compile.h>
#include <fmt/format.h>
#include <unistr.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "service/ledger.h"
#include "service/pending.h"
#include "service/suggestion.h"

namespace zgoda::service {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t max_newsletters = 20;
constexpr std::size_t max_name = 200;  // characters
constexpr std::size_t max_form_id = 200;
constexpr std::size_t max_source = 2000;
constexpr std::size_t max_fields = 50;

const std::uint8_t* bytes(std::string_view text) {
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

// Valid UTF-8 without control characters: what may be stored as somebody's words.
bool plain(std::string_view text) {
    bool ascii = true;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
        ascii &= static_cast<unsigned char>(c) < 0x80;
    }
    if (ascii) return true;
    if (u8_check(bytes(text), text.size()) != nullptr) return false;
    return text.find("\xC2\x85") == text.npos;  // NEL, the one C1 control that terminals obey as a line break
}

std::size_t characters(std::string_view text) {
    return u8_mbsnlen(bytes(text), text.size());
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool is_web_page(std::string_view url) {
    const std::size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
    if (scheme == 0 || url.size() > max_source || !plain(url)) return false;
    const std::string_view host = url.substr(scheme, url.substr(scheme).find('/'));
    return !host.empty() && url.find_first_of(" <>\"\\^`{|}") == url.npos && host.find('@') == host.npos;
}

// The typed value as JSON, or the code of what is wrong with it.
std::variant<boost::json::value, std::string_view> field_value(const FieldRule& rule, std::string_view text) {
    if (!plain(text)) return "control_char"sv;
    switch (rule.type) {
        case FieldRule::Type::text:
            if (characters(text) > static_cast<std::size_t>(rule.max_length)) return "field_too_long"sv;
            return boost::json::value(boost::json::string_view(text.data(), text.size()));
        case FieldRule::Type::number: {
            double number = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
            if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number)) {
                return "field_type"sv;
            }
            std::int64_t whole = 0;
            if (std::from_chars(text.data(), text.data() + text.size(), whole).ptr ==
                text.data() + text.size()) {
                return boost::json::value(whole);
            }
            return boost::json::value(number);
        }
        case FieldRule::Type::boolean:
            if (text == "true" || text == "on" || text == "1" || text == "yes")
                return boost::json::value(true);
            if (text == "false" || text == "off" || text == "0" || text == "no")
                return boost::json::value(false);
            return "field_type"sv;
        case FieldRule::Type::date:
            if (text.size() != 10 || !parse_rfc3339(text)) return "field_type"sv;
            return boost::json::value(boost::json::string_view(text.data(), text.size()));
    }
    return "field_type"sv;
}

// A form post in the transaction: what it asks for, checked against the newsletters as they are now.
struct Asked {
    std::vector<const Newsletter*> newsletters;
    std::vector<Wish> wishes;
    std::string fields;
};

class Problems {
 public:
    Problems(const Texts& texts, std::string_view locale) : texts_(texts), locale_(locale) {}

    void add(std::string pointer, std::string_view code) {
        found_.push_back(
            {std::move(pointer), std::string(code), texts_.text(locale_, "problem." + std::string(code))});
    }
    std::vector<FieldProblem>& found() { return found_; }

 private:
    const Texts& texts_;
    std::string_view locale_;
    std::vector<FieldProblem> found_;
};

void check_fields(const SignupForm& form, Asked& asked, Problems& problems) {
    std::vector<FieldRule> rules;
    for (const Newsletter* newsletter : asked.newsletters) {
        for (FieldRule& rule : newsletter->fields()) {
            const auto same = std::find_if(rules.begin(), rules.end(),
                                           [&](const FieldRule& other) { return other.name == rule.name; });
            if (same == rules.end()) {
                rules.push_back(std::move(rule));
            } else {
                same->required |= rule.required;
            }
        }
    }
    boost::json::object values;
    for (const auto& [name, typed] : form.fields) {
        const auto rule = std::find_if(rules.begin(), rules.end(),
                                       [&wanted = name](const FieldRule& one) { return one.name == wanted; });
        if (rule == rules.end()) {
            problems.add("/fields", "field_unknown");
            continue;
        }
        const std::string_view text = trim(typed);
        if (text.empty()) continue;
        const auto value = field_value(*rule, text);
        if (const auto* code = std::get_if<std::string_view>(&value)) {
            problems.add("/fields/" + rule->name, *code);
        } else {
            values[rule->name] = std::get<boost::json::value>(value);
        }
    }
    for (const FieldRule& rule : rules) {
        if (rule.required && !values.contains(rule.name) &&
            std::none_of(problems.found().begin(), problems.found().end(),
                         [&](const FieldProblem& one) { return one.pointer == "/fields/" + rule.name; })) {
            problems.add("/fields/" + rule.name, "field_required");
        }
    }
    if (!values.empty()) asked.fields = boost::json::serialize(values);
}

// Each stated wording must be one of a newsletter that is asked for, current or kept.
void check_wordings(Transaction& tx, const SignupForm& form, const Rules& rules, Asked& asked,
                    Problems& problems) {
    for (std::size_t i = 0; i < form.consent.size(); ++i) {
        const std::string& id = form.consent[i];
        const auto stated = [&]() -> std::optional<Wording> {
            for (const Newsletter* newsletter : asked.newsletters) {
                for (const std::string& locale : rules.texts.locales()) {
                    Wording wording =
                        wording_of(*newsletter, locale, rules.texts.text(locale, "form.consent"));
                    if (wording.id == id) return wording;
                }
            }
            return tx.wording(id);
        }();
        const auto wish =
            !stated ? asked.wishes.end()
                    : std::find_if(asked.wishes.begin(), asked.wishes.end(),
                                   [&](const Wish& one) { return one.newsletter == stated->newsletter; });
        if (wish == asked.wishes.end() || !(wish->wording.empty() || wish->wording == id)) {
            // A wording of one that was asked for but is not open is neither wrong nor needed.
            const auto newsletters = tx.newsletters();
            const Newsletter* other = stated ? newsletters->find(stated->newsletter) : nullptr;
            if (wish == asked.wishes.end() && other != nullptr && !other->open) continue;
            problems.add(fmt::format("/consent/{}", i), "wording_unknown");
            continue;
        }
        wish->wording = id;
        tx.keep(*stated);
    }
}

std::string details_of(const Request& request, const Newsletters& newsletters) {
    std::string details =
        fmt::format(FMT_COMPILE(R"({{"request":{},"state":"{}","locale":{},"newsletters":[)"), request.id,
                    word(request.state), json_string(request.locale));
    for (const Wish& wish : request.wishes) {
        const Newsletter* one = newsletters.find(wish.newsletter);
        fmt::format_to(std::back_inserter(details), FMT_COMPILE(R"({}{{"id":{},"slug":{},"wording":{}}})"),
                       details.ends_with('[') ? "" : ",", wish.newsletter,
                       json_string(one == nullptr ? "" : one->slug),
                       wish.wording.empty() ? "null" : json_string(wish.wording));
    }
    return details + "]}";
}

// The letter that asks for (or, for somebody who has it all, answers) this request. Changes request.letter.
// Returns the letter that the request's ticket may follow.
Id attach_letter(Transaction& tx, const Person& person, bool known, Request& request, LetterKind kind,
                 const std::vector<Id>& newsletters, const Cause& cause, const Rules& rules, TimeMs now,
                 Nonces& nonces) {
    std::optional<Letter> open;
    if (known) open = tx.open_letter(person.id, kind);
    if (!open) {
        Letter letter = enqueue(tx, person, kind, request.locale, cause, rules, now, nonces);
        if (kind != LetterKind::confirmation) letter.newsletters = newsletters;
        request.letter = letter.id;
        tx.add(letter);
        return letter.budgeted ? letter.id : 0;
    }
    if (open->first_leased_at) return 0;  // its content is frozen; this request waits for the next

    if (!open->budgeted && pay(tx, person, *open, cause, rules, now)) {
        // The budget had no letter for those who asked before, but keeps one for this network: the letter is
        // for this request. The others wait on, and her page offers what they asked for unticked.
        for (Request& other : tx.requests_of(person.id)) {
            if (other.letter == open->id && other.network != request.network &&
                other.state == RequestState::open) {
                other.letter.reset();
                tx.update(other);
            }
        }
        open->locale = request.locale;
        tx.update(*open);
    }
    if (kind != LetterKind::confirmation) {
        for (const Id newsletter : newsletters) {
            if (std::find(open->newsletters.begin(), open->newsletters.end(), newsletter) ==
                open->newsletters.end()) {
                open->newsletters.push_back(newsletter);
            }
        }
        tx.update(*open);
    }
    request.letter = open->id;
    return open->budgeted ? open->id : 0;
}

}  // namespace

std::variant<Signup, Refusal> check_signup(SignupForm form, const Rules& rules) {
    const std::string locale = rules.texts.choose(form.locale, form.accept_language, "");
    Problems problems(rules.texts, locale);
    Signup signup;

    auto address = check_address(form.email, rules.address);
    if (const auto* problem = std::get_if<AddressProblem>(&address)) {
        problems.add("/email", code(*problem));
        signup.suggestion = suggest_repair(form.email, rules.address);
    } else {
        signup.address = std::get<EmailAddress>(std::move(address));
        signup.suggestion = suggest_address(signup.address);
    }

    std::erase_if(form.newsletters, [](const std::string& slug) { return slug.empty(); });
    if (form.newsletters.empty()) problems.add("/newsletters", "required");
    if (form.newsletters.size() > max_newsletters) problems.add("/newsletters", "too_many");

    form.name = std::string(trim(form.name));
    if (!plain(form.name)) {
        problems.add("/name", "control_char");
    } else if (characters(form.name) > max_name) {
        problems.add("/name", "too_long_text");
    }
    if (!plain(form.form)) {
        problems.add("/form", "control_char");
    } else if (form.form.size() > max_form_id) {
        problems.add("/form", "too_long_text");
    }
    if (!form.source.empty()) {
        // The page, not what was searched for on it.
        form.source.resize(std::min(form.source.find_first_of("?#"), form.source.size()));
        if (!is_web_page(form.source)) problems.add("/source", "bad_source");
    }
    if (form.fields.size() > max_fields) problems.add("/fields", "too_many");
    if (form.consent.size() > max_newsletters) problems.add("/consent", "too_many");
    if (problems.found().empty()) {
        signup.cause = cause_of(rules.keys, signup.address.abuse_key, client_network(form.client.ip));
        signup.suppression_keys = suppression_keys(rules.keys, signup.address.addr_key);
    }
    if (form.client.user_agent.size() > 256) form.client.user_agent.resize(256);
    if (!plain(form.client.user_agent)) form.client.user_agent.clear();
    // What no script of ours made is worth nothing, but no reason to turn a reader away.
    if (form.browser.size() != 64 || !from_hex(form.browser)) form.browser.clear();

    if (!problems.found().empty()) {
        return Refusal{std::move(problems.found()), std::move(signup.suggestion), locale};
    }
    signup.identity = fmt::format(R"({{"address":{},"name":{},"source":{},"form":{},"fields":)",
                                  json_string(signup.address.address), json_string(form.name),
                                  json_string(form.source), json_string(form.form));
    signup.evidence = evidence_json(form.client.ip, form.client.user_agent);
    signup.form = std::move(form);
    return signup;
}

SignupOutcome subscribe(Transaction& tx, const Signup& signup, const Rules& rules, const Moment& moment) {
    const SignupForm& form = signup.form;
    const TimeMs now = moment.now;
    Nonces nonces(moment.seed);
    SignupOutcome outcome;

    const std::shared_ptr<const Newsletters> newsletters = tx.newsletters();
    Asked asked;
    for (const std::string& slug : form.newsletters) {
        const Newsletter* one = newsletters->find(slug);
        if (one == nullptr || !one->open) {
            outcome.skipped.push_back(slug);
        } else if (std::find(asked.newsletters.begin(), asked.newsletters.end(), one) ==
                   asked.newsletters.end()) {
            asked.newsletters.push_back(one);
            asked.wishes.push_back({one->id, ""});
        }
    }
    outcome.locale = rules.texts.choose(form.locale, form.accept_language,
                                        asked.newsletters.empty() ? "" : asked.newsletters.front()->locale());
    if (asked.newsletters.empty()) {
        outcome.kind = SignupOutcome::Kind::no_open_newsletter;
        return outcome;
    }
    Problems problems(rules.texts, outcome.locale);
    check_fields(form, asked, problems);
    if (problems.found().empty()) check_wordings(tx, form, rules, asked, problems);
    if (!problems.found().empty()) {
        outcome.kind = SignupOutcome::Kind::refused;
        outcome.problems = std::move(problems.found());
        return outcome;
    }

    const Newsletter& first = *asked.newsletters.front();
    outcome.newsletter = first.slug;
    outcome.message = rules.texts.text(first, outcome.locale, "form.thanks");
    outcome.thanks_url = first.setting("thanks_url", outcome.locale);

    std::optional<Person> person = tx.person_by_key(signup.address.addr_key);
    const bool known = person.has_value();
    const bool no_letters = suppressed(tx, signup.suppression_keys, now);
    if (!known) {
        person.emplace();
        person->id = tx.new_id();
        person->addr_key = signup.address.addr_key;
        person->abuse_key = signup.address.abuse_key;
        person->address = signup.address.address;
        person->envelope = signup.address.envelope;
        person->needs_smtputf8 = signup.address.needs_smtputf8;
        person->locale = outcome.locale;
        person->created_at = now;
        tx.add(*person);
    }

    std::vector<Request> earlier;
    if (known) earlier = tx.requests_of(person->id);
    Request request;
    request.id = tx.new_id();
    request.person = person->id;
    request.asked_at = now;
    // A ticket finds its request by the time, so no two of a person have the same.
    while (std::any_of(earlier.begin(), earlier.end(),
                       [&](const Request& other) { return other.asked_at == request.asked_at; })) {
        ++request.asked_at;
    }
    request.wishes = asked.wishes;
    request.locale = outcome.locale;
    request.name = form.name;
    request.fields = std::move(asked.fields);
    request.source = form.source;
    request.form = form.form;
    request.ip = form.client.ip;
    request.user_agent = form.client.user_agent;
    request.network = signup.cause.network;
    request.browser = form.browser;
    outcome.ticket = {person->id, 0, earlier.empty() ? request.id : slot_of(tx, request, earlier, now),
                      request.asked_at, person->generation};

    if (no_letters) {
        request.state = RequestState::suppressed;
    } else if (!form.website.empty()) {
        request.state = RequestState::honeypot;
    } else {
        std::vector<Subscription> subscriptions;
        if (known) subscriptions = tx.subscriptions_of(person->id);
        std::vector<Id> already;
        std::vector<Subscription> changed;  // or new, then without an id
        for (const Newsletter* newsletter : asked.newsletters) {
            const Subscription* one = find_subscription(subscriptions, newsletter->id);
            if (one == nullptr) {
                Subscription& fresh = changed.emplace_back();
                fresh.person = person->id;
                fresh.newsletter = newsletter->id;
                fresh.signed_up_at = now;
                fresh.source = form.source;
                fresh.form = form.form;
            } else if (one->status == SubscriptionStatus::confirmed ||
                       one->status == SubscriptionStatus::paused) {
                already.push_back(newsletter->id);
            } else if (one->status == SubscriptionStatus::undeliverable) {
                Subscription& again = changed.emplace_back(*one);
                again.status = SubscriptionStatus::pending;
                again.signed_up_at = now;
            }
            // Who left stays `unsubscribed` until she proves that it is she who comes back.
        }
        const bool has_it_all = already.size() == asked.newsletters.size();
        if (has_it_all) request.state = RequestState::already;
        outcome.ticket.letter =
            attach_letter(tx, *person, known, request,
                          has_it_all ? LetterKind::already_subscribed : LetterKind::confirmation, already,
                          signup.cause, rules, now, nonces);
        for (Subscription& one : changed) {
            if (one.id != 0) {
                tx.update(one);
                continue;
            }
            one.id = tx.new_id();
            tx.add(one);
        }
    }
    tx.add(request);

    EventDraft event;
    event.kind = EventKind::signup_requested;
    event.person = person->id;
    event.details = details_of(request, *newsletters);
    event.identity = signup.identity + (request.fields.empty() ? "{}" : request.fields) + '}';
    event.evidence = signup.evidence;
    record(tx, rules.keys, std::move(event), now, nonces);
    return outcome;
}

Resent resend(Transaction& tx, Id person_id, std::string_view network, bool over_budget, const Rules& rules,
              const Moment& moment) {
    const TimeMs now = moment.now;
    Nonces nonces(moment.seed);
    const std::optional<Person> person = tx.person(person_id);
    if (!person) return Resent::nothing_pending;
    if (suppressed(tx, person->addr_key, rules.keys, now)) return Resent::suppressed;

    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person->id);
    std::vector<Request> unanswered = tx.requests_of(person->id);
    std::erase_if(unanswered, [&](const Request& one) { return !pending(one, subscriptions); });
    if (unanswered.empty()) return Resent::nothing_pending;

    const Cause cause = cause_of(rules.keys, person->abuse_key, std::string(network));
    if (auto open = tx.open_letter(person->id, LetterKind::confirmation)) {
        if (open->budgeted) {
            if (over_budget && open->state != LetterState::leased && open->due_at > now) {
                open->due_at = now;  // an administrator does not wait for the retry schedule either
                tx.update(*open);
                return Resent::sooner;
            }
            return Resent::under_way;
        }
        if (over_budget) {
            open->budgeted = true;
            open->due_at = now;
        } else if (!pay(tx, *person, *open, cause, rules, now)) {
            return Resent::waits_for_budget;
        }
        tx.update(*open);
        return Resent::queued;
    }
    const std::string& locale = unanswered.front().locale;
    const Letter letter =
        over_budget ? enqueue_over_budget(tx, *person, LetterKind::confirmation, locale, rules, now, nonces)
                    : enqueue(tx, *person, LetterKind::confirmation, locale, cause, rules, now, nonces);
    tx.add(letter);
    for (Request& request : unanswered) {
        request.letter = letter.id;
        tx.update(request);
    }
    return letter.budgeted ? Resent::queued : Resent::waits_for_budget;
}

}  // namespace zgoda::service
