#include "storage/sqlite/migrations.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "storage/sqlite/rows.h"
#include "storage/sqlite/sqlite_store.h"

namespace zgoda::storage {

using service::StorageError;

namespace {

const std::string application_id = "2053599076";  // "zgod"

void sync_path(const std::filesystem::path& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
    const bool synced = fd >= 0 && ::fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (!synced) throw StorageError("can't sync " + path.string() + ": " + std::strerror(error));
}

}  // namespace

const SchemaFiles& schema_of(const SqliteOptions& options) {
    return options.schema ? *options.schema : schema_files();
}

std::optional<int> schema_version(Connection& db) {
    const std::string id = db.ask("PRAGMA application_id");
    if (id == application_id) return std::stoi(db.ask("PRAGMA user_version"));
    if (id == "0" && db.ask("SELECT count(*) FROM sqlite_schema") == "0") return 0;
    return std::nullopt;
}

void wait_for(WriteLock& lock) {
    for (int tries = 0; !lock.try_lock(); ++tries) {
        if (tries == 10'000) throw StorageError("another process has been writing for 10 seconds");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

void upgrade(Connection& db, WriteLock& lock, const SchemaFiles& files, int from) {
    // A migration may have to make a table anew; foreign keys are checked when it is through.
    db.execute("PRAGMA foreign_keys = OFF");
    const auto hash_key = [](sqlite3_context* context, int, sqlite3_value** values) {
        const auto* key = reinterpret_cast<const char*>(sqlite3_value_text(values[0]));
        const auto size = static_cast<std::size_t>(sqlite3_value_bytes(values[0]));
        sqlite3_result_int64(context, key_hash({key, key == nullptr ? 0 : size}));
    };
    if (const int code = sqlite3_create_function_v2(db.handle(), "key_hash", 1, SQLITE_UTF8, nullptr,
                                                    hash_key, nullptr, nullptr, nullptr)) {
        db.fail(code);
    }
    int version = 0;
    for (const auto& [name, sql] : files) {
        if (++version <= from) continue;
        wait_for(lock);
        db.execute("BEGIN IMMEDIATE");
        try {
            db.execute(std::string(sql));
            if (!db.ask("PRAGMA foreign_key_check").empty()) {
                throw StorageError(std::string(name) + " leaves rows that refer to nothing");
            }
            db.execute("PRAGMA application_id = " + application_id);
            db.execute("PRAGMA user_version = " + std::to_string(version));
            db.execute("COMMIT");
        } catch (...) {
            if (db.in_transaction()) db.execute("ROLLBACK");
            lock.unlock();
            throw;
        }
        lock.unlock();
    }
    db.execute("PRAGMA foreign_keys = ON");
}

void back_up(Connection& db, const std::filesystem::path& wanted) {
    // Under another name until it is whole: who is killed meanwhile leaves nothing that looks like a backup.
    const std::filesystem::path to = wanted.string() + ".unfinished";
    ::unlink(to.c_str());
    ::unlink((to.string() + "-journal").c_str());  // of one that was killed: it is not this one's
    const int fd = ::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) throw StorageError("can't make " + to.string() + ": " + std::strerror(errno));
    ::close(fd);
    sqlite3* copy = nullptr;
    int code = sqlite3_open_v2(to.c_str(), &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (code == SQLITE_OK) {
        sqlite3_backup* backup = sqlite3_backup_init(copy, "main", db.handle(), "main");
        if (backup != nullptr) sqlite3_backup_step(backup, -1);
        code = backup != nullptr ? sqlite3_backup_finish(backup) : sqlite3_errcode(copy);
    }
    const std::string what = copy ? sqlite3_errmsg(copy) : sqlite3_errstr(code);
    sqlite3_close_v2(copy);
    if (code != SQLITE_OK) {
        ::unlink(to.c_str());
        throw StorageError("can't back up to " + to.string() + ": " + what);
    }
    sync_path(to, O_RDONLY);
    if (std::rename(to.c_str(), wanted.c_str()) != 0)
        throw StorageError("can't make " + wanted.string() + ": " + std::strerror(errno));
    sync_path(to.parent_path(), O_RDONLY | O_DIRECTORY);
}

}  // namespace zgoda::storage
