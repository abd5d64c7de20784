#include <fmt/format.h>

#include <boost/json.hpp>

#include "api/cli/address.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/ledger.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

using boost::json::object;
using service::printable;

object parsed(const std::string& text) {
    if (text.empty()) return {};
    return boost::json::parse(text).as_object();
}

// Puts the exact words beside each wording id in `details`: a proof must be readable without the database.
void add_words(object& details, service::Reader& reader) {
    boost::json::value* newsletters = details.if_contains("newsletters");
    if (newsletters == nullptr || !newsletters->is_array()) return;
    for (boost::json::value& one : newsletters->as_array()) {
        if (!one.is_object() || !one.as_object().contains("wording")) continue;
        const boost::json::value id = one.as_object()["wording"];
        const auto wording =
            id.is_string() ? reader.wording(std::string(id.as_string())) : std::optional<service::Wording>();
        if (wording) {
            one.as_object()["wording_text"] = wording->text;
            one.as_object()["wording_locale"] = wording->locale;
            one.as_object()["privacy_url"] = wording->privacy_url;
        } else {
            one.as_object()["wording_text"] = "not stated by the form";
        }
    }
}

// "key: value" lines; what is nested is one step further in.
void print_members(const object& members, int indent) {
    for (const auto& member : members) {
        const boost::json::value& value = member.value();
        if (value.is_null() || (value.is_string() && value.as_string().empty()) ||
            (value.is_object() && value.as_object().empty())) {
            continue;
        }
        fmt::print("{:{}}{}: ", "", indent, std::string_view(member.key()));
        if (value.is_object()) {
            fmt::print("\n");
            print_members(value.as_object(), indent + 4);
        } else if (value.is_array()) {
            fmt::print("\n");
            for (const boost::json::value& one : value.as_array()) {
                if (one.is_object()) {
                    print_members(one.as_object(), indent + 4);
                    if (&one != &value.as_array().back()) fmt::print("\n");
                } else {
                    fmt::print("{:{}}{}\n", "", indent + 4, printable(boost::json::serialize(one)));
                }
            }
        } else if (value.is_string()) {
            fmt::print("{}\n", printable(std::string_view(value.as_string())));
        } else {
            fmt::print("{}\n", boost::json::serialize(value));
        }
    }
}

}  // namespace

Exit consent_show(const ConsentShow& options, const service::Rules& rules, service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    bool known = false;
    boost::json::array events;
    service::look(store, [&](service::Reader& reader) {
        const auto person = reader.person_by_key(address->addr_key);
        known = person.has_value();
        events.clear();
        if (!known) return;
        for (const service::Event& event : reader.events_of(person->id)) {
            object details = parsed(event.details);
            add_words(details, reader);
            events.push_back({{"seq", event.seq},
                              {"at", service::rfc3339(event.at)},
                              {"event", service::word(event.kind)},
                              {"details", std::move(details)},
                              {"identity", parsed(event.identity)},
                              {"evidence", parsed(event.evidence)},
                              {"hash", service::to_hex(event.hash)}});
        }
    });
    if (!known) return nobody(*address);
    if (options.json) {
        fmt::print("{}\n", boost::json::serialize(
                               object{{"address", address->address}, {"events", std::move(events)}}));
        return Exit::done;
    }
    fmt::print("{}\n", printable(address->address));
    for (const boost::json::value& one : events) {
        const object& event = one.as_object();
        fmt::print("\n{}  {}  (event {}, {})\n", std::string_view(event.at("at").as_string()),
                   std::string_view(event.at("event").as_string()), event.at("seq").as_int64(),
                   std::string_view(event.at("hash").as_string()));
        for (const char* part : {"details", "identity", "evidence"})
            print_members(event.at(part).as_object(), 4);
    }
    return Exit::done;
}

Exit consent_verify(const ConsentVerify& options, const service::Keyring& keys, service::Store& store) {
    std::int64_t total = 0;
    if (Progress::wanted()) {
        service::look(store, [&](service::Reader& reader) { total = reader.ledger_head().seq; });
    }
    service::Verdict verdict;
    {
        Progress progress("consent verify", total);
        verdict = service::verify_ledger(store, keys, options.expected_head,
                                         [&](std::int64_t events) { progress.at(events); });
    }
    if (options.json) {
        object found{{"head", verdict.head},
                     {"events", verdict.events},
                     {"erased", verdict.erased},
                     {"truncated", verdict.truncated}};
        if (verdict.problem) found["problem"] = *verdict.problem;
        fmt::print("{}\n", boost::json::serialize(found));
        return verdict.problem ? Exit::failed : Exit::done;
    }
    if (verdict.problem)
        return fail(Exit::failed, "the ledger was tampered with or damaged: " + *verdict.problem);
    fmt::print("{}\n", verdict.head);
    fmt::print(stderr, "{} events, all in order; identity erased from {}, network evidence removed from {}\n",
               verdict.events, verdict.erased, verdict.truncated);
    return Exit::done;
}

}  // namespace zgoda::cli
