// What the tests of storage share: the stores under test, and a small vocabulary of records.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "service/store.h"
#include "storage/sqlite/sqlite_store.h"
#include "tests/support/memory_store.h"

namespace zgoda::tests {

// A folder of its own, gone at the end.
class TempFolder {
 public:
    TempFolder();
    ~TempFolder();
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
    const std::filesystem::path& path() const { return path_; }

 private:
    std::filesystem::path path_;
};

storage::SqliteOptions options_in(const TempFolder&);
std::unique_ptr<storage::SqliteStore> must_open(const storage::SqliteOptions&);

// The kinds of store that the contract holds for. A new one is added to ALL_STORES.
struct InSqlite {
    TempFolder folder;
    std::unique_ptr<storage::SqliteStore> sqlite = must_open(options_in(folder));
    service::Store& store = *sqlite;
    std::string journal() const;
};
struct InMemory {
    MemoryStore store;
    std::string journal() const;
};
#define ALL_STORES InMemory, InSqlite

// An outcome that can be waited for.
class Waiting {
 public:
    service::Store::Done done();
    service::CommitResult get();  // fails the test after 20 s
    bool is_ready() const;

 private:
    std::shared_ptr<std::promise<service::CommitResult>> promise_ =
        std::make_shared<std::promise<service::CommitResult>>();
    std::shared_future<service::CommitResult> future_ = promise_->get_future();
};
Waiting submit(service::Store&, service::Store::Work);

// Reads one thing in a query of its own.
template <class Ask>
auto ask(service::Store& store, Ask question) {
    decltype(question(std::declval<service::Reader&>())) answer{};
    service::look(store, [&](service::Reader& r) { answer = question(r); });
    return answer;
}

service::Newsletter a_newsletter(service::Id id, const std::string& slug);
service::Person a_person(service::Id id, const std::string& address);
service::Subscription a_subscription(service::Id id, service::Id person, service::Id newsletter);
service::Request a_request(service::Id id, service::Id person, service::Id newsletter);
service::Letter a_letter(service::Id id, service::Id person, service::Id newsletter);
service::Event an_event(const service::LedgerHead& head, service::Id person);  // the next one
service::LedgerHead sealed(std::int64_t seq, const service::Digest& hash);

// Makes a newsletter, and a whole signup with all its rows, as the service writes them. Both return the id.
service::Id make_newsletter(service::Store&, const std::string& slug);
service::Id sign_up(service::Transaction&, const std::string& address, service::Id newsletter);
service::Id sign_up(service::Store&, const std::string& address, service::Id newsletter);

}  // namespace zgoda::tests
