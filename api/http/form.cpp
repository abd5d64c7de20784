#include "api/http/form.h"

#include <algorithm>

#include "api/http/message.h"

namespace zgoda::http {

namespace {

constexpr auto npos = std::string_view::npos;
constexpr std::size_t max_fields = 100;

/// Well-formed UTF-8 (RFC 3629: shortest form, no surrogates) without NUL.
bool is_text(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t at) {
            return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
        };
        const unsigned lead = byte(i);
        const unsigned next = byte(i + 1);
        if (lead == 0) return false;
        std::size_t length = 1;
        if (lead >= 0x80) {
            length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
            if (lead < 0xC2 || lead > 0xF4) return false;
            if ((lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F)) return false;
            if ((lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next > 0x8F)) return false;
        }
        for (std::size_t k = 1; k < length; ++k)
            if ((byte(i + k) & 0xC0) != 0x80) return false;
        i += length;
    }
    return true;
}

/// The value of a parameter of a header field: `; name=token` or `; name="quoted \" string"`. Nothing when it
/// is absent or the field is malformed before it.
std::optional<std::string> parameter(std::string_view field, std::string_view wanted) {
    std::size_t at = field.find(';');
    while (at != npos && at < field.size()) {
        const std::size_t equals = field.find('=', at);
        if (equals == npos) return std::nullopt;
        const std::string_view name = trimmed(field.substr(at + 1, equals - at - 1));
        std::string value;
        std::size_t end = equals + 1;
        if (end < field.size() && field[end] == '"') {
            for (++end;; ++end) {
                if (end >= field.size()) return std::nullopt;
                if (field[end] == '"') break;
                // Browsers escape a quote as %22, others as \"; but Windows paths come with lone backslashes.
                if (field[end] == '\\' && end + 1 < field.size() &&
                    (field[end + 1] == '"' || field[end + 1] == '\\'))
                    ++end;
                value += field[end];
            }
            end = field.find(';', end);
        } else {
            const std::size_t semicolon = field.find(';', end);
            value = trimmed(field.substr(end, semicolon == npos ? npos : semicolon - end));
            end = semicolon;
        }
        if (equal_ignoring_case(name, wanted)) return value;
        at = end;
    }
    return std::nullopt;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
}

bool is_boundary(std::string_view text) {  // RFC 2046, section 5.1.1
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("'()+_,-./:=? ").find(c) != npos;
    };
    return !text.empty() && text.size() <= 70 && !text.ends_with(' ') &&
           std::all_of(text.begin(), text.end(), allowed);
}

enum class Part { field, file, malformed };

Part parse_part_head(std::string_view head, std::string& name) {
    bool disposition = false;
    bool file = false;
    while (!head.empty()) {
        const std::size_t end = head.find("\r\n");
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(end == npos ? head.size() : end + 2);
        const std::size_t colon = line.find(':');
        if (colon == npos) return Part::malformed;
        const std::string_view field = line.substr(0, colon);
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (equal_ignoring_case(field, "Content-Disposition")) {
            auto given = parameter(value, "name");
            if (disposition || media_type(value) != "form-data" || !given) return Part::malformed;
            name = std::move(*given);
            file = parameter(value, "filename") || parameter(value, "filename*");
            disposition = true;
        } else if (equal_ignoring_case(field, "Content-Transfer-Encoding")) {
            if (!equal_ignoring_case(value, "7bit") && !equal_ignoring_case(value, "8bit") &&
                !equal_ignoring_case(value, "binary"))
                return Part::malformed;  // RFC 7578, section 4.7: nobody sends these; we do not decode them
        }
    }
    if (!disposition) return Part::malformed;
    return file ? Part::file : Part::field;
}

}  // namespace

std::optional<Form> parse_urlencoded(std::string_view body) {
    Form form;
    while (!body.empty()) {
        const std::string_view pair = body.substr(0, body.find('&'));
        body.remove_prefix(std::min(body.size(), pair.size() + 1));
        if (pair.empty()) continue;
        const std::size_t equals = pair.find('=');
        auto name = percent_decode(pair.substr(0, equals), true);
        auto value = percent_decode(equals == npos ? std::string_view() : pair.substr(equals + 1), true);
        if (!name || !value || !is_text(*name) || !is_text(*value)) return std::nullopt;
        if (form.size() == max_fields) return std::nullopt;
        form.push_back({std::move(*name), std::move(*value)});
    }
    return form;
}

std::optional<Form> parse_multipart(std::string_view content_type, std::string_view body) {
    const auto boundary = parameter(content_type, "boundary");
    if (!boundary || !is_boundary(*boundary)) return std::nullopt;
    const std::string delimiter = "\r\n--" + *boundary;

    if (!body.starts_with(std::string_view(delimiter).substr(2))) return std::nullopt;
    body.remove_prefix(delimiter.size() - 2);
    Form form;
    std::size_t parts = 0;
    while (body.starts_with("\r\n")) {
        const std::size_t blank = body.find("\r\n\r\n");
        if (blank == npos || blank < 2) return std::nullopt;
        const std::string_view head = body.substr(2, blank - 2);
        body.remove_prefix(blank + 2);  // the CR LF stays: an empty value's delimiter begins with it
        const std::size_t end = body.find(delimiter, 2);
        if (end == npos || ++parts > max_fields) return std::nullopt;
        std::string name;
        const Part part = parse_part_head(head, name);
        if (part == Part::malformed) return std::nullopt;
        if (part == Part::field) {
            for (const auto& [escaped, plain] : {std::pair{"%22", "\""}, {"%0D", "\r"}, {"%0A", "\n"}})
                replace_all(name, escaped, plain);
            std::string value(body.substr(2, end - 2));
            if (!is_text(name) || !is_text(value)) return std::nullopt;
            form.push_back({std::move(name), std::move(value)});
        }
        body.remove_prefix(end + delimiter.size());
    }
    if (body != "--" && body != "--\r\n") return std::nullopt;
    return form;
}

std::optional<Form> parse_form(std::string_view content_type, std::string_view body) {
    const std::string type = media_type(content_type);
    if (type == "application/x-www-form-urlencoded") return parse_urlencoded(body);
    if (type == "multipart/form-data") return parse_multipart(content_type, body);
    return std::nullopt;
}

}  // namespace zgoda::http
