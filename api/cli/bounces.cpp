#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <variant>

#include "api/cli/address.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "config/bounce_rules.h"
#include "config/host.h"
#include "config/secret_file.h"
#include "mailer/bounce.h"
#include "mailer/imap_mailbox.h"
#include "service/address_change.h"
#include "service/bounces.h"
#include "service/printable.h"
#include "service/verp.h"

namespace zgoda::cli {
namespace {

// Relays may change the case of addresses.
bool same_but_for_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

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

// What became of the mails of one run.
struct Tally {
    int read = 0, bounced = 0, undeliverable = 0, complained = 0, noted = 0, policy = 0, ignored = 0;
};

std::optional<service::Id> signed_letter(const mailer::Bounce& bounce, const std::string& domain,
                                         const service::Keyring& keys) {
    for (const std::string& address : bounce.return_paths) {
        const std::size_t at = address.rfind('@');
        if (at == address.npos || !same_but_for_case(address.substr(at + 1), domain)) continue;
        if (const auto letter = service::returned_letter(address.substr(0, at), keys)) return letter;
    }
    return std::nullopt;
}

// A letter goes to one person. A mail that speaks of several is about her where it names her.
const mailer::BouncedRecipient* about_her(const mailer::Bounce& bounce, const std::string& envelope) {
    if (bounce.recipients.size() == 1) return &bounce.recipients.front();
    for (const mailer::BouncedRecipient& one : bounce.recipients) {
        if (same_but_for_case(one.address, envelope)) return &one;
    }
    return nullptr;
}

std::optional<service::Returned> meaning(const mailer::Bounce& bounce,
                                         const mailer::BouncedRecipient& recipient) {
    using Verdict = mailer::BounceVerdict;
    switch (recipient.verdict) {
        case Verdict::hard:
            return service::Returned::hard;
        case Verdict::soft:
            return recipient.perhaps_hard ? service::Returned::perhaps : service::Returned::soft;
        case Verdict::inactive:
        case Verdict::quota:
            return service::Returned::soft;
        case Verdict::complaint:
            if (bounce.feedback_type == "auth-failure") return std::nullopt;  // of a server, not of a reader
            return service::Returned::complaint;
        case Verdict::policy:
            return service::Returned::policy;
        case Verdict::none:
            break;
    }
    return std::nullopt;
}

class Intake {
 public:
    Intake(const config::Settings& settings, const service::Rules& rules, service::Store& store,
           const Log& log)
        : domain_(settings.mail.bounce_domain), rules_(rules), store_(store), log_(log) {}

    void take(std::string_view mail) {
        ++tally.read;
        const mailer::Bounce bounce = mailer::classify_bounce(mail, words_);
        const auto letter = signed_letter(bounce, domain_, rules_.keys);
        std::string envelope;
        if (letter) envelope = recipient_of(*letter);
        const mailer::BouncedRecipient* recipient = envelope.empty() ? nullptr : about_her(bounce, envelope);
        if (!recipient) {
            ++tally.ignored;
            return;
        }
        if (recipient->verdict == mailer::BounceVerdict::policy) {
            ++tally.policy;
            log_.warn("letter_refused_by_policy", {{"letter", *letter}, {"status", recipient->status}});
        }
        if (const auto what = meaning(bounce, *recipient))
            act(*letter, *what, *recipient);
        else
            ++tally.ignored;
    }

    Tally tally;

 private:
    std::string recipient_of(service::Id id) {
        std::string envelope;
        service::look(store_, [&](service::Reader& reader) {
            const auto letter = reader.letter(id);
            const auto person = letter ? reader.person(letter->person) : std::nullopt;
            envelope = person ? service::addressee(reader, *person, *letter).envelope : "";
        });
        return envelope;
    }

