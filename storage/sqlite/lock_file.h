// Locks between processes, all by flock(2): they end with the process that holds them, however it dies.
//
// Never by fcntl: closing any descriptor of a file drops all of a process's fcntl locks on it, and SQLite's
// own are of that kind.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "service/store.h"

namespace zgoda::storage {

// An open file that is locked by its holder at times. Made (0600) if it is missing, never removed.
class LockFile {
 public:
    explicit LockFile(const std::filesystem::path&);  // throws StorageError
    ~LockFile();
    LockFile(const LockFile&) = delete;
    LockFile& operator=(const LockFile&) = delete;

    bool try_lock();   // exclusive, at once or not at all
    bool try_share();  // with others who share
    void unlock();

 private:
    int fd_;
};

// The right to write to the database or to checkpoint it: one holder among all processes.
//
// A releasing process would often win the lock right back before one that waits is woken. So who wants the
// lock holds a place in line first, a second lock that is let go as soon as the first is won.
class WriteLock {
 public:
    explicit WriteLock(const std::filesystem::path& database);

    // Called again and again until it is true; keeps the place in line meanwhile.
    bool try_lock();
    void unlock();  // or give up the place in line

 private:
    LockFile lock_, line_;
    bool in_line_ = false;
    bool locked_ = false;
};

// Who has the database open shares a lock on this file; who wants to put another in its place takes it alone.
std::filesystem::path users_file(const std::filesystem::path& database);

// A mailer is alive while it holds the lock on "DATABASE.mailer-ID.lock".
std::unique_ptr<service::MailerPresence> enlist_mailer(const std::filesystem::path& database);
bool mailer_alive(const std::filesystem::path& database, const std::string& id);

}  // namespace zgoda::storage
