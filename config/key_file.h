// The key file (secrets.key_file): one master key a line, "id, hex, created", the id 1 to 255, 64 hexadecimal
// digits, and an RFC 3339 time; blank lines and lines that start with '#' are skipped.
//
//     1, 8f03...c41e, 2026-11-22T10:00:00.000Z
//
// Nothing in here prints a byte of a key, nor of a line that may hold one.
#pragma once

#include <filesystem>
#include <variant>
#include <vector>

#include "config/problem.h"
#include "service/keyring.h"

namespace zgoda::config {

// The keys of the file, for service::Keyring: at least one, ids distinct.
//
// If there is no such file it is made with one new key (file 0600, missing folders 0700, on the disk before
// this returns), but only while `data_present` is false: new keys would make old links and keyed hashes
// worthless. Two programs that start at once end up with the same file. Refused: a file that others may read
// or write, that belongs to someone else, or with a line that is wrong.
std::variant<std::vector<service::MasterKey>, Problem> load_keys(const std::filesystem::path& file,
                                                                 bool data_present, service::TimeMs now);

// Adds a new key, which signs from the next start on; the old ones go on verifying. Returns its id. The file
// is replaced whole: a crash leaves the old one or the new one.
std::variant<int, Problem> add_key(const std::filesystem::path& file, service::TimeMs now);

}  // namespace zgoda::config
