#include "api/cli/import_report.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "api/cli/output.h"

namespace zgoda::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view header = "part,line,verdict,why,subscriber\r\n";

// Where the line after this many line ends begins; nullopt: there are not so many.
std::optional<std::int64_t> after_lines(int fd, std::int64_t lines) {
    char buffer[65536];
    std::int64_t at = 0;
    while (lines > 0) {
        const ssize_t count = pread(fd, buffer, sizeof buffer, at);
        if (count <= 0) return std::nullopt;
        const char* const end = buffer + count;
        const char* here = buffer;
        while (lines > 0 && here != end) {
            here = std::find(here, end, '\n');
            if (here == end) break;
            ++here;
            --lines;
        }
        at += here - buffer;
    }
    return at;
}

bool write_at(int fd, std::string_view bytes, std::int64_t at) {
    while (!bytes.empty()) {
        const ssize_t count = pwrite(fd, bytes.data(), bytes.size(), at);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
        at += count;
    }
    return true;
}

}  // namespace

ImportReport::ImportReport(const fs::path& file, const std::string& batch, std::int64_t rows)
    : file_(fs::absolute(file)) {
    std::error_code error;
    const fs::path existing = fs::canonical(file_, error);  // a link stays, what it names is replaced
    if (!error) file_ = existing;
    problem_ = no_place_for_file(file.string());
    if (problem_) return;
    std::string name = batch;
    std::replace(name.begin(), name.end(), '/', '_');
    unfinished_ = file_.parent_path() / fmt::format(".{}.{}.unfinished", file_.filename().string(), name);
    fd_ = open(unfinished_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd_ < 0) {
        fail("cannot write");
        return;
    }
    std::optional<std::int64_t> place;
    if (rows > 0) place = after_lines(fd_, rows + 1);
    if (!place) {
        first_row_ = rows + 1;
        place = static_cast<std::int64_t>(header.size());
        if (ftruncate(fd_, 0) != 0 || !write_at(fd_, header, 0)) fail("cannot write");
    }
    unit_row_ = end_row_ = rows;
    unit_at_ = end_at_ = *place;
}

ImportReport::~ImportReport() {
    if (fd_ >= 0) close(fd_);
}

void ImportReport::fail(const char* what) {
    problem_ = fmt::format("{} {}: {}", what, file_.string(), std::strerror(errno));
}

void ImportReport::write(std::int64_t rows_before, std::span<const service::RowVerdict> verdicts) {
    if (problem_) return;
    if (rows_before == end_row_) {
        unit_row_ = end_row_;
        unit_at_ = end_at_;
    }
    std::string lines;
    for (const service::RowVerdict& one : verdicts) {
        fmt::format_to(std::back_inserter(lines), "{},{},{},{},{}\r\n", one.part, one.line, word(one.kind),
                       one.why, one.person == 0 ? "" : std::to_string(one.person));
    }
    end_row_ = unit_row_ + static_cast<std::int64_t>(verdicts.size());
    end_at_ = unit_at_ + static_cast<std::int64_t>(lines.size());
    if (!write_at(fd_, lines, unit_at_)) fail("cannot write");
}

void ImportReport::finish() {
    if (problem_) return;
    if (ftruncate(fd_, end_at_) != 0 || fsync(fd_) != 0) return fail("cannot bring to disk");
    if (std::rename(unfinished_.c_str(), file_.c_str()) != 0) return fail("cannot put in place");
    const int folder = open(file_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) != 0) fail("cannot bring to disk the folder of");
    if (folder >= 0) close(folder);
}

}  // namespace zgoda::cli
