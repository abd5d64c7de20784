// The reader's answer to a confirmation letter: yes to what she ticks, or "this was not me".
//
// Nobody confirms for another: what a letter names is ticked if it was asked from the client network that
// asked first; what others asked for, and what was asked after the letter was written, is shown unticked.
// Only what is ticked and still pending for this person is confirmed; the rest of what the page offered is
// declined.
//
// An `already_subscribed` letter about a paused newsletter leads here too: somebody asked for it while it was
// paused, and only she can end the pause, by this page. Nothing is declined then.
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
    std::optional<TimeMs> paused_until;  // she has it, paused: ticked, it comes again
    bool elsewhere = false;  // asked for by others, or after the letter was written: comes unticked
};

struct ConfirmationView {
    enum class Kind {
        unknown,    // not a token of ours, or its person is gone
        expired,    // or ended by a withdrawal; `can_resend` says whether a fresh letter would have something
                    // to ask
        open,       // offers something
        confirmed,  // she confirmed before, at `confirmed_at`
        declined,   // she said no before
        left,       // she confirmed, and has unsubscribed since: `left`
    } kind = Kind::unknown;
    std::string locale;
    std::string masked_address;
    std::vector<Offer> offers;  // open
    struct Has {
        std::string name;
        std::optional<TimeMs> paused_until;
    };
    std::vector<Has> has;  // confirmed: newsletters that this letter named and that she has now
    std::optional<TimeMs> confirmed_at;
    bool can_resend = false;
    struct Left {
        std::string slug, name;
        TimeMs at = 0;
    };
    std::vector<Left> left;  // newsletters that this letter named
    bool resumes = false;    // of a letter that only offers to end pauses: there is nothing to deny
    bool receives = false;   // has confirmed or paused subscriptions, to whatever newsletter
};

ConfirmationView show_confirmation(Reader&, std::string_view token, const Rules&, TimeMs now);

// How the page's form was posted, as far as it tells people from machines.
struct Press {
    std::vector<Id> ticked;
    bool asked_again = false;  // it is the button of the page that asks once more
    bool in_a_crowd = false;   // other links were pressed from the same client network within seconds
};

struct ConfirmationOutcome {
    ConfirmationView view;          // after the act
    std::vector<Id> confirmed_now;  // newsletters that this very act confirmed, or whose pause it ended
    bool ask_once_more = false;     // pressed as machines press: nothing was confirmed
    std::string thanks_url;
};

// Confirms the ticked ones. The mail budget of her abuse_key starts anew.
//
// Scanners press buttons too, as the letter arrives. Within 5 seconds of its 250, or in a crowd of links, the
// letter becomes suspect, and for 3 minutes after sending it is confirmed only by the button of a second
// page. One not yet recorded as sent waits for that.
ConfirmationOutcome confirm(Transaction&, std::string_view token, const Press&, const Client&, const Rules&,
                            const Moment&);

// The browser that signed up on a page of ours is spared the button: it knows the secret (hex) whose SHA-256
// went with its request. Confirms that request alone, if the letter names it; anything else changes nothing.
// If the letter's page has more to offer it comes again (`open`), with what was confirmed in `has`.
ConfirmationOutcome confirm_by_browser(Transaction&, std::string_view token, std::string_view secret,
                                       const Client&, const Rules&, const Moment&);

// Confirms what is still pending of one request, and ends the pauses of what it asked for again, for somebody
// who has proven that its letter reached her: `method` says how, for the ledger. Empty if nothing was.
std::vector<Id> confirm_request(Transaction&, Person, const Letter&, const Request&, std::string_view method,
                                const Client&, const Rules&, const Moment&);

// A fresh letter for an expired link, within the mail budget.
enum class FreshLetter { unknown, on_its_way, nothing_pending };
FreshLetter send_fresh_letter(Transaction&, std::string_view token, const Client&, const Rules&,
                              const Moment&);

// "This was not me": declines all that is pending and suppresses the address as not_me. Takes a confirm
// token, expired or not, as long as its person exists. What she confirmed herself stays.
enum class NotMe { unknown, done };
NotMe not_me(Transaction&, std::string_view token, const Client&, const Rules&, const Moment&);
// The same for whoever knows the person. `letter`: the one that she answers; 0: none.
void decline(Transaction&, Person, Id letter, const Client&, const Rules&, const Moment&);

// "o•••a@example.org": enough to know one's own, useless to anybody else.
std::string masked(std::string_view address);

}  // namespace zgoda::service
