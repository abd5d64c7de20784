// What kind of answer a client wants: a page for a person, or JSON for a program (RFC 9110, 12.5.1).
#pragma once

#include <string_view>

namespace zgoda::http {

/// True if `accept` weighs text/html above application/json, false if below; `otherwise` if it does not say.
bool prefers_page(std::string_view accept, bool otherwise);

}  // namespace zgoda::http
