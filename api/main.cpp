// The program: from the command line to a verb, with what the verb uses opened in between.

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/cli/commands.h"
#include "api/cli/own_files.h"
#include "api/cli/signals.h"
#include "api/cli/startup.h"
#include "api/cli/terminal.h"
#include "config/locales.h"

namespace {

using namespace zgoda;
using cli::Exit;

void prepare_process() {
    std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of that write
    std::signal(SIGXFSZ, SIG_IGN);  // so is a limit on the size of files: like a full disk
    umask(077);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);  // keys and addresses are in memory
}

std::string quoted(const std::string& word) {
    if (!word.empty() && word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                "0123456789@%+=:,./_-") == std::string::npos) {
        return word;
    }
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

// As it would be typed again. What the environment sets goes along, because sudo would drop it.
std::string spell(const std::vector<std::string>& words) {
    std::string line;
    for (char** one = environ; *one != nullptr; ++one) {
        if (const std::string text = *one; text.starts_with("ZGODA_"))
            line += (line.empty() ? "env " : " ") + quoted(text);
    }
    for (const std::string& word : words) line += (line.empty() ? "" : " ") + quoted(word);
    return line;
}

// Which verb takes what.
struct OnStore {
    const config::Settings& settings;
    const service::Keyring& keys;
    const service::Rules& rules;
    service::Store& store;
    std::unique_ptr<storage::SqliteStore> opened;  // owns it
    const cli::Log& log;
    const std::optional<cli::Signals>& signals;  // of the verbs that stay

    Exit operator()(const cli::Serve& verb) {
        return cli::serve(verb, settings, rules, std::move(opened), log, signals.value());
    }
    Exit operator()(const cli::Mail& verb) {
        return cli::mail(verb, settings, rules, store, log, signals.value());
    }
    Exit operator()(const cli::MailTest& verb) { return cli::mail_test(verb, settings, rules); }
    Exit operator()(const cli::MailStatus& verb) { return cli::mail_status(verb, store); }
    Exit operator()(const cli::LetterPreview& verb) {
        return cli::letter_preview(verb, settings, rules, store);
    }
    Exit operator()(const cli::NewsletterAdd& verb) {
        return cli::newsletter_add(verb, cli::newsletter_rules_of(settings, rules.texts), store);
    }
    Exit operator()(const cli::NewsletterEdit& verb) {
        return cli::newsletter_edit(verb, cli::newsletter_rules_of(settings, rules.texts), store);
    }
    Exit operator()(const cli::NewsletterList& verb) { return cli::newsletter_list(verb, store); }
    Exit operator()(const cli::NewsletterShow& verb) { return cli::newsletter_show(verb, store); }
    Exit operator()(const cli::NewsletterRename& verb) { return cli::newsletter_rename(verb, store); }
    Exit operator()(const cli::NewsletterOpen& verb) { return cli::newsletter_open(verb, store); }
    Exit operator()(const cli::NewsletterEmbed& verb) {
        return cli::newsletter_embed(verb, settings, rules.texts, store);
    }
    Exit operator()(const cli::Import& verb) { return cli::import_people(verb, settings, rules, store, log); }
    Exit operator()(const cli::UnsubscribeImport& verb) {
        return cli::unsubscribe_import(verb, settings, rules, store, log);
    }
    Exit operator()(const cli::SuppressImport& verb) { return cli::suppress_import(verb, rules, store); }
    Exit operator()(const cli::ImportUndo& verb) { return cli::import_undo(verb, rules, store); }
    Exit operator()(const cli::ImportList& verb) { return cli::import_list(verb, store); }
    Exit operator()(const cli::Export& verb) {
        return cli::export_subscribers(verb, settings.server.public_url, rules, store);
    }
    Exit operator()(const cli::SubscriberShow& verb) { return cli::subscriber_show(verb, rules, store); }
    Exit operator()(const cli::SubscriberExplain& verb) {
        return cli::subscriber_explain(verb, rules, store);
    }
    Exit operator()(const cli::SubscriberUnsubscribe& verb) {
        return cli::subscriber_unsubscribe(verb, rules, store);
    }
    Exit operator()(const cli::SubscriberResend& verb) { return cli::subscriber_resend(verb, rules, store); }
    Exit operator()(const cli::SubscriberErase& verb) { return cli::subscriber_erase(verb, rules, store); }
    Exit operator()(const cli::ConsentShow& verb) { return cli::consent_show(verb, rules, store); }
    Exit operator()(const cli::ConsentVerify& verb) { return cli::consent_verify(verb, keys, store); }
    Exit operator()(const cli::MailPause& verb) { return cli::mail_pause(verb, rules, store); }
    Exit operator()(const cli::SubscriberFind& verb) { return cli::subscriber_find(verb, store); }
    Exit operator()(const cli::SubscriberConfirm& verb) {
        return cli::subscriber_confirm(verb, rules, store);
    }
    Exit operator()(const cli::SuppressAdd& verb) { return cli::suppress_add(verb, rules, store); }
    Exit operator()(const cli::SuppressRemove& verb) { return cli::suppress_remove(verb, rules, store); }
    Exit operator()(const cli::SuppressList& verb) { return cli::suppress_list(verb, rules, store); }
    Exit operator()(const cli::TokenCreate& verb) { return cli::token_create(verb, store); }
    Exit operator()(const cli::TokenList& verb) { return cli::token_list(verb, store); }
    Exit operator()(const cli::TokenRevoke& verb) { return cli::token_revoke(verb, store, keys); }
    Exit operator()(const cli::Stats& verb) {
        std::vector<std::string> origins = settings.server.allowed_origins;
        origins.push_back(settings.server.public_url);
        return cli::stats(verb, origins, store);
    }
    Exit operator()(const cli::Audit& verb) { return cli::audit(verb, store); }
    Exit operator()(const cli::Purge& verb) { return cli::purge(verb, settings, rules, store); }
    Exit operator()(const cli::Backup& verb) { return cli::backup(verb, settings, log, store); }
    Exit operator()(const cli::KeysRotate& verb) { return cli::keys_rotate(verb, settings, store); }
    Exit operator()(const cli::Bounces& verb) { return cli::bounces(verb, settings, rules, store, log); }
    // These open what they need themselves, and never come here.
    Exit operator()(const cli::Restore&) { return Exit::failed; }
    Exit operator()(const cli::Migrate&) { return Exit::failed; }
    Exit operator()(const cli::Doctor&) { return Exit::failed; }
    Exit operator()(const cli::CheckConfig&) { return Exit::failed; }
};

