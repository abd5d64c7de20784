// Small files that hold secrets, and who may read them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <variant>

#include "config/problem.h"

namespace zgoda::config {

// The whole of a regular file of at most 64 KiB that belongs to this user (or root) and that nobody else may
// read or write. `setting` is its name in the settings, for the Problem.
std::variant<std::string, Problem> read_secret_file(const std::filesystem::path& file,
                                                    std::string_view setting);

// The password in such a file: its first and only line. "" for no file.
std::variant<std::string, Problem> load_password(const std::filesystem::path& file,
                                                 std::string_view setting = "mail.password_file");

}  // namespace zgoda::config
