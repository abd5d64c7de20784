// The reader's answer to a confirmation letter: yes to what she ticks, or "this was not me".
//
// Nobody confirms for another: what a letter names is ticked if it was asked from the client network that
// asked first; what others asked for, and what was asked after the letter was written, is shown unticked.
// Only what is ticked and still pending for this person is confirmed; the rest of what the page offered is
// declined.
//
// GET shows (a Reader), POST acts (a Transaction), and acting twice changes nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/client.h"
#include "service/rules.h"
#include "service/store.h"
#include "service/token.h"

namespace zgoda::service {

struct Offer {
    Id newsletter = 0;
    std::string slug;
    std::string name;  // in the page's language
    bool ticked = false;
};

struct ConfirmationView {
    enum class Kind {
        unknown,    // not a token of ours, or its person is gone
        expired,    // or ended by a withdrawal; `can_resend` says whether a fresh letter would have something
                    // to ask
        open,       // offers something
        confirmed,  // she confirmed before, at `confirmed_at`
        declined,   // she said no before
    } kind = Kind::unknown;
    std::string locale;
    std::string masked_address;
    std::vector<Offer> offers;  // open
    std::vector<std::string>
        confirmed_names;  // confirmed: newsletters that this letter named and that she has now
    std::optional<TimeMs> confirmed_at;
    bool can_resend = false;
};

ConfirmationView show_confirmation(Reader&, std::string_view token, const Rules&, TimeMs now);

struct ConfirmationOutcome {
    ConfirmationView view;          // after the act
    std::vector<Id> confirmed_now;  // newsletters that this very act confirmed
    std::string thanks_url;
};

// Confirms the ticked ones. The mail budget of her abuse_key starts anew.
ConfirmationOutcome confirm(Transaction&, std::string_view token, const std::vector<Id>& ticked,
                            const Client&, const Rules&, const Moment&);

// A fresh letter for an expired link, within the mail budget.
enum class FreshLetter { unknown, on_its_way, nothing_pending };
FreshLetter send_fresh_letter(Transaction&, std::string_view token, const Client&, const Rules&,
                              const Moment&);

// "This was not me": declines all that is pending and suppresses the address as not_me. Takes a confirm
// token, expired or not, as long as its person exists. What she confirmed herself stays.
enum class NotMe { unknown, done };
NotMe not_me(Transaction&, std::string_view token, const Client&, const Rules&, const Moment&);

// "o•••a@example.org": enough to know one's own, useless to anybody else.
std::string masked(std::string_view address);

}  // namespace zgoda::service
