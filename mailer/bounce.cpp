#include "mailer/bounce.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>

#include "mailer/bounce_mail.h"
#include "mailer/smtp_dialogue.h"

namespace zgoda::mailer {
namespace {

using Verdict = BounceVerdict;

constexpr std::size_t most_recipients = 50;
constexpr std::size_t longest_saying =
    2000;  // of one recipient: std::regex recurses, and no server says more

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto end = text.find('\n');
        lines.push_back(text.substr(0, end));
        text = end == text.npos ? "" : text.substr(end + 1);
    }
    return lines;
}

bool blank(std::string_view line) {
    return line.find_first_not_of(" \t|>*") == line.npos;
}

std::string first_match(std::string_view text, const std::regex& expression, std::size_t group = 1) {
    const std::string searched(text.substr(0, longest_saying));
    std::smatch match;
    return std::regex_search(searched, match, expression) ? match[group].str() : "";
}

// Only numbers that are in use: "in 500 minutes" may pass, a street or a port does not.
const std::string reply_codes =
    "4(?:2[12]|3[0-4]|4[0-9]|5[0-9]|71)|5(?:0[0-4]|1[0-5]|2[1-5]|3[0-58]|41|5[0-9]|71)";

std::string reply_in(std::string_view text) {
    static const std::regex reply("(?:^|[^\\w.@-])(" + reply_codes +
                                  ")(?=[-:,; \\n]|$)(?! [0-9]+(?![.0-9]))");
    return first_match(text, reply);
}

std::string status_in(std::string_view text) {
    static const std::regex status("(?:^|[^\\w.@])([245]\\.[0-7]\\.[0-9]{1,3})(?![\\w@]|\\.[0-9])");
    return first_match(text, status);
}

// x.0.0 and x.1.0 say nothing that the class does not.
bool says_little(std::string_view status) {
    return status.empty() || status.ends_with(".0.0") || status.ends_with(".1.0");
}

std::string one_line(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, longest_saying)) {
        const bool white = c == ' ' || c == '\n' || c == '\t';
        if (!white)
            out += c;
        else if (!out.empty() && out.back() != ' ')
            out += ' ';
    }
    if (out.ends_with(' ')) out.pop_back();
    return printable(out);
}

// One line of words alone.
std::string words_of(std::string_view text, const BounceRules& rules) {
    std::string words;
    for (const char c : rules.noise.cut_from(text.substr(0, longest_saying))) {
        const bool white = c == ' ' || c == '\n' || c == '\t' || c == '|';
        if (!white)
            words += c;
        else if (!words.empty() && words.back() != ' ')
            words += ' ';
    }
    return words;
}

