#pragma once

// What a letter says: templates, the product's words, and what the outbox knows become a Letter.
//
// Templates are mustache. A letter is put together from letter.layout.EXT, whose {{letter}} stands for what
// the kind's own template says, in plain text and in HTML. {{text.KEY}} is the text "letter.KEY" of the
// letter's language; in it, {site} and the like are filled in. The other names: language, dir, subject, site,
// asked_at, expires_at, code, old_address, new_address (masked), old_end, imprint, confirm_link, not_me_link,
// undo_link, preferences_link, preferences_page, newsletter (the first one's name), and the list newsletters
// with name, message (its own text), unsubscribe_link and signup_link. HTML templates escape all of it, and
// cannot be told not to. Nothing that a visitor typed is among them.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mailer/letter.h"
#include "service/outbox.h"
#include "service/texts.h"

namespace zgoda::mailer {

using Templates = std::map<std::string, std::string, std::less<>>;  // by name: "letter.confirmation.html"

// What all letters of an installation share.
struct Stationery {
    std::string
        public_url;       // without a slash at its end; its host is named as the place where somebody asked
    Mailbox from;         // for newsletters that have none of their own
    std::string imprint;  // may have several lines
};

// For one thread. Keeps references to its arguments; parses each template once, when it is first needed.
class LetterRenderer {
 public:
    LetterRenderer(const Templates&, const service::Texts&, const Stationery&);
    ~LetterRenderer();

    // `date_ms` is for the Date header. Throws std::invalid_argument, saying why, for what cannot be a
    // letter: a control character in a name or a link, a template or text that is missing or broken, a kind
    // without template.
    Letter render(const service::LeasedLetter&, service::TimeMs date_ms);

 private:
    struct Sheet;  // the parsed templates of one letter in one language
    Sheet& sheet(const std::string& name, const std::string& locale);

    const Templates& templates_;
    const service::Texts& texts_;
    const Stationery& stationery_;
    std::string site_;
    std::map<std::pair<std::string, std::string>, std::unique_ptr<Sheet>> sheets_;
};

// What is wrong with the letter templates, in one sentence that names the file; nullopt if they are fine in
// every language. For the start, where letters are not yet due.
std::optional<std::string> template_problem(const Templates&, const service::Texts&);

// "Kate <kate@example.org>", "\"Kate, T.\" <kate@example.org>" or the bare address. Does not check the
// address.
Mailbox parse_mailbox(std::string_view text);

}  // namespace zgoda::mailer
