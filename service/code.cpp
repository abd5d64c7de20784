#include "service/code.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/confirmation.h"
#include "service/keyring.h"
#include "service/pending.h"

namespace zgoda::service {
namespace {

constexpr DurationMs code_life = 30 * minute_ms;
constexpr int tries = 5;
constexpr std::size_t wrong_a_day = 20;  // for one abuse_key

std::string digits_of(std::string_view typed) {
    std::string out;
    for (const char c : typed.substr(0, 64)) {
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') out += c;
    }
    return out;
}

std::span<const std::uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string confirmation_code(Id letter, int key_id, const Keyring& keys) {
    const Digest* key = keys.key(key_id, KeyUse::code);
    if (key == nullptr) key = keys.key(keys.newest(), KeyUse::code);
    const Digest digest = hmac(*key, std::to_string(letter));
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 8; ++i) number = number << 8 | digest[i];
    return fmt::format("{:06}", number % 1'000'000);
}

CodeOutcome try_code(Transaction& tx, const Ticket& ticket, std::string_view typed, const Client& client,
                     const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    CodeOutcome outcome;
    const auto person = tx.person(ticket.person);
    if (!person) return outcome;
    const std::vector<Request> requests = tx.requests_of(person->id);
    const auto letter = ticket.letter == 0 ? std::nullopt : tx.letter(ticket.letter);

    TimeMs asked_at = ticket.issued_at;
    const Request* own = nullptr;
    for (const Request& request : requests) {
        if (request.id == ticket.slot) asked_at = request.asked_at;
        if (request.asked_at == ticket.issued_at) own = &request;
    }
    const bool leased = letter && letter->first_leased_at;
    // Whoever has the right code has it from her mailbox. Everybody else is told what follows from the time
    // of the signup, and from the counts: of the slot, and of the letter itself if it waited for so long that
    // several slots share it.
    const bool alive = leased && now <= *letter->first_leased_at + code_life;
    const bool seems_alive = now <= asked_at + longest_delay(tx) + code_life;
    const int wrong =
        std::max(tx.wrong_codes(-ticket.slot), ticket.letter == 0 ? 0 : tx.wrong_codes(ticket.letter));
    if (wrong >= tries) return outcome;

    const std::string mailbox = "code:" + person->abuse_key;
    std::vector<BudgetEntry> today = tx.budget(mailbox);
    std::erase_if(today, [now](const BudgetEntry& entry) { return entry.at + day_ms <= now; });
    if (today.size() >= wrong_a_day) {
        outcome.kind = CodeOutcome::Kind::too_many;
        outcome.retry_after = today.front().at + day_ms - now;
        return outcome;
    }

    const std::string code =
        confirmation_code(ticket.letter, leased ? letter->key_id : rules.keys.newest(), rules.keys);
    const bool equal = equal_in_constant_time(bytes(code), bytes(digits_of(typed)));
    if (!equal || !leased || letter->kind != LetterKind::confirmation) {
        // In the same unit of work as the comparison: no answer leaves before its try is counted.
        tx.set_wrong_codes(-ticket.slot, wrong + 1);
        if (ticket.letter != 0) tx.set_wrong_codes(ticket.letter, wrong + 1);
        today.push_back({now, 0});
        tx.set_budget(mailbox, today);
        if (!seems_alive) return outcome;
        outcome.kind = CodeOutcome::Kind::wrong;
        outcome.tries_left = tries - wrong - 1;
        return outcome;
    }

    // From here on it is she, and may be told what became of it.
    if (!alive) return outcome;
    if (own == nullptr || ticket.generation != person->generation) return outcome;
    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person->id);
    const bool has_some = std::any_of(own->wishes.begin(), own->wishes.end(), [&](const Wish& wish) {
        const Subscription* one = find_subscription(subscriptions, wish.newsletter);
        return one != nullptr &&
               (one->status == SubscriptionStatus::confirmed || one->status == SubscriptionStatus::paused);
    });
    if (!confirm_request(tx, *person, *letter, *own, "code", client, rules, moment).empty() || has_some)
        outcome.kind = CodeOutcome::Kind::confirmed;
    return outcome;
}

}  // namespace zgoda::service