// Whether a server said more than numbers and names: at least two words, of any script.
bool has_words(std::string_view words_only) {
    int words = 0, letters = 0;
    for (const char c : words_only) {
        const bool letter =
            std::isalpha(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80;
        letters = letter ? letters + 1 : 0;
        if (letters == 2) ++words;
    }
    return words >= 2;
}

enum class Action { failed, delayed, done };

// What is said of one recipient.
struct Saying {
    Action action = Action::failed;
    std::string status;   // the reporter's own
    std::string server;   // the refusing server's words
    std::string context;  // all words about the recipient, for when those say nothing
};

// Refusals of the recipient that say no more than that.
bool may_be_for_good(const BouncedRecipient& recipient) {
    for (const char* reply : {"521", "550", "551", "553", "556"}) {
        if (recipient.reply == reply) return true;
    }
    return recipient.status == "5.1.0" || recipient.status == "5.4.4";
}

struct Judge {
    const BounceRules& rules;

    // nullptr: these words decide nothing. Of a temporary refusal nothing is hard but the server's own "no
    // such user", after which the relay gave up: others may have guessed, and name servers have their bad
    // days.
    const Verdict* by_words(const std::string& status, std::string_view text, bool permanent,
                            bool by_server) const {
        static constexpr Verdict soft = Verdict::soft, policy = Verdict::policy, quota = Verdict::quota,
                                 inactive = Verdict::inactive, hard = Verdict::hard;
        const std::string words = status + " " + words_of(text, rules);
        if (rules.soft.in(words)) return &soft;
        if (rules.policy.in(words)) return permanent ? &policy : &soft;
        if (rules.quota.in(words)) return &quota;
        if (rules.inactive.in(words)) return &inactive;
        if (rules.mailbox.in(words)) return permanent || by_server ? &hard : &soft;
        if (rules.domain.in(words)) return permanent ? &hard : &soft;
        return nullptr;
    }

    const Verdict* by_code(std::string_view status, bool permanent) const {
        static const std::map<std::string, Verdict> named{{"hard", Verdict::hard},
                                                          {"inactive", Verdict::inactive},
                                                          {"quota", Verdict::quota},
                                                          {"policy", Verdict::policy}};
        static constexpr Verdict soft = Verdict::soft;
        if (status.empty()) return nullptr;
        const std::string code(status.substr(2));
        auto found = rules.codes.find(code);
        if (found == rules.codes.end()) found = rules.codes.find(code.substr(0, 2) + "*");
        if (found == rules.codes.end()) return nullptr;
        const Verdict& verdict = named.at(found->second);
        return permanent || verdict == Verdict::quota || verdict == Verdict::inactive ? &verdict : &soft;
    }

    BouncedRecipient judge(std::string address, const Saying& saying) const {
        BouncedRecipient result{std::move(address), "",    reply_in(saying.server),
                                Verdict::soft,      false, one_line(saying.server)};
        const std::string said = status_in(saying.server);
        result.status = saying.status;
        if (!said.empty() && (says_little(saying.status) || !says_little(said))) result.status = said;
        if (result.reply.empty()) result.reply = reply_in(saying.context);
        if (says_little(result.status)) {
            const std::string told = status_in(saying.context);
            if (!told.empty() && (result.status.empty() || !says_little(told))) result.status = told;
        }
        if (saying.action == Action::done) {
            result.verdict = Verdict::none;
            return result;
        }

        // Of two classes, the server's own is right.
        const bool permanent = !result.reply.empty()    ? result.reply[0] == '5'
                               : !result.status.empty() ? result.status[0] == '5'
                                                        : saying.action == Action::failed;
        const Verdict* verdict = by_words(result.status, saying.server, permanent, !result.reply.empty());
        if (!verdict) verdict = by_code(result.status, permanent);
        if (!verdict &&
            !has_words(
                words_of(saying.server, rules)))  // else what the reporter adds is a form that fits all cases
            verdict = by_words(result.status, saying.context, permanent, false);
        static constexpr Verdict full = Verdict::quota;
        if (verdict && *verdict == Verdict::hard && rules.quota.in(words_of(saying.context, rules)))
            verdict = &full;
        if (verdict)
            result.verdict = *verdict;
        else if (result.reply == "552")
            result.verdict = Verdict::policy;  // the letter is too big
        if (saying.action == Action::delayed && result.verdict == Verdict::hard)
            result.verdict = Verdict::soft;
        result.perhaps_hard = result.verdict == Verdict::soft && saying.action == Action::failed &&
                              !verdict && permanent && may_be_for_good(result);
        return result;
    }
};

// --- who it is about
// --------------------------------------------------------------------------------------------------

const std::string address_form = "[^\\s<>()\\[\\]\",;:|@]+@[^\\s<>()\\[\\]\",;:|@]*[\\w]";

// "rfc822; <ada@example.org>" (RFC 3464 2.3.2), or with a source route.
std::string address_in(std::string_view text) {
    static const std::regex address("(" + address_form + ")");
    return first_match(text, address);
}

void add_new(std::vector<std::string>& addresses, const std::string& address) {
    if (address.empty() || addresses.size() == most_recipients) return;
    const auto same = [&](const std::string& one) { return lower(one) == lower(address); };
    if (std::none_of(addresses.begin(), addresses.end(), same)) addresses.push_back(address);
}

// In the lines of a bounce that has nothing but words. Those that begin with an address, or repeat the
// dialogue, name recipients; where none does, any address behind "to" or "recipient" will do.
std::vector<std::string> recipients_in(const std::vector<std::string_view>& lines,
                                       const std::string& sender) {
    static const std::regex begins("^[\\s*|>\"'-]*(?:recipient:?\\s*)?<?(" + address_form + ")>?",
                                   std::regex::icase);
    static const std::regex dialogue(
        "(?:rcpt to:\\s*|\\b[45][0-9][0-9][- ](?:[45]\\.[0-9]+\\.[0-9]+ )?)<(" + address_form + ")>",
        std::regex::icase);
    static const std::regex mentions(
        "(?:to|for|recipient|address|user|account)s?\\b[\\s:<\"']*(" + address_form + ")", std::regex::icase);
    static const std::regex sending("mail from|sent by|\\bfrom:|^\\s*(?:to|cc|subject):", std::regex::icase);

    for (const auto& expressions : {std::vector{&begins, &dialogue}, std::vector{&mentions}}) {
        std::vector<std::string> found;
        for (const std::string_view line : lines) {
            if (line.find('@') == line.npos || !first_match(line, sending, 0).empty()) continue;
            for (const std::regex* expression : expressions) {
                const std::string address = first_match(line, *expression);
                if (lower(address) != sender) add_new(found, address);
            }
        }
        if (!found.empty()) return found;
    }
    return {};
}

// What the lines say of each: from one that names her up to one that names another.
std::vector<std::string> shares(const std::vector<std::string_view>& lines,
                                const std::vector<std::string>& recipients) {
    std::vector<std::string> shares(std::max<std::size_t>(recipients.size(), 1));
    std::size_t current = recipients.size() > 1 ? recipients.size() : 0;
    for (const std::string_view line : lines) {
        const std::string low = lower(line);
        for (std::size_t i = 0; recipients.size() > 1 && i < recipients.size(); ++i) {
            if (low.find(lower(recipients[i])) != low.npos) current = i;
        }
        if (current < shares.size()) shares[current].append(line).append("\n");
    }
    return shares;
}

// The server's words in a text: from its reply code up to another one or the end of the paragraph.
std::string server_words(std::string_view text) {
    static const std::regex begins("^([245][0-9][0-9])[- ]");
    const std::string reply = reply_in(text);
    if (reply.empty()) return "";
    const std::string_view from = text.substr(text.find(reply));
    std::string words;
    for (const std::string_view line : lines_of(from)) {
        const std::string next = first_match(line, begins);
        if (blank(line) || line.starts_with(">>>") || (!next.empty() && next != reply)) break;
        words.append(line).append("\n");
    }
    return words;
}

// --- what kind of mail it is
// --------------------------------------------------------------------------------------------

// What the mail says itself, without the copy of what was sent.
std::vector<std::string_view> own_lines(const ReturnedMail& mail, const BounceRules& rules) {
    std::vector<std::string_view> lines = lines_of(mail.text);
    const auto copy = std::find_if(lines.begin(), lines.end(), [&](std::string_view line) {
        return rules.original.in(line.substr(0, 200));
    });
    lines.erase(copy, lines.end());
    return lines;
}

bool answers_by_itself(const ReturnedMail& mail, const BounceRules& rules) {
    const std::string submitted = lower(field(mail.headers, "auto-submitted"));
    const std::string precedence = lower(field(mail.headers, "precedence"));
    const auto has = [&](std::string_view name) { return !field(mail.headers, name).empty(); };
    return (!submitted.empty() && submitted != "no") || precedence.starts_with("auto") ||
           has("x-autoreply") || has("x-autorespond") || has("x-auto-response-suppress") ||
           rules.vacation.in(field(mail.headers, "subject"));
}

Bounce complaint(const ReturnedMail& mail) {
    Bounce bounce{Bounce::Kind::complaint, "", {}, {}};
    std::vector<std::string> readers;
    for (const Fields& block : mail.feedback_report) {
        if (bounce.feedback_type.empty()) bounce.feedback_type = lower(field(block, "feedback-type"));
        for (const auto& [name, value] : block) {
            if (name == "original-rcpt-to" || name == "removal-recipient")
                add_new(readers, address_in(value));
        }
    }
    if (readers.empty()) readers.emplace_back();
    const Verdict verdict = bounce.feedback_type == "not-spam" ? Verdict::none : Verdict::complaint;
    for (const std::string& reader : readers)
        bounce.recipients.push_back({reader, "", "", verdict, false, ""});
    return bounce;
}

Action action_of(const Fields& block) {
    const std::string action = lower(field(block, "action"));
    for (const char* done : {"delivered", "relayed", "expanded"}) {
        if (action.starts_with(done)) return Action::done;
    }
    return action.starts_with("delayed") ? Action::delayed : Action::failed;
}

// The blocks that speak of a recipient; some reporters leave out nearly everything.
std::vector<Fields> recipient_blocks(const std::vector<Fields>& status) {
    std::vector<Fields> blocks;
    for (const Fields& block : status) {
        for (const char* name :
             {"final-recipient", "original-recipient", "action", "status", "diagnostic-code"}) {
            if (field(block, name).empty()) continue;
            blocks.push_back(block);
            break;
        }
        if (blocks.size() == most_recipients) break;
    }
    return blocks;
}

Bounce of_status(const std::vector<Fields>& blocks, const std::vector<std::string_view>& lines,
                 const Judge& judge) {
    std::vector<std::string> recipients;
    for (const Fields& block : blocks) {
        const std::string final_recipient = address_in(field(block, "final-recipient"));
        recipients.push_back(final_recipient.empty() ? address_in(field(block, "original-recipient"))
                                                     : final_recipient);
    }
    std::vector<std::string> named = recipients;
    std::erase(named, "");
    const bool all_named = named.size() == recipients.size();
    const std::vector<std::string> told = shares(lines, all_named ? recipients : std::vector<std::string>());

    Bounce bounce{Bounce::Kind::status, "", {}, {}};
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        static const std::regex type("^\\s*[\\w-]+\\s*;\\s*");
        Saying saying;
        saying.action = action_of(blocks[i]);
        saying.status = status_in(field(blocks[i], "status"));
        saying.server = std::regex_replace(
            std::string(field(blocks[i], "diagnostic-code").substr(0, longest_saying)), type, "");
        if (all_named || blocks.size() == 1) saying.context = saying.server + "\n" + told[i];
        bounce.recipients.push_back(judge.judge(recipients[i], saying));
    }
    return bounce;
}

