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
#include "service/rules.h"
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
    bool links = false;
    bool raw = false;
    std::string output;  // "": stdout
};
Exit export_subscribers(const Export&, const std::string& public_url, const service::Rules&, service::Store&);

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

struct Migrate {
    bool check = false;
};
// `command_line` is how this program was called, for the database's owner to repeat.
Exit migrate(const Migrate&, const config::Settings&, const std::string& command_line, const Log&);

struct CheckConfig {};
Exit check_config(const CheckConfig&, const config::Settings&);

using Verb = std::variant<Serve, Mail, MailTest, MailStatus, LetterPreview, NewsletterAdd, NewsletterEdit,
                          NewsletterList, NewsletterShow, NewsletterRename, NewsletterOpen, NewsletterEmbed,
                          Export, SubscriberShow, SubscriberExplain, SubscriberUnsubscribe, SubscriberResend,
                          SubscriberErase, ConsentShow, ConsentVerify, Migrate, CheckConfig>;

}  // namespace zgoda::cli
