// Reading a small file whole.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <variant>

namespace zgoda::config {

struct File {
    std::string content;
    struct stat status {};  // of what was read, not of what now bears the name
};
struct Unreadable {
    std::string why;  // the system's words: "Permission denied"
};
// A regular file of at most 1 MiB.
std::variant<File, Unreadable> read_file(const std::filesystem::path&);

}  // namespace zgoda::config
