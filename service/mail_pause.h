// The stop switch of the mail: all letters, those about a newsletter, or those to a domain.
//
// While everything is stopped nothing is leased. A letter that a narrower pause holds is put aside when its
// turn comes: its due_at becomes held_due_at, which no mailer reaches, until the pause is taken away. So a
// pause costs nothing where there is none, and a mailer never looks at a held letter twice.
//
// A letter is held if any of its newsletters is paused. What a mailer has in hand still goes out.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "service/store.h"

namespace zgoda::service {

constexpr TimeMs held_due_at = 253'402'300'799'000;  // 9999-12-31T23:59:59Z

// Is every letter stopped?
bool mail_stopped(const std::vector<MailPause>&);

// Which `zgoda mail pause` this letter waits for, and what lets it go, in English: "held by ... until ...";
// "" if none does.
std::string why_held(Reader&, const Letter&);

// Puts the letter aside if one of these pauses holds it, and says whether it did. For lease().
bool hold(Transaction&, const Letter&, const std::vector<MailPause>&);

// Brings the letters that wait in line with the pauses as they are now: puts aside those that are held,
// makes due those that no longer are. Small units of work, `between` is called after each.
struct Settled {
    std::int64_t held = 0;
    std::int64_t released = 0;
};
Settled settle_pauses(Store&, TimeMs now, const std::function<void()>& between = {});

}  // namespace zgoda::service
