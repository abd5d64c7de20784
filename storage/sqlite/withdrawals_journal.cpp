#include "storage/sqlite/withdrawals_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "storage/sqlite/connection.h"

namespace zgoda::storage {

namespace {

std::string sentence(const char* doing, const std::filesystem::path& path, int error) {
    return std::string("can't ") + doing + " the withdrawals journal " + path.string() + ": " +
           std::strerror(error);
}

// In SQLite's words, so that one rule (SqliteError::trouble) judges both files of a commit.
[[noreturn]] void fail(const char* doing, const std::filesystem::path& path, int code) {
    const int error = errno;
    throw SqliteError(sentence(doing, path, error), code, error);
}

}  // namespace

WithdrawalsJournal::~WithdrawalsJournal() {
    if (fd_ >= 0) ::close(fd_);
}

void WithdrawalsJournal::open() {
    if (fd_ >= 0 || path_.empty()) return;
    std::error_code error;
    const auto folder = path_.has_parent_path() ? path_.parent_path() : ".";
    if (!std::filesystem::exists(folder, error)) {
        std::filesystem::create_directories(folder, error);
        std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
    }
    fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0) throw service::StorageError(sentence("open", path_, errno));
    const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = directory >= 0 && ::fsync(directory) == 0;
    if (directory >= 0) ::close(directory);
    if (!synced) throw service::StorageError(sentence("make", path_, errno));
}

void WithdrawalsJournal::append(std::string_view lines) {
    if (lines.empty() || path_.empty()) return;
    open();
    struct stat file;
    if (::fstat(fd_, &file) != 0) fail("look at", path_, SQLITE_IOERR_FSTAT);
    size_before_ = file.st_size;
    while (!lines.empty()) {
        const ssize_t written = ::write(fd_, lines.data(), lines.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("write to", path_, SQLITE_IOERR_WRITE);
        lines.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fdatasync(fd_) != 0) fail("sync", path_, SQLITE_IOERR_FSYNC);
}

void WithdrawalsJournal::undo() {
    // If it can't be: a line too many only means that a restore unsubscribes somebody who wanted to go.
    if (size_before_ >= 0 && ::ftruncate(fd_, size_before_) == 0) keep();
}

bool read_withdrawals(const std::filesystem::path& path,
                      const std::function<void(std::string_view)>& hand_over) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        if (errno == ENOENT) return false;
        throw service::StorageError(sentence("read", path, errno));
    }
    std::string line;
    while (std::getline(file, line)) {
        if (!file.eof()) hand_over(line);
    }
    if (file.bad()) throw service::StorageError(sentence("read", path, errno));
    return true;
}

}  // namespace zgoda::storage
