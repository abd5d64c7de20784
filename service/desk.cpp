#include "service/desk.h"

#include <fmt/format.h>
#include <unistr.h>

#include <algorithm>

#include "service/audit.h"
#include "service/pending.h"
#include "service/suppression.h"
#include "service/withdrawal.h"

namespace zgoda::service::desk {
namespace {

using Kind = NewsletterOutcome::Kind;

// nullopt: all of them are set.
std::optional<NewsletterOutcome> apply(Newsletter& newsletter, const std::vector<SettingChange>& changes,
                                       const NewsletterRules& rules) {
    for (const SettingChange& change : changes) {
        if (auto problem = set_newsletter(newsletter, change.key, change.locale, change.value, rules))
            return NewsletterOutcome{Kind::refused, {}, std::move(*problem), change.key};
    }
    // One language is enough, whichever it is.
    if (std::none_of(newsletter.settings.begin(), newsletter.settings.end(),
                     [](const auto& one) { return one.first.first == "name"; })) {
        return NewsletterOutcome{Kind::refused, {}, "name can't be empty: readers see it", "name"};
    }
    return std::nullopt;
}

std::string details_of(const Newsletter& newsletter) {
    return fmt::format(R"({{"newsletter":{},"slug":{}}})", newsletter.id, json_string(newsletter.slug));
}

// Of a suppression: her id, or none for an address that nobody here has.
std::string details_of(Reader& reader, const EmailAddress& address, const std::string& why) {
    const auto person = reader.person_by_key(address.addr_key);
    return fmt::format(R"({{"person":{},"reason":{}}})", person ? std::to_string(person->id) : "null",
                       json_string(why));
}

// Somewhere in `text`; `*` stands for anything.
bool contains(std::string_view text, std::string_view pattern) {
    std::size_t from = 0;
    while (!pattern.empty()) {
        const std::size_t star = std::min(pattern.find('*'), pattern.size());
        const std::size_t found = text.find(pattern.substr(0, star), from);
        if (found == text.npos) return false;
        from = found + star;
        pattern.remove_prefix(std::min(star + 1, pattern.size()));
    }
    return true;
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

}  // namespace

NewsletterOutcome add_newsletter(Transaction& tx, const std::string& who, const std::string& slug,
                                 const std::vector<SettingChange>& settings, const NewsletterRules& rules,
                                 TimeMs now) {
    if (auto problem = slug_problem(slug)) return {Kind::refused, {}, std::move(*problem), "slug"};
    Newsletter newsletter;
    newsletter.slug = slug;
    if (auto refused = apply(newsletter, settings, rules)) return std::move(*refused);
    if (tx.newsletters()->find(slug) != nullptr)
        return {Kind::taken, {}, fmt::format("there is a newsletter {} already", slug), "slug"};
    newsletter.id = tx.new_id();
    tx.add(newsletter);
    audit(tx, who, "newsletter add", details_of(newsletter), now);
    return {Kind::done, std::move(newsletter), {}, {}};
}

NewsletterOutcome change_newsletter(Transaction& tx, const std::string& who, std::string_view slug,
                                    const NewsletterChange& change, const NewsletterRules& rules,
                                    TimeMs now) {
    const auto all = tx.newsletters();
    const Newsletter* existing = all->find(slug);
    if (existing == nullptr) return {Kind::unknown, {}, {}, {}};
    Newsletter changed = *existing;
    std::vector<std::string> acts;
    if (!change.settings.empty()) {
        if (auto refused = apply(changed, change.settings, rules)) return std::move(*refused);
        std::string& what = acts.emplace_back("newsletter edit");
        for (const SettingChange& one : change.settings) what += " " + one.key;
    }
    if (!change.slug.empty() && change.slug != changed.slug) {
        if (auto problem = slug_problem(change.slug)) return {Kind::refused, {}, std::move(*problem), "slug"};
        const Newsletter* owner = all->find(change.slug);
        if (owner != nullptr && owner->id != changed.id) {
            return {Kind::taken,
                    {},
                    fmt::format("{} belongs to the newsletter {} already; take another slug", change.slug,
                                owner->slug),
                    "slug"};
        }
        std::erase(changed.aliases, change.slug);
        changed.aliases.push_back(changed.slug);
        changed.slug = change.slug;
        acts.emplace_back("newsletter rename");
    }
    if (change.open && *change.open != changed.open) {
        changed.open = *change.open;
        acts.emplace_back(changed.open ? "newsletter open" : "newsletter close");
    }
    if (!acts.empty()) tx.update(changed);
    for (const std::string& what : acts) audit(tx, who, what, details_of(changed), now);
    return {Kind::done, std::move(changed), {}, {}};
}

int unsubscribe(Transaction& tx, const std::string& who, const Person& person, std::optional<Id> newsletter,
                const Rules& rules, const Moment& moment) {
    const int ended = service::unsubscribe(tx, person, newsletter, rules, moment);
    if (ended > 0) {
        audit(tx, who, "subscriber unsubscribe",
              fmt::format(R"({{"person":{},"newsletter":{},"ended":{}}})", person.id,
                          newsletter ? std::to_string(*newsletter) : "null", ended),
              moment.now);
    }
    return ended;
}

std::optional<std::string> evidence_problem(std::string_view text) {
    constexpr std::size_t longest = 1000;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    if (text.find_first_not_of(" \t\r\n") == text.npos)
        return "say what proves it, as \"signed card of 3 May, folder 12\"";
    if (u8_check(bytes, text.size()) != nullptr) return "the evidence is not UTF-8";
    if (u8_mbsnlen(bytes, text.size()) > longest) return "the evidence is longer than 1,000 characters";
    return std::nullopt;
}

EvidencedOutcome confirm(Transaction& tx, const std::string& who, const Person& person,
                         std::optional<Id> newsletter, const std::string& evidence, const Rules& rules,
                         const Moment& moment) {
    EvidencedOutcome outcome = confirm_by_evidence(tx, person, newsletter, evidence, rules, moment);
    if (outcome.kind == Evidenced::confirmed) {
        audit(tx, who, "subscriber confirm",
              fmt::format(R"({{"person":{},"newsletters":[{}]}})", person.id,
                          fmt::join(outcome.newsletters, ",")),
              moment.now);
    }
    return outcome;
}

Resent resend(Transaction& tx, const std::string& who, const Person& person, bool over_budget,
              const std::string& reason, const Rules& rules, const Moment& moment) {
    const Resent resent = service::resend(tx, person.id, "", over_budget, rules, moment);
    if (resent == Resent::queued || resent == Resent::sooner || resent == Resent::waits_for_budget) {
        audit(tx, who, "subscriber resend",
              fmt::format(R"({{"person":{},"over_budget":{},"reason":{}}})", person.id, over_budget,
                          json_string(reason)),
              moment.now);
    }
    if (over_budget && resent == Resent::queued) {
        EventDraft event;
        event.kind = EventKind::unsuppressed;
        event.person = person.id;
        event.details = fmt::format(
            R"({{"by":"admin","what":"one letter over the mail budget","reason":{}}})", json_string(reason));
        Moment own = moment;  // nonces of its own: resend() draws from the same seed
        own.seed[0] = static_cast<std::uint8_t>(own.seed[0] ^ 0xFF);
        Nonces nonces(own.seed);
        record(tx, rules.keys, std::move(event), moment.now, nonces);
    }
    return resent;
}

void erase(Transaction& tx, const std::string& who, const Person& person, const Rules& rules,
           const Moment& moment) {
    service::erase(tx, person, rules, moment);
    audit(tx, who, "subscriber erase", fmt::format(R"({{"person":{}}})", person.id), moment.now);
}

bool suppress(Transaction& tx, const std::string& who, const EmailAddress& address, const std::string& why,
              const Rules& rules, const Moment& moment) {
    const bool added = service::suppress(tx, address, why, rules, moment);
    if (added) audit(tx, who, "suppress add", details_of(tx, address, why), moment.now);
    return added;
}

std::vector<SuppressionReason> lift_suppressions(Transaction& tx, const std::string& who,
                                                 const EmailAddress& address, const std::string& why,
                                                 const Rules& rules, const Moment& moment) {
    auto lifted = service::lift_suppressions(tx, address, why, rules, moment);
    if (!lifted.empty()) audit(tx, who, "suppress remove", details_of(tx, address, why), moment.now);
    return lifted;
}

Pattern::Pattern(std::string_view typed) : typed_(typed), lower_(lower(typed)) {}

bool Pattern::fits(const Person& person) const {
    return contains(person.addr_key, lower_) || contains(lower(person.address), lower_) ||
           contains(lower(person.name), lower_) || std::to_string(person.id) == typed_;
}

}  // namespace zgoda::service::desk
