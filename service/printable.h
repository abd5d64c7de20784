// Text that readers, forms or relays wrote, made safe for a terminal and a log.
#pragma once

#include <string>
#include <string_view>

namespace zgoda::service {

// The same text on one line, with what can't be seen made visible: control, escape, bidi and zero-width
// characters as \u{XXXX}, octets that are no UTF-8 as \x{XX}.
std::string printable(std::string_view);

}  // namespace zgoda::service
