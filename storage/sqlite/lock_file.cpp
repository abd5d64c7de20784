#include "storage/sqlite/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace zgoda::storage {

namespace fs = std::filesystem;
using service::StorageError;

namespace {

[[noreturn]] void fail(const std::string& what, const fs::path& path) {
    throw StorageError(what + " " + path.string() + ": " + std::strerror(errno));
}

bool try_flock(int fd, int operation) {
    while (::flock(fd, operation | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return false;
        if (errno != EINTR) throw StorageError(std::string("flock: ") + std::strerror(errno));
    }
    return true;
}

fs::path beside(const fs::path& database, const std::string& ending) {
    fs::path path = database;
    path += ending;
    return path;
}

fs::path presence_file(const fs::path& database, const std::string& id) {
    return beside(database, ".mailer-" + id + ".lock");
}

std::string random_id() {
    unsigned char bytes[16];
    if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) throw StorageError("getrandom failed");
    std::string id;
    for (const unsigned char byte : bytes) {
        id += "0123456789abcdef"[byte >> 4];
        id += "0123456789abcdef"[byte & 15];
    }
    return id;
}

bool is_id(const std::string& text) {
    return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

class Presence : public service::MailerPresence {
 public:
    Presence(std::string id, fs::path path, int fd) : id_(std::move(id)), path_(std::move(path)), fd_(fd) {}
    ~Presence() override {
        ::unlink(path_.c_str());
        ::close(fd_);
    }
    const std::string& id() const override { return id_; }

 private:
    std::string id_;
    fs::path path_;
    int fd_;
};

// Files of mailers that were killed. Theirs have names that nobody will use again.
void remove_dead_presences(const fs::path& database) {
    const std::string prefix = database.filename().string() + ".mailer-";
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(database.parent_path(), ignored)) {
        const std::string name = entry.path().filename().string();
        if (name.size() == prefix.size() + 32 + 5 && name.starts_with(prefix) && name.ends_with(".lock")) {
            mailer_alive(database, name.substr(prefix.size(), 32));
        }
    }
}

}  // namespace

LockFile::LockFile(const fs::path& path)
    : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
    if (fd_ < 0) fail("can't open", path);
}

LockFile::~LockFile() {
    ::close(fd_);
}

bool LockFile::try_lock() {
    return try_flock(fd_, LOCK_EX);
}

bool LockFile::try_share() {
    return try_flock(fd_, LOCK_SH);
}

void LockFile::unlock() {
    ::flock(fd_, LOCK_UN);
}

WriteLock::WriteLock(const fs::path& database)
    : lock_(beside(database, ".lock")), line_(beside(database, ".turn")) {}

bool WriteLock::try_lock() {
    if (locked_) return true;
    if (!in_line_) in_line_ = line_.try_lock();
    if (!in_line_ || !lock_.try_lock()) return false;
    locked_ = true;
    line_.unlock();
    in_line_ = false;
    return true;
}

void WriteLock::unlock() {
    if (locked_) lock_.unlock();
    if (in_line_) line_.unlock();
    locked_ = in_line_ = false;
}

fs::path users_file(const fs::path& database) {
    return beside(database, ".users");
}

std::unique_ptr<service::MailerPresence> enlist_mailer(const fs::path& database) {
    remove_dead_presences(database);
    while (true) {
        std::string id = random_id();
        fs::path path = presence_file(database, id);
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0) fail("can't make", path);
        auto presence = std::make_unique<Presence>(std::move(id), path, fd);
        // Another mailer's remove_dead_presences() may have found the file before it was locked, and taken it
        // away.
        struct stat ours, named;
        if (try_flock(fd, LOCK_EX) && ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &named) == 0 &&
            ours.st_ino == named.st_ino) {
            return presence;
        }
    }
}

bool mailer_alive(const fs::path& database, const std::string& id) {
    if (!is_id(id)) return false;
    const fs::path path = presence_file(database, id);
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT) return false;
        fail("can't open", path);
    }
    const bool dead = try_flock(fd, LOCK_SH);
    if (dead) ::unlink(path.c_str());
    ::close(fd);
    return !dead;
}

}  // namespace zgoda::storage
