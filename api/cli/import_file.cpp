#include "api/cli/import_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "service/import_formats.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

constexpr std::uint64_t max_growth = 200;
constexpr std::uint64_t growth_counts_from = 10 * 1024 * 1024;  // smaller ones harm nobody
constexpr std::uint64_t max_unpacked = 4ULL * 1024 * 1024 * 1024;
constexpr std::int64_t max_entries = 1000;

std::string stdin_name() {
    return "stdin";
}

// A file without a name, with all that comes on stdin.
int spooled_stdin(std::optional<std::string>& problem) {
    std::FILE* spool = std::tmpfile();
    const int file = spool != nullptr ? fcntl(fileno(spool), F_DUPFD_CLOEXEC, 3) : -1;
    if (spool != nullptr) std::fclose(spool);
    char buffer[65536];
    for (;;) {
        const ssize_t count = file >= 0 ? read(STDIN_FILENO, buffer, sizeof buffer) : -1;
        if (count == 0) break;
        if (count < 0 && file >= 0 && errno == EINTR) continue;
        if (count < 0 || write(file, buffer, static_cast<std::size_t>(count)) != count) {
            problem = fmt::format("cannot keep what comes on stdin: {}", std::strerror(errno));
            break;
        }
    }
    return file;
}

}  // namespace

ImportFile::ImportFile(const std::string& name) : name_(name == "-" ? stdin_name() : name) {
    if (name == "-") {
        file_ = spooled_stdin(problem_);
        if (problem_) return;
    } else {
        file_ = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat found {};
        if (file_ < 0 || fstat(file_, &found) != 0) {
            missing_ = errno == ENOENT;
            problem_ = fmt::format("cannot read {}: {}", name_, std::strerror(errno));
            return;
        }
        if (!S_ISREG(found.st_mode)) {
            problem_ = fmt::format("cannot read {}: it is not a regular file; `-` reads stdin", name_);
            return;
        }
    }
    char first[4] = {};
    const bool four = pread(file_, first, sizeof first, 0) == 4;
    if (four &&
        (std::memcmp(first, "PK\3\4", 4) == 0 || std::memcmp(first, "PK\5\6", 4) == 0))  // the latter: empty
        open_archive();
}

ImportFile::~ImportFile() {
    entry_.reset();
    if (zip_ != nullptr) zip_discard(zip_);
    if (file_ >= 0) close(file_);
}

void ImportFile::zip_file_deleter::operator()(void* file) const {
    zip_fclose(static_cast<zip_file_t*>(file));
}

void ImportFile::open_archive() {
    int error = 0;
    const int copy = fcntl(file_, F_DUPFD_CLOEXEC, 3);
    zip_ = zip_fdopen(copy, 0, &error);
    if (zip_ == nullptr) {
        if (copy >= 0) close(copy);
        problem_ = fmt::format("{} is a damaged zip archive", name_);
        return;
    }
    const std::int64_t count = zip_get_num_entries(zip_, 0);
    if (count > max_entries) {
        problem_ = fmt::format("{} holds {} files, more than {}", name_, count, max_entries);
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        zip_stat_t found;
        if (zip_stat_index(zip_, static_cast<std::uint64_t>(i), 0, &found) != 0) continue;
        const std::string inside = found.name != nullptr ? found.name : "";
        if (inside.ends_with('/') || found.size == 0) continue;
        if (found.encryption_method != ZIP_EM_NONE) {
            problem_ = fmt::format("{} is encrypted; unpack it first", name_);
            return;
        }
        entries_.push_back({static_cast<std::uint64_t>(i), found.comp_size, inside});
    }
}

std::string ImportFile::title(std::size_t part) const {
    if (zip_ == nullptr) return name_;
    if (entries_.empty()) return name_;
    return fmt::format("{} in {}", service::printable(entries_[part].name), name_);
}

service::ByteSource ImportFile::open(std::size_t part) {
    entry_.reset();
    if (problem_) return [](char*, std::size_t) -> std::size_t { return 0; };
    if (zip_ == nullptr) {
        lseek(file_, 0, SEEK_SET);
        return [this](char* into, std::size_t size) { return read_file(into, size); };
    }
    if (part == 0) unpacked_ = 0;
    packed_ = entries_[part].packed;
    entry_.reset(zip_fopen_index(zip_, entries_[part].index, 0));
    if (!entry_) problem_ = fmt::format("{} can't be unpacked: {}", title(part), zip_strerror(zip_));
    return [this, start = unpacked_, part](char* into, std::size_t size) -> std::size_t {
        if (!entry_ || problem_) return 0;
        const std::size_t count = read_archive(into, size);
        const std::uint64_t grown = unpacked_ - start;
        if (unpacked_ > max_unpacked || (grown > growth_counts_from && grown / max_growth > packed_)) {
            problem_ = fmt::format(
                "{} grows more than {} times, or beyond 4 GiB, when it is unpacked: this is no export of "
                "people",
                title(part), max_growth);
            return 0;
        }
        return count;
    };
}

