// The bodies that browsers make of a form: application/x-www-form-urlencoded and multipart/form-data (RFC
// 7578).
//
// Strict: bad percent-encoding, bad UTF-8, NUL, a broken boundary or more than 100 fields is not a form at
// all. Pure functions, callable from any thread.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zgoda::http {

struct FormField {
    std::string name;
    std::string value;

    bool operator==(const FormField&) const = default;
};

using Form = std::vector<FormField>;  // in the order sent; a name may come more than once

std::optional<Form> parse_urlencoded(std::string_view body);

/// `content_type` is the whole field, for its boundary. Parts with a file name are left out: nothing of ours
/// takes a file, and a page's form may carry an empty one.
std::optional<Form> parse_multipart(std::string_view content_type, std::string_view body);

/// Whichever of the two `content_type` names; nothing for any other type.
std::optional<Form> parse_form(std::string_view content_type, std::string_view body);

}  // namespace zgoda::http
