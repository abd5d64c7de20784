// What the queries of all tables share: how records come out of a query, the hash that people are found by,
// and lists of numbers in one column.
#pragma once

#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/keyring.h"
#include "service/store.h"
#include "storage/sqlite/connection.h"

namespace zgoda::storage {

template <class Word>
std::int64_t number(Word word) {
    return static_cast<std::int64_t>(word);
}

template <class Record>
std::optional<Record> first(Query row, Record (*read)(const Query&)) {
    if (!row.step()) return std::nullopt;
    return read(row);
}

template <class Record>
std::vector<Record> all(Query row, Record (*read)(const Query&)) {
    std::vector<Record> records;
    while (row.step()) records.push_back(read(row));
    return records;
}

inline service::Id read_id(const Query& row) {
    return row.integer(0);
}

inline service::TimeMs clock_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// What person_by_key finds people by: the first 8 bytes of the SHA-256 of their addr_key. Who wants one
// that a certain address has must try some 2^64.
inline std::int64_t key_hash(std::string_view addr_key) {
    const service::Digest digest = service::sha256(addr_key);
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < 8; ++i) hash = hash << 8 | digest[i];
    return static_cast<std::int64_t>(hash);
}

// Lists of numbers in one column: '5 7 12'.
inline void append_number(std::string& out, std::int64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

inline service::Id take_number(std::string_view& text) {
    service::Id number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) throw service::StorageError("a list in the database is not one of numbers");
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

}  // namespace zgoda::storage
