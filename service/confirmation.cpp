#include "service/confirmation.h"

#include <fmt/format.h>
#include <unistr.h>

#include <algorithm>
#include <boost/json.hpp>

#include "service/journal.h"
#include "service/ledger.h"
#include "service/pending.h"
#include "service/signup.h"

namespace zgoda::service {
namespace {

// Everything that a confirmation link leads to.
struct Case {
    Token token;
    Person person;
    Letter letter;
    std::vector<Subscription> subscriptions;
    std::vector<Request> requests;  // all of hers, oldest first
    std::string first_network;      // of the request that the letter was asked for first

    bool dead(TimeMs now) const { return expired(token, now) || token.generation != person.generation; }
    bool resumes() const { return letter.kind == LetterKind::already_subscribed; }
};

std::optional<Case> open_case(Reader& reader, std::string_view text, const Rules& rules) {
    const auto token = verify(text, TokenPurpose::confirm, rules.keys);
    if (!token) return std::nullopt;
    auto person = reader.person(token->a);
    auto letter = reader.letter(token->b);
    if (!person || !letter || letter->person != person->id) return std::nullopt;
    if (letter->kind != LetterKind::confirmation && letter->kind != LetterKind::already_subscribed)
        return std::nullopt;
    Case one{*token, std::move(*person), std::move(*letter), {}, {}, {}};
    one.subscriptions = reader.subscriptions_of(one.person.id);
    one.requests = reader.requests_of(one.person.id);
    const auto first = std::find_if(one.requests.begin(), one.requests.end(),
                                    [&](const Request& request) { return request.letter == one.letter.id; });
    if (first != one.requests.end()) one.first_network = first->network;
    return one;
}

// The requests that this letter's page offers: its own, and those that no letter has been written for yet.
std::vector<Request> offered(Reader& reader, const Case& one, const Rules& rules, TimeMs now) {
    const auto open = reader.open_letter(one.person.id, LetterKind::confirmation);
    const Id unwritten = open && !open->first_leased_at ? open->id : 0;
    std::vector<Request> out;
    for (const Request& request : one.requests) {
        const bool named = request.letter == one.letter.id;
        const bool waiting = (!request.letter && request.asked_at + rules.budget_wait > now) ||
                             (unwritten != 0 && request.letter == unwritten);
        if ((named || waiting) && pending(request, one.subscriptions)) out.push_back(request);
    }
    return out;
}

bool is_received(const Subscription& one) {
    return one.status == SubscriptionStatus::confirmed || one.status == SubscriptionStatus::paused;
}

bool is_paused(const Subscription* one) {
    return one != nullptr && one->status == SubscriptionStatus::paused;
}

// What an already_subscribed letter can still do: end the pauses of the newsletters that it names.
std::vector<Offer> pauses_of(const Case& one, const Newsletters& newsletters) {
    std::vector<Offer> offers;
    for (const Id id : one.letter.newsletters) {
        const Subscription* subscription = find_subscription(one.subscriptions, id);
        const Newsletter* newsletter = newsletters.find(id);
        if (newsletter == nullptr || !is_paused(subscription)) continue;
        offers.push_back(
            {id, newsletter->slug, newsletter->name(one.letter.locale), true, subscription->paused_until});
    }
    return offers;
}

std::vector<Offer> offers_of(const Case& one, const std::vector<Request>& requests,
                             const Newsletters& newsletters) {
    if (one.resumes()) return pauses_of(one, newsletters);
    std::vector<Offer> offers;
    for (const Request& request : requests) {
        // Asked for by whoever asked first, and named in the letter that she reads.
        const bool hers = request.letter == one.letter.id && request.network == one.first_network;
        for (const Wish& wish : request.wishes) {
            const Subscription* subscription = find_subscription(one.subscriptions, wish.newsletter);
            const bool paused = is_paused(subscription);
            if (!paused && !pending(request, wish, one.subscriptions)) continue;
            const Newsletter* newsletter = newsletters.find(wish.newsletter);
            if (newsletter == nullptr) continue;
            const auto same = std::find_if(offers.begin(), offers.end(), [&](const Offer& offer) {
                return offer.newsletter == wish.newsletter;
            });
            if (same == offers.end()) {
                offers.push_back({newsletter->id, newsletter->slug, newsletter->name(one.letter.locale), hers,
                                  paused ? subscription->paused_until : std::nullopt, !hers});
            } else if (hers) {
                same->ticked = true;
                same->elsewhere = false;
            }
        }
    }
    // Hers first; otherwise in the order in which they were asked for.
    std::stable_partition(offers.begin(), offers.end(), [](const Offer& offer) { return offer.ticked; });
    return offers;
}

ConfirmationView view_of(Reader& reader, const Case& one, const std::vector<Request>& requests, TimeMs now) {
    const auto newsletters = reader.newsletters();
    ConfirmationView view;
    view.locale = one.letter.locale;
    view.masked_address = masked(one.person.address);
    view.offers = offers_of(one, requests, *newsletters);
    view.receives = std::any_of(one.subscriptions.begin(), one.subscriptions.end(), is_received);
    for (const Id id : one.letter.newsletters) {
        const Subscription* subscription = find_subscription(one.subscriptions, id);
        const Newsletter* newsletter = newsletters->find(id);
        if (subscription == nullptr || newsletter == nullptr) continue;
        if (is_received(*subscription)) {
            view.has.push_back({newsletter->name(view.locale),
                                is_paused(subscription) ? subscription->paused_until : std::nullopt});
            view.confirmed_at = std::max(view.confirmed_at, subscription->confirmed_at);
        } else if (subscription->status == SubscriptionStatus::unsubscribed &&
                   subscription->unsubscribed_at && subscription->confirmed_at >= one.letter.created_at) {
            view.left.push_back(
                {newsletter->slug, newsletter->name(view.locale), *subscription->unsubscribed_at});
        }
    }
    const bool declined = std::any_of(one.requests.begin(), one.requests.end(), [&](const Request& request) {
        return request.letter == one.letter.id && request.state == RequestState::declined;
    });
    view.resumes = one.resumes();
    view.can_resend =
        !view.resumes && std::any_of(one.requests.begin(), one.requests.end(), [&](const Request& request) {
            return pending(request, one.subscriptions);
        });
    if (!one.dead(now) && !view.offers.empty()) {
        view.kind = ConfirmationView::Kind::open;
    } else if (!view.has.empty() && !(view.resumes && !view.offers.empty())) {
        view.kind = ConfirmationView::Kind::confirmed;
    } else if (!view.left.empty() && !view.can_resend) {
        view.kind = ConfirmationView::Kind::left;
    } else if (declined) {
        view.kind = ConfirmationView::Kind::declined;
    } else {
        view.kind = ConfirmationView::Kind::expired;
    }
    if (view.kind != ConfirmationView::Kind::open) view.offers.clear();
    return view;
}

std::string list_json(const Newsletters& newsletters, const std::vector<Id>& ids) {
    std::string out;
    for (const Id id : ids) {
        if (!out.empty()) out += ',';
        out += newsletter_json(newsletters, id);
    }
    return "[" + out + "]";
}

// The part of the typed fields that this newsletter asks for.
std::string fields_for(const Newsletter* newsletter, const std::string& typed) {
    if (newsletter == nullptr || typed.empty()) return {};
    const boost::json::value all = boost::json::parse(typed);
    boost::json::object kept;
    for (const FieldRule& rule : newsletter->fields()) {
        if (const auto* value = all.as_object().if_contains(rule.name)) kept[rule.name] = *value;
    }
    return kept.empty() ? std::string() : boost::json::serialize(kept);
}

bool contains(const std::vector<Id>& ids, Id id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// The wishes of a request that are still hers to confirm.
std::vector<Id> pending_wishes(const Request& request, const std::vector<Subscription>& subscriptions) {
    std::vector<Id> out;
    for (const Wish& wish : request.wishes) {
        if (pending(request, wish, subscriptions)) out.push_back(wish.newsletter);
    }
    return out;
}

bool asks_for_any(const Request& request, const std::vector<Id>& newsletters) {
    return std::any_of(request.wishes.begin(), request.wishes.end(),
                       [&](const Wish& wish) { return contains(newsletters, wish.newsletter); });
}

// Makes her a subscriber of `yes`, which `requests` asked for. What was typed becomes hers if it came from
// `network`: a stranger's words do not.
void grant(Transaction& tx, Person& person, std::vector<Subscription> subscriptions, const Letter& letter,
           std::vector<Request> requests, const std::string& network, const std::vector<Id>& yes,
           std::string_view method, const Client& client, const Rules& rules, TimeMs now, Nonces& nonces) {
    const auto newsletters = tx.newsletters();
    for (Subscription& subscription : subscriptions) {
        if (!contains(yes, subscription.newsletter)) continue;
        // The request that she confirms here: her own before others', the latest of several.
        const Request* chosen = nullptr;
        for (const Request& request : requests) {
            const bool own = request.network == network;
            if (asks_for_any(request, {subscription.newsletter}) &&
                (chosen == nullptr || own || chosen->network != network))
                chosen = &request;
        }
        subscription.status = SubscriptionStatus::confirmed;
        subscription.confirmed_at = now;
        subscription.unsubscribed_at.reset();
        subscription.paused_until.reset();  // of a time before she left
        if (chosen != nullptr) {
            subscription.signed_up_at = chosen->asked_at;
            subscription.source = chosen->source;
            subscription.form = chosen->form;
            subscription.fields = fields_for(newsletters->find(subscription.newsletter), chosen->fields);
        }
        tx.update(subscription);
    }

    std::string confirmed_requests;
    for (Request& request : requests) {
        if (!asks_for_any(request, yes)) continue;
        request.state = RequestState::confirmed;
        tx.update(request);
        if (!confirmed_requests.empty()) confirmed_requests += ',';
        confirmed_requests += std::to_string(request.id);
        if (request.network != network) continue;
        person.locale = request.locale;
        if (!request.name.empty()) person.name = request.name;
    }
    for (Request& other : tx.requests_of(person.id)) {
        const bool has_it_all = std::all_of(other.wishes.begin(), other.wishes.end(), [&](const Wish& wish) {
            const Subscription* one = find_subscription(subscriptions, wish.newsletter);
            return one != nullptr && one->status == SubscriptionStatus::confirmed;
        });
        if (other.state != RequestState::open || !has_it_all) continue;
        other.state = RequestState::already;
        tx.update(other);
    }
    if (!person.proven_at) person.proven_at = now;
    tx.update(person);
    tx.set_budget(person.abuse_key, {});

    EventDraft event;
    event.kind = EventKind::confirmed;
    event.person = person.id;
    event.details = fmt::format(
        R"({{"newsletters":{},"requests":[{}],"letter":{},"message_id":{},"method":"{}"}})",
        list_json(*newsletters, yes), confirmed_requests, letter.id, json_string(letter.message_id), method);
    event.identity =
        fmt::format(R"({{"address":{},"name":{}}})", json_string(person.address), json_string(person.name));
    event.evidence = evidence_json(client.ip, client.user_agent);
    record(tx, rules.keys, std::move(event), now, nonces);
    enqueue_welcome(tx, person, yes, rules, now, nonces);
    cancel_idle_letters(tx, person.id);
}

void end_pauses(Transaction& tx, const Person& person, const std::vector<Subscription>& subscriptions,
                const std::vector<Id>& newsletters, std::string_view method, const Client& client,
                const Rules& rules, TimeMs now, Nonces& nonces) {
    for (const Id id : newsletters)
        resume(tx, person, *find_subscription(subscriptions, id), method, client, rules, now, nonces);
}

// A scanner is there as the letter arrives, a person later.
constexpr DurationMs machine_pace = 5 * second_ms;
constexpr DurationMs suspicion = 3 * minute_ms;

bool like_a_machine(const Letter& letter, const Press& press, TimeMs now) {
    const TimeMs handed_over = letter.sent_at.value_or(
        letter.leased_at.value_or(letter.first_leased_at.value_or(letter.created_at)));
    // Not recorded as sent, it is on its way, past machines only; or, if its mailer died or its connection
    // was lost at the end, nobody ever says so, and she must not wait for that for ever.
    const bool arriving = now < handed_over + (letter.sent_at ? machine_pace : suspicion);
    if (press.asked_again || arriving) return arriving;
    return !letter.sent_at || press.in_a_crowd || (letter.suspect && now < handed_over + suspicion);
}

void tell_confirmed(ConfirmationOutcome& outcome, const Newsletters& newsletters, TimeMs now) {
    outcome.view.kind = ConfirmationView::Kind::confirmed;
    outcome.view.offers.clear();
    outcome.view.confirmed_at = now;
    outcome.view.has.clear();
    for (const Id id : outcome.confirmed_now) {
        const Newsletter* one = newsletters.find(id);
        if (one != nullptr) outcome.view.has.push_back({one->name(outcome.view.locale), {}});
    }
    const Newsletter* first = newsletters.find(outcome.confirmed_now.front());
    if (first != nullptr) outcome.thanks_url = first->setting("thanks_url", outcome.view.locale);
}

}  // namespace

ConfirmationView show_confirmation(Reader& reader, std::string_view token, const Rules& rules, TimeMs now) {
    const auto one = open_case(reader, token, rules);
    if (!one) return {};
    return view_of(reader, *one, offered(reader, *one, rules, now), now);
}

ConfirmationOutcome confirm(Transaction& tx, std::string_view token, const Press& press, const Client& client,
                            const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    ConfirmationOutcome outcome;
    auto one = open_case(tx, token, rules);
    if (!one) return outcome;
    std::vector<Request> requests = offered(tx, *one, rules, now);
    outcome.view = view_of(tx, *one, requests, now);
    if (outcome.view.kind != ConfirmationView::Kind::open) return outcome;

    std::vector<Id> confirmed_now;
    std::vector<Id> resumed_now;
    std::vector<Id> declined_now;
    for (const Offer& offer : outcome.view.offers) {
        const bool yes = contains(press.ticked, offer.newsletter);
        if (offer.paused_until) {
            if (yes) resumed_now.push_back(offer.newsletter);
        } else {
            (yes ? confirmed_now : declined_now).push_back(offer.newsletter);
        }
    }
    if (confirmed_now.empty() && resumed_now.empty())
        return outcome;  // a slip of the finger is no answer; the page comes again
    if (like_a_machine(one->letter, press, now)) {
        outcome.ask_once_more = true;
        // What she ticked on the first page comes ticked on the second.
        for (Offer& offer : outcome.view.offers) offer.ticked = contains(press.ticked, offer.newsletter);
        if (one->letter.suspect) return outcome;
        one->letter.suspect = true;
        tx.update(one->letter);
        return outcome;
    }

    for (Subscription& subscription : one->subscriptions) {
        if (!contains(declined_now, subscription.newsletter) ||
            subscription.status != SubscriptionStatus::pending)
            continue;
        subscription.status = SubscriptionStatus::unsubscribed;
        subscription.unsubscribed_at = now;
        tx.update(subscription);
    }
    for (Request& request : requests) {
        if (asks_for_any(request, confirmed_now)) continue;
        request.state = RequestState::declined;
        tx.update(request);
    }
    Nonces nonces(moment.seed);
    end_pauses(tx, one->person, one->subscriptions, resumed_now, "link", client, rules, now, nonces);
    if (!confirmed_now.empty())
        grant(tx, one->person, one->subscriptions, one->letter, requests, one->first_network, confirmed_now,
              "link", client, rules, now, nonces);
    const auto newsletters = tx.newsletters();
    if (!declined_now.empty()) {
        EventDraft no;
        no.kind = EventKind::declined;
        no.person = one->person.id;
        no.details = fmt::format(R"({{"newsletters":{},"letter":{},"method":"unticked"}})",
                                 list_json(*newsletters, declined_now), one->letter.id);
        no.identity = fmt::format(R"({{"address":{}}})", json_string(one->person.address));
        no.evidence = evidence_json(client.ip, client.user_agent);
        record(tx, rules.keys, std::move(no), now, nonces);
    }
    outcome.confirmed_now = std::move(confirmed_now);
    outcome.confirmed_now.insert(outcome.confirmed_now.end(), resumed_now.begin(), resumed_now.end());
    tell_confirmed(outcome, *newsletters, now);
    return outcome;
}

ConfirmationOutcome confirm_by_browser(Transaction& tx, std::string_view token, std::string_view secret,
                                       const Client& client, const Rules& rules, const Moment& moment) {
    ConfirmationOutcome outcome;
    auto one = open_case(tx, token, rules);
    if (!one) return outcome;
    outcome.view = view_of(tx, *one, offered(tx, *one, rules, moment.now), moment.now);
    if (outcome.view.kind != ConfirmationView::Kind::open) return outcome;

    const Digest shown = sha256(secret);
    const Request* own = nullptr;
    for (const Request& request : one->requests) {
        const auto kept = from_hex(request.browser);
        if (request.letter == one->letter.id && kept && equal_in_constant_time(*kept, shown)) own = &request;
    }
    if (own == nullptr) return outcome;
    outcome.confirmed_now =
        confirm_request(tx, one->person, one->letter, *own, "browser", client, rules, moment);
    if (outcome.confirmed_now.empty()) return outcome;
    tell_confirmed(outcome, *tx.newsletters(), moment.now);
    // What was asked for elsewhere is still hers to answer.
    ConfirmationView rest = show_confirmation(tx, token, rules, moment.now);
    if (rest.kind == ConfirmationView::Kind::open) {
        outcome.view.kind = rest.kind;
        outcome.view.offers = std::move(rest.offers);
    }
    return outcome;
}

std::vector<Id> confirm_request(Transaction& tx, Person person, const Letter& letter, const Request& request,
                                std::string_view method, const Client& client, const Rules& rules,
                                const Moment& moment) {
    std::vector<Subscription> subscriptions = tx.subscriptions_of(person.id);
    std::vector<Id> yes = pending_wishes(request, subscriptions);
    std::vector<Id> paused;
    for (const Wish& wish : request.wishes)
        if (is_paused(find_subscription(subscriptions, wish.newsletter))) paused.push_back(wish.newsletter);
    Nonces nonces(moment.seed);
    end_pauses(tx, person, subscriptions, paused, method, client, rules, moment.now, nonces);
    if (!yes.empty())
        grant(tx, person, std::move(subscriptions), letter, {request}, request.network, yes, method, client,
              rules, moment.now, nonces);
    yes.insert(yes.end(), paused.begin(), paused.end());
    return yes;
}

FreshLetter send_fresh_letter(Transaction& tx, std::string_view token, const Client& client,
                              const Rules& rules, const Moment& moment) {
    const auto one = open_case(tx, token, rules);
    if (!one || one->resumes()) return FreshLetter::unknown;
    switch (resend(tx, one->person.id, client_network(client.ip), false, rules, moment)) {
        case Resent::queued:
        case Resent::sooner:
        case Resent::under_way:
        case Resent::waits_for_budget:
        case Resent::suppressed:
            return FreshLetter::on_its_way;  // which one, is not the link holder's business
        case Resent::nothing_pending:
            return FreshLetter::nothing_pending;
    }
    return FreshLetter::nothing_pending;
}

NotMe not_me(Transaction& tx, std::string_view token, const Client& client, const Rules& rules,
             const Moment& moment) {
    auto one = open_case(tx, token, rules);
    if (!one || one->resumes()) return NotMe::unknown;
    decline(tx, std::move(one->person), one->letter.id, client, rules, moment);
    return NotMe::done;
}

void decline(Transaction& tx, Person person, Id letter, const Client& client, const Rules& rules,
             const Moment& moment) {
    const TimeMs now = moment.now;
    std::vector<Request> requests = tx.requests_of(person.id);
    std::vector<Subscription> subscriptions = tx.subscriptions_of(person.id);

    Suppression wish = suppression_keys(rules.keys, person.addr_key).front();
    wish.reason = SuppressionReason::not_me;
    wish.at = now;
    const std::vector<Suppression> known = tx.suppressions(wish.key);
    const bool said_before = std::any_of(known.begin(), known.end(), [](const Suppression& other) {
        return other.reason == SuppressionReason::not_me;
    });

    std::vector<Id> declined_now;
    for (const Request& request : requests) {
        for (const Wish& wanted : request.wishes) {
            if (pending(request, wanted, subscriptions) && !contains(declined_now, wanted.newsletter)) {
                declined_now.push_back(wanted.newsletter);
            }
        }
    }
    if (said_before && declined_now.empty()) return;

    for (Request& request : requests) {
        if (request.state != RequestState::open) continue;
        request.state = RequestState::declined;
        tx.update(request);
    }
    for (Subscription& subscription : subscriptions) {
        if (subscription.status != SubscriptionStatus::pending) continue;
        subscription.status = SubscriptionStatus::unsubscribed;
        subscription.unsubscribed_at = now;
        tx.update(subscription);
    }
    cancel_idle_letters(tx, person.id);
    ++person.generation;
    tx.update(person);

    Nonces nonces(moment.seed);
    const auto newsletters = tx.newsletters();
    const std::string identity = fmt::format(R"({{"address":{}}})", json_string(person.address));
    const std::string evidence = evidence_json(client.ip, client.user_agent);
    record(tx, rules.keys,
           {EventKind::declined, person.id,
            fmt::format(R"({{"newsletters":{},"letter":{},"method":"not_me"}})",
                        list_json(*newsletters, declined_now), letter),
            identity, evidence},
           now, nonces);
    if (said_before) return;
    keep_suppression(tx, wish);
    record(tx, rules.keys, {EventKind::suppressed, person.id, R"({"reason":"not_me"})", identity, evidence},
           now, nonces);
}

std::string masked(std::string_view address) {
    const std::size_t at = address.rfind('@');
    if (at == address.npos || at == 0) return "•••";
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(address.data());
    const int first = std::max(1, u8_mblen(bytes, at));
    std::string out(address.substr(0, static_cast<std::size_t>(first)));
    out += "•••";
    if (static_cast<std::size_t>(first) < at) {
        // The last character, but not of a name of two: that would tell all of it.
        ucs4_t character = 0;
        const std::uint8_t* last = u8_prev(&character, bytes + at, bytes);
        if (last != nullptr && last > bytes + first) {
            out.append(reinterpret_cast<const char*>(last), static_cast<std::size_t>(bytes + at - last));
        }
    }
    out += address.substr(at);
    return out;
}

}  // namespace zgoda::service