Bounce of_text(const ReturnedMail& mail, const std::vector<std::string_view>& lines, const Judge& judge) {
    std::vector<std::string> recipients;
    const std::string failed(field(mail.headers, "x-failed-recipients"));
    for (std::string_view rest = failed; !rest.empty();) {
        const auto comma = rest.find(',');
        add_new(recipients, address_in(rest.substr(0, comma)));
        rest = comma == rest.npos ? "" : rest.substr(comma + 1);
    }
    if (recipients.empty()) recipients = recipients_in(lines, lower(address_in(field(mail.headers, "to"))));
    const std::vector<std::string> told = shares(lines, recipients);
    if (recipients.empty()) recipients.emplace_back();

    std::string all(field(mail.headers, "subject"));
    for (const std::string_view line : lines) all.append("\n").append(line);
    const bool delayed = judge.rules.delayed.in(words_of(all, judge.rules));

    Bounce bounce{Bounce::Kind::text, "", {}, {}};
    for (std::size_t i = 0; i < recipients.size(); ++i) {
        Saying saying;
        saying.action = delayed ? Action::delayed : Action::failed;
        saying.server = server_words(told[i]);
        saying.context = told[i];
        bounce.recipients.push_back(judge.judge(recipients[i], saying));
    }
    return bounce;
}

