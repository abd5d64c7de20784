#include "service/table_reader.h"

#include <fmt/format.h>
#include <unistr.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>

namespace zgoda::service {
namespace {

constexpr std::size_t chunk = std::size_t{64} * 1024;
constexpr std::size_t max_cell = std::size_t{1024} * 1024;
constexpr std::size_t max_record = 8 * max_cell;
constexpr std::size_t max_columns = 2000;

const std::uint8_t* octets(std::string_view text) {
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

bool is_utf8(std::string_view text) {
    return u8_check(octets(text), text.size()) == nullptr;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// But for the case of ASCII letters: names of columns.
bool same(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

// The text of each member's value, of a line that is known to be one JSON object: numbers and nested values
// come through as they were written (1.5 stays 1.5).
std::vector<std::string_view> values_of(std::string_view object) {
    std::vector<std::string_view> values;
    std::size_t start = 0, depth = 0;
    for (std::size_t i = 0; i < object.size(); ++i) {
        const char c = object[i];
        if (c == '"') {
            for (++i; object[i] != '"'; ++i) i += object[i] == '\\';
        } else if (c == '{' || c == '[') {
            ++depth;
        } else if (c == '}' || c == ']') {
            --depth;
        }
        if (depth == 1 && c == ':') start = i + 1;
        if (start > 0 && ((depth == 1 && c == ',') || depth == 0)) {
            values.push_back(trimmed(object.substr(start, i - start)));
            start = 0;
        }
    }
    return values;
}

std::string cell_of(const boost::json::value& value, std::string_view text) {
    if (value.is_null()) return {};
    if (const auto* string = value.if_string()) return std::string(string->data(), string->size());
    return std::string(text);
}

}  // namespace

TableReader::TableReader(ByteSource source) : source_(std::move(source)), buffer_(chunk) {
    skip_mark();
    if (problem_) return;
    ndjson_ = end_ > at_ && buffer_[at_] == '{';
    if (!ndjson_) find_delimiter();
    read_header();
}

bool TableReader::fail(std::int64_t line, std::int64_t column, std::string what) {
    problem_ = InputProblem{line, column, std::move(what)};
    return false;
}

// Brings more bytes behind end_. False at the end.
bool TableReader::fill() {
    if (ended_) return false;
    if (end_ == buffer_.size()) {
        if (begin_ > 0) {
            std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
            at_ -= begin_;
            end_ -= begin_;
            begin_ = 0;
        } else {
            buffer_.resize(buffer_.size() * 2);
        }
    }
    const std::size_t count = source_(buffer_.data() + end_, std::min(chunk, buffer_.size() - end_));
    end_ += count;
    ended_ = count == 0;
    return !ended_;
}

void TableReader::skip_mark() {
    while (end_ < 3 && fill()) {
    }
    const std::string_view first(buffer_.data(), end_);
    if (first.starts_with("\xEF\xBB\xBF")) at_ = 3;
    if (first.starts_with("\xFF\xFE") || first.starts_with("\xFE\xFF"))
        fail(1, 0, "it is UTF-16; save it as UTF-8");
}

// Whatever of the three stands most often in the first line, outside of quotes.
void TableReader::find_delimiter() {
    std::size_t counts[3] = {};
    constexpr std::string_view candidates = ",;\t";
    bool quoted = false;
    for (std::size_t i = at_; i - at_ < max_cell && (i < end_ || fill()); ++i) {
        const char c = buffer_[i];
        if (c == '"') quoted = !quoted;
        if (!quoted && (c == '\n' || c == '\r') && i > at_) break;
        const std::size_t which = candidates.find(c);
        if (!quoted && which != candidates.npos) ++counts[which];
    }
    delimiter_ = candidates[static_cast<std::size_t>(std::max_element(counts, counts + 3) - counts)];
}

// One record into spans_, quotes taken off in place. False: the end, or a problem.
bool TableReader::read_record() {
    for (;;) {
        begin_ = at_;
        line_ = next_line_;
        spans_.clear();
        bool high = false;
        bool blank = true;
        for (bool more = true; more;) {
            Span cell{at_ - begin_, 0};
            std::size_t to = at_ - begin_;  // what is unquoted never overtakes what is read
            const auto column = static_cast<std::int64_t>(spans_.size() + 1);
            const std::int64_t cell_line = next_line_;
            const auto too_long = [&] {
                if (to - cell.at > max_cell)
                    return !fail(cell_line, column, "the cell is longer than 1 MiB; is a quote missing?");
                if (at_ - begin_ > max_record) return !fail(line_, 0, "the line is longer than 8 MiB");
                return false;
            };
            if (at_ == end_ && !fill()) {
                if (spans_.empty()) return false;
                spans_.push_back(cell);
                break;
            }
            if (buffer_[at_] == '"') {
                blank = false;
                ++at_;
                for (;;) {
                    if (at_ == end_ && !fill())
                        return fail(cell_line, column, "the quote that opens this cell is never closed");
                    const char c = buffer_[at_++];
                    if (c == '"') {
                        if (at_ == end_) fill();
                        if (at_ == end_ || buffer_[at_] != '"') break;
                        ++at_;
                    } else if (c == '\n') {
                        ++next_line_;
                    } else if (c == '\0') {
                        return fail(next_line_, column, "there is a zero byte");
                    }
                    high |= static_cast<unsigned char>(c) >= 0x80;
                    buffer_[begin_ + to++] = c;
                    if (too_long()) return false;
                }
                if (at_ < end_ && buffer_[at_] != delimiter_ && buffer_[at_] != '\n' && buffer_[at_] != '\r')
                    return fail(
                        next_line_, column,
                        "something follows the closing quote; a quote inside a cell is written twice");
            }
            for (;;) {
                if (at_ == end_ && !fill()) {
                    more = false;
                    break;
                }
                const char c = buffer_[at_++];
                if (c == delimiter_) break;
                if (c == '\n' || c == '\r') {
                    if (c == '\r') {
                        if (at_ == end_) fill();
                        if (at_ < end_ && buffer_[at_] == '\n') ++at_;
                    }
                    ++next_line_;
                    more = false;
                    break;
                }
                if (c == '\0') return fail(next_line_, column, "there is a zero byte");
                high |= static_cast<unsigned char>(c) >= 0x80;
                blank = false;
                buffer_[begin_ + to++] = c;
                if (too_long()) return false;
            }
            cell.size = to - cell.at;
            spans_.push_back(cell);
            if (spans_.size() > max_columns)
                return fail(line_, 0, fmt::format("there are more than {} cells", max_columns));
        }
        if (blank && spans_.size() == 1) continue;
        if (!high) return true;
        for (std::size_t i = 0; i < spans_.size(); ++i) {
            if (!is_utf8({buffer_.data() + begin_ + spans_[i].at, spans_[i].size}))
                return fail(line_, static_cast<std::int64_t>(i + 1),
                            "it is not UTF-8; save the file as UTF-8");
        }
        return true;
    }
}

bool TableReader::read_json(std::vector<std::string>& names, std::vector<std::string>& values) {
    std::string_view text;
    while (text.empty()) {
        begin_ = at_;
        line_ = next_line_;
        std::size_t end = at_;
        for (;; ++end) {
            if (end == end_) {
                const std::size_t done = end - begin_;
                const bool more = fill();  // which may have moved what is there
                end = begin_ + done;
                if (!more) break;
            }
            if (buffer_[end] == '\n') break;
            if (end - begin_ > max_record) return fail(line_, 0, "the line is longer than 8 MiB");
        }
        if (end == begin_ && end == end_) return false;
        text = trimmed({buffer_.data() + begin_, end - begin_});
        at_ = std::min(end + 1, end_);
        ++next_line_;
    }
    const auto character = [&](std::size_t octet) {  // which one of the line, 1 is the first
        const char* line = buffer_.data() + begin_;
        const std::size_t before = static_cast<std::size_t>(text.data() - line) + octet;
        return static_cast<std::int64_t>(u8_mbsnlen(octets({line, before}), before) + 1);
    };
    if (const std::uint8_t* bad = u8_check(octets(text), text.size())) {
        return fail(line_, character(static_cast<std::size_t>(bad - octets(text))),
                    "it is not UTF-8; save the file as UTF-8");
    }
    boost::json::error_code error;
    boost::json::parser parser;
    const std::size_t good = parser.write_some(text.data(), text.size(), error);
    if (error || good != text.size())
        return fail(line_, character(good), "this is where it stops being one JSON object");
    const boost::json::value value = parser.release();
    if (!value.is_object()) return fail(line_, 0, "it is not one JSON object");
    names.clear();
    values.clear();
    const std::vector<std::string_view> texts = values_of(text);
    if (texts.size() != value.get_object().size()) return fail(line_, 0, "a name stands in it twice");
    for (const auto& [key, one] : value.get_object()) {
        names.emplace_back(key.data(), key.size());
        values.push_back(cell_of(one, texts[names.size() - 1]));
        const auto column = character(static_cast<std::size_t>(texts[names.size() - 1].data() - text.data()));
        if (values.back().size() > max_cell) return fail(line_, column, "the value is longer than 1 MiB");
        if (values.back().find('\0') != std::string::npos) return fail(line_, column, "there is a zero byte");
    }
    return true;
}

void TableReader::read_header() {
    if (ndjson_) {
        first_waits_ = read_json(header_, values_);
        return;
    }
    if (!read_record()) return;
    for (const Span& span : spans_) {
        const std::string_view name = trimmed({buffer_.data() + begin_ + span.at, span.size});
        if (!name.empty() && std::any_of(header_.begin(), header_.end(),
                                         [&](const std::string& one) { return same(one, name); })) {
            fail(line_, static_cast<std::int64_t>(header_.size() + 1),
                 fmt::format("the column \"{}\" stands here a second time", name));
            return;
        }
        header_.emplace_back(name);
    }
}

bool TableReader::next(std::vector<std::string_view>& cells) {
    if (problem_ || header_.empty()) return false;
    if (!ndjson_) {
        if (!read_record()) return false;
        if (spans_.size() != header_.size()) {
            return fail(line_, static_cast<std::int64_t>(std::min(spans_.size(), header_.size()) + 1),
                        fmt::format("it has {} cells, but the header has {}", spans_.size(), header_.size()));
        }
        cells.resize(spans_.size());
        for (std::size_t i = 0; i < spans_.size(); ++i)
            cells[i] = {buffer_.data() + begin_ + spans_[i].at, spans_[i].size};
        return true;
    }
    if (first_waits_) {
        first_waits_ = false;
        cells.assign(values_.begin(), values_.end());
        return true;
    }
    if (!read_json(names_, values_)) return false;
    cells.assign(header_.size(), {});
    for (std::size_t i = 0; i < names_.size(); ++i) {
        // Mostly all lines have the same names in the same order.
        std::size_t column = i;
        if (i >= header_.size() || header_[i] != names_[i]) {
            column = static_cast<std::size_t>(std::find(header_.begin(), header_.end(), names_[i]) -
                                              header_.begin());
        }
        if (column == header_.size()) {
            return fail(line_, 0,
                        fmt::format("it has \"{}\", which the first line has not; give every line the same "
                                    "names, with null where there is nothing",
                                    names_[i]));
        }
        cells[column] = values_[i];
    }
    return true;
}

}  // namespace zgoda::service
