#include <fmt/format.h>

#include "api/cli/address.h"
#include "api/cli/sending.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "mailer/letter.h"
#include "service/keyring.h"
#include "service/printable.h"

namespace zgoda::cli {

Exit mail_test(const MailTest& options, const config::Settings& settings, const service::Rules& rules) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    const auto made = courier_of(settings, [](std::string_view line) {
        while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
        fmt::print("  {}\n", service::printable(line));
    });
    if (const auto* problem = std::get_if<config::Problem>(&made))
        return fail(Exit::usage, problem->sentence);

    const service::Seed random = service::random_seed();
    mailer::Letter letter;
    letter.from = stationery_of(settings).from;
    letter.to = address->envelope;
    letter.subject = "A test letter from zgoda";
    letter.text = fmt::format("If you can read this, letters from {} arrive.\n", settings.server.public_url);
    letter.html =
        fmt::format("<p>If you can read this, letters from {} arrive.</p>\n", settings.server.public_url);
    letter.message_id =
        fmt::format("<test.{}@{}>", service::to_hex(std::span(random).first(12)), rules.message_id_domain);
    letter.date_ms = clock_now();
    letter.language = "en";

    fmt::print("{}\n", describe_route(settings));
    const mailer::Outcome outcome = std::get<NewCourier>(made)()->deliver(
        {{settings.mail.from.address, address->envelope, address->needs_smtputf8},
         mailer::build_message(letter)});
    const std::string reply = service::printable(outcome.reply);
    switch (outcome.kind) {
        case mailer::Outcome::Kind::delivered:
            fmt::print("delivered{}{}\n", reply.empty() ? "" : ": ", reply);
            return Exit::done;
        case mailer::Outcome::Kind::refused:
            return fail(Exit::failed, "refused: " + reply);
        case mailer::Outcome::Kind::uncertain:
            return fail(Exit::try_later, "the connection was lost at the end, it may have arrived: " + reply);
        case mailer::Outcome::Kind::try_later:
            break;
    }
    if (outcome.scope == mailer::Outcome::Scope::config) {
        return fail(Exit::failed, fmt::format("not delivered, the settings [mail] are wrong: {}", reply));
    }
    return fail(Exit::try_later, "not delivered for now: " + reply);
}

}  // namespace zgoda::cli
