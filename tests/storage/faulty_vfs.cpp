#include "tests/storage/faulty_vfs.h"

#include <cerrno>
#include <new>

namespace zgoda::tests {

namespace {

// What SQLite sees as a file; the real one lies right behind it.
struct File : sqlite3_file {
    FaultyVfs* vfs;
    std::string name;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File* faulty(sqlite3_file* file) {
    return static_cast<File*>(file);
}
sqlite3_file* real(sqlite3_file* file) {
    return faulty(file)->real();
}
const sqlite3_io_methods* methods(sqlite3_file* file) {
    return real(file)->pMethods;
}

int close(sqlite3_file* file) {
    const int code = methods(file)->xClose(real(file));
    faulty(file)->name.~basic_string();
    return code;
}

int read(sqlite3_file* file, void* data, int size, sqlite3_int64 at) {
    if (const int code = faulty(file)->vfs->check(FaultyVfs::Kind::read)) return code;
    return methods(file)->xRead(real(file), data, size, at);
}

int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
    if (faulty(file)->vfs->on_write) faulty(file)->vfs->on_write(faulty(file)->name);
    if (const int code = faulty(file)->vfs->check(FaultyVfs::Kind::write)) {
        methods(file)->xWrite(real(file), data, size / 2, at);  // as a disk that fails half-way
        return code;
    }
    return methods(file)->xWrite(real(file), data, size, at);
}

int sync(sqlite3_file* file, int flags) {
    if (const int code = faulty(file)->vfs->check(FaultyVfs::Kind::sync)) return code;
    return methods(file)->xSync(real(file), flags);
}

const sqlite3_io_methods io_methods = {
    2,
    close,
    read,
    write,
    [](sqlite3_file* f, sqlite3_int64 size) { return methods(f)->xTruncate(real(f), size); },
    sync,
    [](sqlite3_file* f, sqlite3_int64* size) { return methods(f)->xFileSize(real(f), size); },
    [](sqlite3_file* f, int lock) { return methods(f)->xLock(real(f), lock); },
    [](sqlite3_file* f, int lock) { return methods(f)->xUnlock(real(f), lock); },
    [](sqlite3_file* f, int* locked) { return methods(f)->xCheckReservedLock(real(f), locked); },
    [](sqlite3_file* f, int op, void* arg) { return methods(f)->xFileControl(real(f), op, arg); },
    [](sqlite3_file* f) { return methods(f)->xSectorSize(real(f)); },
    [](sqlite3_file* f) { return methods(f)->xDeviceCharacteristics(real(f)); },
    [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
        return methods(f)->xShmMap(real(f), page, size, extend, out);
    },
    [](sqlite3_file* f, int offset, int n, int flags) {
        return methods(f)->xShmLock(real(f), offset, n, flags);
    },
    [](sqlite3_file* f) { methods(f)->xShmBarrier(real(f)); },
    [](sqlite3_file* f, int remove) { return methods(f)->xShmUnmap(real(f), remove); },
    nullptr,
    nullptr,
};

int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* memory, int flags, int* flags_out) {
    auto* owner = static_cast<FaultyVfs*>(vfs->pAppData);
    auto* file = new (memory) File{};
    file->vfs = owner;
    file->name = path ? path : "";
    const int code = owner->base()->xOpen(owner->base(), path, file->real(), flags, flags_out);
    if (code == SQLITE_OK)
        file->pMethods = &io_methods;
    else
        file->name.~basic_string();
    return code;
}

}  // namespace

FaultyVfs::FaultyVfs(std::string name) : name_(std::move(name)), base_(sqlite3_vfs_find(nullptr)) {
    vfs_ = *base_;
    vfs_.zName = name_.c_str();
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    vfs_.xDelete = [](sqlite3_vfs* vfs, const char* path, int sync_folder) {
        auto* base = static_cast<FaultyVfs*>(vfs->pAppData)->base();
        return base->xDelete(base, path, sync_folder);
    };
    vfs_.xAccess = [](sqlite3_vfs* vfs, const char* path, int flags, int* out) {
        auto* base = static_cast<FaultyVfs*>(vfs->pAppData)->base();
        return base->xAccess(base, path, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs* vfs, const char* path, int size, char* out) {
        auto* base = static_cast<FaultyVfs*>(vfs->pAppData)->base();
        return base->xFullPathname(base, path, size, out);
    };
    sqlite3_vfs_register(&vfs_, 0);
}

FaultyVfs::~FaultyVfs() {
    sqlite3_vfs_unregister(&vfs_);
}

void FaultyVfs::arm(const Fault& fault) {
    fault_ = fault;
    for (auto& count : counts_) count = 0;
    failed_ = false;
}

int FaultyVfs::check(Kind kind) {
    const long n = ++counts_[static_cast<std::size_t>(kind)];
    if (fault_.at == 0 || kind != fault_.kind || n < fault_.at || (n > fault_.at && !fault_.sticky)) {
        return SQLITE_OK;
    }
    failed_ = true;
    errno = fault_.system_error;
    return fault_.code;
}

}  // namespace zgoda::tests
