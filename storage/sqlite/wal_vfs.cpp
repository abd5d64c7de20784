#include "storage/sqlite/wal_vfs.h"

#include <fmt/format.h>

#include "service/store.h"

namespace zgoda::storage {

// SQLite's VFS for Unix takes no more than 2^17-1 bytes at once.
constexpr std::size_t most_kept = std::size_t{120} * 1024;

// What SQLite has memory for when it opens a WAL. The base's own file follows it there.
struct WalVfs::File : sqlite3_file {
    Vfs* vfs;

    static sqlite3_file* base(sqlite3_file* file) {
        return reinterpret_cast<sqlite3_file*>(static_cast<File*>(file) + 1);
    }
    static const sqlite3_io_methods& methods(sqlite3_file* file) { return *base(file)->pMethods; }

    static int write_kept(sqlite3_file* file) {
        Vfs& vfs = *static_cast<File*>(file)->vfs;
        if (vfs.kept.empty()) return SQLITE_OK;
        const int size = static_cast<int>(vfs.kept.size());
        const int code = methods(file).xWrite(base(file), vfs.kept.data(), size, vfs.start);
        if (code == SQLITE_OK) vfs.kept.clear();
        return code;
    }
    static int close(sqlite3_file* file) {
        static_cast<File*>(file)->vfs->kept.clear();  // never committed
        return methods(file).xClose(base(file));
    }
    static int read(sqlite3_file* file, void* data, int size, sqlite3_int64 at) {
        if (const int code = write_kept(file)) return code;
        return methods(file).xRead(base(file), data, size, at);
    }
    static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
        Vfs& vfs = *static_cast<File*>(file)->vfs;
        const auto more = static_cast<std::size_t>(size);
        if (at != vfs.start + static_cast<sqlite3_int64>(vfs.kept.size()) ||
            vfs.kept.size() + more > most_kept) {
            if (const int code = write_kept(file)) return code;
            if (more > most_kept) return methods(file).xWrite(base(file), data, size, at);
            vfs.start = at;
        }
        const auto* bytes = static_cast<const char*>(data);
        vfs.kept.insert(vfs.kept.end(), bytes, bytes + size);  // there is room
        return SQLITE_OK;
    }
    static int truncate(sqlite3_file* file, sqlite3_int64 size) {
        if (const int code = write_kept(file)) return code;
        return methods(file).xTruncate(base(file), size);
    }
    static int sync(sqlite3_file* file, int flags) {
        if (const int code = write_kept(file)) return code;
        return methods(file).xSync(base(file), flags);
    }
    static int size(sqlite3_file* file, sqlite3_int64* out) {
        if (const int code = write_kept(file)) return code;
        return methods(file).xFileSize(base(file), out);
    }
    static int control(sqlite3_file* file, int what, void* value) {
        return methods(file).xFileControl(base(file), what, value);
    }
    static int sector_size(sqlite3_file* file) { return methods(file).xSectorSize(base(file)); }
    static int characteristics(sqlite3_file* file) {
        return methods(file).xDeviceCharacteristics(base(file));
    }

    // Of version 1, and without locks: those are for the database's own file.
    static constexpr sqlite3_io_methods own_methods = {
        1,       close,   read,    write,       truncate,        sync,    size,    nullptr,
        nullptr, nullptr, control, sector_size, characteristics, nullptr, nullptr, nullptr,
        nullptr, nullptr, nullptr};
};

WalVfs::WalVfs(const std::string& base) : name_(fmt::format("zgoda-wal-{}", fmt::ptr(this))) {
    vfs_.base = sqlite3_vfs_find(base.empty() ? nullptr : base.c_str());
    if (vfs_.base == nullptr) throw service::StorageError("SQLite has no VFS called " + base);
    static_cast<sqlite3_vfs&>(vfs_) = *vfs_.base;
    vfs_.pNext = nullptr;
    vfs_.zName = name_.c_str();
    vfs_.szOsFile += static_cast<int>(sizeof(File));
    vfs_.xOpen = open;
    vfs_.kept.reserve(most_kept);
    if (sqlite3_vfs_register(&vfs_, 0) != SQLITE_OK)
        throw service::StorageError("SQLite takes no VFS of ours");
}

WalVfs::~WalVfs() {
    sqlite3_vfs_unregister(&vfs_);
}

void WalVfs::rolled_back() {
    vfs_.kept.clear();
}

int WalVfs::open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* flags_out) {
    auto* const own = static_cast<Vfs*>(vfs);
    if ((flags & SQLITE_OPEN_WAL) == 0) return own->base->xOpen(own->base, path, file, flags, flags_out);
    static_cast<File*>(file)->vfs = own;
    file->pMethods = nullptr;
    const int code = own->base->xOpen(own->base, path, File::base(file), flags, flags_out);
    // With methods SQLite closes the file, even if it could not be opened.
    if (File::base(file)->pMethods != nullptr) file->pMethods = &File::own_methods;
    return code;
}

}  // namespace zgoda::storage
