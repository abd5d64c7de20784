// The version of the schema that a file has, and its way to the one that this program needs.
#pragma once

#include "storage/sqlite/connection.h"
#include "storage/sqlite/lock_file.h"
#include "storage/sqlite/schema.h"

namespace zgoda::storage {

struct SqliteOptions;
struct OpenProblem;
const SchemaFiles& schema_of(const SqliteOptions&);

// Looks whether the file is there and may be used; makes it, empty, if it is missing and may be made.
std::optional<OpenProblem> find_file(const SqliteOptions&);

inline int newest_version(const SchemaFiles& files) {
    return static_cast<int>(files.size());
}

// 0: a file without a schema. nullopt: the database of another program.
std::optional<int> schema_version(Connection&);

// Runs the files from `from` on, each in a transaction of its own under the write lock.
void upgrade(Connection&, WriteLock&, const SchemaFiles&, int from);

// A copy of the database, complete and on disk, readable by its owner only, whole or not at all. The caller
// holds the write lock.
void back_up(Connection&, const std::filesystem::path& to);

// Waits for the write lock for at most 10 s. Throws StorageError after that.
void wait_for(WriteLock&);

}  // namespace zgoda::storage
