#include "service/table_reader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

namespace zgoda::service {

TEST_SUITE_BEGIN("rows of a file");

namespace {

// Bytes in pieces of this size: no place where one piece ends may matter.
ByteSource in_pieces(const std::string& bytes, std::size_t piece) {
    return [bytes, piece, at = std::size_t(0)](char* into, std::size_t size) mutable {
        const std::size_t count = std::min({piece, size, bytes.size() - at});
        std::memcpy(into, bytes.data() + at, count);
        at += count;
        return count;
    };
}

struct Read {
    std::vector<std::string> header;
    std::vector<std::vector<std::string>> rows;
    std::vector<std::int64_t> lines;
    std::optional<InputProblem> problem;

    std::string sentence() const {
        return problem ? std::to_string(problem->line) + "/" + std::to_string(problem->column) + " " +
                             problem->what
                       : "";
    }
};

Read read_pieces(const std::string& bytes, std::size_t piece) {
    TableReader table(in_pieces(bytes, piece));
    Read out;
    out.header = table.header();
    std::vector<std::string_view> cells;
    while (table.next(cells)) {
        out.rows.emplace_back(cells.begin(), cells.end());
        out.lines.push_back(table.line());
    }
    out.problem = table.problem();
    return out;
}

Read read(const std::string& bytes) {
    Read whole = read_pieces(bytes, 1 << 20);
    for (const std::size_t piece : {1U, 2U, 3U, 7U}) {
        if (bytes.size() > 100'000) break;
        const Read other = read_pieces(bytes, piece);
        CHECK(other.rows == whole.rows);
        CHECK(other.lines == whole.lines);
        CHECK(other.sentence() == whole.sentence());
    }
    return whole;
}

using Rows = std::vector<std::vector<std::string>>;

}  // namespace

TEST_CASE("a record ends with LF, CRLF or the file, and blank lines are none") {
    const Rows rows{{"1", "2"}, {"3", ""}};
    CHECK(read("a,b\n1,2\n3,\n").rows == rows);
    CHECK(read("a,b\r\n1,2\r\n\r\n3,").rows == rows);
    CHECK(read("\xEF\xBB\xBF"
               "a,b\n1,2\n\n\n3,\n\n")
              .rows == rows);
    CHECK(read("\xEF\xBB\xBF"
               "a,b\n")
              .header == std::vector<std::string>{"a", "b"});
    CHECK(read("").header.empty());
    CHECK(read("a,b\n1,2\n\n3,").lines == std::vector<std::int64_t>{2, 4});
}

TEST_CASE("quotes hold delimiters, quotes and line breaks, which count as lines") {
    const Read out = read("a,b\r\n\"x, \"\"y\"\"\",\"two\r\nlines\"\r\n\"\",z\r\n");
    CHECK(out.rows == Rows{{"x, \"y\"", "two\r\nlines"}, {"", "z"}});
    CHECK(out.lines == std::vector<std::int64_t>{2, 4});
    CHECK(read("a,b\nx \"y\" z,1\n").rows == Rows{{"x \"y\" z", "1"}});
}

TEST_CASE("the delimiter is whatever the header has most of, outside quotes") {
    CHECK(read("a;b;c\n1,5;2;3\n").rows == Rows{{"1,5", "2", "3"}});
    CHECK(read("a\tb\n1;5\t2\n").rows == Rows{{"1;5", "2"}});
    CHECK(read("\"a;b;c;d\",e\n1,2\n").rows == Rows{{"1", "2"}});
    CHECK(read("a\n1;2\n").rows == Rows{{"1;2"}});
}

TEST_CASE("what cannot be read is told with line and cell") {
    struct Case {
        std::string bytes, sentence;
    };
    const std::string long_cell(2 * 1024 * 1024, 'x');
    for (const auto& [bytes, sentence] : std::vector<Case>{
             {"a,b\n1,2\n1\n", "3/2 it has 1 cells, but the header has 2"},
             {"a,b\n1,2\n1,2,3\n", "3/3 it has 3 cells, but the header has 2"},
             {"a,b\n1,\"\n\n", "2/2 the quote that opens this cell is never closed"},
             {"a,b\n\"x\"y,1\n",
              "2/1 something follows the closing quote; a quote inside a cell is written "
              "twice"},
             {"a,b\n1,\xC3\x28\n", "2/2 it is not UTF-8; save the file as UTF-8"},
             {std::string("a,b\n1,x\0y\n", 10), "2/2 there is a zero byte"},
             {"a,b,A\n", "1/3 the column \"A\" stands here a second time"},
             {"\xFF\xFE"
              "a\0",
              "1/0 it is UTF-16; save it as UTF-8"},
             {"a,b\n1," + long_cell, "2/2 the cell is longer than 1 MiB; is a quote missing?"},
             {"a,b\n1,\"" + long_cell, "2/2 the cell is longer than 1 MiB; is a quote missing?"},
             {"{\"a\":1}\n{\"a\"\n", "2/5 this is where it stops being one JSON object"},
             {"{\"ї\":1}\n  {\"ї\": ,}\n", "2/9 this is where it stops being one JSON object"},
             {"{\"a\":1} {}\n", "1/9 this is where it stops being one JSON object"},
             {"{\"ї\":\"\xC3\x28\"}\n", "1/7 it is not UTF-8; save the file as UTF-8"},
             {"{\"a\":1,\"b\":\"\\u0000\"}\n", "1/12 there is a zero byte"},
             {"{\"a\":1}\n[1]\n", "2/0 it is not one JSON object"},
             {"{\"a\":1}\n{\"b\":1}\n",
              "2/0 it has \"b\", which the first line has not; give every line the same names, with null "
              "where "
              "there is nothing"},
             {"{\"a\":1,\"a\":2}\n", "1/0 a name stands in it twice"},
             {"{\"a\":\"" + long_cell + "\"}\n", "1/6 the value is longer than 1 MiB"}}) {
        CHECK(read(bytes).sentence() == sentence);
    }
}

TEST_CASE("NDJSON gives strings as they are, null as nothing, and the rest as it was written") {
    const Read out = read(
        "{\"a\":\"x\\n\\u0443\",\"b\":null,\"c\":{\"n\":1.50,\"s\":\"},]\\\"\"},\"d\":1.0}\n\n"
        "{\"b\":true,\"a\":\"\",\"d\":[1, 2]}");
    CHECK(out.header == std::vector<std::string>{"a", "b", "c", "d"});
    CHECK(out.rows ==
          Rows{{"x\nу", "", "{\"n\":1.50,\"s\":\"},]\\\"\"}", "1.0"}, {"", "true", "", "[1, 2]"}});
    CHECK(out.lines == std::vector<std::int64_t>{1, 3});
}

TEST_SUITE_END();

}  // namespace zgoda::service
