// The report of an import: a line for each row of the batch, in the order of its rows.
//
// Until the batch is through it stands beside its final name (0600, ".NAME.BATCH.unfinished"). A unit's lines
// are written before the unit is committed, at the place where its first row belongs, so that a run that was
// killed is gone on with exactly: what was written but not committed is written over.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "service/import.h"

namespace zgoda::cli {

class ImportReport {
 public:
    // `rows` are done already. If the lines of these are not all there (they were done without a report, or
    // with one elsewhere), starts with the row after them: first_row() says so.
    ImportReport(const std::filesystem::path& file, const std::string& batch, std::int64_t rows);
    ~ImportReport();
    ImportReport(const ImportReport&) = delete;
    ImportReport& operator=(const ImportReport&) = delete;

    std::int64_t first_row() const { return first_row_; }

    // The rows that follow `rows_before`; may be called again with the same, and then replaces them. From any
    // thread, one at a time.
    void write(std::int64_t rows_before, std::span<const service::RowVerdict>);
    void finish();
    // After trouble nothing more is written; what it was, in one sentence.
    const std::optional<std::string>& problem() const { return problem_; }

 private:
    void fail(const char* what);

    std::filesystem::path file_, unfinished_;
    int fd_ = -1;
    std::int64_t first_row_ = 1;
    std::int64_t unit_row_ = 0, end_row_ = 0;  // rows before the unit written last, and after it
    std::int64_t unit_at_ = 0, end_at_ = 0;    // and where they end in the file
    std::optional<std::string> problem_;
};

}  // namespace zgoda::cli
