// Backups: one snapshot, while others write; and their way back into the place of the database.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "storage/sqlite/backup.h"
#include "storage/sqlite/withdrawals_journal.h"
#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::service;
using namespace zgoda::tests;

namespace fs = std::filesystem;
using storage::Contents;
using storage::OpenProblem;
using Kind = OpenProblem::Kind;

namespace {

Contents must_back_up(const storage::SqliteOptions& options, const fs::path& to) {
    auto made = storage::back_up(options, to, false);
    if (const auto* problem = std::get_if<OpenProblem>(&made)) FAIL(problem->sentence);
    return std::get<Contents>(made);
}

std::unique_ptr<storage::Restore> must_begin(const storage::SqliteOptions& options, const fs::path& backup) {
    auto begun = storage::begin_restore(options, backup, false);
    if (const auto* problem = std::get_if<OpenProblem>(&begun)) FAIL(problem->sentence);
    return std::get<std::unique_ptr<storage::Restore>>(std::move(begun));
}

std::vector<std::string> files_in(const TempFolder& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder.path())) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

TEST_SUITE_BEGIN("backup and restore");

TEST_CASE("a backup is one moment of the database, however much is written meanwhile") {
    const TempFolder folder;
    const auto options = options_in(folder);
    auto store = must_open(options);
    const Id newsletter = make_newsletter(*store, "morning");
    for (int i = 0; i < 300; ++i) sign_up(*store, "before" + std::to_string(i) + "@example.org", newsletter);

    std::atomic<bool> stop = false;
    std::atomic<int> signups = 0;
    std::thread busy([&] {
        for (int i = 0; !stop; ++i, ++signups)
            sign_up(*store, "r" + std::to_string(i) + "@example.org", newsletter);
    });
    while (signups < 5) std::this_thread::yield();
    const Contents contents = must_back_up(options, folder / "night.db");
    stop = true;
    busy.join();

    CHECK(contents.people >= 305);
    CHECK(contents.people == contents.events);
    CHECK(contents.people == contents.letters);
    CHECK(contents.head.seq == contents.events);
    struct stat found {};
    REQUIRE(::stat((folder / "night.db").c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0600);
    const auto again = storage::inspect(folder / "night.db", options);
    REQUIRE(std::holds_alternative<Contents>(again));
    CHECK(std::get<Contents>(again).people == contents.people);
    for (const auto& name : files_in(folder))
        CHECK(name.find("night.db") == (name == "night.db" ? 0 : name.npos));
}

TEST_CASE("a name that is taken is not replaced unasked, and never the database itself") {
    const TempFolder folder;
    const auto options = options_in(folder);
    auto store = must_open(options);
    std::ofstream(folder / "night.db") << "something of mine";
    CHECK(std::holds_alternative<OpenProblem>(storage::back_up(options, folder / "night.db", false)));
    CHECK(fs::file_size(folder / "night.db") == 17);
    CHECK(std::holds_alternative<Contents>(storage::back_up(options, folder / "night.db", true)));
    CHECK(std::holds_alternative<OpenProblem>(storage::back_up(options, options.file, true)));
    fs::create_symlink(options.file, folder / "link.db");
    CHECK(std::holds_alternative<OpenProblem>(storage::back_up(options, folder / "link.db", true)));
    CHECK(std::holds_alternative<OpenProblem>(storage::back_up(options, folder / "no/such/folder.db", true)));
}

TEST_CASE("inspecting finds damage, other files and newer schemas") {
    const TempFolder folder;
    const auto options = options_in(folder);
    {
        auto store = must_open(options);
        const Id newsletter = make_newsletter(*store, "morning");
        for (int i = 0; i < 200; ++i) sign_up(*store, std::to_string(i) + "@example.org", newsletter);
        must_back_up(options, folder / "night.db");
    }
    const auto kind = [&](const std::string& name) {
        const auto found = storage::inspect(folder / name, options);
        return std::holds_alternative<Contents>(found) ? -1
                                                       : static_cast<int>(std::get<OpenProblem>(found).kind);
    };
    CHECK(kind("night.db") == -1);
    CHECK(kind("none.db") == static_cast<int>(Kind::missing));
    std::ofstream(folder / "text.db") << std::string(5000, 'x');
    CHECK(kind("text.db") == static_cast<int>(Kind::not_a_database));
    fs::copy_file(folder / "night.db", folder / "torn.db");
    {
        std::fstream torn(folder / "torn.db", std::ios::in | std::ios::out | std::ios::binary);
        torn.seekp(static_cast<std::streamoff>(fs::file_size(folder / "torn.db") / 2));
        torn << std::string(4096, '\7');
    }
    CHECK(kind("torn.db") == static_cast<int>(Kind::failed));
    storage::SchemaFiles older;
    older.emplace(*storage::schema_files().begin());
    auto old_program = options;
    old_program.schema = &older;
    const auto found = storage::inspect(folder / "night.db", old_program);
    REQUIRE(std::holds_alternative<OpenProblem>(found));
    CHECK(std::get<OpenProblem>(found).kind == Kind::new_schema);
}

TEST_CASE("a restore takes the place of the database, which is kept, and starts ids far behind it") {
    const TempFolder folder;
    const auto options = options_in(folder);
    Id late = 0;
    {
        auto store = must_open(options);
        const Id newsletter = make_newsletter(*store, "morning");
        sign_up(*store, "early@example.org", newsletter);
        must_back_up(options, folder / "night.db");
        late = sign_up(*store, "late@example.org", newsletter);
        run(*store, [&](Transaction& t) { late = t.new_id(); });
        const auto begun = storage::begin_restore(options, folder / "night.db", false);
        REQUIRE(std::holds_alternative<OpenProblem>(begun));
        CHECK(std::get<OpenProblem>(begun).kind == Kind::in_use);
        CHECK(std::holds_alternative<std::unique_ptr<storage::Restore>>(
            storage::begin_restore(options, folder / "night.db", true)));
    }
    {
        auto restore = must_begin(options, folder / "night.db");
        const auto refused = storage::open_sqlite(options);
        REQUIRE(std::holds_alternative<OpenProblem>(refused));
        CHECK(std::get<OpenProblem>(refused).kind == Kind::in_use);
        {
            auto copy = must_open(restore->copy());
            sign_up(*copy, "meanwhile@example.org", make_newsletter(*copy, "evening"));
        }
        const auto placed = restore->put_in_place();
        REQUIRE(std::holds_alternative<std::optional<fs::path>>(placed));
        CHECK(std::get<std::optional<fs::path>>(placed) == folder / "zgoda.db.before-restore");
    }
    auto store = must_open(options);
    CHECK(ask(*store, [](Reader& r) { return r.person_by_key("early@example.org").has_value(); }));
    CHECK(ask(*store, [](Reader& r) { return r.person_by_key("meanwhile@example.org").has_value(); }));
    CHECK_FALSE(ask(*store, [](Reader& r) { return r.person_by_key("late@example.org"); }));
    run(*store, [&](Transaction& t) { CHECK(t.new_id() > late + 1'000'000); });
    const auto kept = storage::inspect(folder / "zgoda.db.before-restore", options);
    REQUIRE(std::holds_alternative<Contents>(kept));
    CHECK(std::get<Contents>(kept).people == 2);
    for (const auto& name : files_in(folder)) CHECK(name.find(".re") == name.npos);
}

TEST_CASE("a restore that is given up leaves everything as it was") {
    const TempFolder folder;
    const auto options = options_in(folder);
    {
        auto store = must_open(options);
        sign_up(*store, "early@example.org", make_newsletter(*store, "morning"));
        must_back_up(options, folder / "night.db");
    }
    const auto before = files_in(folder);
    fs::create_directory(folder / "zgoda.db.restore-killed");  // of one that was
    must_begin(options, folder / "night.db");
    CHECK(files_in(folder) == before);
    auto store = must_open(options);
}

TEST_CASE("the journal is read line by line, without one that a crash cut off") {
    const TempFolder folder;
    std::vector<std::string> lines;
    const auto read = [&] {
        lines.clear();
        return storage::read_withdrawals(folder / "w.log",
                                         [&](std::string_view line) { lines.emplace_back(line); });
    };
    CHECK_FALSE(read());
    std::ofstream(folder / "w.log") << "one\ntwo\nthr";
    CHECK(read());
    CHECK(lines == std::vector<std::string>{"one", "two"});
}
