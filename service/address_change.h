// A change of address. Both ends confirm, each by the link of its own letter; then the person has the new
// address, her open confirm links are ended, and a third letter to the old end can take it back for 7 days,
// whatever was changed since.
//
// Nothing that the asker sees tells who the new address is: her page always says the same, a suppressed new
// end gets no letter, and one that somebody proven has gets a letter that says so (`taken`) and cannot
// confirm. Somebody never proven at the new address is absorbed: erased when the change is done.
//
// GET shows (a Reader), POST acts (a Transaction), acting twice changes nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "service/client.h"
#include "service/email_address.h"
#include "service/outbox.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

constexpr DurationMs take_back_life = 7 * day_ms;  // from when the change was done

// --- Asking, from the preferences page ---

enum class ChangeAsked {
    unknown,  // not a preferences link of ours, or its person is gone
    expired,
    same_address,  // it is hers already
    letters_sent,  // or on their way, or not: nobody is told
};
// Ends an earlier change that is still open, unless it asks for the same address and its letters live. Each
// letter is paid from the mail budget of its own end.
ChangeAsked ask_address_change(Transaction&, std::string_view preferences_token, const EmailAddress& to,
                               const Client&, const Rules&, const Moment&);

// --- The letters (kind address_change) ---

// The person as this letter sees her: with the address, keys and envelope of its own end. Letters of other
// kinds, and of a change that is gone, see her as she is.
Person addressee(Reader&, const Person&, const Letter&);

// Which of its letters this is. nullopt: it has nothing left to say (the change ended, or its end has
// confirmed) and is to be cancelled.
std::optional<LeasedLetter::ChangePart> change_part(Reader&, const Letter&, TimeMs now);

// For the `done` letter: purpose undo, a = change, b = 0, 7 days from when it was done.
std::string address_undo_token(const AddressChange&, const Rules&, int key_id);

// --- The answers: confirm tokens whose letter is of kind address_change ---

struct AddressChangeView {
    enum class Kind {
        unknown,  // not such a token, or its person is gone
        over,     // expired, refused at this end, replaced by another, or ended by a withdrawal
        open,     // asks this end
        waits,    // this end has confirmed; the other one not yet, as far as this end is told
        taken,    // new end: somebody proven has this address, nothing will change
        done,     // the person has the new address
        refused,  // only as the answer to refusing
    } kind = Kind::unknown;
    bool new_end = false;
    std::string locale;
    std::string old_address, new_address;  // masked
};

AddressChangeView show_address_change(Reader&, std::string_view token, const Rules&, TimeMs now);
// Within 5 s of the letter's delivery it is a machine that presses, and nothing happens: still `open`.
AddressChangeView confirm_address_change(Transaction&, std::string_view token, const Client&, const Rules&,
                                         const Moment&);
// "This was not me", by an expired link too. At the old end it ends an open change. The new end is suppressed
// as not_me, unless somebody proven has it: the change cannot be done then, no form makes us write there
// again, and the old end is not told.
AddressChangeView refuse_address_change(Transaction&, std::string_view token, const Client&, const Rules&,
                                        const Moment&);

// --- Taking it back: undo tokens with b = 0 ---

struct AddressUndoView {
    enum class Kind {
        unknown,  // not such a token, or its person is gone
        expired,
        open,   // would bring the old address back
        taken,  // somebody proven has the old address by now
        done,   // taken back, by this act or before
    } kind = Kind::unknown;
    std::string locale;
    std::string old_address, new_address;  // masked
};

AddressUndoView show_address_undo(Reader&, std::string_view token, const Rules&, TimeMs now);
// The person has the old address again; later changes of hers are undone with it, open ones ended.
AddressUndoView take_back_address(Transaction&, std::string_view token, const Client&, const Rules&,
                                  const Moment&);

}  // namespace zgoda::service
