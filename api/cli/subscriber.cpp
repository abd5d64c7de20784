#include <fmt/format.h>

#include <boost/json.hpp>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/desk.h"
#include "service/desk_json.h"
#include "service/mail_pause.h"
#include "service/pending.h"
#include "service/printable.h"
#include "service/signup.h"
#include "service/story.h"

namespace zgoda::cli {
namespace {

using service::printable;

std::string slug_of(const service::Newsletters& newsletters, service::Id id) {
    const service::Newsletter* newsletter = newsletters.find(id);
    return newsletter == nullptr ? fmt::format("newsletter {}", id) : newsletter->slug;
}

struct Found {
    service::Story story;
    std::shared_ptr<const service::Newsletters> newsletters;

    bool nothing() const { return !story.person && story.suppressions.empty() && story.lines.empty(); }
};

Found find(const service::EmailAddress& address, const service::Rules& rules, service::Store& store) {
    Found found;
    const service::TimeMs now = clock_now();
    service::look(store, [&](service::Reader& reader) {
        found.story = service::story(reader, address.addr_key, rules, now);
        found.newsletters = reader.newsletters();
    });
    return found;
}

void print_json(const Found& found) {
    boost::json::object person = service::desk::json_of(*found.story.person);
    boost::json::array subscriptions, suppressions;
    for (const service::Subscription& one : found.story.subscriptions)
        subscriptions.push_back(service::desk::json_of(one, *found.newsletters));
    for (const service::Suppression& one : found.story.suppressions)
        suppressions.push_back(service::desk::json_in_record(one));
    person["subscriptions"] = std::move(subscriptions);
    person["suppressions"] = std::move(suppressions);
    fmt::print("{}\n", boost::json::serialize(person));
}

}  // namespace

Exit subscriber_show(const SubscriberShow& options, const service::Rules& rules, service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    const Found found = find(*address, rules, store);
    if (!found.story.person) return nobody(*address);
    if (options.json) {
        print_json(found);
        return Exit::done;
    }
    const service::Person& person = *found.story.person;
    fmt::print("{}\n", printable(person.address));
    if (!person.name.empty()) fmt::print("  name      {}\n", printable(person.name));
    fmt::print("  language  {}\n  known     since {}, {}\n", printable(person.locale),
               service::rfc3339(person.created_at),
               person.proven_at ? "proven " + service::rfc3339(*person.proven_at) : "not proven");
    for (const service::Subscription& one : found.story.subscriptions) {
        fmt::print("  {:<13} {}, signed up {}", service::word(one.status),
                   slug_of(*found.newsletters, one.newsletter), service::rfc3339(one.signed_up_at));
        if (one.confirmed_at) fmt::print(", confirmed {}", service::rfc3339(*one.confirmed_at));
        const bool bounced = one.status == service::SubscriptionStatus::bounced;
        if (one.unsubscribed_at)
            fmt::print(", {} {}", bounced ? "bounced" : "left", service::rfc3339(*one.unsubscribed_at));
        if (!one.source.empty()) fmt::print(", at {}", printable(one.source));
        if (!one.fields.empty()) fmt::print(", {}", printable(one.fields));
        fmt::print("\n");
    }
    const service::TimeMs now = clock_now();
    for (const service::Suppression& one : found.story.suppressions) {
        const auto until = service::ends_at(one);
        fmt::print("  suppressed    {}, since {}{}{}\n", service::word(one.reason), service::rfc3339(one.at),
                   until ? ", until " + service::rfc3339(*until) : "",
                   until && *until <= now ? ", which is over" : "");
    }
    return Exit::done;
}

Exit subscriber_explain(const SubscriberExplain& options, const service::Rules& rules,
                        service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    const Found found = find(*address, rules, store);
    if (found.nothing()) return nobody(*address);
    boost::json::array lines;
    for (const service::StoryLine& line : found.story.lines) {
        if (options.json)
            lines.push_back(service::desk::json_of(line));
        else
            fmt::print("{}  {}\n", service::rfc3339(line.at), line.text);
    }
    if (options.json) {
        fmt::print("{}\n", boost::json::serialize(boost::json::object{{"address", address->address},
                                                                      {"story", std::move(lines)}}));
    }
    return Exit::done;
}

Exit subscriber_unsubscribe(const SubscriberUnsubscribe& options, const service::Rules& rules,
                            service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    const Found found = find(*address, rules, store);
    if (!found.story.person) return nobody(*address);

    std::optional<service::Id> from;
    if (!options.newsletter.empty()) {
        const service::Newsletter* newsletter = found.newsletters->find(options.newsletter);
        if (newsletter == nullptr) {
            return fail(Exit::not_found,
                        fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all",
                                    printable(options.newsletter)));
        }
        from = newsletter->id;
    } else if (!options.all && found.story.subscriptions.size() > 1) {
        return fail(Exit::usage, "she has several newsletters; say --newsletter SLUG or --all");
    }
    if (!options.yes) {
        const std::string what = from ? options.newsletter : "everything";
        if (!ask(fmt::format("Unsubscribe {} from {} for good?", printable(address->address), what))
                 .value_or(true)) {
            return fail(Exit::failed, "nothing was changed");
        }
    }
    const service::Moment moment{clock_now(), service::random_seed()};
    const std::string who = admin_name();
    int ended = 0;
    service::run(store, [&](service::Transaction& tx) {
        const auto person = tx.person_by_key(address->addr_key);
        ended = person ? service::desk::unsubscribe(tx, who, *person, from, rules, moment) : 0;
    });
    fmt::print("{} subscription{} ended\n", ended, ended == 1 ? "" : "s");
    return Exit::done;
}

