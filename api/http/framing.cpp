#include "api/http/framing.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "api/http/message.h"

namespace zgoda::http {

namespace {

constexpr auto npos = std::string_view::npos;

Refusal bad(std::string_view why) {
    return {400, why};
}

struct RequestLine {
    std::string_view method, target, version;
};

std::optional<RequestLine> split(std::string_view line) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == npos || first == last) return std::nullopt;
    return RequestLine{line.substr(0, first), line.substr(first + 1, last - first - 1),
                       line.substr(last + 1)};
}

/// uri-host [":" port] by its alphabet: no list, no user, no path.
bool is_host(std::string_view host) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("-._~!$&'()*+;=%:[]").find(c) != npos;
    };
    return !host.empty() && std::all_of(host.begin(), host.end(), allowed);
}

std::optional<Refusal> check_target(std::string_view method, std::string_view target, std::string_view host) {
    const auto visible = [](char c) { return c > ' ' && c < '\x7f' && c != '#'; };
    if (!std::all_of(target.begin(), target.end(), visible))
        return bad("The request target has a bad character.");
    if (target.starts_with('/')) return std::nullopt;
    if (target == "*" && method == "OPTIONS") return std::nullopt;
    const std::size_t scheme = target.find("://");
    if (scheme == npos || !(equal_ignoring_case(target.substr(0, scheme), "http") ||
                            equal_ignoring_case(target.substr(0, scheme), "https")))
        return bad("The request target must be a path.");
    const std::string_view rest = target.substr(scheme + 3);
    if (!equal_ignoring_case(rest.substr(0, rest.find_first_of("/?")), host))
        return bad("The request target names another host than the Host field.");
    return std::nullopt;
}

/// Fields of which a second one would leave open which is meant.
struct Seen {
    std::optional<std::string_view> host, content_length, transfer_encoding, origin, authorization,
        content_type, expect;

    std::optional<std::string_view>* slot(std::string_view name) {
        if (equal_ignoring_case(name, "Host")) return &host;
        if (equal_ignoring_case(name, "Content-Length")) return &content_length;
        if (equal_ignoring_case(name, "Transfer-Encoding")) return &transfer_encoding;
        if (equal_ignoring_case(name, "Origin")) return &origin;
        if (equal_ignoring_case(name, "Authorization")) return &authorization;
        if (equal_ignoring_case(name, "Content-Type")) return &content_type;
        if (equal_ignoring_case(name, "Expect")) return &expect;
        return nullptr;
    }
};

std::optional<Refusal> check_body(const Seen& seen, std::string_view version, const Limits& limits) {
    if (seen.transfer_encoding) {
        if (!equal_ignoring_case(*seen.transfer_encoding, "chunked"))
            return bad("The only Transfer-Encoding understood is chunked.");
        if (version != "HTTP/1.1") return bad("HTTP/1.0 has no Transfer-Encoding.");
        if (seen.content_length) return bad("Transfer-Encoding and Content-Length exclude each other.");
        if (!limits.chunked) return Refusal{411, "Send the body with a Content-Length."};
    }
    if (seen.content_length) {
        const std::string_view digits = *seen.content_length;
        if (digits.empty() || digits.find_first_not_of("0123456789") != npos)
            return bad("Content-Length must be one number.");
        std::size_t size = 0;
        const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), size);
        if (parsed.ec != std::errc() || size > limits.body) return Refusal{413, "The body is too large."};
    }
    return std::nullopt;
}

}  // namespace

std::size_t head_size(std::string_view bytes, std::size_t searched) {
    const std::size_t blank = bytes.find("\r\n\r\n", searched < 3 ? 0 : searched - 3);
    return blank == npos ? 0 : blank + 4;
}

std::optional<Refusal> check_unfinished(std::string_view bytes, const Limits& limits) {
    const std::string_view line = bytes.substr(0, bytes.find('\n'));
    if (line.size() < bytes.size() && !line.ends_with('\r')) return bad("Lines end with CR LF.");
    const std::size_t space = line.find(' ');
    if (space != npos && line.substr(space + 1, line.find(' ', space + 1) - space - 1).size() > limits.target)
        return Refusal{414, "The request target is too long."};
    if (bytes.size() >= limits.header) return Refusal{431, "The header is too large."};
    for (std::size_t lf = bytes.find('\n'); lf != npos; lf = bytes.find('\n', lf + 1))
        if (lf == 0 || bytes[lf - 1] != '\r') return bad("Lines end with CR LF.");
    return std::nullopt;
}

std::optional<Refusal> check_head(std::string_view head, const Limits& limits) {
    const std::size_t first_end = head.find("\r\n");
    const auto line = split(head.substr(0, first_end));
    if (!line || head.find('\n') != first_end + 1) return bad("The request line is malformed.");
    if (line->target.size() > limits.target) return Refusal{414, "The request target is too long."};
    if (head.size() > limits.header) return Refusal{431, "The header is too large."};
    if (line->version != "HTTP/1.1" && line->version != "HTTP/1.0")
        return bad("The HTTP version is not ours.");

    Seen seen;
    std::size_t fields = 0;
    for (std::string_view rest = head.substr(first_end + 2); rest != "\r\n";) {
        const std::size_t end = rest.find('\n');
        if (end == 0 || rest[end - 1] != '\r') return bad("Lines end with CR LF.");
        const std::string_view field = rest.substr(0, end - 1);
        rest.remove_prefix(end + 1);
        if (field.starts_with(' ') || field.starts_with('\t')) return bad("A field must not be folded.");
        if (++fields > limits.fields) return Refusal{431, "The header has too many fields."};
        const std::size_t colon = field.find(':');
        if (colon == npos) return bad("A field has no colon.");
        const std::string_view name = field.substr(0, colon);
        if (equal_ignoring_case(name, "Trailer")) return bad("Trailers are not understood.");
        if (auto* slot = seen.slot(name)) {
            if (*slot) return bad("A field that must be single stands twice.");
            *slot = trimmed(field.substr(colon + 1));
        }
    }

    if (!seen.host || !is_host(*seen.host)) return bad("Exactly one Host field is needed.");
    if (auto refusal = check_target(line->method, line->target, *seen.host)) return refusal;
    if (auto refusal = check_body(seen, line->version, limits)) return refusal;
    if (seen.expect && !equal_ignoring_case(*seen.expect, "100-continue"))
        return Refusal{417, "The only expectation understood is 100-continue."};
    return std::nullopt;
}

}  // namespace zgoda::http
