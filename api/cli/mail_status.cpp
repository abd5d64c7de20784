#include <fmt/format.h>

#include <boost/json.hpp>
#include <limits>
#include <map>

#include "api/cli/address.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/mail_pause.h"
#include "service/outbox.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

std::string reason_of(const service::Letter& letter) {
    if (!letter.reply.empty()) return letter.reply;
    if (letter.state == service::LetterState::leased) return "a mailer is at it";
    return letter.budgeted ? "no mailer has taken it yet" : "her mail budget allows no letter yet";
}

// "all letters", "letters to example.org".
std::string held_by(const service::MailPause& pause, const service::Newsletters& newsletters) {
    using Scope = service::MailPause::Scope;
    switch (pause.scope) {
        case Scope::newsletter:
            for (const service::Newsletter& one : newsletters.all()) {
                if (std::to_string(one.id) == pause.name) return "letters about " + one.slug;
            }
            return "letters about newsletter " + pause.name;
        case Scope::domain:
            return "letters to " + pause.name;
        case Scope::all:
            return "all letters";
        case Scope::after_restore:
            break;
    }
    return "all letters, since a restore (`zgoda mail resume --after-restore`)";
}

struct Group {
    std::int64_t letters = 0;
    service::TimeMs next_at = std::numeric_limits<service::TimeMs>::max();
};

}  // namespace

Exit mail_status(const MailStatus& options, service::Store& store) {
    constexpr std::size_t sample = 10'000;  // letters that reasons are counted of; the totals are of all
    const service::TimeMs now = clock_now();
    service::OutboxCounts counts;
    service::MailerNote note;
    std::vector<service::MailPause> pauses;
    std::shared_ptr<const service::Newsletters> newsletters;
    std::map<std::pair<service::LetterState, std::string>, Group> groups;
    service::look(store, [&](service::Reader& reader) {
        counts = reader.outbox(now);
        note = reader.mailer_note();
        pauses = reader.mail_pauses();
        newsletters = reader.newsletters();
        groups.clear();
        const bool stopped = service::mail_stopped(pauses);
        if (stopped) {
            counts.due = 0;
            counts.oldest_due.reset();
        }
        std::vector<service::Letter> letters =
            reader.due_letters(std::numeric_limits<service::TimeMs>::max(), sample);
        for (service::Letter& leased : reader.leased_letters()) letters.push_back(std::move(leased));
        for (const service::Letter& letter : letters) {
            const bool may_be_held = !pauses.empty() || letter.due_at == service::held_due_at;
            const std::string held = may_be_held ? service::why_held(reader, letter) : "";
            // A narrow pause puts a letter aside when its turn comes; until then it was counted as due.
            if (!stopped && !held.empty() && letter.due_at <= now) --counts.due;
            Group& group = groups[{letter.state, held.empty() ? reason_of(letter) : held}];
            ++group.letters;
            group.next_at = std::min(group.next_at, held.empty() ? letter.due_at : service::held_due_at);
        }
        if (counts.due <= 0) counts.oldest_due.reset();
    });

    if (options.json) {
        boost::json::array reasons;
        for (const auto& [what, group] : groups) {
            reasons.push_back({{"state", service::word(what.first)},
                               {"why", what.second},
                               {"letters", group.letters},
                               {"next_at", service::rfc3339(group.next_at)}});
        }
        boost::json::object status{{"due", counts.due}, {"waiting", counts.waiting}};
        status["oldest_due"] = nullptr;
        if (counts.oldest_due) status["oldest_due"] = service::rfc3339(*counts.oldest_due);
        status["last_run_at"] = nullptr;
        if (note.last_run_at != 0) status["last_run_at"] = service::rfc3339(note.last_run_at);
        status["results"] = {{"delivered", note.delivered},
                             {"later", note.later},
                             {"refused", note.refused},
                             {"uncertain", note.uncertain}};
        status["relay_trouble"] = nullptr;
        if (!note.relay_trouble.empty())
            status["relay_trouble"] = {{"why", note.relay_trouble},
                                       {"since", service::rfc3339(note.trouble_since)}};
        status["reasons"] = std::move(reasons);
        boost::json::array paused;
        for (const service::MailPause& one : pauses) {
            paused.push_back({{"what", held_by(one, *newsletters)}, {"since", service::rfc3339(one.since)}});
        }
        status["paused"] = std::move(paused);
        fmt::print("{}\n", boost::json::serialize(status));
        return Exit::done;
    }
    fmt::print("{} waiting, {} of them due now", counts.waiting, counts.due);
    if (counts.oldest_due) fmt::print(", the oldest since {}", service::rfc3339(*counts.oldest_due));
    fmt::print("\n{}\n", note.last_run_at == 0
                             ? "no mailer has run yet"
                             : fmt::format("a mailer ran last at {} or up to {} minutes later",
                                           service::rfc3339(note.last_run_at),
                                           service::note_runs_every / service::minute_ms));
    fmt::print("so far {} delivered, {} put off, {} refused, {} uncertain\n", note.delivered, note.later,
               note.refused, note.uncertain);
    if (!note.relay_trouble.empty())
        fmt::print("the relay takes no letters since {}: {}\n", service::rfc3339(note.trouble_since),
                   service::printable(note.relay_trouble));
    for (const service::MailPause& one : pauses)
        fmt::print("paused since {}: {}\n", service::rfc3339(one.since), held_by(one, *newsletters));
    for (const auto& [what, group] : groups) {
        fmt::print(
            "  {:>6} {:<9} {}{}\n", group.letters, service::word(what.first), service::printable(what.second),
            group.next_at == service::held_due_at ? "" : ", next at " + service::rfc3339(group.next_at));
    }
    return Exit::done;
}

}  // namespace zgoda::cli