std::size_t ImportFile::read_file(char* into, std::size_t size) {
    for (;;) {
        const ssize_t count = read(file_, into, size);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno == EINTR) continue;
        problem_ = fmt::format("cannot read {}: {}", name_, std::strerror(errno));
        return 0;
    }
}

std::size_t ImportFile::read_archive(char* into, std::size_t size) {
    auto* entry = static_cast<zip_file_t*>(entry_.get());
    const zip_int64_t count = zip_fread(entry, into, size);
    if (count < 0) {
        problem_ = fmt::format("{} can't be unpacked: {}", name_, zip_file_strerror(entry));
        return 0;
    }
    unpacked_ += static_cast<std::uint64_t>(count);
    return static_cast<std::size_t>(count);
}

// Over the chunks, each with the digest of those before it.
service::Digest ImportFile::digest() {
    service::Digest digest{};
    std::string chunk;
    lseek(file_, 0, SEEK_SET);
    for (;;) {
        chunk.assign(digest.begin(), digest.end());
        const std::size_t before = chunk.size();
        chunk.resize(before + 65536);
        std::size_t got = 0;
        while (got < 65536) {
            const std::size_t count = read_file(chunk.data() + before + got, 65536 - got);
            if (count == 0) break;
            got += count;
        }
        if (got == 0) return digest;
        chunk.resize(before + got);
        digest = service::sha256(chunk);
    }
}

namespace {

std::string sentence(const ImportFile& file, std::size_t part, const service::InputProblem& problem) {
    return fmt::format("{}, line {}{}: {}", file.title(part), problem.line,
                       problem.column > 0 ? fmt::format(", column {}", problem.column) : "",
                       service::printable(problem.what));
}

}  // namespace

std::optional<std::string> read_rows(ImportFile& file, const service::ImportFormatOptions& options,
                                     bool bare_lists, const TakeRow& take,
                                     const std::function<void(const std::string&)>& skipped) {
    using namespace service;
    if (file.problem()) return file.problem();
    std::optional<std::string> no_list;
    bool any = false;
    std::vector<std::string_view> cells;
    for (std::size_t part = 0; part < file.parts(); ++part) {
        TableReader table(file.open(part));
        if (file.problem()) return file.problem();
        if (table.problem()) {
            // Among the files of an archive there may be pictures and pages.
            if (!file.is_archive()) return sentence(file, part, *table.problem());
            if (!no_list) no_list = sentence(file, part, *table.problem());
            if (skipped) skipped(file.title(part));
            continue;
        }
        std::vector<std::string> header = table.header();
        if (header.empty()) continue;
        const bool bare = bare_lists && header.size() == 1 && header[0].find('@') != std::string::npos;
        const std::string first_address = bare ? header[0] : "";
        if (bare) header = {"email"};
        bool more = table.next(cells);
        ImportFormatOptions these = options;
        these.raw |= table.is_ndjson();  // no spreadsheet runs JSON, so nobody guards it
        auto found =
            ImportColumns::of(header, more ? std::span(cells) : std::span<std::string_view>(), these);
        if (const auto* wrong = std::get_if<ImportColumns::Problem>(&found)) {
            const std::string why = sentence(file, part, wrong->problem);
            if (!wrong->no_addresses || !file.is_archive()) return why;
            if (!no_list) no_list = why;
            if (skipped) skipped(file.title(part));
            continue;
        }
        const auto& columns = std::get<ImportColumns>(found);
        any = true;
        FileRow row;
        row.part = part;
        row.format = columns.format();
        row.names_newsletters = columns.names_newsletters();
        if (bare) {
            row.line = 1;
            row.row.address = first_address;
            if (const auto problem = take(row)) return sentence(file, part, *problem);
        }
        for (; more; more = table.next(cells)) {
            row.line = table.line();
            auto problem = columns.read(cells, row.line, row.row);
            if (!problem) problem = take(row);
            if (problem) return sentence(file, part, *problem);
        }
        if (file.problem()) return file.problem();
        if (table.problem()) return sentence(file, part, *table.problem());
    }
    if (!any) return no_list ? no_list : file.title(0) + " is empty";
    return std::nullopt;
}

std::optional<std::string> read_addresses(ImportFile& file, const service::Rules& rules,
                                          const std::function<void(const ListedAddress&)>& take) {
    return read_rows(file, {}, true, [&](FileRow& row) -> std::optional<service::InputProblem> {
        ListedAddress one{row.line, std::nullopt};
        auto checked = service::check_address(row.row.address, rules.address);
        if (auto* address = std::get_if<service::EmailAddress>(&checked)) one.address = std::move(*address);
        take(one);
        return std::nullopt;
    });
}

}  // namespace zgoda::cli