Exit run(const std::vector<std::string>& words) {
    auto parsed = cli::parse_command_line({words.begin() + 1, words.end()});
    if (const Exit* exit = std::get_if<Exit>(&parsed)) return *exit;
    const auto& command = std::get<cli::Command>(parsed);
    if (const auto* verb = std::get_if<cli::Bounces>(&command.verb); verb && !verb->classify.empty())
        return cli::classify_bounces(*verb);

    auto read = cli::read_settings(command.config_file);
    if (const auto* problem = std::get_if<config::Problem>(&read))
        return cli::fail(Exit::usage, problem->sentence);
    const auto& settings = std::get<config::Settings>(read);
    if (const auto problem = cli::output_problem(command.verb, settings))
        return cli::fail(Exit::usage, *problem);
    const cli::Log log(settings.log.level);
    if (const auto* verb = std::get_if<cli::CheckConfig>(&command.verb))
        return cli::check_config(*verb, settings);
    if (const auto* verb = std::get_if<cli::Migrate>(&command.verb)) {
        return cli::migrate(*verb, settings, spell(words), log);
    }
    if (const auto* verb = std::get_if<cli::Doctor>(&command.verb))
        return cli::doctor(*verb, settings, spell(words), log);
    if (const auto* verb = std::get_if<cli::Restore>(&command.verb))
        return cli::restore(*verb, settings, spell(words), log);

    // Of a database that is there, its owner and schema are looked at before the keys; a new one comes after
    // its keys.
    const bool serves = std::holds_alternative<cli::Serve>(command.verb);
    std::optional<cli::Signals> signals;  // before the threads of the store
    if (serves || std::holds_alternative<cli::Mail>(command.verb)) signals.emplace();
    std::optional<service::Keyring> keys;
    const auto open_keys = [&](bool data_present) {
        auto opened = cli::open_keys(settings, data_present);
        if (auto* keyring = std::get_if<service::Keyring>(&opened))
            keys.emplace(std::move(*keyring));
        else
            return std::get<Exit>(opened);
        return Exit::done;
    };
    if (serves && !cli::database_exists(settings)) {
        if (const Exit exit = open_keys(false); exit != Exit::done) return exit;
    }
    auto opened = storage::open_sqlite(
        cli::sqlite_options(settings, serves ? cli::Opener::service : cli::Opener::command, log));
    if (const auto* problem = std::get_if<storage::OpenProblem>(&opened)) {
        return cli::refuse(*problem, settings, spell(words));
    }
    auto& store = std::get<std::unique_ptr<storage::SqliteStore>>(opened);
    if (!keys) {
        if (const Exit exit = open_keys(true); exit != Exit::done) return exit;
    }
    const service::Texts texts = config::load_texts();
    const service::Rules rules = cli::rules_of(settings, *keys, texts);
    OnStore on_store{settings, *keys, rules, *store, std::move(store), log, signals};
    return std::visit(on_store, command.verb);
}

}  // namespace

int main(int argc, char** argv) {
    prepare_process();
    Exit exit = Exit::failed;
    try {
        exit = run({argv, argv + argc});
        if (exit == Exit::reload) {
            execv("/proc/self/exe", argv);
            exit = cli::fail(Exit::failed, "cannot start anew after SIGHUP");
        }
    } catch (const service::StorageError& error) {
        exit = cli::fail(Exit::storage_broken, error.what());
    } catch (const std::exception& error) {
        exit = cli::fail(Exit::failed, error.what());
    }
    if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0) && exit == Exit::done) {
        exit = cli::fail(Exit::failed, "cannot write to stdout");
    }
    return static_cast<int>(exit);
}
