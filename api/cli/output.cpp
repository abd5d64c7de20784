#include "api/cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace zgoda::cli {
namespace fs = std::filesystem;

std::optional<std::string> no_place_for_file(const std::string& file) {
    std::error_code error;
    const fs::file_status there = fs::status(file, error);
    if (fs::exists(there) && !fs::is_regular_file(there))
        return fmt::format("cannot write {}: it is not a regular file", file);
    const bool has_name = !fs::canonical(file, error).empty();  // /dev/stdout may have none: a removed file
    if (!has_name && fs::is_symlink(fs::symlink_status(file, error)))
        return fmt::format("cannot write {}: it is a link that leads to no file with a name", file);
    return std::nullopt;
}

namespace {

// As /dev/stdout is. Writing a file there would put it in the place of the link, or of what the shell has
// opened to append to.
bool is_stdout(const std::string& file) {
    struct stat named, ours;
    return ::stat(file.c_str(), &named) == 0 && ::fstat(STDOUT_FILENO, &ours) == 0 &&
           named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

}  // namespace

Output::Output(const std::string& file) {
    if (file.empty() || file == "-" || is_stdout(file)) {
        file_ = STDOUT_FILENO;
        return;
    }
    std::error_code error;
    const fs::path existing = fs::canonical(file, error);  // a link stays, what it names is replaced
    name_ = error ? fs::absolute(file).string() : existing.string();
    if (auto problem = no_place_for_file(file)) {
        problem_ = *problem + "; leave -o away to write to stdout";
        return;
    }
    const fs::path path(name_);
    temporary_ = fmt::format("{}/.{}.XXXXXX", path.parent_path().string(), path.filename().string());
    file_ = mkostemp(temporary_.data(), O_CLOEXEC);  // 0600
    if (file_ < 0) {
        temporary_.clear();
        fail("cannot write");
    }
}

Output::~Output() {
    if (!name_.empty() && file_ >= 0) close(file_);
    if (!temporary_.empty()) unlink(temporary_.c_str());
}

void Output::fail(std::string_view what) {
    problem_ = fmt::format("{} {}: {}", what, name_.empty() ? "to stdout" : name_, std::strerror(errno));
}

void Output::write(std::string_view bytes) {
    while (!problem_ && !bytes.empty()) {
        const ssize_t count = ::write(file_, bytes.data(), bytes.size());
        if (count >= 0)
            bytes.remove_prefix(static_cast<std::size_t>(count));
        else if (errno != EINTR)
            fail("cannot write");
    }
}

void Output::finish() {
    if (problem_ || name_.empty()) return;
    if (fsync(file_) != 0) return fail("cannot bring to disk");
    if (std::rename(temporary_.c_str(), name_.c_str()) != 0) return fail("cannot put in place");
    temporary_.clear();
    const int folder = open(fs::path(name_).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) != 0) fail("cannot bring to disk the folder of");
    if (folder >= 0) close(folder);
}

}  // namespace zgoda::cli
