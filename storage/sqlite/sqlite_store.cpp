#include "storage/sqlite/sqlite_store.h"

#include <fcntl.h>
#include <pwd.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "storage/sqlite/migrations.h"
#include "storage/sqlite/readers.h"
#include "storage/sqlite/writer.h"

namespace zgoda::storage {

namespace fs = std::filesystem;
using Kind = OpenProblem::Kind;

namespace {

class Store final : public SqliteStore {
 public:
    Store(const SqliteOptions& options, std::unique_ptr<LockFile> users)
        : file_(options.file),
          users_(std::move(users)),
          readers_(options, cache_),
          writer_(options, cache_) {}

    void submit(Work work, Done done) override { writer_.submit(std::move(work), std::move(done)); }
    void read(Query query, Done done) override { readers_.read(std::move(query), std::move(done)); }
    std::unique_ptr<service::MailerPresence> enlist_mailer() override {
        return storage::enlist_mailer(file_);
    }
    bool mailer_alive(const std::string& id) override { return storage::mailer_alive(file_, id); }
    StoreStats stats() const override { return writer_.stats(); }

 private:
    const fs::path file_;
    const std::unique_ptr<LockFile> users_;
    NewslettersCache cache_;
    Readers readers_;
    Writer writer_;
};

OpenProblem problem(Kind kind, const fs::path& file, const std::string& what) {
    return {kind, file.string() + " " + what, {}};
}

OpenProblem system_problem(const std::string& doing, const fs::path& file) {
    return {Kind::failed, doing + " " + file.string() + ": " + std::strerror(errno), {}};
}

std::string user_name(uid_t uid) {
    const passwd* user = ::getpwuid(uid);
    return user ? user->pw_name : std::to_string(uid);
}

bool is_network_filesystem(const fs::path& file) {
    struct statfs system;
    if (::statfs(file.c_str(), &system) != 0) return false;
    constexpr unsigned nfs = 0x6969, smb = 0x517B, cifs = 0xFF534D42, smb2 = 0xFE534D42;
    const auto type = static_cast<unsigned>(system.f_type);
    return type == nfs || type == smb || type == cifs || type == smb2;
}

// Runs `work` with a connection, and makes a problem of what it throws.
template <class Work>
std::optional<OpenProblem> with_connection(const SqliteOptions& options, Work work) {
    // Counting every allocation under one lock costs, and nobody asks. Fails if SQLite is at work already:
    // then not.
    static const int no_statistics = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    static_cast<void>(no_statistics);
    if (sqlite3_threadsafe() == 0)
        return OpenProblem{Kind::unsupported, "this SQLite was built without threads", {}};
    try {
        Connection db(options.file, options.vfs, Connection::Mode::write, 5000, 2048);
        return work(db);
    } catch (const SqliteError& e) {
        if ((e.code() & 0xff) == SQLITE_NOTADB)
            return problem(Kind::not_a_database, options.file, "is no SQLite file");
        return problem(Kind::failed, options.file, std::string("can't be used: ") + e.what());
    } catch (const service::StorageError& e) {
        return problem(Kind::failed, options.file, std::string("can't be used: ") + e.what());
    }
}

std::optional<OpenProblem> too_new(const SqliteOptions& options, int version, int newest) {
    if (version <= newest) return std::nullopt;
    return problem(Kind::new_schema, options.file,
                   "has schema version " + std::to_string(version) +
                       ", made by a newer program; this one knows " + std::to_string(newest));
}

std::optional<OpenProblem> foreign(const SqliteOptions& options) {
    return problem(Kind::not_a_database, options.file, "is the database of another program");
}

std::optional<OpenProblem> use_wal(const SqliteOptions& options, Connection& db) {
    if (db.ask("PRAGMA journal_mode = WAL") == "wal") return std::nullopt;
    return problem(Kind::unsupported, options.file, "can't be put into WAL mode on this file system");
}

SqliteOptions with_whole_path(SqliteOptions options) {
    options.file = fs::absolute(options.file).lexically_normal();
    return options;
}

fs::path free_name(const fs::path& wanted) {
    fs::path name = wanted;
    for (int n = 2; fs::exists(name); ++n) name = wanted.string() + "." + std::to_string(n);
    return name;
}

// The database stands in a folder that only another user may enter: whose, says the nearest one that can be
// looked at.
OpenProblem behind_a_folder(const fs::path& file) {
    struct stat found;
    fs::path folder = file.parent_path();
    while (::stat(folder.c_str(), &found) != 0 && folder.has_relative_path()) folder = folder.parent_path();
    if (found.st_uid == ::geteuid()) {
        errno = EACCES;
        return system_problem("can't look at", file);
    }
    OpenProblem p = problem(Kind::wrong_owner, file, "");
    p.owner = user_name(found.st_uid);
    p.sentence += "is in " + folder.string() + ", which belongs to " + p.owner + ", and this is " +
                  user_name(::geteuid());
    return p;
}

}  // namespace

std::optional<OpenProblem> find_file(const SqliteOptions& options) {
    const fs::path& file = options.file;
    struct stat found;
    if (::stat(file.c_str(), &found) != 0) {
        if (errno == EACCES) return behind_a_folder(file);
        if (errno != ENOENT && errno != ENOTDIR) return system_problem("can't look at", file);
        if (!options.create) return problem(Kind::missing, file, "does not exist");
        const fs::path folder = file.parent_path();
        std::error_code error;
        if (!fs::exists(folder, error)) {
            fs::create_directories(folder, error);
            if (!error) fs::permissions(folder, fs::perms::owner_all, error);
            if (error)
                return OpenProblem{
                    Kind::failed, "can't make " + folder.string() + ": " + error.message(), {}};
        }
        const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ::fstat(fd, &found) != 0) return system_problem("can't make", file);
        ::close(fd);
    }
    if (!S_ISREG(found.st_mode)) return problem(Kind::not_a_database, file, "is not a file");
    if (found.st_uid != ::geteuid()) {
        OpenProblem p = problem(Kind::wrong_owner, file, "");
        p.owner = user_name(found.st_uid);
        p.sentence += "belongs to " + p.owner + ", and this is " + user_name(::geteuid());
        return p;
    }
    if (is_network_filesystem(file)) {
        return problem(Kind::network_filesystem, file,
                       "is on a network file system, where locks can't be trusted");
    }
    return std::nullopt;
}

