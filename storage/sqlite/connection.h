// One connection to an SQLite file, and statements on it. Belongs to one thread at a time.
//
// Statements are prepared once, at first use, and kept; values are bound, never pasted into the text.
#pragma once

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "service/store.h"

namespace zgoda::storage {

// What an error of SQLite means for a writer.
enum class Trouble {
    statement,  // this statement could not be: a constraint, a mistake of ours, no memory
    locked,     // somebody else writes without asking the lock file
    disk_full,
    broken,  // the file can't be read, written or trusted
};

class SqliteError : public service::StorageError {
 public:
    SqliteError(const std::string& what, int code, int system_error)
        : StorageError(what), code_(code), system_error_(system_error) {}

    int code() const { return code_; }  // extended result code
    Trouble trouble() const;

 private:
    int code_;
    int system_error_;  // errno
};

class Connection;

// A statement at work: bound when made, reset when destroyed. What a column is read as is a copy, but text()
// and blob(), which are valid until the next step. Bound text and blobs must outlive it.
class Query {
 public:
    ~Query() { sqlite3_reset(statement_); }
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;

    bool step();  // to the next row; false after the last
    void run() {
        while (step()) {
        }
    }

    std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
    int small(int column) const { return sqlite3_column_int(statement_, column); }
    bool flag(int column) const { return small(column) != 0; }
    bool null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
    std::optional<std::int64_t> optional(int column) const {
        return null(column) ? std::nullopt : std::optional(integer(column));
    }
    std::string_view text(int column) const {  // NULL is ""
        const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
        if (data == nullptr) return {};
        return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
    }
    std::string string(int column) const { return std::string(text(column)); }
    std::span<const std::uint8_t> blob(int column) const {
        const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
        return {data, data ? static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)) : 0};
    }
    // All zero if the blob has another length.
    template <std::size_t size>
    std::array<std::uint8_t, size> bytes(int column) const {
        std::array<std::uint8_t, size> out{};
        if (const auto data = blob(column); data.size() == size) std::memcpy(out.data(), data.data(), size);
        return out;
    }

 private:
    friend class Connection;
    template <class... Values>
    Query(Connection& connection, sqlite3_stmt* statement, const Values&... values)
        : connection_(connection), statement_(statement) {
        int i = 0;
        (bind(++i, values), ...);
    }

    void bind(int i, std::int64_t value) { check(sqlite3_bind_int64(statement_, i, value)); }
    void bind(int i, std::nullopt_t) { check(sqlite3_bind_null(statement_, i)); }
    void bind(int i, std::string_view value) {
        check(sqlite3_bind_text64(statement_, i, value.data() ? value.data() : "", value.size(),
                                  SQLITE_STATIC, SQLITE_UTF8));
    }
    void bind(int i, std::span<const std::uint8_t> value) {
        check(sqlite3_bind_blob64(statement_, i, value.data() ? value.data() : value_of_empty, value.size(),
                                  SQLITE_STATIC));
    }
    template <std::size_t size>
    void bind(int i, const std::array<std::uint8_t, size>& value) {
        bind(i, std::span<const std::uint8_t>(value));
    }
    template <class T>
    void bind(int i, const std::optional<T>& value) {
        if (value)
            bind(i, *value);
        else
            bind(i, std::nullopt);
    }
    void check(int code);

    static constexpr std::uint8_t value_of_empty[1] = {};
    Connection& connection_;
    sqlite3_stmt* statement_;
};

class Connection {
 public:
    // immutable: read only, for a file that nobody writes to; nothing is made beside it.
    enum class Mode { read, write, immutable };

    // The file must exist. Throws SqliteError.
    Connection(const std::filesystem::path& file, const std::string& vfs, Mode mode, int busy_timeout_ms,
               int cache_kib);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // `sql` must stay where it is for ever, as a literal does: its address is what the statement is found by.
    template <class... Values>
    Query query(const char* sql, const Values&... values) {
        return Query(*this, statement(sql), values...);
    }
    template <class... Values>
    void run(const char* sql, const Values&... values) {
        query(sql, values...).run();
    }

    void execute(const std::string& sql);     // any number of statements, not kept
    std::string ask(const std::string& sql);  // the first value of the first row

    int changes() const { return sqlite3_changes(db_); }
    bool in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }
    sqlite3* handle() const { return db_; }

    // The last error since forget_error(), also if whoever caught it kept it.
    const std::optional<SqliteError>& error() const { return error_; }
    void forget_error() { error_.reset(); }
    // Throws what SQLite, and errno, say about a call that has just failed. Set errno to 0 before the call.
    [[noreturn]] void fail(int code);

 private:
    sqlite3_stmt* statement(const char* sql);

    sqlite3* db_ = nullptr;
    std::unordered_map<const char*, sqlite3_stmt*> statements_;
    std::optional<SqliteError> error_;
};

}  // namespace zgoda::storage
