#include "service/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

#include "service/budget.h"
#include "service/mail_pause.h"
#include "service/pending.h"
#include "service/printable.h"

namespace zgoda::service {
namespace {

std::string quoted_names(const Newsletters& newsletters, const std::vector<Id>& ids) {
    std::string out;
    for (const Id id : ids) {
        const Newsletter* one = newsletters.find(id);
        if (!out.empty()) out += ", ";
        out += one == nullptr ? fmt::format("newsletter {}", id) : one->slug;
    }
    return out.empty() ? "nothing" : out;
}

std::string from_where(const Request& request) {
    std::string out;
    if (!request.source.empty()) out += " on " + request.source;
    if (!request.form.empty()) out += fmt::format(" (form {})", request.form);
    if (!request.ip.empty()) out += " from " + request.ip;
    return out;
}

std::string tell(const Request& request, const Newsletters& newsletters) {
    std::vector<Id> ids;
    for (const Wish& wish : request.wishes) ids.push_back(wish.newsletter);
    std::string out = fmt::format("asked for {}{}", quoted_names(newsletters, ids), from_where(request));
    switch (request.state) {
        case RequestState::open:
            out += request.letter ? "; not answered yet"
                                  : "; waits for its letter: another one is under way or the "
                                    "mail budget of this address is used up";
            break;
        case RequestState::confirmed:
            out += "; she confirmed it";
            break;
        case RequestState::declined:
            out += "; she declined it";
            break;
        case RequestState::lapsed:
            out += "; it lapsed, no letter reached her in time";
            break;
        case RequestState::suppressed:
            out += "; no letter, because this address is suppressed";
            break;
        case RequestState::honeypot:
            out += "; no letter, because the trap field was filled in: taken for a bot";
            break;
        case RequestState::already:
            out += "; she is subscribed to all of it already";
            break;
        case RequestState::withdrawn:
            out += "; it ended when she left";
            break;
    }
    return out + ".";
}

// A reply that begins with a code is the server's own words; all others are the mailer's.
bool is_of_server(std::string_view reply) {
    const auto digit = [reply](std::size_t i) { return reply[i] >= '0' && reply[i] <= '9'; };
    return reply.size() >= 3 && digit(0) && digit(1) && digit(2) &&
           (reply.size() == 3 || reply[3] == ' ' || reply[3] == '-');
}

std::string tell_reply(const std::string& reply) {
    if (reply.empty()) return "";
    return fmt::format("; the {}: {}", is_of_server(reply) ? "server said" : "mailer noted", reply);
}

std::string tell_tries(const Letter& letter) {
    if (letter.attempts > 0)
        return fmt::format(" was put off {} time{}", letter.attempts, letter.attempts == 1 ? "" : "s") +
               tell_reply(letter.reply);
    return " was not handed over yet" + (letter.reply.empty() || is_of_server(letter.reply)
                                             ? tell_reply(letter.reply)
                                             : ": " + letter.reply);
}

// `accepted`: what the server said when it took the letter. `held`: why_held().
std::string tell(const Letter& letter, const std::string& accepted, const std::string& held,
                 const Newsletters& newsletters) {
    std::string out = fmt::format("{} letter {}", word(letter.kind), letter.id);
    if (!letter.newsletters.empty()) out += " about " + quoted_names(newsletters, letter.newsletters);
    std::string due;
    switch (letter.state) {
        case LetterState::queued:
            if (!letter.budgeted)
                out += " waits for the mail budget of this address";
            else
                out += " is queued";
            due = letter.budgeted ? ", due " : " until ";
            break;
        case LetterState::leased:
            out += " is being sent by a mailer" + tell_reply(letter.reply);
            break;
        case LetterState::sent:
            out += fmt::format(" was sent {}", rfc3339(letter.sent_at.value_or(0))) + tell_reply(accepted);
            break;
        case LetterState::deferred:
            out += tell_tries(letter);
            due = "; due again ";
            break;
        case LetterState::refused:
            if (letter.sent_at) {  // the words of the mail that came back are told when it came
                out += fmt::format(" was sent {}{}; later it came back", rfc3339(*letter.sent_at),
                                   tell_reply(accepted));
                break;
            }
            out +=
                letter.mailbox_unknown ? " was refused for good: no such mailbox" : " was refused for good";
            out += tell_reply(letter.reply);
            break;
        case LetterState::uncertain:
            out += " may have arrived, the connection was lost at the end" + tell_reply(letter.reply);
            due = "; due again ";
            break;
        case LetterState::expired:
            out += letter.budgeted
                       ? " expired before it could be delivered"
                       : " lapsed: the mail budget of this address had no room for it within 72 hours";
            out += tell_reply(letter.reply);
            break;
        case LetterState::cancelled:
            out += " was cancelled, it had nothing left to say" + tell_reply(letter.reply);
            break;
    }
    if (!due.empty() && letter.due_at != held_due_at) out += due + rfc3339(letter.due_at);
    if (!held.empty()) out += ", " + held;
    if (letter.suspect) out += "; its button was pressed as machines press, so the page asked once more";
    return out + fmt::format(". Message-ID <{}>", letter.message_id);
}

std::string slugs_in(const boost::json::object& details) {
    std::string out;
    const auto* list = details.if_contains("newsletters");
    if (list == nullptr || !list->is_array()) return out;
    for (const auto& one : list->as_array()) {
        const auto* slug = one.is_object() ? one.as_object().if_contains("slug") : nullptr;
        if (slug == nullptr || !slug->is_string()) continue;
        if (!out.empty()) out += ", ";
        out.append(slug->as_string().data(), slug->as_string().size());
    }
    return out;
}

std::string text_in(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(boost::json::string_view(key.data(), key.size()));
    if (value == nullptr || !value->is_string()) return {};
    return {value->as_string().data(), value->as_string().size()};
}

boost::json::object parsed(const std::string& text) {
    boost::json::error_code error;
    boost::json::value value = boost::json::parse(text, error);
    return error || !value.is_object() ? boost::json::object() : value.as_object();
}

std::int64_t number_in(const boost::json::object& object, std::string_view key) {
    const auto* value = object.if_contains(boost::json::string_view(key.data(), key.size()));
    return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

constexpr std::string_view from_journal = "; known from the withdrawals journal when a backup was restored";

// What the ledger knows of her letters.
struct Posted {
    std::map<Id, std::string> accepted;  // what the server said to those that it took
    std::set<Id> kept;                   // those whose rows are there still, and tell more

    std::string reply_to(Id letter) const {
        const auto found = accepted.find(letter);
        return found == accepted.end() ? std::string() : found->second;
    }
};

// What a mail that came back and ended nothing means for her (service/bounces.h).
std::string tell_remark(const boost::json::object& details) {
    const std::string why = text_in(details, "why");
    const auto* counts = details.if_contains("counts");
    const bool counted = counts != nullptr && counts->is_bool() && counts->as_bool();
    if (why == "policy") return "it is about our mail, and not held against this address";
    if (!counted) {
        return why == "soft" ? "not counted: such mail counts once a day, and only after she confirmed"
                             : "it changed nothing";
    }
    if (why == "soft") {
        return fmt::format("counted {} of the {} points that end all mail to her",
                           number_in(details, "points"), number_in(details, "of"));
    }
    return "a second one, 1 to 30 days later, ends all mail to her";
}

// Letters whose rows are gone, and what came back. nullopt: the letter's own row tells it.
std::optional<std::string> tell_letter(const Event& event, const boost::json::object& details,
                                       const Posted& posted) {
    const Id id = number_in(details, "letter");
    const std::string reply = text_in(parsed(event.evidence), "reply");
    if (event.kind == EventKind::bounced) {
        const std::string slugs = slugs_in(details);
        return fmt::format("letter {} came back{}{}{}.", id,
                           reply.empty() ? "" : "; the returned mail said: ", reply,
                           slugs.empty() ? "" : "; no more mail about " + slugs);
    }
    const std::string what = fmt::format("{} letter {}", text_in(details, "kind"), id);
    if (details.contains("why")) {
        return fmt::format("{} came back{}{}; {}.", what,
                           reply.empty() ? "" : "; the returned mail said: ", reply, tell_remark(details));
    }
    if (event.kind == EventKind::letter_refused && posted.accepted.contains(id)) {
        return fmt::format("{} came back and is given up{}{}.", what,
                           reply.empty() ? "" : "; the returned mail said: ", reply);
    }
    if (posted.kept.contains(id)) return std::nullopt;
    return fmt::format(
        "{} was {}{}. Message-ID <{}>", what,
        event.kind == EventKind::letter_sent ? "sent " + rfc3339(event.at) : "refused for good",
        tell_reply(reply), text_in(details, "message_id"));
}

// "no more letters: hard_bounce, until 2026-11-30T10:00:00.000Z".
std::string tell_suppression(std::string_view reason, TimeMs at, TimeMs now) {
    Suppression one;
    one.reason = parse_suppression_reason(reason).value_or(SuppressionReason::admin);
    one.at = at;
    const auto until = ends_at(one);
    return fmt::format("no more letters: {}{}{}", reason, until ? ", until " + rfc3339(*until) : "",
                       until && *until <= now ? ", which is over" : "");
}

// What an import brought: newsletters with their status, and what the file says of her.
std::string tell_import(const Event& event, const boost::json::object& details, TimeMs now) {
    std::string what;
    const auto* list = details.if_contains("newsletters");
    std::string_view ended = "she left";
    if (list != nullptr && list->is_array()) {
        for (const auto& one : list->as_array()) {
            if (!one.is_object()) continue;
            const auto status = parse_subscription_status(text_in(one.as_object(), "status"));
            if (status == SubscriptionStatus::bounced) ended = "her mailbox bounced on";
            if (status == SubscriptionStatus::complained) ended = "she complained";
            what += fmt::format("{}{} ({})", what.empty() ? "" : ", ", text_in(one.as_object(), "slug"),
                                text_in(one.as_object(), "status"));
        }
    }
    std::string out = fmt::format("imported by batch {}: {}", number_in(details, "batch"),
                                  what.empty() ? "what the file knows of her" : what);
    const boost::json::object file = parsed(event.identity), evidence = parsed(event.evidence);
    struct Act {
        std::string_view at, ip, act;
    };
    for (const Act& act : {Act{"signed_up_at", "signup_ip", "she signed up"},
                           Act{"confirmed_at", "confirm_ip", "she confirmed"},
                           Act{"unsubscribed_at", "", ended}}) {  // where she left, no file says
        const std::string at = text_in(file, act.at), ip = text_in(evidence, act.ip);
        if (at.empty() && ip.empty()) continue;
        out += fmt::format("; the file says {}{}{}{}{}", act.act, at.empty() ? "" : " ", at,
                           ip.empty() ? "" : " from ", ip);
    }
    if (const std::string taken = text_in(details, "without_proof"); !taken.empty())
        out += fmt::format("; the file shows no confirmation: taken without proof (--unproven {})", taken);
    if (const std::string reason = text_in(details, "suppressed"); !reason.empty())
        out += "; " + tell_suppression(
                          reason, parse_rfc3339(text_in(file, "unsubscribed_at")).value_or(event.at), now);
    return out + ".";
}

// What the ledger adds to requests and letters, which tell their own part. nullopt: nothing.
std::optional<std::string> tell(const Event& event, const Posted& posted, TimeMs now) {
    const boost::json::object details = parsed(event.details);
    const std::string slugs = slugs_in(details);
    const std::string method = text_in(details, "method");
    const std::string ip = text_in(parsed(event.evidence), "ip");
    const std::string from = ip.empty() ? "" : " from " + ip;
    const bool replayed = method == "journal" || text_in(details, "by") == "journal";
    const std::string_view by_journal = replayed ? from_journal : "";
    switch (event.kind) {
        case EventKind::signup_requested:
            return std::nullopt;
        case EventKind::letter_sent:
        case EventKind::letter_refused:
        case EventKind::bounced:
            return tell_letter(event, details, posted);
        case EventKind::confirmed:
            return fmt::format("confirmed {} by {}{}.", slugs, method, from);
        case EventKind::declined:
            if (details.contains("change"))
                return fmt::format("said \"this was not me\" to a change of address{}.", from);
            return method == "not_me" ? fmt::format("said \"this was not me\"{}; declined: {}.", from,
                                                    slugs.empty() ? "nothing was pending" : slugs)
                                      : fmt::format("declined {}{}.", slugs, from);
        case EventKind::withdrawn:
            if (replayed) return fmt::format("left {}{}.", slugs, by_journal);
            if (method == "import")  // the reason is the administrator's
                return fmt::format("left {} by import, batch {}; the reason given: {}.", slugs,
                                   number_in(details, "batch"), text_in(details, "reason"));
            return fmt::format("left {} by {}{}{}.", slugs, method, from,
                               details.contains("reason")
                                   ? fmt::format("; her reason: {}", text_in(details, "reason"))
                                   : std::string());
        case EventKind::withdrawal_undone:
            return fmt::format("took back leaving {}{}{}.", slugs, from, by_journal);
        case EventKind::paused:
            return fmt::format("paused {} until {}{}.", slugs, text_in(details, "until"), from);
        case EventKind::resumed:
            return method == "time" ? fmt::format("the pause of {} ended.", slugs)
                                    : fmt::format("resumed {}{}.", slugs, from);
        case EventKind::address_changed: {
            const boost::json::object identity = parsed(event.identity);
            return fmt::format("{} from {} to {}{}.",
                               method == "taken_back" ? "a change of address was taken back:"
                                                      : "both ends confirmed: the address changed",
                               text_in(identity, "old"), text_in(identity, "new"), from);
        }
        case EventKind::suppressed:
            return fmt::format("{}{}.", tell_suppression(text_in(details, "reason"), event.at, now),
                               by_journal);
        case EventKind::unsuppressed:
            if (details.contains("what"))  // nothing was lifted but the budget, once
                return fmt::format("an administrator had a letter sent to her over the mail budget: {}.",
                                   text_in(details, "reason"));
            return fmt::format("letters allowed again: {}{}.", text_in(details, "reason"), by_journal);
        case EventKind::lapsed:
            return fmt::format(
                "a request lapsed: {}.",
                text_in(details, "why") == "budget" ? "the mail budget had no letter for it within 72 hours"
                : text_in(details, "why") == "refused" ? "its letter was refused or came back"
                                                       : "its letter could not be delivered in time");
        case EventKind::imported:
            return tell_import(event, details, now);
        case EventKind::import_undone:
            return fmt::format("an import was taken back: {}.",
                               slugs.empty() ? "what it knew of her" : slugs);
        default:
            return fmt::format("{}.", word(event.kind));
    }
}

// Does her part of the ledger tell of it? Not what came before she did.
bool in_ledger(Reader& reader, Id person, const Suppression& one) {
    const auto events = reader.events_of(person);
    return std::any_of(events.begin(), events.end(), [&](const Event& event) {
        return event.kind == EventKind::suppressed && event.at == one.at;
    });
}

}  // namespace

Story story(Reader& reader, std::string_view addr_key, const Rules& rules, TimeMs now) {
    Story out;
    out.person = reader.person_by_key(addr_key);
    for (const Suppression& key : suppression_keys(rules.keys, addr_key)) {
        const auto found = reader.suppressions(key.key);
        out.suppressions.insert(out.suppressions.end(), found.begin(), found.end());
    }
    for (const Suppression& one : out.suppressions) {
        if (out.person && in_ledger(reader, out.person->id, one)) continue;
        out.lines.push_back({one.at, one.reason == SuppressionReason::erased
                                         ? "was erased; an import never brings this address back."
                                         : tell_suppression(word(one.reason), one.at, now) + "."});
    }
    if (out.person) {
        const auto newsletters = reader.newsletters();
        out.subscriptions = reader.subscriptions_of(out.person->id);
        for (const Request& request : reader.requests_of(out.person->id)) {
            out.lines.push_back({request.asked_at, tell(request, *newsletters)});
        }
        const auto events = reader.events_of(out.person->id);
        Posted posted;
        for (const Event& event : events) {
            if (event.kind == EventKind::letter_sent)
                posted.accepted[number_in(parsed(event.details), "letter")] =
                    text_in(parsed(event.evidence), "reply");
        }
        for (const Letter& letter : reader.letters_of(out.person->id)) {
            posted.kept.insert(letter.id);
            out.lines.push_back(
                {letter.sent_at.value_or(letter.created_at),
                 tell(letter, letter.state == LetterState::sent ? letter.reply : posted.reply_to(letter.id),
                      why_held(reader, letter), *newsletters)});
        }
        for (const Event& event : events) {
            if (auto sentence = tell(event, posted, now))
                out.lines.push_back({event.at, std::move(*sentence)});
        }
        const auto spent = reader.budget(out.person->abuse_key);
        if (!spent.empty()) {
            const TimeMs next = next_allowed(spent, rules.per_address, 0, now);
            out.lines.push_back(
                {spent.back().at, fmt::format("the mail budget counts {} letter{} to this mailbox; {}.",
                                              spent.size(), spent.size() == 1 ? "" : "s",
                                              next <= now ? "it allows another one now"
                                                          : "it allows the next one " + rfc3339(next) +
                                                                " or, from a network that "
                                                                "asked for none of them, perhaps sooner")});
        }
    }
    std::stable_sort(out.lines.begin(), out.lines.end(),
                     [](const StoryLine& a, const StoryLine& b) { return a.at < b.at; });
    for (StoryLine& line : out.lines) line.text = printable(line.text);
    return out;
}

}  // namespace zgoda::service