std::variant<std::unique_ptr<SqliteStore>, OpenProblem> open_sqlite(const SqliteOptions& given) {
    const SqliteOptions options = with_whole_path(given);
    if (auto found = find_file(options)) return *found;
    std::unique_ptr<LockFile> users;
    const auto wrong = with_connection(options, [&](Connection& db) -> std::optional<OpenProblem> {
        const SchemaFiles& files = schema_of(options);
        auto version = schema_version(db);
        if (!version) return foreign(options);
        if (*version == 0) {
            if (!options.create) return problem(Kind::missing, options.file, "is empty");
            WriteLock lock(options.file);
            wait_for(lock);
            if (auto no_wal = use_wal(options, db)) return no_wal;
            upgrade(db, lock, files, schema_version(db).value_or(0));
            version = schema_version(db);
        }
        if (auto newer = too_new(options, *version, newest_version(files))) return newer;
        if (*version < newest_version(files)) {
            return problem(Kind::old_schema, options.file,
                           "has schema version " + std::to_string(*version) + ", and this program needs " +
                               std::to_string(newest_version(files)));
        }
        if (db.ask("PRAGMA journal_mode") != "wal" || db.ask("PRAGMA synchronous") != "2") {
            return problem(Kind::unsupported, options.file, "is not in WAL mode with synchronous = FULL");
        }
        users = std::make_unique<LockFile>(users_file(options.file));
        if (!users->try_share()) return problem(Kind::in_use, options.file, "is being replaced by a restore");
        return std::nullopt;
    });
    if (wrong) return *wrong;
    try {
        return std::make_unique<Store>(options, std::move(users));
    } catch (const service::StorageError& e) {
        return problem(Kind::failed, options.file, std::string("can't be used: ") + e.what());
    }
}

std::variant<MigrationReport, OpenProblem> migrate(const SqliteOptions& given, bool check_only) {
    SqliteOptions options = with_whole_path(given);
    const SchemaFiles& files = schema_of(options);
    MigrationReport report{0, newest_version(files), std::nullopt};
    if (check_only) {
        std::error_code error;
        if (options.create && fs::status(options.file, error).type() == fs::file_type::not_found)
            return report;
        options.create = false;
    }
    if (auto found = find_file(options)) return *found;
    const auto wrong = with_connection(options, [&](Connection& db) -> std::optional<OpenProblem> {
        const auto version = schema_version(db);
        if (!version) return foreign(options);
        if (auto newer = too_new(options, *version, newest_version(files))) return newer;
        report.from = *version;
        if (check_only || report.from == report.to) return std::nullopt;
        WriteLock lock(options.file);
        wait_for(lock);
        report.from = schema_version(db).value_or(0);  // another process may have been at it meanwhile
        if (report.from >= report.to) return std::nullopt;
        if (auto no_wal = use_wal(options, db)) return no_wal;
        if (report.from > 0) {
            report.backup = free_name(options.file.string() + ".before-version-" + std::to_string(report.to));
            back_up(db, *report.backup);
        }
        upgrade(db, lock, files, report.from);
        return std::nullopt;
    });
    if (wrong) return *wrong;
    return report;
}

std::string sqlite_version() {
    return sqlite3_libversion();
}

}  // namespace zgoda::storage
