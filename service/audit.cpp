#include "service/audit.h"

#include <unistr.h>

#include <algorithm>

namespace zgoda::service {

void audit(Transaction& tx, const std::string& who, std::string_view what, std::string details, TimeMs now) {
    AdminAct act;
    act.id = tx.new_id();
    act.at = now;
    act.who = who;
    act.what = what;
    act.details = details.empty() ? "{}" : std::move(details);
    tx.add(act);
}

std::optional<std::string> reason_problem(std::string_view text) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    if (text.find_first_not_of(' ') == text.npos) return "say why in a few words";
    if (u8_check(bytes, text.size()) != nullptr) return "the reason is not UTF-8";
    if (u8_mbsnlen(bytes, text.size()) > 200) return "the reason is longer than 200 characters";
    if (std::any_of(text.begin(), text.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) {
        return "the reason has control characters; write one plain line";
    }
    if (text.find('@') != text.npos) {
        return "the reason is kept for ever, even when the person is erased; leave addresses out of it";
    }
    return std::nullopt;
}

}  // namespace zgoda::service
