// The schema's .sql files, built into the program: "0001_first.sql" and so on, keyed by name. File N takes a
// database from schema version N-1 (PRAGMA user_version) to N. A released file never changes; a new one is
// added.
#pragma once

#include <map>
#include <string_view>

namespace zgoda::storage {

using SchemaFiles = std::map<std::string_view, std::string_view>;

const std::map<std::string_view, std::string_view>& schema_files();

}  // namespace zgoda::storage
