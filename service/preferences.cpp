#include "service/preferences.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/budget.h"
#include "service/confirmation.h"
#include "service/ledger.h"
#include "service/pending.h"
#include "service/withdrawal.h"

namespace zgoda::service {
namespace {

constexpr std::size_t sweep_limit = 500;

bool is_received(const Subscription* subscription) {
    return subscription != nullptr && (subscription->status == SubscriptionStatus::confirmed ||
                                       subscription->status == SubscriptionStatus::paused);
}

bool asks_fields(const Newsletter& newsletter) {
    const auto fields = newsletter.fields();
    return std::any_of(fields.begin(), fields.end(), [](const FieldRule& rule) { return rule.required; });
}

// The wording of this id, if it is this newsletter's: as it is now in any language, or as it was once agreed
// to.
std::optional<Wording> stated_wording(Reader& reader, const Newsletter& newsletter, const std::string& id,
                                      const Rules& rules) {
    for (const std::string& locale : rules.texts.locales()) {
        Wording wording = wording_of(newsletter, locale, rules.texts.text(locale, "form.consent"));
        if (wording.id == id) return wording;
    }
    auto kept = reader.wording(id);
    return kept && kept->newsletter == newsletter.id ? kept : std::nullopt;
}

EventDraft event_of(EventKind kind, const Person& person, std::string details, const Client& client) {
    return {kind, person.id, std::move(details),
            fmt::format(R"({{"address":{}}})", json_string(person.address)),
            evidence_json(client.ip, client.user_agent)};
}

// One newsletter to join, and the wording that she saw.
struct Joining {
    const Newsletter* newsletter;
    Wording wording;
};

void join(Transaction& tx, Person& person, const std::vector<Joining>& all, const Client& client,
          const Rules& rules, TimeMs now, Nonces& nonces) {
    const std::vector<Subscription> before = tx.subscriptions_of(person.id);
    std::vector<Id> joined;
    std::string list;
    for (const auto& [newsletter, wording] : all) {
        const Subscription* known = find_subscription(before, newsletter->id);
        Subscription one = known == nullptr ? Subscription{} : *known;
        one.status = SubscriptionStatus::confirmed;
        one.signed_up_at = now;
        one.confirmed_at = now;
        one.unsubscribed_at.reset();
        one.paused_until.reset();
        one.source.clear();
        one.form = "preferences";
        if (known == nullptr) {
            one.id = tx.new_id();
            one.person = person.id;
            one.newsletter = newsletter->id;
            tx.add(one);
        } else {
            tx.update(one);
        }
        tx.keep(wording);
        joined.push_back(newsletter->id);
        if (!list.empty()) list += ',';
        list += fmt::format(R"({{"id":{},"slug":{},"wording":{}}})", newsletter->id,
                            json_string(newsletter->slug), json_string(wording.id));
    }
    if (!person.proven_at) person.proven_at = now;  // the link reached her, and nobody else
    tx.update(person);
    record(tx, rules.keys,
           event_of(EventKind::confirmed, person,
                    fmt::format(R"({{"newsletters":[{}],"method":"preferences"}})", list), client),
           now, nonces);

    // What she was asked for in vain is answered by this.
    const std::vector<Subscription> after = tx.subscriptions_of(person.id);
    for (Request& request : tx.requests_of(person.id)) {
        const bool named = std::any_of(request.wishes.begin(), request.wishes.end(), [&](const Wish& wish) {
            return std::find(joined.begin(), joined.end(), wish.newsletter) != joined.end();
        });
        if (request.state != RequestState::open || !named || pending(request, after)) continue;
        request.state = RequestState::confirmed;
        tx.update(request);
    }
    cancel_idle_letters(tx, person.id);
    enqueue_welcome(tx, person, joined, rules, now, nonces);
}

void pause(Transaction& tx, const Person& person, Subscription one, int weeks, const Client& client,
           const Rules& rules, TimeMs now, Nonces& nonces) {
    const TimeMs until = now + DurationMs{7} * weeks * day_ms;
    // The same button twice is one pause.
    if (one.paused_until && *one.paused_until <= until && until < *one.paused_until + day_ms) return;
    one.status = SubscriptionStatus::paused;
    one.paused_until = until;
    tx.update(one);
    record(tx, rules.keys,
           event_of(EventKind::paused, person,
                    fmt::format(R"({{"newsletters":[{}],"until":"{}","method":"preferences"}})",
                                newsletter_json(*tx.newsletters(), one.newsletter), rfc3339(until)),
                    client),
           now, nonces);
}

}  // namespace

std::string preferences_token(const Person& person, const Letter& letter, const Rules& rules) {
    Token token;
    token.purpose = TokenPurpose::preferences;
    token.a = person.id;
    token.b = letter.id;
    token.generation = person.generation;
    token.expires_at = letter.expires_at.value_or(letter.created_at + preferences_life);
    return sign(token, rules.keys, letter.key_id);
}

void send_preference_link(Transaction& tx, const EmailAddress& address, const Client& client,
                          const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    Nonces nonces(moment.seed);
    tx.new_id();  // so that something is committed for every address, within the budget or not

    const std::string key = "preferences:" + address.abuse_key;
    const std::string network = client_network(client.ip);
    const std::uint64_t cause = network_hash(rules.keys, network);
    const auto history = tx.budget(key);
    if (next_allowed(history, rules.preference_links, cause, now) > now) return;
    if (!rules.preference_links.empty())
        tx.set_budget(key, spend(history, rules.preference_links, cause, now));

    const auto person = tx.person_by_key(address.addr_key);
    if (!person || tx.subscriptions_of(person->id).empty()) return;
    if (suppressed(tx, person->addr_key, rules.keys, now)) return;
    if (tx.open_letter(person->id, LetterKind::preference_link)) return;
    Letter letter =
        enqueue_over_budget(tx, *person, LetterKind::preference_link, person->locale, rules, now, nonces);
    letter.network = network;
    tx.add(letter);
}

PreferencesCase open_preferences(Reader& reader, std::string_view text, const Rules& rules, TimeMs now) {
    const auto token = verify(text, TokenPurpose::preferences, rules.keys);
    if (!token) return {};
    auto person = reader.person(token->a);
    if (!person) return {};
    const bool dead = expired(*token, now) || token->generation != person->generation;
    return {dead ? PreferencesCase::Kind::expired : PreferencesCase::Kind::open, *token, std::move(*person)};
}

PreferencesView show_preferences(Reader& reader, std::string_view token, const Rules& rules, TimeMs now) {
    const PreferencesCase one = open_preferences(reader, token, rules, now);
    PreferencesView view;
    view.kind = one.kind;
    view.locale = one.person.locale;
    if (one.kind != PreferencesCase::Kind::open) return view;
    view.masked_address = masked(one.person.address);
    const std::vector<Subscription> subscriptions = reader.subscriptions_of(one.person.id);
    const auto newsletters = reader.newsletters();
    for (const Newsletter& newsletter : newsletters->all()) {
        const Subscription* subscription = find_subscription(subscriptions, newsletter.id);
        const bool received = is_received(subscription);
        const bool offered = newsletter.open && (newsletter.listed() || subscription != nullptr);
        if (!received && !offered) continue;
        PreferencesView::Item item;
        item.newsletter = newsletter.id;
        item.slug = newsletter.slug;
        item.name = newsletter.name(view.locale);
        item.description = newsletter.description(view.locale);
        item.received = received;
        if (received && subscription->status == SubscriptionStatus::paused)
            item.paused_until = subscription->paused_until;
        item.asks_fields = asks_fields(newsletter);
        item.wording = wording_of(newsletter, view.locale, rules.texts.text(view.locale, "form.consent"));
        view.items.push_back(std::move(item));
    }
    std::stable_partition(view.items.begin(), view.items.end(),
                          [](const PreferencesView::Item& item) { return item.received; });
    return view;
}

PreferencesOutcome save_preferences(Transaction& tx, std::string_view token,
                                    const std::vector<Choice>& choices, const std::string& locale,
                                    const Client& client, const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    PreferencesCase one = open_preferences(tx, token, rules, now);
    PreferencesOutcome outcome;
    outcome.kind = one.kind;
    outcome.locale = one.person.locale;
    if (one.kind != PreferencesCase::Kind::open) return outcome;
    outcome.token = token;
    Person& person = one.person;
    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person.id);
    const auto newsletters = tx.newsletters();

