// The verbs of the command line: what each may be told, and what it does.
//
// One file a verb. A verb prints its results on stdout and everything else on stderr, and returns the
// program's exit code. It is handed what it uses, opened by main.cpp; it throws only for a broken machine
// (service::StorageError, std::exception), which main.cpp turns into a sentence.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/cli/log.h"
#include "config/settings.h"
#include "service/admin_token.h"
#include "service/import.h"
#include "service/rules.h"
#include "service/stats.h"
#include "service/store.h"

namespace zgoda::storage {
class SqliteStore;
}

namespace zgoda::cli {

class Signals;

enum class Exit {
    done = 0,
    failed = 1,
    usage = 2,  // wrong usage or settings
    not_found = 3,
    storage_broken = 70,
    try_later = 75,  // relay unreachable, old schema
    reload = -1,     // of serve, never seen outside: the program starts itself anew
};

struct Serve {
    bool with_mailer = false;
};
// The HTTP service, until SIGTERM or SIGINT. Drains for at most 10 s; a second signal ends it at once. SIGHUP
// drains too, if what would be read at the next start is in order, and gives `reload`. Takes the store,
// because it must be closed before the network that its last answers go to.
Exit serve(const Serve&, const config::Settings&, const service::Rules&,
           std::unique_ptr<storage::SqliteStore>, const Log&, const Signals&);

struct Mail {
    bool follow = false;
    bool dry_run = false;
    std::optional<std::size_t> limit;      // letters
    std::optional<std::int64_t> max_time;  // seconds
};
// Sends what is due; at SIGTERM it finishes the letters in hand.
Exit mail(const Mail&, const config::Settings&, const service::Rules&, service::Store&, const Log&,
          const Signals&);

struct MailTest {
    std::string address;
};
Exit mail_test(const MailTest&, const config::Settings&, const service::Rules&);

struct MailStatus {
    bool json = false;
};
Exit mail_status(const MailStatus&, service::Store&);

struct MailPause {
    bool resume = false;
    std::string newsletter;  // this one's letters; neither this nor `domain`: all letters
    std::string domain;
    bool after_restore = false;  // resume: what a restore has stopped
};
Exit mail_pause(const MailPause&, const service::Rules&, service::Store&);

struct LetterPreview {
    std::string slug;
    service::LetterKind kind = service::LetterKind::confirmation;
    std::string locale;
    std::string output;  // "": stdout
};
Exit letter_preview(const LetterPreview&, const config::Settings&, const service::Rules&, service::Store&);

// One newsletter setting, as service::set_newsletter takes it; "" removes.
struct SettingChange {
    std::string key;
    std::string value;
};
struct NewsletterAdd {
    std::string slug;
    std::string locale;  // of those values that readers see; "": for all languages
    std::vector<SettingChange> settings;
};
struct NewsletterEdit {
    std::string slug;
    std::string locale;
    std::vector<SettingChange> settings;
};
struct NewsletterList {
    bool json = false;
};
struct NewsletterShow {
    std::string slug;
    bool json = false;
    bool toml = false;
};
struct NewsletterRename {
    std::string old_slug;
    std::string new_slug;
};
struct NewsletterOpen {
    std::string slug;
    bool open = true;  // false: close
};
struct NewsletterEmbed {
    std::string slug;
};
Exit newsletter_add(const NewsletterAdd&, const service::NewsletterRules&, service::Store&);
Exit newsletter_edit(const NewsletterEdit&, const service::NewsletterRules&, service::Store&);
Exit newsletter_list(const NewsletterList&, service::Store&);
Exit newsletter_show(const NewsletterShow&, service::Store&);
Exit newsletter_rename(const NewsletterRename&, service::Store&);
Exit newsletter_open(const NewsletterOpen&, service::Store&);
Exit newsletter_embed(const NewsletterEmbed&, const config::Settings&, const service::Texts&,
                      service::Store&);

struct Export {
    std::string newsletter;  // "": all
    std::optional<service::SubscriptionStatus> status =
        service::SubscriptionStatus::confirmed;  // nullopt: all
    std::optional<service::TimeMs> changed_since;
    std::string locale;
    bool ndjson = false;
    bool mailchimp = false;  // of status confirmed, unsubscribed or bounced
    bool links = false;
    bool raw = false;
    std::string output;  // "": stdout
};
Exit export_subscribers(const Export&, const std::string& public_url, const service::Rules&, service::Store&);

struct Import {
    std::string file;        // "-": stdin
    std::string newsletter;  // for every row; "": the file or `maps` say it
    std::optional<service::ImportFormat> format;
    std::vector<service::LabelMap> maps;
    std::string basis;
    service::Unproven unproven = service::Unproven::refuse;
    bool raw = false;
    bool dry_run = false;
    bool json = false;
    std::string report;
    std::string batch;  // name; "": its number
};
// `unsubscribe import`: who left elsewhere leaves here.
struct UnsubscribeImport {
    std::string file;
    std::string newsletter;  // "": all that she has
    std::string reason;
    bool dry_run = false;
    bool json = false;
    std::string report;
    std::string batch;
};
// `suppress import`: no letter goes to any of these addresses.
struct SuppressImport {
    std::string file;
    std::string reason;
};
struct ImportUndo {
    std::string batch;
    bool json = false;
};
struct ImportList {
    bool json = false;
};
Exit import_people(const Import&, const config::Settings&, const service::Rules&, service::Store&,
                   const Log&);
Exit unsubscribe_import(const UnsubscribeImport&, const config::Settings&, const service::Rules&,
                        service::Store&, const Log&);
Exit suppress_import(const SuppressImport&, const service::Rules&, service::Store&);
Exit import_undo(const ImportUndo&, const service::Rules&, service::Store&);
Exit import_list(const ImportList&, service::Store&);

struct SubscriberShow {
    std::string address;
    bool json = false;
};
struct SubscriberExplain {
    std::string address;
    bool json = false;
};
struct SubscriberUnsubscribe {
    std::string address;
    std::string newsletter;  // "": see `all`
    bool all = false;        // neither: the only one she has
    bool yes = false;
};
struct SubscriberResend {
    std::string address;
    bool over_budget = false;
    std::string reason;
};
struct SubscriberErase {
    std::string address;
    bool yes = false;
};
Exit subscriber_show(const SubscriberShow&, const service::Rules&, service::Store&);
Exit subscriber_explain(const SubscriberExplain&, const service::Rules&, service::Store&);
Exit subscriber_unsubscribe(const SubscriberUnsubscribe&, const service::Rules&, service::Store&);
Exit subscriber_resend(const SubscriberResend&, const service::Rules&, service::Store&);
Exit subscriber_erase(const SubscriberErase&, const service::Rules&, service::Store&);

struct SubscriberFind {
    std::string pattern;
    std::size_t limit = 100;
    bool json = false;
};
struct SubscriberConfirm {
    std::string address;
    std::string newsletter;  // "": all that waits
    std::string evidence;
};
Exit subscriber_find(const SubscriberFind&, service::Store&);
Exit subscriber_confirm(const SubscriberConfirm&, const service::Rules&, service::Store&);

struct SuppressAdd {
    std::string address;
    std::string reason;
};
struct SuppressRemove {
    std::string address;
    std::string reason;
};
struct SuppressList {
    std::string address;  // "": all
    std::optional<service::SuppressionReason> reason;
    bool json = false;
};
Exit suppress_add(const SuppressAdd&, const service::Rules&, service::Store&);
Exit suppress_remove(const SuppressRemove&, const service::Rules&, service::Store&);
Exit suppress_list(const SuppressList&, const service::Rules&, service::Store&);

struct ConsentShow {
    std::string address;
    bool json = false;
};
struct ConsentVerify {
    std::optional<std::string> expected_head;  // "SEQ:HASH"
    bool json = false;
};
Exit consent_show(const ConsentShow&, const service::Rules&, service::Store&);
Exit consent_verify(const ConsentVerify&, const service::Keyring&, service::Store&);

struct TokenCreate {
    service::AdminTokenWish wish;
};
struct TokenList {
    bool json = false;
};
struct TokenRevoke {
    std::string token;  // name or id
};
// Prints the new token, which nobody can see again.
Exit token_create(const TokenCreate&, service::Store&);
Exit token_list(const TokenList&, service::Store&);
Exit token_revoke(const TokenRevoke&, service::Store&, const service::Keyring&);

struct Stats {
    std::string newsletter;  // "": all
    std::int64_t days = 30;
    service::StatsQuery::By by = service::StatsQuery::By::newsletter;
    bool json = false;
};
// `origins`: of the pages that are told one by one.
Exit stats(const Stats&, const std::vector<std::string>& origins, service::Store&);

struct Audit {
    std::size_t limit = 100;
    bool json = false;
};
Exit audit(const Audit&, service::Store&);

struct Purge {
    bool dry_run = false;
    bool json = false;
};
Exit purge(const Purge&, const config::Settings&, const service::Rules&, service::Store&);

struct Backup {
    std::string file;
    bool yes = false;  // replace a file of this name
};
Exit backup(const Backup&, const config::Settings&, const Log&, service::Store&);

struct Restore {
    std::string file;
    bool verify = false;  // only looks whether it would go well
    bool yes = false;
};
Exit restore(const Restore&, const config::Settings&, const std::string& command_line, const Log&);

struct KeysRotate {};
Exit keys_rotate(const KeysRotate&, const config::Settings&, service::Store&);

struct Bounces {
    std::vector<std::string> classify;  // files; "-": stdin
    std::string maildir;
    std::string imap;  // imaps://USER@HOST[:PORT][/FOLDER]; imap:// is STARTTLS, and in clear on loopback
    std::string password_file, token_file;  // of the IMAP server: one of the two
    bool from_stdin = false;
};
// Prints a line for each recipient that the files speak of, and changes nothing.
Exit classify_bounces(const Bounces&);
// Acts on mail that came to a signed return path: one mail from stdin, or what nobody has seen yet of a
// Maildir or an IMAP folder, each of which is then marked as seen.
Exit bounces(const Bounces&, const config::Settings&, const service::Rules&, service::Store&, const Log&);

struct Migrate {
    bool check = false;
};
// `command_line` is how this program was called, for the database's owner to repeat.
Exit migrate(const Migrate&, const config::Settings&, const std::string& command_line, const Log&);

struct Doctor {
    bool json = false;
};
// Looks at all that the service needs; `failed` if something is wrong.
Exit doctor(const Doctor&, const config::Settings&, const std::string& command_line, const Log&);

struct CheckConfig {};
Exit check_config(const CheckConfig&, const config::Settings&);

using Verb =
    std::variant<Serve, Mail, MailTest, MailStatus, LetterPreview, Import, UnsubscribeImport, SuppressImport,
                 ImportUndo, ImportList, NewsletterAdd, NewsletterEdit, NewsletterList, NewsletterShow,
                 NewsletterRename, NewsletterOpen, NewsletterEmbed, Export, SubscriberShow, SubscriberExplain,
                 SubscriberUnsubscribe, SubscriberResend, SubscriberErase, ConsentShow, ConsentVerify,
                 MailPause, SubscriberFind, SubscriberConfirm, SuppressAdd, SuppressRemove, SuppressList,
                 TokenCreate, TokenList, TokenRevoke, Stats, Audit, Purge, Backup, Restore, KeysRotate,
                 Bounces, Migrate, Doctor, CheckConfig>;

}  // namespace zgoda::cli
