// Opening a database, its schema, and who else is alive.
#include <doctest/doctest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "storage/sqlite/lock_file.h"
#include "storage/sqlite/schema.h"
#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::service;
using namespace zgoda::tests;

namespace fs = std::filesystem;
using storage::MigrationReport;
using storage::OpenProblem;
using Kind = storage::OpenProblem::Kind;

namespace {

OpenProblem problem_of(const storage::SqliteOptions& options) {
    auto opened = storage::open_sqlite(options);
    REQUIRE(std::holds_alternative<OpenProblem>(opened));
    const auto& problem = std::get<OpenProblem>(opened);
    CHECK(problem.sentence.find(options.file.string()) != std::string::npos);
    return problem;
}

void sql(const fs::path& file, const std::string& text) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
}

std::string first_value(const fs::path& file, const std::string& question) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK);
    std::string answer;
    sqlite3_exec(
        db, question.c_str(),
        [](void* out, int, char** values, char**) {
            *static_cast<std::string*>(out) = values[0] ? values[0] : "NULL";
            return 0;
        },
        &answer, nullptr);
    sqlite3_close(db);
    return answer;
}

int mode_of(const fs::path& file) {
    struct stat found {};
    REQUIRE(::stat(file.c_str(), &found) == 0);
    return static_cast<int>(found.st_mode & 0777);
}

}  // namespace

TEST_SUITE_BEGIN("opening a database");

TEST_CASE("a missing database is made only by who may") {
    const TempFolder folder;
    auto options = options_in(folder);
    options.file = folder / "new" / "zgoda.db";
    options.withdrawals_journal = folder / "journal" / "withdrawals.log";
    options.create = false;
    CHECK(problem_of(options).kind == Kind::missing);
    CHECK_FALSE(fs::exists(folder / "new"));

    options.create = true;
    auto store = must_open(options);
    sign_up(*store, "oksana@example.org", make_newsletter(*store, "morning"));
    CHECK(mode_of(folder / "new") == 0700);
    CHECK(mode_of(folder / "journal") == 0700);
    for (const auto& entry : fs::directory_iterator(folder / "new")) {
        CAPTURE(entry.path().string());
        CHECK(mode_of(entry.path()) == 0600);
    }
    CHECK(mode_of(options.withdrawals_journal) == 0600);
    store.reset();

    options.create = false;
    store = must_open(options);
    CHECK(ask(*store, [](Reader& r) { return r.person_by_key("oksana@example.org").has_value(); }));
}

TEST_CASE("an empty file is a missing database") {
    const TempFolder folder;
    auto options = options_in(folder);
    std::ofstream(options.file).flush();
    options.create = false;
    CHECK(problem_of(options).kind == Kind::missing);
    options.create = true;
    make_newsletter(*must_open(options), "morning");
}

TEST_CASE("what is no database of ours is left alone") {
    const TempFolder folder;
    auto options = options_in(folder);
    SUBCASE("text") {
        std::ofstream(options.file) << std::string(5000, 'x');
        CHECK(problem_of(options).kind == Kind::not_a_database);
    }
    SUBCASE("the database of another program") {
        sql(options.file, "CREATE TABLE theirs (a)");
        CHECK(problem_of(options).kind == Kind::not_a_database);
        CHECK(std::get<OpenProblem>(storage::migrate(options, false)).kind == Kind::not_a_database);
        CHECK(first_value(options.file, "SELECT count(*) FROM sqlite_schema") == "1");
    }
    SUBCASE("a folder") {
        fs::create_directory(options.file);
        CHECK(problem_of(options).kind == Kind::not_a_database);
    }
}

