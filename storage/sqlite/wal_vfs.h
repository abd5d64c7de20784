// SQLite writes each page that a commit appends to the WAL with two calls, one for its header of 24 bytes and
// one for the page, which makes some 100 calls a group of signups and touches each page of the file cache
// three times. This VFS keeps what follows on what was written before in memory and writes it in one piece.
//
// Nothing is promised earlier than before: what is kept is written before the WAL is synced, read, truncated
// or asked for its size. SQLite tells other connections of a commit only after the sync; until then nobody
// else looks for its pages. If writing fails, the bytes stay and the call that wanted them written fails;
// after a rollback they are of no use, and whoever rolls back says so.
//
// All else is done by the VFS under it. For one connection: an object belongs to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <string>
#include <vector>

namespace zgoda::storage {

class WalVfs {
 public:
    explicit WalVfs(const std::string& base);  // its name, "" is the default; throws StorageError
    ~WalVfs();                                 // after the last connection
    WalVfs(const WalVfs&) = delete;
    WalVfs& operator=(const WalVfs&) = delete;

    const std::string& name() const { return name_; }  // this object's alone
    void rolled_back();

 private:
    struct File;
    static int open(sqlite3_vfs*, const char* path, sqlite3_file*, int flags, int* flags_out);

    struct Vfs : sqlite3_vfs {
        sqlite3_vfs* base = nullptr;
        std::vector<char> kept;
        sqlite3_int64 start = 0;  // where in the WAL the first byte of it belongs
    };
    Vfs vfs_;
    std::string name_;
};

}  // namespace zgoda::storage
