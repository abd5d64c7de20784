#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <variant>

#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "config/bounce_rules.h"
#include "mailer/bounce.h"
#include "service/story.h"

namespace zgoda::cli {
namespace {

struct Unreadable {
    std::string why;
};

// As much of a mail as is looked at: what came back may hold a letter of any size.
std::variant<std::string, Unreadable> read_mail(const std::string& name) {
    std::FILE* file = name == "-" ? stdin : std::fopen(name.c_str(), "re");
    if (!file) return Unreadable{std::strerror(errno)};
    std::string mail(mailer::longest_bounce, '\0');
    mail.resize(std::fread(mail.data(), 1, mail.size(), file));
    const int error = std::ferror(file) ? errno : 0;
    if (file != stdin) std::fclose(file);
    if (error != 0) return Unreadable{std::strerror(error)};
    return mail;
}

}  // namespace

Exit classify_bounces(const Bounces& verb) {
    const mailer::BounceRules rules(config::load_bounce_rules());
    Exit exit = Exit::done;
    for (const std::string& file : verb.classify) {
        const std::string name = service::printable(file);
        const auto read = read_mail(file);
        if (const auto* unreadable = std::get_if<Unreadable>(&read)) {
            exit = fail(Exit::failed, fmt::format("cannot read {}: {}", name, unreadable->why));
            continue;
        }
        int number = 0;
        for (const auto& recipient : mailer::classify_bounce(std::get<std::string>(read), rules).recipients) {
            fmt::print("{}\t{}\t{}\t{}\t{}\n", name, ++number, recipient.status, recipient.reply,
                       mailer::name_of(recipient.verdict));
        }
    }
    return exit;
}

}  // namespace zgoda::cli