    std::vector<Joining> joining;
    for (const Choice& choice : choices) {
        const Newsletter* newsletter = newsletters->find(choice.newsletter);
        if (choice.what != Choice::What::join || newsletter == nullptr || !newsletter->open) continue;
        const Subscription* known = find_subscription(subscriptions, newsletter->id);
        const bool twice = std::any_of(joining.begin(), joining.end(),
                                       [&](const Joining& other) { return other.newsletter == newsletter; });
        if (twice || is_received(known) || asks_fields(*newsletter)) continue;
        auto wording = stated_wording(tx, *newsletter, choice.wording, rules);
        if (!wording) {
            outcome.wording_changed = true;
            return outcome;
        }
        joining.push_back({newsletter, std::move(*wording)});
    }

    Nonces nonces(moment.seed);
    const std::vector<std::string> languages = rules.texts.locales();
    if (locale != person.locale && std::find(languages.begin(), languages.end(), locale) != languages.end()) {
        person.locale = locale;
        tx.update(person);
    }
    if (!joining.empty()) join(tx, person, joining, client, rules, now, nonces);
    std::vector<Id> leaving;
    for (const Choice& choice : choices) {
        const Subscription* known = find_subscription(subscriptions, choice.newsletter);
        if (!is_received(known)) continue;
        switch (choice.what) {
            case Choice::What::join:
                break;
            case Choice::What::leave:
                leaving.push_back(choice.newsletter);
                break;
            case Choice::What::pause:
                if (std::find(pause_weeks.begin(), pause_weeks.end(), choice.weeks) != pause_weeks.end())
                    pause(tx, person, *known, choice.weeks, client, rules, now, nonces);
                break;
            case Choice::What::resume:
                if (known->status == SubscriptionStatus::paused)
                    resume(tx, person, *known, "preferences", client, rules, now, nonces);
                break;
        }
    }
    if (!leaving.empty()) {
        Leaving way;
        way.way = Way::preferences;
        leave(tx, person, leaving, way, client, rules, now, nonces);
    }
    outcome.locale = person.locale;
    one.token.generation = person.generation;
    outcome.token = sign(one.token, rules.keys, rules.keys.newest());
    return outcome;
}

PreferencesCase::Kind erase_by_preferences(Transaction& tx, std::string_view token, bool never_again,
                                           const Rules& rules, const Moment& moment) {
    const PreferencesCase one = open_preferences(tx, token, rules, moment.now);
    if (one.kind == PreferencesCase::Kind::open)
        erase(tx, one.person, rules, moment, Way::preferences, never_again);
    return one.kind;
}

int resume_ended_pauses(Transaction& tx, const Rules& rules, TimeMs now, Nonces& nonces) {
    int resumed = 0;
    for (const Subscription& subscription : tx.ended_pauses(now, sweep_limit)) {
        const auto person = tx.person(subscription.person);
        if (!person) continue;
        resume(tx, *person, subscription, "time", {}, rules, now, nonces);
        ++resumed;
    }
    return resumed;
}

}  // namespace zgoda::service
