#include "api/cli/commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "api/cli/terminal.h"
#include "service/newsletter.h"
#include "service/printable.h"
#include "service/words.h"

namespace zgoda::cli {
namespace {

// How a setting is spelled as an option: reply_to is --reply-to.
std::string option_of(std::string_view key) {
    std::string name = "--" + std::string(key);
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

// The families of settings, and the option that each has.
constexpr std::pair<std::string_view, std::string_view> families[] = {{"texts.", "--text"},
                                                                      {"labels.", "--label"}};

// Spellings that CLI11 does not take as people mean them: "--texts.KEY VALUE" becomes "--text KEY=VALUE" (the
// same for labels), the value of "--name=" is empty rather than the next word, and that of "-o=FILE" is FILE.
std::vector<std::string> plain_spelling(std::vector<std::string> words) {
    std::vector<std::string> result;
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string word = words[i];
        if (word == "--") {
            result.insert(result.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
            break;
        }
        const auto family = std::find_if(std::begin(families), std::end(families), [&word](const auto& one) {
            return word.rfind("--" + std::string(one.first), 0) == 0;
        });
        if (family != std::end(families)) {
            const std::string setting = word.substr(2 + family->first.size());
            const bool has_value = setting.find('=') != std::string::npos;
            result.emplace_back(family->second);
            result.push_back(has_value || i + 1 == words.size() ? setting : setting + "=" + words[++i]);
        } else if (word.rfind("--", 0) == 0 && word.size() > 3 && word.back() == '=') {
            word.pop_back();
            result.push_back(word);
            result.emplace_back();
        } else if (word.size() > 2 && word[0] == '-' && word[1] != '-' && word[2] == '=') {
            result.push_back(word.substr(0, 2));
            result.push_back(word.substr(3));
        } else {
            result.push_back(word);
        }
    }
    return result;
}

// The options of `newsletter add` and `edit`: one for each setting there is.
class SettingOptions {
 public:
    void add_to(CLI::App& verb) {
        verb.add_option("--in", locale, "the language of the values given here; only for what readers see")
            ->type_name("LOCALE");
        for (const service::NewsletterKey& key : service::newsletter_keys()) {
            if (key.name.ends_with(".*")) {
                const std::string_view family = key.name.substr(0, key.name.size() - 1);
                const auto* known = std::find_if(std::begin(families), std::end(families),
                                                 [family](const auto& one) { return one.first == family; });
                verb.add_option(std::string(known->second), members_[std::string(family)],
                                fmt::format("{}; also --{}KEY VALUE (--in)", key.meaning, family))
                    ->type_name("KEY=VALUE")
                    ->allow_extra_args(false)
                    ->check([](const std::string& text) {
                        return text.find('=') == std::string::npos ? "wants KEY=VALUE" : "";
                    });
                continue;
            }
            std::string& value = values_[std::string(key.name)];
            options_.emplace_back(
                key.name, verb.add_option(option_of(key.name), value,
                                          std::string(key.meaning) + (key.per_language ? " (--in)" : ""))
                              ->type_name("VALUE"));
        }
    }

    // An empty value of a setting takes it away.
    bool holds(const CLI::Option* one) const {
        return std::any_of(options_.begin(), options_.end(),
                           [one](const auto& setting) { return setting.second == one; });
    }

    std::vector<SettingChange> changes() const {
        std::vector<SettingChange> result;
        for (const auto& [key, option] : options_) {
            if (option->count() > 0) result.push_back({std::string(key), values_.at(std::string(key))});
        }
        for (const auto& [family, members] : members_) {
            for (const std::string& text : members) {
                const std::size_t equals = text.find('=');
                result.push_back({family + text.substr(0, equals), text.substr(equals + 1)});
            }
        }
        return result;
    }

    std::string locale;

 private:
    std::map<std::string, std::string> values_;
    std::map<std::string, std::vector<std::string>> members_;  // of each family: "KEY=VALUE"
    std::vector<std::pair<std::string_view, CLI::Option*>> options_;
};

std::string check_status(const std::string& text) {
    if (text == "all" || service::parse_subscription_status(text)) return "";
    return "wants pending, confirmed, paused, unsubscribed, undeliverable, bounced, complained or all";
}

std::string check_time(const std::string& text) {
    return service::parse_rfc3339(text) ? "" : "wants a time such as 2026-11-22 or 2026-11-22T10:00:00Z";
}

std::string check_head(const std::string& text) {
    const std::size_t colon = text.find(':');
    const bool right = colon != std::string::npos && colon > 0 && text.size() == colon + 65 &&
                       text.find_first_not_of("0123456789") == colon &&
                       text.find_first_not_of("0123456789abcdef", colon + 1) == std::string::npos;
    return right ? "" : "wants SEQ:HASH, as `zgoda consent verify` printed it";
}

std::string check_name(const std::string& text) {
    return text.empty() ? "wants a name, and was given an empty one" : "";
}

std::string check_from_one(const std::string& text) {
    return CLI::PositiveNumber(text).empty() ? "" : "wants a number from 1";
}

// Of the verbs that were named, the last one runs. What was given to those before it (`import --dry-run
// undo`, and by CLI11's fallthrough `import undo B --dry-run` too) is not for it. Only --config stands
// anywhere.
std::optional<std::string> foreign_to(const CLI::App& app) {
    std::string name = app.get_name();
    std::vector<const CLI::App*> before;
    const CLI::App* last = &app;
    for (auto next = last->get_subcommands(); !next.empty(); next = last->get_subcommands()) {
        if (last != &app) before.push_back(last);
        last = next.front();
        name += " " + last->get_name();
    }
    for (const CLI::App* verb : before) {
        for (const CLI::Option* one : verb->get_options()) {
            if (one->count() == 0) continue;
            return one->get_positional() ? fmt::format("`{}` takes no \"{}\"", name, one->results().front())
                                         : fmt::format("`{}` has no option {}", name, one->get_name());
        }
    }
    return std::nullopt;
}

// An option that was given without a value, as `--newsletter "$SLUG"` is when SLUG is not set. Taken as not
// given it would mean everything.
std::optional<std::string> empty_option(const CLI::App& app,
                                        const std::function<bool(const CLI::Option*)>& may_be_empty) {
    for (const CLI::Option* one : app.get_options()) {
        const auto& values = one->results();
        if (std::find(values.begin(), values.end(), "") != values.end() && !may_be_empty(one))
            return fmt::format("{} wants a value; the one given is empty", one->get_name());
    }
    for (const CLI::App* verb : app.get_subcommands()) {
        if (auto problem = empty_option(*verb, may_be_empty)) return problem;
    }
    return std::nullopt;
}

// Positional arguments are called what they are; which type they have says nothing.
void hide_types(CLI::App& app) {
    for (CLI::Option* one : app.get_options())
        if (one->get_positional() && one->get_type_name() == "TEXT") one->type_name("");
    for (CLI::App* verb : app.get_subcommands({})) hide_types(*verb);
}

// The list of verbs needs one sentence of each; --help of the verb has them all.
class Formatter : public CLI::Formatter {
 public:
    Formatter() {
        column_width(34);
        label("SUBCOMMAND", "VERB");
        label("REQUIRED", "(required)");
    }
    std::string make_subcommand(const CLI::App* verb) const override {
        const std::string all = verb->get_description();
        const std::size_t end = all.find(". ");
        std::stringstream out;
        CLI::detail::format_help(out, verb->get_name(), end == all.npos ? all : all.substr(0, end + 1),
                                 get_column_width());
        return out.str();
    }
};

const char* const overview =
    R"(zgoda keeps newsletter subscriptions: a reader types an address into a form, one letter asks "was it you?", and the
answer can be proved years later.

A first try on one machine, with nothing set up (letters become files in var/letters/new):
  zgoda migrate
  zgoda newsletter add morning-brief --name "Morning Brief"
  zgoda serve --with-mailer)";

const char* const footer = R"(
Settings are read from --config FILE, else $ZGODA_CONFIG, else ./zgoda.toml (unless others may write it), else
/etc/zgoda/zgoda.toml, else the built-in defaults. Each can be given as ZGODA_SECTION_KEY in the environment
(ZGODA_SERVER_LISTEN=127.0.0.1:9000). `zgoda check-config` says what would be used.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 not found, 70 storage broken, 75 try again later.)";

}  // namespace

