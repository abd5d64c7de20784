#include "storage/sqlite/connection.h"

#include <cerrno>

namespace zgoda::storage {

Trouble SqliteError::trouble() const {
    const bool no_room = system_error_ == ENOSPC || system_error_ == EDQUOT || system_error_ == EFBIG;
    switch (code_ & 0xff) {
        case SQLITE_FULL:
            return Trouble::disk_full;
        case SQLITE_BUSY:
            return Trouble::locked;
        case SQLITE_IOERR:
            // A failed fsync is never "disk full", whatever its errno: the kernel may have dropped the pages,
            // and the next fsync would succeed without them.
            if (no_room && (code_ == SQLITE_IOERR_WRITE || code_ == SQLITE_IOERR_SHMSIZE)) {
                return Trouble::disk_full;
            }
            if (code_ == SQLITE_IOERR_NOMEM) return Trouble::statement;
            return Trouble::broken;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PROTOCOL:
        case SQLITE_PERM:
            return Trouble::broken;
        default:
            return Trouble::statement;
    }
}

bool Query::step() {
    errno = 0;  // for fail()
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    connection_.fail(code);
}

void Query::check(int code) {
    if (code != SQLITE_OK) connection_.fail(code);
}

namespace {

// RFC 3986, and what SQLite reads of it.
std::string immutable_uri(const std::filesystem::path& file) {
    std::string uri = "file:";
    for (const char c : file.string()) {
        if (c == '%' || c == '?' || c == '#') {
            uri += c == '%' ? "%25" : c == '?' ? "%3f" : "%23";
        } else {
            uri += c;
        }
    }
    return uri + "?immutable=1";
}

}  // namespace

Connection::Connection(const std::filesystem::path& file, const std::string& vfs, Mode mode,
                       int busy_timeout_ms, int cache_kib) {
    const int flags = (mode == Mode::write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                      (mode == Mode::immutable ? SQLITE_OPEN_URI : 0);
    const std::string name = mode == Mode::immutable ? immutable_uri(file) : file.string();
    try {
        const int code = sqlite3_open_v2(name.c_str(), &db_, flags, vfs.empty() ? nullptr : vfs.c_str());
        if (code != SQLITE_OK) fail(code);
        for (const auto& [option, value] : {std::pair{SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
                                            {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                            {SQLITE_DBCONFIG_DEFENSIVE, 1},
                                            {SQLITE_DBCONFIG_ENABLE_FKEY, 1}}) {
            if (const int rc = sqlite3_db_config(db_, option, value, nullptr); rc != SQLITE_OK) fail(rc);
        }
        sqlite3_busy_timeout(db_, busy_timeout_ms);
        sqlite3_limit(db_, SQLITE_LIMIT_SQL_LENGTH, 100'000);
        execute(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0;"
            "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;"
            "PRAGMA journal_size_limit = 134217728; PRAGMA cache_size = -" +
            std::to_string(cache_kib));
    } catch (...) {
        sqlite3_close_v2(db_);
        throw;
    }
}

Connection::~Connection() {
    for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close_v2(db_);
}

void Connection::execute(const std::string& sql) {
    if (const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK)
        fail(code);
}

std::string Connection::ask(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (const int code = sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr); code != SQLITE_OK)
        fail(code);
    std::string answer;
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        if (const auto* text = sqlite3_column_text(statement, 0))
            answer = reinterpret_cast<const char*>(text);
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) fail(code);
    return answer;
}

void Connection::fail(int code) {
    // sqlite3_system_errno() is not told of errors of COMMIT. errno itself still is what the failed call
    // left.
    const int system_error = errno != 0 || db_ == nullptr ? errno : sqlite3_system_errno(db_);
    // The message of a constraint names columns, never values.
    std::string what = db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
    what += " (SQLite " + std::to_string(code);
    if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) {
        if (system_error != 0) what += std::string(", ") + std::strerror(system_error);
    }
    what += ")";
    error_.emplace(what, code, system_error);
    throw *error_;
}

sqlite3_stmt* Connection::statement(const char* sql) {
    auto [it, is_new] = statements_.try_emplace(sql, nullptr);
    if (is_new || it->second == nullptr) {
        const int code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &it->second, nullptr);
        if (code != SQLITE_OK) fail(code);
    }
    return it->second;
}

}  // namespace zgoda::storage