    void act(service::Id letter, service::Returned what, const mailer::BouncedRecipient& recipient) {
        const service::Moment moment{clock_now(), service::random_seed()};
        const std::string code = recipient.reply + (recipient.reply.empty() ? "" : " ") + recipient.status;
        const std::string& reply = recipient.words.empty() ? code : recipient.words;
        service::BounceOutcome outcome{};
        service::run(store_, [&](service::Transaction& tx) {
            outcome = service::take_back(tx, letter, what, reply, rules_, moment);
        });
        if (what == service::Returned::policy) return;  // counted as such
        switch (outcome) {
            case service::BounceOutcome::bounced:
                ++tally.bounced;
                break;
            case service::BounceOutcome::undeliverable:
                ++tally.undeliverable;
                break;
            case service::BounceOutcome::complained:
                ++tally.complained;
                break;
            case service::BounceOutcome::noted:
                ++tally.noted;
                break;
            case service::BounceOutcome::unknown:
            case service::BounceOutcome::too_old:
                ++tally.ignored;
        }
    }

    const mailer::BounceRules words_{config::load_bounce_rules()};
    std::string domain_;
    const service::Rules& rules_;
    service::Store& store_;
    const Log& log_;
};

bool seen(const std::string& name) {
    const std::size_t flags = name.rfind(":2,");
    return flags != name.npos && name.find('S', flags) != name.npos;
}

// Names of mails that nobody has seen, and the names that say so.
std::vector<std::pair<std::filesystem::path, std::filesystem::path>> unseen(
    const std::filesystem::path& maildir, std::error_code& error) {
    std::vector<std::pair<std::filesystem::path, std::filesystem::path>> mails;
    for (const char* folder : {"new", "cur"}) {
        for (std::filesystem::directory_iterator one(maildir / folder, error), end; !error && one != end;
             one.increment(error)) {
            const std::string name = one->path().filename().string();
            if (name.starts_with('.') || seen(name)) continue;
            const bool has_flags = name.find(":2,") != name.npos;
            mails.emplace_back(one->path(), maildir / "cur" / (name + (has_flags ? "S" : ":2,S")));
        }
        if (error) break;
    }
    std::sort(mails.begin(), mails.end());
    return mails;
}

// What is new in a Maildir. A mail that cannot be read or marked is said, and the others go on.
Exit take_maildir(const std::string& maildir, Intake& intake) {
    std::error_code error;
    Exit exit = Exit::done;
    for (const auto& [mail, taken] : unseen(maildir, error)) {
        const auto read = read_mail(mail.string());
        std::error_code moved;
        if (std::holds_alternative<std::string>(read)) {
            intake.take(std::get<std::string>(read));
            std::filesystem::rename(mail, taken, moved);
        }
        if (const auto* unreadable = std::get_if<Unreadable>(&read); unreadable || moved) {
            exit = fail(Exit::failed, fmt::format("cannot {} {}: {}", unreadable ? "read" : "mark as seen",
                                                  service::printable(mail.string()),
                                                  unreadable ? unreadable->why : moved.message()));
        }
    }
    if (error) {
        return fail(Exit::not_found, fmt::format("--maildir {} is no Maildir that can be read: {}",
                                                 service::printable(maildir), error.message()));
    }
    return exit;
}

// What --imap and the files beside it say.
std::variant<mailer::ImapOptions, config::Problem> imap_options(const Bounces& verb) {
    const auto url = boost::urls::parse_uri(verb.imap);
    if (!url || (url->scheme() != "imaps" && url->scheme() != "imap") || url->host().empty() ||
        url->user().empty() || (url->has_port() && url->port_number() == 0) || url->has_query() ||
        url->has_fragment())
        return config::Problem{"--imap must be like imaps://bounces@mail.example.org/INBOX"};
    if (url->has_password())
        return config::Problem{
            "--imap holds a password, which all users of this machine can see there: put it into a file, and "
            "name that with --password-file"};
    mailer::ImapOptions options;
    options.host = url->host_address();
    const bool loopback = config::is_loopback(options.host);
    using Tls = mailer::ImapOptions::Tls;
    options.tls = url->scheme() == "imaps" ? Tls::implicit : loopback ? Tls::none : Tls::starttls;
    options.port = url->has_port() ? url->port_number() : options.tls == Tls::implicit ? 993 : 143;
    options.username = url->user();
    if (const std::string folder = url->path(); folder.size() > 1) options.folder = folder.substr(1);
    if (std::any_of(options.folder.begin(), options.folder.end(),
                    [](char c) { return c < 0x20 || c > 0x7E; }))
        return config::Problem{
            "the folder of --imap must be plain ASCII (others as modified UTF-7, RFC 3501)"};
    if (verb.password_file.empty() && verb.token_file.empty())
        return config::Problem{"--imap needs --password-file or --token-file"};
    const bool token = !verb.token_file.empty();
    auto secret = config::load_password(token ? verb.token_file : verb.password_file,
                                        token ? "--token-file" : "--password-file");
    if (auto* problem = std::get_if<config::Problem>(&secret)) return std::move(*problem);
    (token ? options.token : options.password) = std::get<std::string>(std::move(secret));
    return options;
}

// What is new in an IMAP folder, a mail at a time: each is marked when it has been acted on.
Exit take_imap(const mailer::ImapOptions& options, Intake& intake) {
    try {
        mailer::ImapMailbox mailbox(options);
        for (const std::uint32_t uid : mailbox.unseen()) {
            const auto mail = mailbox.fetch(uid, mailer::longest_bounce);
            if (!mail) continue;
            intake.take(*mail);
            mailbox.mark_seen(uid);
        }
    } catch (const mailer::ImapTrouble& trouble) {
        return fail(Exit::try_later, fmt::format("the IMAP server {}:{} cannot be read: {}", options.host,
                                                 options.port, service::printable(trouble.what())));
    }
    return Exit::done;
}

}  // namespace

Exit bounces(const Bounces& verb, const config::Settings& settings, const service::Rules& rules,
             service::Store& store, const Log& log) {
    if (settings.mail.bounce_domain.empty()) {
        return fail(Exit::usage,
                    "mail.bounce_domain is not set: without it letters have no return path of their own, "
                    "and mail that comes back names none");
    }
    Intake intake(settings, rules, store, log);
    if (verb.from_stdin) {
        const auto read = read_mail("-");
        if (const auto* unreadable = std::get_if<Unreadable>(&read))
            return fail(Exit::try_later, "cannot read stdin: " + unreadable->why);
        try {
            intake.take(std::get<std::string>(read));
        } catch (const service::StorageError& error) {
            return fail(Exit::try_later, error.what());  // a mail server keeps the mail, and asks again
        }
        return Exit::done;
    }

    Exit exit = Exit::done;
    if (verb.imap.empty()) {
        exit = take_maildir(verb.maildir, intake);
    } else {
        const auto options = imap_options(verb);
        if (const auto* problem = std::get_if<config::Problem>(&options))
            return fail(Exit::usage, problem->sentence);
        exit = take_imap(std::get<mailer::ImapOptions>(options), intake);
    }
    const Tally& tally = intake.tally;
    if (tally.read > 0 || (exit == Exit::done && isatty(STDOUT_FILENO) == 1)) {
        fmt::print(
            "read {}, bounced {}, undeliverable {}, complained {}, noted {}, refused by policy {}, ignored "
            "{}\n",
            tally.read, tally.bounced, tally.undeliverable, tally.complained, tally.noted, tally.policy,
            tally.ignored);
    }
    return exit;
}

Exit classify_bounces(const Bounces& verb) {
    const mailer::BounceRules rules(config::load_bounce_rules());
    Exit exit = Exit::done;
    for (const std::string& file : verb.classify) {
        const std::string name = service::printable(file);
        const auto read = read_mail(file);
        if (const auto* unreadable = std::get_if<Unreadable>(&read)) {
            std::error_code error;
            const bool there = std::filesystem::exists(file, error);
            exit = fail(there ? Exit::failed : Exit::not_found,
                        fmt::format("cannot read {}: {}", name, unreadable->why));
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
