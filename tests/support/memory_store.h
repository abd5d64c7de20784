// A Store in memory, for tests: submit and read run at once, on the caller's thread. It keeps the promises of
// service/store.h that a test can see without a disk, and fails on request.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "service/store.h"

namespace zgoda::tests {

class MemoryStore : public service::Store {
 public:
    // Every submit ends like this without running, until it is `done` again.
    service::Commit failing = service::Commit::done;
    // Every unit runs, is rolled back, and runs again: what it does must be the same as if it had run once.
    bool run_twice = false;
    // Units are cut off at the next call of the transaction with a StorageError, as by a broken database.
    bool breaking = false;
    // How many units were kept, and how many queries ran.
    int commits = 0;
    int reads = 0;

    std::vector<std::string> withdrawals_journal;

    void submit(Work, Done) override;
    void read(Query, Done) override;
    std::unique_ptr<service::MailerPresence> enlist_mailer() override;
    bool mailer_alive(const std::string& id) override { return mailers_.contains(id); }

    struct Tables {
        service::Id last_id = 0;
        std::map<service::Id, service::Newsletter> newsletters;
        std::map<std::string, service::Wording, std::less<>> wordings;
        std::map<service::Id, service::Person> people;
        std::map<service::Id, service::Subscription> subscriptions;
        std::map<service::Id, service::TimeMs> changed_at;  // of subscriptions, by the real clock
        std::map<service::Id, service::Request> requests;
        std::map<service::Id, service::Letter> letters;
        std::map<service::Id, service::AddressChange> address_changes;
        std::map<service::Id, int> wrong_codes;
        std::map<service::Id, service::BounceScore> bounce_scores;
        std::vector<service::Suppression> suppressions;
        std::map<service::Id, service::ImportBatch> import_batches;
        std::map<std::pair<service::Id, std::int64_t>, service::ImportEntry> import_entries;
        std::map<std::string, std::vector<service::BudgetEntry>, std::less<>> budget;
        std::vector<service::Event> ledger;
        service::LedgerHead head;
        service::MailerNote note;
        std::optional<service::ProxyNote> proxy_note;
        std::vector<service::MailPause> mail_pauses;
        std::vector<service::AdminAct> admin_acts;
        std::map<service::Id, service::AdminToken> admin_tokens;
    };
    Tables tables;  // what is kept: tests may look, and change what no unit of work would

 private:
    std::set<std::string> mailers_;
    int mailers_ever_ = 0;
};

}  // namespace zgoda::tests
