// Rows of cells from a file that somebody else wrote: CSV (RFC 4180; comma, semicolon or TAB, found out by
// itself) and NDJSON.
//
// Streams: holds one record at a time, at most 8 MiB. A byte order mark, CRLF and LF, line breaks and
// delimiters inside quotes, blank lines and a last line without its end are all fine. What cannot be read is
// never guessed at: reading stops there, and problem() says in which line and cell, in a sentence.
//
// Belongs to one thread. Does no input itself: it asks a ByteSource.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zgoda::service {

// Fills in up to `size` bytes and returns how many; 0 is the end. A source that fails says so to its owner,
// who asks after the reader has stopped.
using ByteSource = std::function<std::size_t(char* into, std::size_t size)>;

struct InputProblem {
    std::int64_t line = 0;    // 1 is the first
    std::int64_t column = 0;  // the cell, or in JSON the character, 1 is the first; 0: the whole line
    std::string what;         // "it is not UTF-8": goes on after "FILE, line 3, column 2: "
};

class TableReader {
 public:
    // Reads the header at once: the first record, or the names in the first object. A name that stands in it
    // twice is a problem.
    explicit TableReader(ByteSource);

    const std::vector<std::string>& header() const { return header_; }  // as written; empty: an empty file
    bool is_ndjson() const { return ndjson_; }

    // The next record: as many cells as the header has, valid until the next call. False: the end, or a
    // problem. In NDJSON null is "", and what is no string is JSON text.
    bool next(std::vector<std::string_view>& cells);
    std::int64_t line() const { return line_; }  // where that record begins

    const std::optional<InputProblem>& problem() const { return problem_; }

 private:
    struct Span {
        std::size_t at = 0, size = 0;  // from begin_
    };

    bool fill();
    void skip_mark();
    void find_delimiter();
    bool read_record();
    bool read_json(std::vector<std::string>& names, std::vector<std::string>& values);
    bool fail(std::int64_t line, std::int64_t column, std::string what);
    void read_header();

    ByteSource source_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0, at_ = 0,
                end_ = 0;  // of the record, of what is not looked at yet, of what is read
    bool ended_ = false;
    bool ndjson_ = false;
    char delimiter_ = ',';
    std::int64_t line_ = 0, next_line_ = 1;
    std::vector<Span> spans_;
    std::vector<std::string> header_, names_, values_;
    bool first_waits_ = false;  // the first object was read for its names
    std::optional<InputProblem> problem_;
};

}  // namespace zgoda::service
