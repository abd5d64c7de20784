// Her own settings, behind a link that only a letter to her own address carries, for one hour.
//
// Whoever opens the link has read her mail, so the address is proven: newsletters join and leave without a
// further letter. Asking for the link tells nothing: the unit of work has no result, and counts and commits
// for an address that nobody here has as for one that is known.
//
// GET shows (a Reader), POST acts (a Transaction). A link ends when the person's generation is raised, as
// leaving does; the page then goes on under the fresh token that the act returns, which lives no longer than
// the first.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/client.h"
#include "service/email_address.h"
#include "service/rules.h"
#include "service/store.h"
#include "service/token.h"

namespace zgoda::service {

constexpr DurationMs preferences_life = hour_ms;  // from the first lease of its letter

// The link of a preference_link letter that is leased: purpose preferences, a = person, b = letter, until the
// letter's own expiry.
std::string preferences_token(const Person&, const Letter&, const Rules&);

// Enqueues a preference_link letter for somebody who has, or had, any subscription and is not suppressed, at
// most one at a time and within [budget] preference_links, which counts by abuse_key whoever asks for
// whatever address. Commits at least one row in every case.
void send_preference_link(Transaction&, const EmailAddress&, const Client&, const Rules&, const Moment&);

// Whose link it is.
struct PreferencesCase {
    enum class Kind {
        unknown,  // not a token of ours, or its person is gone
        expired,  // by time, or ended by a withdrawal or a change of address
        open,
    } kind = Kind::unknown;
    Token token;
    Person person;  // unless unknown
};
PreferencesCase open_preferences(Reader&, std::string_view token, const Rules&, TimeMs now);

// --- The page ---

constexpr std::array<int, 4> pause_weeks{2, 4, 8, 12};

struct PreferencesView {
    PreferencesCase::Kind kind = PreferencesCase::Kind::unknown;
    std::string locale;
    std::string masked_address;
    struct Item {
        Id newsletter = 0;
        std::string slug, name, description;  // in the page's language
        bool received = false;                // confirmed, or paused
        std::optional<TimeMs> paused_until;   // while it is paused
        bool asks_fields = false;             // cannot be joined here: its own form asks for more
        Wording wording;                      // of joining
    };
    std::vector<Item> items;  // what she receives, then what she could
};
PreferencesView show_preferences(Reader&, std::string_view token, const Rules&, TimeMs now);

// --- Saving ---

// What she wants of one newsletter. What is so already, or cannot be (a pause of what she does not receive),
// changes nothing.
struct Choice {
    Id newsletter = 0;
    enum class What { join, leave, pause, resume } what = What::join;
    int weeks = 0;        // pause: one of pause_weeks, from now
    std::string wording;  // join: id of the wording that the page showed
};

struct PreferencesOutcome {
    PreferencesCase::Kind kind = PreferencesCase::Kind::unknown;
    bool wording_changed = false;  // a wording shown is no longer the newsletter's: nothing was saved
    std::string locale;
    std::string token;  // under which the page goes on; "" unless open
};

// All of it or nothing. Joining records `confirmed` with method "preferences" and the wording; leaving is
// service/withdrawal.h's. `locale`: the language she chose, "" if none.
PreferencesOutcome save_preferences(Transaction&, std::string_view token, const std::vector<Choice>&,
                                    const std::string& locale, const Client&, const Rules&, const Moment&);

// "Erase me", by her own link.
PreferencesCase::Kind erase_by_preferences(Transaction&, std::string_view token, bool never_again,
                                           const Rules&, const Moment&);

// --- Pauses end by themselves ---

// Turns pauses that have ended into confirmed subscriptions, some hundreds at a time; returns how many. The
// mailer calls it on its way (service/outbox.h).
int resume_ended_pauses(Transaction&, const Rules&, TimeMs now, Nonces&);

}  // namespace zgoda::service
