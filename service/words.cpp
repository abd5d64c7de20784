#include "service/words.h"

#include <array>
#include <cstddef>
#include <iterator>
#include <span>

namespace zgoda::service {
namespace {

// In the order of the enumerators.
constexpr std::string_view subscription_statuses[] = {
    "pending", "confirmed", "paused", "unsubscribed", "undeliverable", "bounced", "complained"};
constexpr std::string_view letter_kinds[] = {
    "confirmation", "already_subscribed", "preference_link", "address_change", "welcome", "goodbye"};
constexpr std::string_view letter_states[] = {"queued",  "leased",    "sent",    "deferred",
                                              "refused", "uncertain", "expired", "cancelled"};
constexpr std::string_view event_kinds[] = {
    "signup_requested",  "letter_sent", "letter_refused", "confirmed",       "declined", "withdrawn",
    "withdrawal_undone", "paused",      "resumed",        "address_changed", "imported", "import_undone",
    "bounced",           "complained",  "suppressed",     "unsuppressed",    "lapsed",   "erased"};
constexpr std::string_view suppression_reasons[] = {"complaint",   "not_me", "never_again",
                                                    "hard_bounce", "admin",  "erased"};
constexpr std::string_view request_states[] = {"open",       "confirmed", "declined", "lapsed",
                                               "suppressed", "honeypot",  "already",  "withdrawn"};

constexpr std::string_view scopes[] = {"newsletters:read",   "newsletters:write",   "subscribers:read",
                                       "subscribers:write",  "subscribers:confirm", "subscribers:erase",
                                       "subscribers:export", "signup:write",        "suppressions:write",
                                       "stats:read"};

constexpr std::string_view import_states[] = {"running", "done", "undoing", "undone"};

template <class Enum>
std::optional<Enum> find(std::span<const std::string_view> words, std::string_view word) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == word) return static_cast<Enum>(i);
    }
    return std::nullopt;
}

}  // namespace

std::string_view word(SubscriptionStatus value) {
    return subscription_statuses[static_cast<std::size_t>(value)];
}
std::string_view word(LetterKind value) {
    return letter_kinds[static_cast<std::size_t>(value)];
}
std::string_view word(LetterState value) {
    return letter_states[static_cast<std::size_t>(value)];
}
std::string_view word(EventKind value) {
    return event_kinds[static_cast<std::size_t>(value)];
}
std::string_view word(SuppressionReason value) {
    return suppression_reasons[static_cast<std::size_t>(value)];
}
std::string_view word(RequestState value) {
    return request_states[static_cast<std::size_t>(value)];
}

std::string_view word(ImportState value) {
    return import_states[static_cast<std::size_t>(value)];
}

std::string_view word(TokenScope value) {
    return scopes[static_cast<std::size_t>(value)];
}

std::optional<SubscriptionStatus> parse_subscription_status(std::string_view text) {
    return find<SubscriptionStatus>(subscription_statuses, text);
}
std::optional<LetterKind> parse_letter_kind(std::string_view text) {
    return find<LetterKind>(letter_kinds, text);
}
std::optional<LetterState> parse_letter_state(std::string_view text) {
    return find<LetterState>(letter_states, text);
}
std::optional<EventKind> parse_event_kind(std::string_view text) {
    return find<EventKind>(event_kinds, text);
}
std::optional<SuppressionReason> parse_suppression_reason(std::string_view text) {
    return find<SuppressionReason>(suppression_reasons, text);
}
std::optional<RequestState> parse_request_state(std::string_view text) {
    return find<RequestState>(request_states, text);
}
std::optional<TokenScope> parse_scope(std::string_view text) {
    return find<TokenScope>(scopes, text);
}
std::span<const std::string_view> scope_words() {
    return scopes;
}

}  // namespace zgoda::service
