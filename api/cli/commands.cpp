#include "api/cli/commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "api/cli/terminal.h"
#include "service/newsletter.h"
#include "service/story.h"
#include "service/words.h"

namespace zgoda::cli {
namespace {

// How a setting is spelled as an option: reply_to is --reply-to.
std::string option_of(std::string_view key) {
    std::string name = "--" + std::string(key);
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

// Two spellings that CLI11 does not take as we promise them: "--texts.KEY VALUE" becomes "--text KEY=VALUE",
// and the value of "--name=" is empty rather than the next word.
std::vector<std::string> plain_spelling(std::vector<std::string> words) {
    std::vector<std::string> result;
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string word = words[i];
        if (word == "--") {
            result.insert(result.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
            break;
        }
        if (word.rfind("--texts.", 0) == 0) {
            const std::string setting = word.substr(8);
            const bool has_value = setting.find('=') != std::string::npos;
            result.push_back("--text");
            result.push_back(has_value || i + 1 == words.size() ? setting : setting + "=" + words[++i]);
        } else if (word.rfind("--", 0) == 0 && word.size() > 3 && word.back() == '=') {
            word.pop_back();
            result.push_back(word);
            result.emplace_back();
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
            if (key.name == "texts.*") {
                verb.add_option("--text", texts_, std::string(key.meaning) + "; also --texts.KEY VALUE")
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

    std::vector<SettingChange> changes() const {
        std::vector<SettingChange> result;
        for (const auto& [key, option] : options_) {
            if (option->count() > 0) result.push_back({std::string(key), values_.at(std::string(key))});
        }
        for (const std::string& text : texts_) {
            const std::size_t equals = text.find('=');
            result.push_back({"texts." + text.substr(0, equals), text.substr(equals + 1)});
        }
        return result;
    }

    std::string locale;

 private:
    std::map<std::string, std::string> values_;
    std::vector<std::string> texts_;
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

// The list of verbs needs one sentence of each; --help of the verb has them all.
class Formatter : public CLI::Formatter {
 public:
    Formatter() {
        column_width(34);
        label("SUBCOMMAND", "VERB");
        label("REQUIRED", "(required)");
        label("TEXT", "");
    }
    std::string make_subcommand(const CLI::App* verb) const override {
        const std::string all = verb->get_description() + " ";
        std::stringstream out;
        CLI::detail::format_help(out, verb->get_name(), all.substr(0, all.find(". ") + 1),
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
                "Sends the letters that are due and exits, for cron (also test, status). Several at once "
                "share the work. "
                "Prints `sent 120, later 3, refused 1, waiting 3`, and nothing when there was nothing to do "
                "and stdout is no terminal.");
    mail->require_subcommand(0, 1);
    mail->add_flag("--follow", mail_options.follow, "stays and sends as letters become due, until SIGTERM");
    mail->add_option("--limit", mail_options.limit, "at most this many letters")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    mail->add_option("--max-time", mail_options.max_time, "starts no letter after this many seconds")
        ->type_name("S")
        ->check(CLI::PositiveNumber);
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
    verb->add_option("--format", format, "csv or ndjson")
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
        if (format == "mailchimp") {
            throw CLI::ValidationError("--format",
                                       "mailchimp is not available yet; use csv, which Mailchimp can import");
        }
        export_options.status = service::parse_subscription_status(status);  // "all" is none
        if (!changed_since.empty()) export_options.changed_since = service::parse_rfc3339(changed_since);
        export_options.ndjson = format == "ndjson";
        command.verb = export_options;
    });

    CLI::App* subscriber =
        group_of("subscriber", "One person, by her address: show, explain, unsubscribe, resend, erase.");
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

    Migrate migrate_options;
    verb = verb_of(&app, "migrate",
                   "Makes the database, or brings its schema up to this program's, after a backup whose "
                   "place it prints.");
    verb->add_flag("--check", migrate_options.check,
                   "only says what would be done; exit 75 if something would");
    runs(verb, migrate_options);

    CheckConfig check_options;
    verb = verb_of(&app, "check-config",
                   "Reads the settings and says what would be used, or what is wrong with them.");
    runs(verb, check_options);

    arguments = plain_spelling(std::move(arguments));
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
        app.parse(std::move(arguments));
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
