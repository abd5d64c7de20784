// Leaving: by link, by one click (RFC 8058), by the preferences page, by an administrator; taking it back;
// and being forgotten.
//
// An unsubscribe is final: it raises the person's generation, which ends her open confirm tokens, appends a
// keyed hash to the withdrawals journal, and is lifted only by her own new, proven signup, or by herself
// within minutes, which the journal is told too.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "service/client.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

// In which way she left; in the ledger by its name.
enum class Way {
    page,
    one_click,
    preferences,
    admin,
    journal,  // some way or other, after the backup that was restored
};

// Why she left, if she says so: a closed set, in the ledger by its name.
enum class LeavingReason { too_many, not_interesting, never_asked, other };
std::string_view word(LeavingReason);
std::optional<LeavingReason> parse_leaving_reason(std::string_view);

struct UnsubscribeView {
    enum class Kind { unknown, subscribed, left } kind = Kind::unknown;
    std::string locale;
    std::string masked_address;
    std::string newsletter;  // its name, in the page's language
    std::optional<TimeMs> left_at;
    std::string undo_token;  // only after the page's own POST, by which she left
};

UnsubscribeView show_unsubscribe(Reader&, std::string_view token, const Rules&);

// What the unsubscribe page may say beside its button.
struct Leaving {
    Way way = Way::page;
    bool all = false;  // every newsletter of hers, whichever they are
    std::optional<LeavingReason> reason;
    TimeMs shown_at = 0;  // when the page with the button was made
};

// Leaves the newsletter that the token names. The second time changes nothing and says the same; a button
// that was pressed twice undoes as one that was pressed once.
UnsubscribeView unsubscribe(Transaction&, std::string_view token, const Leaving&, const Client&, const Rules&,
                            const Moment&);

// Ends these subscriptions of hers, or all (nullopt); those that are over already stay as they are. Raises
// `person`'s generation, in the row and in the record handed in. Returns how many ended.
int leave(Transaction&, Person& person, const std::optional<std::vector<Id>>& newsletters, const Leaving&,
          const Client&, const Rules&, TimeMs now, Nonces&);

// For the administrator: one newsletter, or all (nullopt). Returns how many subscriptions ended.
int unsubscribe(Transaction&, const Person&, std::optional<Id> newsletter, const Rules&, const Moment&,
                Way = Way::admin);

// She reported a letter as unwanted: every subscription that is not over already is `complained`, and no
// letter goes to her any more. A second time changes nothing. `letter`: the one that she reported.
void complain(Transaction&, Person, Id letter, const Rules&, const Moment&);

// Her line in the withdrawals journal, for an import that ends a subscription which she had here, and for its
// undo.
void journal_leaving(Transaction&, const Person&, Id newsletter, const Rules&, TimeMs now);
void journal_return(Transaction&, const Person&, Id newsletter, const Rules&, TimeMs now);

// --- Undo: for 15 minutes after the page's own POST, once ---

constexpr DurationMs undo_life = 15 * minute_ms;

struct UndoView {
    enum class Kind {
        unknown,  // not a token of ours for this, or its person is gone
        expired,
        open,  // would bring back what was left
        over,  // nothing (left) to bring back: done already, or she has answered otherwise since
    } kind = Kind::unknown;
    std::string locale;
    std::string masked_address;
    std::string newsletter;  // its name, if it was only one; else ""
};

// An undo token with `b` > 0: the person and the very moment in which she left. One with b = 0 is that of a
// change of address (service/address_change.h).
UndoView show_undo(Reader&, std::string_view token, const Rules&, TimeMs now);

// Brings back what ended in that moment, as it was. `done` says whether this very act did.
struct UndoOutcome {
    UndoView view;  // before the act
    bool done = false;
};
UndoOutcome undo_withdrawal(Transaction&, std::string_view token, const Client&, const Rules&, const Moment&);

// --- Being forgotten ---

// Erases a person: her rows, her letters, what is counted under addresses that she had or asked for, identity
// and evidence of her events. The chain stays valid; a keyed hash (`erased`) refuses imports of her, her own
// new signup is welcome. With `never_again` no letter goes to her address any more, whoever asks.
void erase(Transaction&, const Person&, const Rules&, const Moment&, Way = Way::admin,
           bool never_again = false);

// The link that leaves this subscription. Never expires.
std::string unsubscribe_token(Id subscription, const Rules&, int key_id);

}  // namespace zgoda::service