std::variant<Command, Exit> parse_command_line(std::vector<std::string> arguments) {
    CLI::App app(overview, "zgoda");
    app.fallthrough();
    app.require_subcommand(1);
    app.formatter(std::make_shared<Formatter>());
    app.footer(footer);
    app.set_version_flag("--version", "zgoda " ZGODA_VERSION);

    Command command;
    app.add_option("--config", command.config_file, "the settings file")->type_name("FILE");

    auto verb_of = [](CLI::App* parent, const char* name, const char* description) {
        CLI::App* verb = parent->add_subcommand(name, description);
        verb->footer("");
        return verb;
    };
    auto group_of = [&](const char* name, const char* description) {
        CLI::App* group = verb_of(&app, name, description);
        group->require_subcommand(1);
        return group;
    };
    // The verb is done with the values that were parsed into `options`.
    auto runs = [&command](CLI::App* verb, const auto& options) {
        verb->callback([&command, &options] { command.verb = options; });
    };
    const char* const json_help = "for programs: JSON";

    Serve serve_options;
    CLI::App* verb =
        verb_of(&app, "serve",
                "Runs the HTTP service until SIGTERM. Makes the database if there is none. The log is on "
                "stderr, one JSON object a line.");
    verb->add_flag("--with-mailer", serve_options.with_mailer,
                   "also sends the letters, for one box or a first try; else cron runs `zgoda mail`");
    runs(verb, serve_options);

    Mail mail_options;
    CLI::App* mail =
        verb_of(&app, "mail",
                "Sends the letters that are due and exits, for cron (also test, status, pause, resume). "
                "Several at once "
                "share the work. "
                "Prints `sent 120, later 3, refused 1, waiting 3`, and nothing when there was nothing to do "
                "and stdout is no terminal.");
    mail->require_subcommand(0, 1);
    mail->add_flag("--follow", mail_options.follow, "stays and sends as letters become due, until SIGTERM");
    mail->add_option("--limit", mail_options.limit, "at most this many letters")
        ->type_name("N")
        ->check(check_from_one);
    mail->add_option("--max-time", mail_options.max_time, "starts no letter after this many seconds")
        ->type_name("S")
        ->check(check_from_one);
    mail->add_flag("--dry-run", mail_options.dry_run, "says what would be sent, and sends nothing");
    mail->callback([&] {
        if (mail->get_subcommands().empty()) command.verb = mail_options;
    });

    MailTest mail_test_options;
    verb = verb_of(mail, "test", "Sends one test letter through the relay and shows what the relay said.");
    verb->add_option("ADDRESS", mail_test_options.address, "where the letter goes")->required();
    runs(verb, mail_test_options);

    MailStatus mail_status_options;
    verb = verb_of(mail, "status", "What waits to be sent, and why.");
    verb->add_flag("--json", mail_status_options.json, json_help);
    runs(verb, mail_status_options);

    MailPause pause_options;
    verb = verb_of(mail, "pause",
                   "Stops all letters, or those about a newsletter or to a domain, until `resume`.");
    CLI::Option* of_one =
        verb->add_option("--newsletter", pause_options.newsletter, "only letters about this one")
            ->type_name("SLUG");
    verb->add_option("--domain", pause_options.domain, "only letters to this domain")
        ->type_name("DOMAIN")
        ->excludes(of_one);
    runs(verb, pause_options);

    MailPause resume_options;
    resume_options.resume = true;
    verb = verb_of(mail, "resume", "Lets them go again, with what waited meanwhile.");
    of_one = verb->add_option("--newsletter", resume_options.newsletter, "what was paused of this one")
                 ->type_name("SLUG");
    CLI::Option* to_domain =
        verb->add_option("--domain", resume_options.domain, "what was paused to this domain")
            ->type_name("DOMAIN")
            ->excludes(of_one);
    verb->add_flag("--after-restore", resume_options.after_restore, "what a restore has stopped")
        ->excludes(of_one)
        ->excludes(to_domain);
    runs(verb, resume_options);

    LetterPreview preview_options;
    std::string kind = "confirmation";
    CLI::App* letter = group_of("letter", "Letters as readers get them: preview.");
    verb = verb_of(letter, "preview",
                   "A newsletter's letter as it would go out, with a sample address and dead links.");
    verb->add_option("SLUG", preview_options.slug, "the newsletter")->required();
    verb->add_option("--kind", kind, "which letter")
        ->capture_default_str()
        ->check(CLI::IsMember({"confirmation", "already_subscribed", "preference_link", "address_change",
                               "welcome", "goodbye"}));
    verb->add_option("--locale", preview_options.locale,
                     "in this language; the newsletter's own if not given")
        ->type_name("LOCALE");
    verb->add_option("-o,--output", preview_options.output, "into this file, instead of stdout")
        ->type_name("FILE");
    verb->callback([&] {
        preview_options.kind = service::parse_letter_kind(kind).value();
        command.verb = preview_options;
    });

    CLI::App* newsletter = group_of(
        "newsletter", "Newsletters and their settings: add, list, show, edit, rename, close, open, embed.");
    NewsletterAdd add_options;
    SettingOptions add_settings;
    verb = verb_of(newsletter, "add", "Makes a newsletter. Its slug is its name in links and forms.");
    verb->add_option("SLUG", add_options.slug, "1 to 64 of a-z, 0-9 and single hyphens")->required();
    add_settings.add_to(*verb);
    verb->get_option("--name")->required();
    verb->callback([&] {
        add_options.locale = add_settings.locale;
        add_options.settings = add_settings.changes();
        command.verb = add_options;
    });

    NewsletterEdit edit_options;
    SettingOptions edit_settings;
    verb = verb_of(newsletter, "edit", "Changes settings of a newsletter; an empty value takes one away.");
    verb->add_option("SLUG", edit_options.slug, "the newsletter")->required();
    edit_settings.add_to(*verb);
    verb->callback([&] {
        edit_options.locale = edit_settings.locale;
        edit_options.settings = edit_settings.changes();
        if (edit_options.settings.empty())
            throw CLI::ValidationError("newsletter edit", "what is to be changed?");
        command.verb = edit_options;
    });

    NewsletterList list_options;
    verb = verb_of(newsletter, "list", "All newsletters.");
    verb->add_flag("--json", list_options.json, json_help);
    runs(verb, list_options);

    NewsletterShow show_options;
    verb = verb_of(newsletter, "show", "One newsletter with all its settings.");
    verb->add_option("SLUG", show_options.slug, "the newsletter")->required();
    CLI::Option* json = verb->add_flag("--json", show_options.json, json_help);
    verb->add_flag("--toml", show_options.toml, "as TOML")->excludes(json);
    runs(verb, show_options);

    NewsletterRename rename_options;
    verb = verb_of(newsletter, "rename",
                   "Gives a newsletter another slug. The old one keeps working in forms and links.");
    verb->add_option("OLD", rename_options.old_slug, "its slug now")->required();
    verb->add_option("NEW", rename_options.new_slug, "its slug from now on")->required();
    runs(verb, rename_options);

    NewsletterOpen close_options{"", false};
    verb = verb_of(newsletter, "close",
                   "Takes no more signups. What was asked for can still be confirmed, left and exported.");
    verb->add_option("SLUG", close_options.slug, "the newsletter")->required();
    runs(verb, close_options);

    NewsletterOpen open_options;
    verb = verb_of(newsletter, "open", "Takes signups again.");
    verb->add_option("SLUG", open_options.slug, "the newsletter")->required();
    runs(verb, open_options);

    NewsletterEmbed embed_options;
    verb = verb_of(newsletter, "embed", "Prints what puts its form on a page of another site.");
    verb->add_option("SLUG", embed_options.slug, "the newsletter")->required();
    runs(verb, embed_options);

    Export export_options;
    std::string status = "confirmed", changed_since, format = "csv";
    verb = verb_of(
        &app, "export",
        "Writes subscriptions as CSV (RFC 4180, UTF-8, CRLF) or NDJSON. One row a subscription: email, name, "
        "newsletter, "
        "status, locale, signed_up_at, confirmed_at, unsubscribed_at, source, form, fields. Cells that a "
        "spreadsheet would run, and those that start with ', get a leading '.");
    verb->add_option("--newsletter", export_options.newsletter, "only this one")->type_name("SLUG");
    verb->add_option("--status", status, "only this status; all: whatever it is")
        ->type_name("STATUS")
        ->capture_default_str()
        ->check(check_status);
    verb->add_option("--changed-since", changed_since, "only what changed at this time or later")
        ->type_name("TIME")
        ->check(check_time);
    verb->add_option("--locale", export_options.locale, "only readers of this language")->type_name("LOCALE");
    verb->add_option("--format", format, "csv, ndjson, or the columns of Mailchimp's own exports")
        ->type_name("FORMAT")
        ->capture_default_str()
        ->check(CLI::IsMember({"csv", "ndjson", "mailchimp"}));
    verb->add_flag("--links", export_options.links,
                   "adds unsubscribe_url, a link that leaves and never expires");
    verb->add_flag("--raw", export_options.raw,
                   "leaves cells as they are; only for programs, never for a spreadsheet");
    verb->add_option("-o,--output", export_options.output,
                     "into this file (0600), which appears whole or not at all")
        ->type_name("FILE");
    verb->callback([&] {
        export_options.status = service::parse_subscription_status(status);  // "all" is none
        if (!changed_since.empty()) export_options.changed_since = service::parse_rfc3339(changed_since);
        export_options.ndjson = format == "ndjson";
        export_options.mailchimp = format == "mailchimp";
        if (export_options.mailchimp && status != "confirmed" && status != "unsubscribed" &&
            status != "bounced") {
            throw CLI::ValidationError("--status",
                                       "Mailchimp keeps confirmed, unsubscribed and bounced people in a file "
                                       "each; ask for one of these");
        }
        command.verb = export_options;
    });

    Import import_options;
    std::string import_format = "auto", unproven = "refuse";
    std::vector<std::string> label_maps;
    CLI::App* import_verb = verb_of(
        &app, "import",
        "Brings people in from a file (also undo, list). CSV, TSV, NDJSON: zgoda's own export, those of "
        "Mailchimp (the zip too), Ghost, listmonk, Substack, beehiiv, Buttondown and phpList, or any table "
        "with "
        "a column called email. Sends no letter; lifts no unsubscribe, bounce, complaint or suppression.");
    import_verb->require_subcommand(0, 1);
    import_verb->add_option("FILE", import_options.file, "the file; - reads stdin");
    import_verb
        ->add_option("--newsletter", import_options.newsletter, "for all rows of a file that names none")
        ->type_name("SLUG");
    import_verb->add_option("--format", import_format, "instead of finding it out by the columns")
        ->type_name("FORMAT")
        ->capture_default_str()
        ->check(CLI::IsMember({"auto", "zgoda", "mailchimp", "ghost", "listmonk", "substack", "beehiiv",
                               "buttondown", "phplist", "generic"}));
    import_verb
        ->add_option("--map", label_maps,
                     "values of a column (tags, groups, labels) as newsletters; \"value:\" leaves one out")
        ->type_name("COLUMN=value:slug,..")
        ->allow_extra_args(false)
        ->check([](const std::string& text) {
            return service::parse_label_map(text) ? ""
                                                  : "wants COLUMN=value:slug,value:slug (a value with a "
                                                    "comma in quotes: \"Big, Fat\":slug)";
        });
    import_verb
        ->add_option("--basis", import_options.basis,
                     "what these people agreed to, and where: kept as the wording. A foreign file needs it")
        ->type_name("TEXT")
        ->check([](const std::string& text) {
            return text.find_first_not_of(" \t\r\n") == text.npos
                       ? "wants what these people agreed to, and where, in words"
                       : "";
        });
    import_verb->add_option("--unproven", unproven, "what to do with whom the file shows no confirmation of")
        ->type_name("WHAT")
        ->capture_default_str()
        ->check(CLI::IsMember({"refuse", "pending", "confirmed"}));
    import_verb->add_flag("--raw", import_options.raw,
                          "strips no ' from cells: the counterpart of export --raw");
    import_verb->add_flag("--dry-run", import_options.dry_run,
                          "says exactly what would happen, and writes nothing");
    import_verb
        ->add_option("--report", import_options.report,
                     "the verdict of each row into this file (0600): line, verdict, why, id of who was here")
        ->type_name("FILE");
    import_verb->add_option("--batch", import_options.batch, "a name for `import undo`")->type_name("NAME");
    import_verb->add_flag("--json", import_options.json, json_help);
    import_verb->callback([&] {
        if (!import_verb->get_subcommands().empty()) return;
        if (import_options.file.empty()) throw CLI::ValidationError("import", "which FILE?");
        import_options.format = service::parse_import_format(import_format);  // "auto" is none
        if (unproven == "pending") import_options.unproven = service::Unproven::pending;
        if (unproven == "confirmed") import_options.unproven = service::Unproven::confirmed;
        for (const std::string& one : label_maps)
            import_options.maps.push_back(service::parse_label_map(one).value());
        command.verb = import_options;
    });

    ImportUndo undo_options;
    verb = verb_of(import_verb, "undo",
                   "Takes a batch back, for 30 days: restores what nobody changed since, revives nobody who "
                   "was erased. Goes on where it was cut short.");
    verb->add_option("BATCH", undo_options.batch, "its name or number")->required();
    verb->add_flag("--json", undo_options.json, json_help);
    runs(verb, undo_options);

    ImportList batches_options;
    verb = verb_of(import_verb, "list", "All batches, and how far they are.");
    verb->add_flag("--json", batches_options.json, json_help);
    runs(verb, batches_options);

    UnsubscribeImport leaves_options;
    CLI::App* unsubscribe = group_of("unsubscribe", "Takes back who left elsewhere: import.");
    verb = verb_of(
        unsubscribe, "import",
        "Who stands in this file has left elsewhere and leaves here; a list of addresses, or any file "
        "that `import` reads. A confirmation made here after she left stays.");
    verb->add_option("FILE", leaves_options.file, "the file; - reads stdin")->required();
    CLI::Option* leaves_one =
        verb->add_option("--newsletter", leaves_options.newsletter, "only this one")->type_name("SLUG");
    bool leaves_all = false;
    verb->add_flag("--all", leaves_all, "all newsletters that she has")->excludes(leaves_one);
    verb->add_option("--reason", leaves_options.reason, "why, for the record")->type_name("TEXT")->required();
    verb->add_flag("--dry-run", leaves_options.dry_run, "says exactly what would happen, and writes nothing");
    verb->add_option("--report", leaves_options.report, "the verdict of each row into this file (0600)")
        ->type_name("FILE");
    verb->add_option("--batch", leaves_options.batch, "a name for `import undo`")->type_name("NAME");
    verb->add_flag("--json", leaves_options.json, json_help);
    verb->callback([&] {
        if (leaves_options.newsletter.empty() && !leaves_all)
            throw CLI::ValidationError("unsubscribe import", "from which? --newsletter SLUG or --all");
        command.verb = leaves_options;
    });

    CLI::App* subscriber =
        group_of("subscriber",
                 "One person, by her address: show, explain, find, confirm, unsubscribe, resend, erase.");
    auto with_address = [](CLI::App* to, std::string& address) {
        to->add_option("ADDRESS", address, "the person's email address")->required();
    };
    SubscriberShow subscriber_show_options;
    verb = verb_of(subscriber, "show", "What is kept of her: subscriptions, language, suppressions.");
    with_address(verb, subscriber_show_options.address);
    verb->add_flag("--json", subscriber_show_options.json, json_help);
    runs(verb, subscriber_show_options);

    SubscriberExplain explain_options;
    verb = verb_of(subscriber, "explain", "Her story in sentences: why did she get no letter?");
    with_address(verb, explain_options.address);
    verb->add_flag("--json", explain_options.json, json_help);
    runs(verb, explain_options);

    SubscriberUnsubscribe unsubscribe_options;
    verb = verb_of(subscriber, "unsubscribe",
                   "Ends a subscription for good: only her own new signup brings her back.");
    with_address(verb, unsubscribe_options.address);
    CLI::Option* from_one =
        verb->add_option("--newsletter", unsubscribe_options.newsletter, "from this one")->type_name("SLUG");
    verb->add_flag("--all", unsubscribe_options.all, "from all of them")->excludes(from_one);
    verb->add_flag("--yes", unsubscribe_options.yes, "without asking");
    runs(verb, unsubscribe_options);

    SubscriberResend resend_options;
    verb = verb_of(subscriber, "resend",
                   "Sends the confirmation of what is still unanswered again, within the mail budget.");
    with_address(verb, resend_options.address);
    CLI::Option* reason =
        verb->add_option("--reason", resend_options.reason, "why, for the record")->type_name("TEXT");
    verb->add_flag("--over-budget", resend_options.over_budget,
                   "even if the mail budget does not allow another letter")
        ->needs(reason);
    runs(verb, resend_options);

    SubscriberErase erase_options;
    verb = verb_of(
        subscriber, "erase",
        "Forgets her: address, subscriptions, letters, and what the ledger holds of her. Cannot be undone.");
    with_address(verb, erase_options.address);
    verb->add_flag("--yes", erase_options.yes, "without asking");
    runs(verb, erase_options);

    SubscriberFind find_options;
    verb = verb_of(subscriber, "find",
                   "Who has this in her address or name, or this id; * stands for anything.");
    verb->add_option("PATTERN", find_options.pattern, "part of an address or name, or an id")->required();
    verb->add_option("--limit", find_options.limit, "at most this many")
        ->type_name("N")
        ->capture_default_str()
        ->check(check_from_one);
    verb->add_flag("--json", find_options.json, json_help);
    runs(verb, find_options);

    SubscriberConfirm confirm_options;
    verb =
        verb_of(subscriber, "confirm",
                "Confirms what waits for her answer, because she gave it in another way than by our letter.");
    with_address(verb, confirm_options.address);
    verb->add_option("--newsletter", confirm_options.newsletter, "only this one")->type_name("SLUG");
    verb->add_option("--evidence", confirm_options.evidence, "what proves it; kept with her consent")
        ->type_name("TEXT")
        ->required();
    runs(verb, confirm_options);

    CLI::App* suppress =
        group_of("suppress", "Addresses that no letter goes to, whoever asks: add, import, remove, list.");
    auto with_reason = [](CLI::App* to, std::string& text) {
        to->add_option("--reason", text, "why, for the record; no addresses in it")
            ->type_name("TEXT")
            ->required();
    };
    SuppressAdd suppress_add_options;
    verb = verb_of(suppress, "add", "No letter goes to this address any more. Her subscriptions stay.");
    with_address(verb, suppress_add_options.address);
    with_reason(verb, suppress_add_options.reason);
    runs(verb, suppress_add_options);

    SuppressImport suppress_import_options;
    verb = verb_of(suppress, "import",
                   "Adds all addresses of a list, or of any file that `zgoda import` reads.");
    verb->add_option("FILE", suppress_import_options.file, "the file; - reads stdin")->required();
    with_reason(verb, suppress_import_options.reason);
    runs(verb, suppress_import_options);

    SuppressRemove suppress_remove_options;
    verb = verb_of(suppress, "remove",
                   "Letters may go to this address again: after a complaint, \"this was not me\", \"never "
                   "again\", a bounce or an administrator's word. She has to sign up again herself.");
    with_address(verb, suppress_remove_options.address);
    with_reason(verb, suppress_remove_options.reason);
    runs(verb, suppress_remove_options);

    SuppressList suppress_list_options;
    std::string only_reason;
    verb =
        verb_of(suppress, "list", "What is suppressed: since when, why, and the keyed hash of the address.");
    verb->add_option("ADDRESS", suppress_list_options.address, "only of this address");
    verb->add_option("--reason", only_reason, "only for this reason")
        ->type_name("REASON")
        ->check(CLI::IsMember({"complaint", "not_me", "never_again", "hard_bounce", "admin", "erased"}));
    verb->add_flag("--json", suppress_list_options.json, json_help);
    verb->callback([&] {
        suppress_list_options.reason = service::parse_suppression_reason(only_reason);
        command.verb = suppress_list_options;
    });

    CLI::App* consent = group_of("consent", "The proof of who agreed to what: show, verify.");
    ConsentShow consent_show_options;
    verb =
        verb_of(consent, "show",
                "The proof for one person: what was agreed to, in which words, when, how it was confirmed.");
    with_address(verb, consent_show_options.address);
    verb->add_flag("--json", consent_show_options.json, json_help);
    runs(verb, consent_show_options);

    ConsentVerify verify_options;
    std::string expected_head;
    verb = verb_of(consent, "verify",
                   "Checks the whole ledger and prints its head. Keep heads elsewhere: only against an "
                   "earlier head can a "
                   "cut-off end be seen.");
    verb->add_option("--expect-head", expected_head,
                     "a head printed earlier, which the ledger must still contain")
        ->type_name("SEQ:HASH")
        ->check(check_head);
    verb->add_flag("--json", verify_options.json, json_help);
    verb->callback([&] {
        if (!expected_head.empty()) verify_options.expected_head = expected_head;
        command.verb = verify_options;
    });

    CLI::App* token = group_of("token", "Keys of programs that administer over HTTP: create, list, revoke.");
    TokenCreate token_options;
    std::vector<std::string> scopes;
    std::string life;
    verb = verb_of(token, "create",
                   "Makes a token and prints it, once: only its SHA-256 is kept. A program sends it to the "
                   "private listener as `Authorization: Bearer ...`.");
    verb->add_option("NAME", token_options.wish.name, "what the record of acts calls it")->required();
    const auto words = service::scope_words();
    verb->add_option("--scope", scopes,
                     fmt::format("what it may do, one or several: {}", fmt::join(words, ", ")))
        ->type_name("SCOPE ...")
        ->delimiter(',')
        ->required()
        ->check(CLI::IsMember(std::vector<std::string>(words.begin(), words.end())));
    verb->add_option("--expires", life, "ends by itself after this time, such as 90d; else never")
        ->type_name("TIME")
        ->check([](const std::string& text) {
            return service::parse_duration(text) ? "" : "wants a span of time such as 12h or 90d";
        });
    verb->add_option("--network", token_options.wish.networks,
                     "works only from here, one or several: 203.0.113.0/24, 2001:db8::/32, an address")
        ->type_name("CIDR ...")
        ->delimiter(',');
    verb->callback([&] {
        for (const std::string& scope : scopes)
            token_options.wish.scopes.push_back(service::parse_scope(scope).value());
        token_options.wish.life = service::parse_duration(life);
        command.verb = token_options;
    });

    TokenList token_list_options;
    verb = verb_of(token, "list", "All tokens: scopes, networks, expiry, last use. Never the token itself.");
    verb->add_flag("--json", token_list_options.json, json_help);
    runs(verb, token_list_options);

    TokenRevoke token_revoke_options;
    verb = verb_of(token, "revoke", "Ends a token at once.");
    verb->add_option("TOKEN", token_revoke_options.token, "its name or id")->required();
    runs(verb, token_revoke_options);

    Stats stats_options;
    std::string by = "newsletter";
    verb =
        verb_of(&app, "stats",
                "What became of the signups of the last days: letters accepted, confirmed, bounced, left.");
    verb->add_option("--newsletter", stats_options.newsletter, "only this one")->type_name("SLUG");
    verb->add_option("--days", stats_options.days, "of so many days")
        ->type_name("N")
        ->capture_default_str()
        ->check(CLI::Range(1, 36500));
    verb->add_option("--by", by, "newsletter, form, source (page), locale or day")
        ->capture_default_str()
        ->check(CLI::IsMember({"newsletter", "form", "source", "locale", "day"}));
    verb->add_flag("--json", stats_options.json, json_help);
    verb->callback([&] {
        using By = service::StatsQuery::By;
        stats_options.by = by == "form"     ? By::form
                           : by == "source" ? By::source
                           : by == "locale" ? By::locale
                           : by == "day"    ? By::day
                                            : By::newsletter;
        command.verb = stats_options;
    });

    Audit audit_options;
    verb =
        verb_of(&app, "audit", "What administrators did: who, what, when, newest first. Ids, not addresses.");
    verb->add_option("--limit", audit_options.limit, "at most this many")
        ->type_name("N")
        ->capture_default_str()
        ->check(check_from_one);
    verb->add_flag("--json", audit_options.json, json_help);
    runs(verb, audit_options);

    Purge purge_options;
    verb =
        verb_of(&app, "purge",
                "Forgets what [retention] says: who never confirmed, old network evidence, old letters. For "
                "cron, once a day.");
    verb->add_flag("--dry-run", purge_options.dry_run, "only counts");
    verb->add_flag("--json", purge_options.json, json_help);
    runs(verb, purge_options);

    Backup backup_options;
    verb =
        verb_of(&app, "backup",
                "Copies the database into one file (0600), checked, while signups go on. Prints the ledger's "
                "head, also into FILE.head. The key file is not inside.");
    verb->add_option("FILE", backup_options.file, "the backup; appears whole or not at all")
        ->required()
        ->check(check_name);
    verb->add_flag("--yes", backup_options.yes, "replaces a file of this name");
    runs(verb, backup_options);

    Restore restore_options;
    verb = verb_of(&app, "restore",
                   "Puts a backup in the place of the database, which is kept. Who left or was suppressed "
                   "since then is so again, and revoked tokens stay dead, by the withdrawals journal. Holds "
                   "all letters until `zgoda mail resume --after-restore`. Stop the service first.");
    verb->add_option("FILE", restore_options.file, "what `zgoda backup` made")->required()->check(check_name);
    verb->add_flag("--verify", restore_options.verify, "only looks whether it could be restored, on a copy");
    verb->add_flag("--yes", restore_options.yes, "without asking");
    runs(verb, restore_options);

    CLI::App* keys = group_of("keys", "The key file: rotate.");
    KeysRotate rotate_options;
    verb = verb_of(
        keys, "rotate",
        "Adds a new key that signs from now on; old links go on working. Reload the service at once: until "
        "then it does not know links that the mailer signs with the new key.");
    runs(verb, rotate_options);

    Bounces bounces_options;
    std::string bounces_source;
    CLI::App* bounces =
        verb_of(&app, "bounces",
                "Reads mail that came back to the return path of a letter (mail.bounce_domain) and acts on "
                "it: a signup "
                "becomes undeliverable, a reader gets no more letters. Anything else is left alone.");
    CLI::Option* maildir = bounces
                               ->add_option("--maildir", bounces_options.maildir,
                                            "what is new in this Maildir; it is marked as seen then")
                               ->type_name("DIR");
    CLI::Option* imap =
        bounces
            ->add_option("--imap", bounces_options.imap,
                         "what is new in this IMAP folder (INBOX); it is marked as seen then. "
                         "Always with TLS, but on loopback: imap:// is STARTTLS")
            ->type_name("imaps://USER@HOST/FOLDER")
            ->excludes(maildir);
    CLI::Option* password_file = bounces
                                     ->add_option("--password-file", bounces_options.password_file,
                                                  "holds the password of the IMAP server")
                                     ->type_name("FILE")
                                     ->needs(imap);
    bounces->add_option("--token-file", bounces_options.token_file, "holds an OAuth 2 token instead of it")
        ->type_name("FILE")
        ->needs(imap)
        ->excludes(password_file);
    CLI::Option* classify =
        bounces
            ->add_option("--classify", bounces_options.classify,
                         "only says what these mails mean, and changes nothing: a line a "
                         "recipient with file, number, status, SMTP reply and verdict (hard, "
                         "soft, inactive, quota, policy, complaint, none); - is stdin")
            ->type_name("FILE...")
            ->excludes(maildir)
            ->excludes(imap);
    bounces->add_option("SOURCE", bounces_source, "- is one mail from stdin, as a mail server pipes it")
        ->check(CLI::IsMember({"-"}))
        ->excludes(maildir)
        ->excludes(imap)
        ->excludes(classify);
    bounces->callback([&] {
        bounces_options.from_stdin = !bounces_source.empty();
        if (!bounces_options.from_stdin && bounces_options.maildir.empty() && bounces_options.imap.empty() &&
            bounces_options.classify.empty())
            throw CLI::ValidationError(
                "bounces", "which mail? --maildir DIR, --imap URL, --classify FILE... or - (stdin)");
        command.verb = bounces_options;
    });

    Migrate migrate_options;
    verb = verb_of(&app, "migrate",
                   "Makes the database, or brings its schema up to this program's, after a backup whose "
                   "place it prints.");
    verb->add_flag("--check", migrate_options.check,
                   "only says what would be done; exit 75 if something would");
    runs(verb, migrate_options);

    Doctor doctor_options;
    verb =
        verb_of(&app, "doctor",
                "Looks at all that the service needs: database, keys, disk, clock, permissions, the relay "
                "(logs in, sends nothing), the mailer's last run, proxies, SQLite. One finding a line: ok, "
                "warning or failure, and what to do. Exit 1 if one is a failure: for monitoring.");
    verb->add_flag("--json", doctor_options.json, json_help);
    runs(verb, doctor_options);

    CheckConfig check_options;
    verb = verb_of(&app, "check-config",
                   "Reads the settings and says what would be used, or what is wrong with them.");
    runs(verb, check_options);

    hide_types(app);
    arguments = plain_spelling(std::move(arguments));
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
        app.parse(std::move(arguments));
        auto problem = foreign_to(app);
        if (!problem) {
            problem = empty_option(app, [&](const CLI::Option* one) {
                return add_settings.holds(one) || edit_settings.holds(one);
            });
        }
        if (problem) throw CLI::ValidationError(*problem, CLI::ExitCodes::ValidationError);
    } catch (const CLI::Success& said) {
        app.exit(said);
        return Exit::done;
    } catch (const CLI::ParseError& error) {
        const CLI::App* at = &app;
        std::string name = "zgoda";
        while (!at->get_subcommands().empty()) {
            at = at->get_subcommands().front();
            name += " " + at->get_name();
        }
        std::string why = error.what();
        if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) &&
            !at->get_subcommands({}).empty()) {
            const std::vector<std::string> unknown = app.remaining(true);
            why = unknown.empty() ? fmt::format("which verb? `{}` wants one more word", name)
                                  : fmt::format("there is no verb `{} {}`", name, unknown.front());
        }
        return fail(Exit::usage,
                    fmt::format("{}\n`{} --help` shows how it is used.", service::printable(why), name));
    }
    return command;
}

}  // namespace zgoda::cli