Bounce classify(const ReturnedMail& mail, const BounceRules& rules) {
    const Judge judge{rules};
    const std::vector<std::string_view> lines = own_lines(mail, rules);
    std::string text;
    for (const std::string_view line : lines) text.append(line).append("\n");
    const std::string words = words_of(text, rules);
    const std::string subject(field(mail.headers, "subject"));

    if (!mail.feedback_report.empty()) return complaint(mail);
    const auto none = [](Bounce::Kind kind) { return Bounce{kind, "", {}, {BouncedRecipient{}}}; };
    const bool names_failed = !field(mail.headers, "x-failed-recipients").empty();
    const bool from_daemon = names_failed || rules.from.in(field(mail.headers, "from"));
    auto blocks = recipient_blocks(mail.delivery_status);
    // A gateway's notice may wrap the bounce that it got; what people forward says nothing about the way
    // there.
    if (blocks.empty() && from_daemon) blocks = recipient_blocks(mail.enclosed_status);
    if (!blocks.empty()) {
        const Bounce bounce = of_status(blocks, lines, judge);
        const bool refused =
            std::any_of(bounce.recipients.begin(), bounce.recipients.end(),
                        [](const auto& one) { return one.status.starts_with('5') || !one.reply.empty(); });
        return !refused && rules.challenge.in(subject + " " + words) ? none(Bounce::Kind::challenge) : bounce;
    }
    if (!mail.original.empty() && (rules.complaint_subject.in(subject) || rules.complaint_text.in(words)))
        return complaint(mail);

    if (mail.headers.empty() ||
        lower(mail.content_type).find("disposition-notification") != std::string::npos)
        return none(Bounce::Kind::other);

    // Without a part for machines: who sends such a mail, and does it speak of a failure?
    const std::string return_path = lower(field(mail.headers, "return-path"));
    const bool no_return = return_path == "<>" || return_path.starts_with("<mailer-daemon");
    const bool has_code = !reply_in(text).empty() || !status_in(text).empty();
    const bool fails = rules.text.in(subject + " " + words) || rules.delayed.in(words);
    const bool daemon_fails =
        fails || rules.mailbox.in(words) || rules.domain.in(words) || rules.quota.in(words);
    if (!has_code && !names_failed) {
        if (rules.challenge.in(subject + " " + words)) return none(Bounce::Kind::challenge);
        if (answers_by_itself(mail, rules) && !(from_daemon && daemon_fails))
            return none(Bounce::Kind::vacation);
    }
    const bool answer = !field(mail.headers, "in-reply-to").empty() || lower(subject).starts_with("re:") ||
                        lower(subject).starts_with("fwd:") || lower(subject).starts_with("fw:");
    if (names_failed || (from_daemon && (has_code || daemon_fails)) || (no_return && (has_code || fails)) ||
        (return_path.empty() && has_code && !answer && rules.subject.in(subject)))
        return of_text(mail, lines, judge);
    return none(Bounce::Kind::other);
}

std::vector<std::string> return_paths_of(const ReturnedMail& mail) {
    std::vector<std::string> addresses;
    for (const auto& [name, value] : mail.headers) {
        if (name == "delivered-to" || name == "x-original-to" || name == "envelope-to" || name == "to")
            add_new(addresses, address_in(value));
    }
    for (const Fields& enclosed : mail.original)
        add_new(addresses, address_in(field(enclosed, "return-path")));
    return addresses;
}

}  // namespace

std::string_view name_of(BounceVerdict verdict) {
    switch (verdict) {
        case Verdict::hard:
            return "hard";
        case Verdict::soft:
            return "soft";
        case Verdict::inactive:
            return "inactive";
        case Verdict::quota:
            return "quota";
        case Verdict::policy:
            return "policy";
        case Verdict::complaint:
            return "complaint";
        case Verdict::none:
            break;
    }
    return "none";
}

Bounce classify_bounce(std::string_view bytes, const BounceRules& rules) {
    const ReturnedMail mail = read_returned_mail(bytes.substr(0, longest_bounce));
    Bounce bounce = classify(mail, rules);
    bounce.return_paths = return_paths_of(mail);
    return bounce;
}

}  // namespace zgoda::mailer