TEST_CASE("the database of another user is refused, with that user's name") {
    if (::geteuid() != 0) {
        MESSAGE("skipped: only root can give a file away");
        return;
    }
    const TempFolder folder;
    const auto options = options_in(folder);
    must_open(options);
    REQUIRE(::chown(options.file.c_str(), 1, 1) == 0);
    auto problem = problem_of(options);
    CHECK(problem.kind == Kind::wrong_owner);
    CHECK(problem.owner == "daemon");
    CHECK(problem.sentence.ends_with("belongs to daemon, and this is root"));
    REQUIRE(::chown(options.file.c_str(), 54'321, 1) == 0);
    CHECK(problem_of(options).owner == "54321");
    CHECK(std::get<OpenProblem>(storage::migrate(options, true)).kind == Kind::wrong_owner);
}

TEST_CASE("the connection's settings are what durability needs") {
    const TempFolder folder;
    const auto options = options_in(folder);
    must_open(options);
    CHECK(first_value(options.file, "PRAGMA journal_mode") == "wal");
    CHECK(first_value(options.file, "PRAGMA user_version") == std::to_string(storage::schema_files().size()));
    CHECK(first_value(options.file,
                      "SELECT group_concat(name) FROM pragma_table_list WHERE schema = 'main' AND "
                      "type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite%'") == "NULL");
    sql(options.file, "PRAGMA journal_mode = DELETE");
    CHECK(problem_of(options).kind == Kind::unsupported);
}

TEST_CASE("the newest schema file is numbered by how many there are") {
    int number = 0;
    for (const auto& [name, text] : storage::schema_files()) {
        CHECK(std::stoi(std::string(name.substr(0, 4))) == ++number);
        CHECK_FALSE(text.empty());
    }
}

TEST_CASE("migrations") {
    const TempFolder folder;
    auto options = options_in(folder);
    const storage::SchemaFiles two = {{"0001_first.sql", storage::schema_files().at("0001_first.sql")},
                                      {"0002_more.sql",
                                       "CREATE TABLE more (a INTEGER) STRICT; INSERT INTO more "
                                       "SELECT count(*) FROM person;"}};
    const storage::SchemaFiles before = {*two.begin()};
    // A database of the first schema, with one person in it.
    const auto sign_up_first = [&] {
        options.schema = &before;
        must_open(options).reset();
        sql(options.file,
            "INSERT INTO person (id, addr_key, needs_smtputf8, name, locale, created_at, generation) "
            "VALUES (1, 'oksana@example.org', 0, '', 'en', 0, 0); INSERT INTO newsletter VALUES (2, "
            "'morning', 1);"
            "INSERT INTO subscription VALUES (3, 1, 2, 0, 0, NULL, NULL, '', '', '')");
    };
    const auto migrate = [&](bool check_only) { return storage::migrate(options, check_only); };

    SUBCASE("an old schema is not opened, but migrated, after a backup") {
        sign_up_first();
        options.schema = &two;
        const auto problem = problem_of(options);
        CHECK(problem.kind == Kind::old_schema);

        auto report = std::get<MigrationReport>(migrate(true));
        CHECK(report.from == 1);
        CHECK(report.to == 2);
        CHECK_FALSE(report.backup);
        CHECK(problem_of(options).kind == Kind::old_schema);  // nothing was touched

        report = std::get<MigrationReport>(migrate(false));
        CHECK(report.from == 1);
        CHECK(report.to == 2);
        REQUIRE(report.backup);
        CHECK(report.backup->parent_path() == folder.path());
        CHECK(mode_of(*report.backup) == 0600);
        CHECK(first_value(*report.backup, "PRAGMA integrity_check") == "ok");
        CHECK(first_value(*report.backup, "PRAGMA user_version") == "1");
        CHECK(first_value(*report.backup, "SELECT addr_key FROM person") == "oksana@example.org");
        CHECK(first_value(options.file, "SELECT a FROM more") == "1");
        CHECK(first_value(options.file, "SELECT addr_key FROM person") == "oksana@example.org");

        report = std::get<MigrationReport>(migrate(false));
        CHECK(report.from == 2);
        CHECK_FALSE(report.backup);

        options.schema = &before;
        CHECK(problem_of(options).kind == Kind::new_schema);
        CHECK(std::get<OpenProblem>(migrate(false)).kind == Kind::new_schema);
    }
    SUBCASE("people who came before are found afterwards, and nobody is there twice") {
        sign_up_first();
        sql(options.file,
            "INSERT INTO person (id, addr_key, abuse_key, needs_smtputf8, name, locale, created_at, "
            "proven_at, generation, budget) VALUES (4, 'оксана@xn--80a1acny.xn--j1amh', 'x', 1, 'Оксана', "
            "'uk', 5, 6, 7, zeroblob(16))");
        options.schema = nullptr;
        REQUIRE(std::get<MigrationReport>(migrate(false)).from == 1);
        auto store = must_open(options);
        const auto oksana =
            ask(*store, [](service::Reader& r) { return r.person_by_key("оксана@xn--80a1acny.xn--j1amh"); });
        REQUIRE(oksana);
        CHECK(oksana->id == 4);
        CHECK(oksana->abuse_key == "x");
        CHECK(oksana->needs_smtputf8);
        CHECK(oksana->name == "Оксана");
        CHECK(oksana->locale == "uk");
        CHECK(oksana->created_at == 5);
        CHECK(oksana->proven_at == 6);
        CHECK(oksana->generation == 7);
        CHECK(ask(*store, [](service::Reader& r) {
                  return r.budget("оксана@xn--80a1acny.xn--j1amh");
              }).size() == 1);
        CHECK(ask(*store, [](service::Reader& r) { return r.person_by_key("oksana@example.org"); })->id == 1);
        CHECK(ask(*store, [](service::Reader& r) { return r.subscriptions_of(1); }).size() == 1);
        CHECK_THROWS(
            run(*store, [](service::Transaction& t) { t.add(a_person(t.new_id(), "oksana@example.org")); }));
        CHECK(first_value(options.file, "PRAGMA foreign_key_check") == "");
        CHECK(first_value(options.file, "PRAGMA integrity_check") == "ok");
    }
    SUBCASE("one that fails changes nothing") {
        sign_up_first();
        for (const char* bad :
             {"CREATE TABLE more (a) STRICT", "CREATE TABLE more (a INTEGER) STRICT; nonsense",
              "CREATE TABLE more (a INTEGER); UPDATE subscription SET person = 999"}) {
            CAPTURE(std::string(bad));
            const storage::SchemaFiles files = {*two.begin(), {"0002_bad.sql", bad}};
            options.schema = &files;
            CHECK(std::get<OpenProblem>(migrate(false)).kind == Kind::failed);
            CHECK(first_value(options.file, "PRAGMA user_version") == "1");
            CHECK(first_value(options.file, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'") == "0");
        }
        options.schema = &before;
        must_open(options);
    }
    SUBCASE("a backup never replaces another file") {
        sign_up_first();
        options.schema = &two;
        std::ofstream(options.file.string() + ".before-version-2") << "mine";
        const auto report = std::get<MigrationReport>(migrate(false));
        CHECK(report.backup->string() == options.file.string() + ".before-version-2.2");
        std::string mine;
        std::ifstream(options.file.string() + ".before-version-2") >> mine;
        CHECK(mine == "mine");
    }
    SUBCASE("a missing database is made, without a backup") {
        CHECK(std::get<MigrationReport>(migrate(true)).from == 0);
        CHECK_FALSE(fs::exists(options.file));
        const auto report = std::get<MigrationReport>(migrate(false));
        CHECK(report.from == 0);
        CHECK(report.to == static_cast<int>(storage::schema_files().size()));
        CHECK_FALSE(report.backup);
        options.create = false;
        must_open(options);
    }
    SUBCASE("a missing database is not made by who may not") {
        options.create = false;
        CHECK(std::get<OpenProblem>(migrate(false)).kind == Kind::missing);
        CHECK_FALSE(fs::exists(options.file));
    }
}

TEST_CASE("a mailer that was killed is dead at once, whatever its process id is used for next") {
    const TempFolder folder;
    const auto options = options_in(folder);
    int out[2];
    REQUIRE(::pipe(out) == 0);
    const pid_t child = ::fork();  // before there are threads, whose locks it would inherit
    if (child == 0) {
        const auto presence = storage::enlist_mailer(options.file);
        const auto n = ::write(out[1], presence->id().data(), 32);
        while (n == 32) ::pause();
        ::_exit(1);
    }
    REQUIRE(child > 0);
    std::string id(32, '\0');
    REQUIRE(::read(out[0], id.data(), 32) == 32);
    ::close(out[0]);
    ::close(out[1]);
    auto store = must_open(options);
    CHECK(store->mailer_alive(id));
    const fs::path file = options.file.string() + ".mailer-" + id + ".lock";
    CHECK(mode_of(file) == 0600);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    CHECK(fs::exists(file));
    SUBCASE("asked for") {
        CHECK_FALSE(store->mailer_alive(id));
    }
    SUBCASE("tidied up by the next mailer") {
        const auto next = store->enlist_mailer();
        CHECK(store->mailer_alive(next->id()));
    }
    CHECK_FALSE(fs::exists(file));
    CHECK_FALSE(store->mailer_alive(id));
}

TEST_SUITE_END();
