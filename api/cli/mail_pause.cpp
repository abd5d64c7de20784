#include "service/mail_pause.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/email_address.h"
#include "service/pending.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

using Scope = service::MailPause::Scope;

// As the keys of addresses have it: lower case, A-labels.
std::optional<std::string> domain_key(const std::string& typed, const service::Rules& rules) {
    const auto checked = service::check_address("somebody@" + typed, rules.address);
    const auto* address = std::get_if<service::EmailAddress>(&checked);
    if (address == nullptr) return std::nullopt;
    return address->addr_key.substr(address->addr_key.rfind('@') + 1);
}

}  // namespace

Exit mail_pause(const MailPause& options, const service::Rules& rules, service::Store& store) {
    service::MailPause pause;
    pause.since = clock_now();
    std::string about = "all letters";
    if (options.after_restore) pause.scope = Scope::after_restore;
    if (!options.domain.empty()) {
        const auto domain = domain_key(options.domain, rules);
        if (!domain) {
            return fail(Exit::usage, fmt::format("{} is no domain; write it as example.org",
                                                 service::printable(options.domain)));
        }
        pause.scope = Scope::domain;
        pause.name = *domain;
        about = "letters to " + *domain;
    }

    enum class Outcome { done, no_newsletter, nothing_to_do, after_restore } outcome = Outcome::done;
    const std::string who = admin_name();
    service::run(store, [&](service::Transaction& tx) {
        outcome = Outcome::done;
        if (!options.newsletter.empty()) {
            const auto newsletters = tx.newsletters();
            const service::Newsletter* one = newsletters->find(options.newsletter);
            if (one == nullptr) {
                outcome = Outcome::no_newsletter;
                return;
            }
            pause.scope = Scope::newsletter;
            pause.name = std::to_string(one->id);
            about = "letters about " + one->slug;
        }
        const auto pauses = tx.mail_pauses();
        const auto is_on = [&](Scope scope, const std::string& name) {
            return std::any_of(pauses.begin(), pauses.end(), [&](const service::MailPause& one) {
                return one.scope == scope && one.name == name;
            });
        };
        if (is_on(pause.scope, pause.name) != options.resume) {
            outcome = pause.scope == Scope::all && options.resume && is_on(Scope::after_restore, "")
                          ? Outcome::after_restore
                          : Outcome::nothing_to_do;
            return;
        }
        if (options.resume)
            tx.remove(pause);
        else
            tx.add(pause);
        constexpr const char* names[] = {"all", "newsletter", "domain", "after_restore"};
        const char* scope = names[static_cast<std::size_t>(pause.scope)];
        service::audit(tx, who, options.resume ? "mail resume" : "mail pause",
                       fmt::format(R"({{"scope":"{}","name":{}}})", scope, service::json_string(pause.name)),
                       pause.since);
    });
    switch (outcome) {
        case Outcome::no_newsletter:
            return fail(Exit::not_found,
                        fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all",
                                    service::printable(options.newsletter)));
        case Outcome::after_restore:
            return fail(Exit::failed,
                        "all letters are held since a restore; look at what came back, then say `zgoda mail "
                        "resume --after-restore`");
        case Outcome::nothing_to_do:
            fmt::print("{} were {}\n", about, options.resume ? "not paused" : "paused already");
            return Exit::done;
        case Outcome::done:
            break;
    }
    const service::Settled settled = service::settle_pauses(store, clock_now(), let_others_in);
    if (options.resume) {
        service::OutboxCounts counts;
        bool stopped = false;
        service::look(store, [&](service::Reader& reader) {
            counts = reader.outbox(clock_now());
            stopped = service::mail_stopped(reader.mail_pauses());
        });
        fmt::print("{} go again, {} due now{}\n", about, counts.due,
                   stopped ? "; but all letters are paused still, see `zgoda mail status`" : "");
    } else if (pause.scope == Scope::all) {
        fmt::print("all letters are paused; what a mailer has in hand still goes out\n");
    } else {
        fmt::print("{} are paused, {} of them wait; what a mailer has in hand still goes out\n", about,
                   settled.held);
    }
    return Exit::done;
}

}  // namespace zgoda::cli
