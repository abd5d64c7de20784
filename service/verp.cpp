#include "service/verp.h"

#include <span>

namespace zgoda::service {
namespace {

constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t key_size = 2, id_size = 13, tag_size = 10;
constexpr std::size_t tag_at = 1 + key_size + id_size + 1;

std::string base32(std::uint64_t value, std::size_t size) {
    std::string out(size, 'a');
    for (std::size_t i = size; i-- > 0; value >>= 5) out[i] = alphabet[value & 31];
    return out;
}

std::optional<std::uint64_t> number(std::string_view digits) {
    std::uint64_t value = 0;
    for (const char c : digits) {
        const auto digit = alphabet.find(c);
        if (digit == alphabet.npos || value >> 59 != 0) return std::nullopt;
        value = value << 5 | digit;
    }
    return value;
}

std::string tag(std::string_view signed_part, const Digest& key) {
    const Digest digest = hmac(key, signed_part);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 6; ++i) value = value << 8 | digest[i];
    return base32(value, tag_size);
}

std::span<const std::uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string return_path(Id letter, const Keyring& keys, int key_id) {
    const Digest* key = keys.key(key_id, KeyUse::verp);
    if (key == nullptr) {
        key_id = keys.newest();
        key = keys.key(key_id, KeyUse::verp);
    }
    const std::string named = "b" + base32(static_cast<std::uint64_t>(key_id), key_size) +
                              base32(static_cast<std::uint64_t>(letter), id_size);
    return named + "-" + tag(named, *key);
}

std::optional<Id> returned_letter(std::string_view local_part, const Keyring& keys) {
    if (local_part.size() != tag_at + tag_size) return std::nullopt;
    std::string lower(local_part);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    const std::string_view text = lower;
    if (text.front() != 'b' || text[tag_at - 1] != '-') return std::nullopt;
    const auto key_id = number(text.substr(1, key_size));
    const auto letter = number(text.substr(1 + key_size, id_size));
    const Digest* key = key_id ? keys.key(static_cast<int>(*key_id), KeyUse::verp) : nullptr;
    if (key == nullptr || !letter) return std::nullopt;
    if (!equal_in_constant_time(bytes(text.substr(tag_at)), bytes(tag(text.substr(0, tag_at - 1), *key))))
        return std::nullopt;
    return static_cast<Id>(*letter);
}

}  // namespace zgoda::service