Exit subscriber_resend(const SubscriberResend& options, const service::Rules& rules, service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    if (!options.reason.empty()) {
        if (const auto problem = service::reason_problem(options.reason)) return fail(Exit::usage, *problem);
    }
    const service::Moment moment{clock_now(), service::random_seed()};
    const std::string who = admin_name();
    bool known = false;
    std::string held;
    service::Resent resent = service::Resent::nothing_pending;
    service::run(store, [&](service::Transaction& tx) {
        const auto person = tx.person_by_key(address->addr_key);
        known = person.has_value();
        if (!known) return;
        resent = service::desk::resend(tx, who, *person, options.over_budget, options.reason, rules, moment);
        held.clear();
        for (const service::Letter& letter : tx.letters_of(person->id)) {
            if (letter.kind != service::LetterKind::confirmation) continue;
            if (const std::string why = service::why_held(tx, letter); !why.empty()) held = ", " + why;
        }
    });
    if (!known) return nobody(*address);
    switch (resent) {
        case service::Resent::queued:
        case service::Resent::sooner:
            fmt::print("the letter is queued{}\n", held);
            return Exit::done;
        case service::Resent::under_way:
            fmt::print("the letter is queued already; nothing was changed{}\n", held);
            return Exit::done;
        case service::Resent::waits_for_budget:
            fmt::print(
                "the letter waits: her mail budget allows none now; --over-budget --reason TEXT sends it "
                "anyway{}\n",
                held);
            return Exit::done;
        case service::Resent::nothing_pending:
            return fail(Exit::failed,
                        "nothing of hers waits for a confirmation; `zgoda subscriber explain` tells more");
        case service::Resent::suppressed:
            break;
    }
    return fail(Exit::failed,
                "she is suppressed, so no letter goes to her; `zgoda subscriber explain` tells why");
}

Exit subscriber_erase(const SubscriberErase& options, const service::Rules& rules, service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    const Found found = find(*address, rules, store);
    if (!found.story.person) return nobody(*address);
    if (!options.yes) {
        const auto answer = ask(fmt::format("Erase {} with {} subscriptions for good?",
                                            printable(address->address), found.story.subscriptions.size()));
        if (!answer)
            return fail(Exit::usage, "erasing asks first, and there is no terminal to ask on; say --yes");
        if (!*answer) return fail(Exit::failed, "nothing was erased");
    }
    const service::Moment moment{clock_now(), service::random_seed()};
    const std::string who = admin_name();
    bool known = false;
    service::run(store, [&](service::Transaction& tx) {
        const auto person = tx.person_by_key(address->addr_key);
        known = person.has_value();
        if (!known) return;
        service::desk::erase(tx, who, *person, rules, moment);
    });
    if (!known) return nobody(*address);
    fmt::print("erased\n");
    return Exit::done;
}

}  // namespace zgoda::cli
