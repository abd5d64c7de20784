// Where one request ends and the next begins, decided on the raw bytes before Beast's parser sees them.
//
// The parser of Boost 1.81 is too lax for a server behind a proxy: it takes "Transfer-Encoding: identity" as
// no body, accepts two Host fields, folds continuation lines and merges duplicates. Two programs that
// disagree about a request's end can be made to see different requests (RFC 9112, section 11.2), so whatever
// is ambiguous is refused and the connection closed. The grammar that Beast does check (tokens, CR or NUL in
// values) is left to it.
//
// Pure functions, callable from any thread.

#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace zgoda::http {

struct Limits {
    std::size_t header = 8 * 1024;  // bytes of request line and fields, blank line included: else 431
    std::size_t fields = 64;        // else 431
    std::size_t target = 2 * 1024;  // bytes of the request target: else 414
    std::size_t body = 16 * 1024;   // bytes: else 413
    bool chunked = false;           // whether chunked bodies are taken; false answers 411
};

/// The status that ends the connection, and a constant sentence for the client.
struct Refusal {
    int status;
    std::string_view why;
};

/// The size of the header section that `bytes` begins with, its blank line included; 0 while it is
/// incomplete. Bytes before `searched` were looked at by an earlier call.
std::size_t head_size(std::string_view bytes, std::size_t searched = 0);

/// What can be said of a header section that is not complete yet: too large already, or broken (a bare LF).
std::optional<Refusal> check_unfinished(std::string_view bytes, const Limits& limits);

/// The verdict on a complete header section.
std::optional<Refusal> check_head(std::string_view head, const Limits& limits);

}  // namespace zgoda::http
