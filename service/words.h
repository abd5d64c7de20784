// The words that code, database, API, command line and pages share, each list once.
//
// word() gives the spelling that is stored and shown to programs; parse_*() takes exactly that spelling back.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace zgoda::service {

enum class SubscriptionStatus : std::uint8_t {
    pending,        // asked, not proven
    confirmed,      // proven by her own click
    paused,         // confirmed, silent until a date
    unsubscribed,   // she left; only her own new, proven signup brings her back
    undeliverable,  // never proven, its letter was refused for good
    bounced,        // proven once, later refused
    complained,
};

enum class LetterKind : std::uint8_t {
    confirmation,
    already_subscribed,
    preference_link,
    address_change,
    welcome,
    goodbye,
};
// What goes first, among letters that are due: 0 confirmations, 1 what else somebody waits for, 2 the rest.
constexpr int rank(LetterKind kind) {
    if (kind == LetterKind::confirmation) return 0;
    return kind != LetterKind::welcome && kind != LetterKind::goodbye ? 1 : 2;
}

enum class LetterState : std::uint8_t {
    queued,
    leased,
    sent,
    deferred,   // due again at
    refused,    // by the server, for good
    uncertain,  // connection lost after the final dot; due again, same Message-ID
    expired,    // its time ran out
    cancelled,
};

enum class EventKind : std::uint8_t {
    signup_requested,
    letter_sent,
    letter_refused,
    confirmed,
    declined,
    withdrawn,
    withdrawal_undone,
    paused,
    resumed,
    address_changed,
    imported,
    import_undone,
    bounced,
    complained,
    suppressed,
    unsuppressed,
    lapsed,
    erased,
};

enum class SuppressionReason : std::uint8_t {
    complaint,
    not_me,
    never_again,
    hard_bounce,
    admin,
    erased,  // refuses imports only
};

// What became of a request, the wish that one form post expressed.
enum class RequestState : std::uint8_t {
    open,        // waits for her answer
    confirmed,   // she confirmed at least one of its newsletters
    declined,    // she said no, or it was not her
    lapsed,      // no letter could be sent for it within its time
    suppressed,  // no letter goes to this person
    honeypot,    // the trap field was filled in: taken for a bot
    already,     // nothing to confirm: subscribed to all of it
    withdrawn,   // she left before she confirmed
};

// How far an import is.
enum class ImportState : std::uint8_t {
    running,  // or killed: it goes on where it was, or is undone
    done,
    undoing,
    undone,
};

// What a token of the admin API may do (service/admin_token.h).
enum class TokenScope : std::uint8_t {
    newsletters_read,
    newsletters_write,
    subscribers_read,
    subscribers_write,
    subscribers_confirm,
    subscribers_erase,
    subscribers_export,
    signup_write,
    suppressions_write,
    stats_read,
};

std::string_view word(SubscriptionStatus);
std::string_view word(LetterKind);
std::string_view word(LetterState);
std::string_view word(EventKind);
std::string_view word(SuppressionReason);
std::string_view word(RequestState);
std::string_view word(ImportState);
std::string_view word(TokenScope);

std::optional<SubscriptionStatus> parse_subscription_status(std::string_view);
std::optional<LetterKind> parse_letter_kind(std::string_view);
std::optional<LetterState> parse_letter_state(std::string_view);
std::optional<EventKind> parse_event_kind(std::string_view);
std::optional<SuppressionReason> parse_suppression_reason(std::string_view);
std::optional<RequestState> parse_request_state(std::string_view);
std::optional<TokenScope> parse_scope(std::string_view);
std::span<const std::string_view> scope_words();

}  // namespace zgoda::service
