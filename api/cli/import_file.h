// The file of an import: a table, or a zip archive of them (libzip), or stdin, as streams of bytes.
//
// Nothing is unpacked to disk, and the names inside an archive mean nothing but for sentences. An archive
// that grows more than 200 times, or beyond 4 GiB, is refused. What comes on stdin is kept in a file without
// a name, because it is read twice.
#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "service/import_formats.h"
#include "service/keyring.h"
#include "service/rules.h"

struct zip;

namespace zgoda::cli {

class ImportFile {
 public:
    explicit ImportFile(const std::string& name);  // "-": stdin
    ImportFile(const ImportFile&) = delete;
    ImportFile& operator=(const ImportFile&) = delete;
    ~ImportFile();

    bool is_archive() const { return zip_ != nullptr; }
    std::size_t parts() const { return zip_ != nullptr ? entries_.size() : 1; }
    // How sentences call it: the file, and within an archive the part.
    std::string title(std::size_t part) const;
    const std::string& part_name(std::size_t part) const { return entries_[part].name; }

    // From its beginning. Ends the source of the part before; the file must outlive it.
    service::ByteSource open(std::size_t part);

    // SHA-256 over the bytes of the file.
    service::Digest digest();

    // What went wrong, in one sentence; to be asked after construction and after a source has ended.
    const std::optional<std::string>& problem() const { return problem_; }
    bool missing() const { return missing_; }  // the problem is that there is no such file

 private:
    struct Entry {
        std::uint64_t index = 0, packed = 0;
        std::string name;
    };

    void open_archive();
    std::size_t read_file(char* into, std::size_t size);
    std::size_t read_archive(char* into, std::size_t size);

    std::string name_;
    int file_ = -1;
    zip* zip_ = nullptr;
    std::vector<Entry> entries_;
    struct zip_file_deleter {
        void operator()(void*) const;
    };
    std::unique_ptr<void, zip_file_deleter> entry_;
    std::uint64_t packed_ = 0, unpacked_ = 0;
    std::optional<std::string> problem_;
    bool missing_ = false;
};

struct FileRow {
    std::size_t part = 0;
    std::int64_t line = 0;
    service::ImportFormat format = service::ImportFormat::generic;
    bool names_newsletters = false;  // ImportColumns::names_newsletters()
    service::ImportRow row;          // may be moved from
};
using TakeRow = std::function<std::optional<service::InputProblem>(FileRow&)>;

// Reads all rows of all parts. Stops at what is wrong with the file or, by `take`, with a row, and returns it
// as a sentence. With `bare_lists` a list of addresses needs no header. Parts of an archive that are no list
// of people are left out, and told to `skipped`.
std::optional<std::string> read_rows(ImportFile&, const service::ImportFormatOptions&, bool bare_lists,
                                     const TakeRow& take,
                                     const std::function<void(const std::string&)>& skipped = {});

// Only the addresses, of a list with or without a header, or of any table that `import` can read.
struct ListedAddress {
    std::int64_t line = 0;
    std::optional<service::EmailAddress> address;  // nullopt: it can't be one
};
std::optional<std::string> read_addresses(ImportFile&, const service::Rules&,
                                          const std::function<void(const ListedAddress&)>& take);

}  // namespace zgoda::cli
