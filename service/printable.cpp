#include "service/printable.h"

#include <fmt/format.h>
#include <unistr.h>

#include <cstdint>

namespace zgoda::service {

std::string printable(std::string_view text) {
    std::string out;
    const auto* at = reinterpret_cast<const std::uint8_t*>(text.data());
    const auto* end = at + text.size();
    while (at < end) {
        ucs4_t c = 0;
        const int length = u8_mbtoucr(&c, at, static_cast<std::size_t>(end - at));
        if (length < 1) {
            out += fmt::format("\\x{{{:02X}}}", *at++);
            continue;
        }
        const bool hidden = c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x61C ||
                            (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
                            (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
        if (hidden) {
            out += fmt::format("\\u{{{:X}}}", c);
        } else {
            out.append(reinterpret_cast<const char*>(at), static_cast<std::size_t>(length));
        }
        at += length;
    }
    return out;
}

}  // namespace zgoda::service
