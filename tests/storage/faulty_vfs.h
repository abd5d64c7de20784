// An SQLite file system that fails on request: the Nth write or sync, once or from then on.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <functional>
#include <string>

namespace zgoda::tests {

class FaultyVfs {
 public:
    explicit FaultyVfs(std::string name);
    ~FaultyVfs();
    FaultyVfs(const FaultyVfs&) = delete;
    FaultyVfs& operator=(const FaultyVfs&) = delete;

    enum class Kind { write, sync, read };
    struct Fault {
        Kind kind = Kind::write;
        long at = 0;          // fails when the operation of this kind and number happens; 0: never
        bool sticky = false;  // and ever after
        int code = SQLITE_IOERR_WRITE;
        int system_error = 0;  // errno
    };
    void arm(const Fault&);  // counts anew; while no unit is running
    void disarm() { arm({}); }
    bool has_failed() const { return failed_; }
    long writes() const { return counts_[0]; }  // since arm()
    long syncs() const { return counts_[1]; }

    // Called before every write, with the name of the file.
    std::function<void(const std::string&)> on_write;

    const std::string& name() const { return name_; }
    int check(Kind);  // for the file: SQLITE_OK or the fault's code
    sqlite3_vfs* base() const { return base_; }

 private:
    std::string name_;
    sqlite3_vfs* base_;
    sqlite3_vfs vfs_{};
    Fault fault_;
    std::atomic<long> counts_[3] = {};
    std::atomic<bool> failed_ = false;
};

}  // namespace zgoda::tests
