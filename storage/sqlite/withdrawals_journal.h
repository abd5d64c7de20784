// The withdrawals journal: a file outside the database that a restored backup can't undo. One line a
// withdrawal.
//
// Whoever appends holds the database's write lock, so that lines of several processes don't mix.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace zgoda::storage {

class WithdrawalsJournal {
 public:
    explicit WithdrawalsJournal(std::filesystem::path path) : path_(std::move(path)) {}
    ~WithdrawalsJournal();
    WithdrawalsJournal(const WithdrawalsJournal&) = delete;
    WithdrawalsJournal& operator=(const WithdrawalsJournal&) = delete;

    // Makes the file (0600) and its folder (0700) if they are missing. Throws StorageError. Nothing to do if
    // the path is empty: then no journal is kept.
    void open();

    // Appends and waits until it is on disk. Throws SqliteError, which tells a full disk from a broken one.
    void append(std::string_view lines);

    // What became of the transaction of the last append, failed or not: its lines stay, or are taken back.
    void keep() { size_before_ = -1; }
    void undo();

 private:
    std::filesystem::path path_;
    int fd_ = -1;
    long long size_before_ = -1;
};

// Hands over the lines of a journal, oldest first, without their ends. A last line that was cut off by a
// crash was never answered, and is left out. False: there is no such file. Throws StorageError.
bool read_withdrawals(const std::filesystem::path&, const std::function<void(std::string_view)>& line);

}  // namespace zgoda::storage
