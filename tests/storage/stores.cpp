#include "tests/storage/stores.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>

namespace zgoda::tests {

using namespace service;

TempFolder::TempFolder() {
    // In memory where that can be: thousands of fsyncs prove nothing about a disk, but wait for it.
    const bool in_memory = ::getenv("TMPDIR") == nullptr && ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path parent = in_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string name = parent / "zgoda-storage-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

storage::SqliteOptions options_in(const TempFolder& folder) {
    storage::SqliteOptions options;
    options.file = folder / "zgoda.db";
    options.withdrawals_journal = folder / "withdrawals.log";
    options.create = true;
    return options;
}

std::unique_ptr<storage::SqliteStore> must_open(const storage::SqliteOptions& options) {
    auto opened = storage::open_sqlite(options);
    if (const auto* problem = std::get_if<storage::OpenProblem>(&opened)) FAIL(problem->sentence);
    return std::get<std::unique_ptr<storage::SqliteStore>>(std::move(opened));
}

std::string InSqlite::journal() const {
    std::ostringstream text;
    text << std::ifstream(folder / "withdrawals.log").rdbuf();
    return text.str();
}

std::string InMemory::journal() const {
    std::string text;
    for (const auto& line : store.withdrawals_journal) text += line + "\n";
    return text;
}

Store::Done Waiting::done() {
    return [promise = promise_](CommitResult result) { promise->set_value(std::move(result)); };
}

CommitResult Waiting::get() {
    REQUIRE(future_.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    return future_.get();
}

bool Waiting::is_ready() const {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

Waiting submit(Store& store, Store::Work work) {
    Waiting waiting;
    store.submit(std::move(work), waiting.done());
    return waiting;
}

Newsletter a_newsletter(Id id, const std::string& slug) {
    Newsletter n;
    n.id = id;
    n.slug = slug;
    n.settings[{"name", ""}] = "The " + slug;
    return n;
}

Person a_person(Id id, const std::string& address) {
    Person p;
    p.id = id;
    p.addr_key = p.abuse_key = p.address = p.envelope = address;
    p.name = "Oksana";
    p.locale = "uk";
    p.created_at = 1'000;
    return p;
}

Subscription a_subscription(Id id, Id person, Id newsletter) {
    Subscription s;
    s.id = id;
    s.person = person;
    s.newsletter = newsletter;
    s.signed_up_at = 1'000;
    s.source = "https://news.example/article";
    s.form = "article-end";
    return s;
}

Request a_request(Id id, Id person, Id newsletter) {
    Request r;
    r.id = id;
    r.person = person;
    r.asked_at = 1'000;
    r.wishes = {{newsletter, "0123456789abcdef0123456789abcdef"}};
    r.locale = "uk";
    r.source = "https://news.example/article";
    r.form = "article-end";
    r.ip = "192.0.2.7";
    r.user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    r.network = "192.0.2.0/24";
    return r;
}

Letter a_letter(Id id, Id person, Id newsletter) {
    Letter l;
    l.id = id;
    l.person = person;
    l.locale = "uk";
    l.created_at = l.due_at = 1'000;
    l.message_id = "c1d2e3f405162738495a6b7c8d9eafb0@news.example";
    l.key_id = 1;
    l.newsletters = {newsletter};
    l.network = "192.0.2.0/24";
    l.budgeted = true;
    return l;
}

Event an_event(const LedgerHead& head, Id person) {
    Event e;
    e.seq = head.seq + 1;
    e.at = 1'000;
    e.person = person;
    e.details = R"({"newsletters":[1],"wording":"0123456789abcdef0123456789abcdef","letter":3})";
    e.identity_commitment.fill(7);
    e.evidence_commitment.fill(8);
    e.previous = head.hash;
    e.hash.fill(static_cast<std::uint8_t>(e.seq));
    e.identity_nonce.emplace().fill(9);
    e.identity = R"({"address":"oksana@example.org","source":"https://news.example/article"})";
    e.evidence_nonce.emplace().fill(10);
    e.evidence = R"({"ip":"192.0.2.7","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko"})";
    return e;
}

LedgerHead sealed(std::int64_t seq, const Digest& hash) {
    LedgerHead head{seq, hash, 1, {}};
    head.seal.fill(static_cast<std::uint8_t>(11 + seq));
    return head;
}

Id make_newsletter(Store& store, const std::string& slug) {
    Id id = 0;
    run(store, [&](Transaction& t) {
        id = t.new_id();
        t.add(a_newsletter(id, slug));
    });
    return id;
}

Id sign_up(Transaction& t, const std::string& address, Id newsletter) {
    const auto key = static_cast<std::uint64_t>(std::hash<std::string>()(address));
    if (t.person_by_key(address)) throw std::runtime_error("signed up already");
    t.suppressions({});
    auto budget = t.budget(address);
    const Id person = t.new_id();
    t.add(a_person(person, address));
    t.add(a_subscription(t.new_id(), person, newsletter));
    const Id letter = t.new_id();
    t.add(a_letter(letter, person, newsletter));
    Request request = a_request(t.new_id(), person, newsletter);
    request.letter = letter;
    t.add(request);
    budget.push_back({1'000, key / 3});
    t.set_budget(address, budget);
    t.append(an_event(t.ledger_head(), person), sealed);
    return person;
}

Id sign_up(Store& store, const std::string& address, Id newsletter) {
    Id id = 0;
    run(store, [&](Transaction& t) { id = sign_up(t, address, newsletter); });
    return id;
}

}  // namespace zgoda::tests
