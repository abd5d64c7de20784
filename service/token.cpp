#include "service/token.h"

#include <array>
#include <cstring>

namespace zgoda::service {
namespace {

constexpr std::string_view version = "v1.";
constexpr std::size_t tag_size = 16;
constexpr std::size_t signed_size = 1 + 1 + 4 + 8 + 8 + 2;
constexpr std::uint32_t never = 0xFFFFFFFF;
constexpr DurationMs page_nonce_life = 24 * hour_ms;

KeyUse use_of(TokenPurpose purpose) {
    switch (purpose) {
        case TokenPurpose::confirm:
            return KeyUse::token_confirm;
        case TokenPurpose::unsubscribe:
            return KeyUse::token_unsubscribe;
        case TokenPurpose::preferences:
            return KeyUse::token_preferences;
        case TokenPurpose::undo:
            return KeyUse::token_undo;
        case TokenPurpose::page:
            return KeyUse::token_page;
    }
    return KeyUse::token_page;
}

void put(std::uint8_t*& at, std::uint64_t value, int size) {
    for (int i = size - 1; i >= 0; --i) *at++ = static_cast<std::uint8_t>(value >> (8 * i));
}

std::uint64_t take(const std::uint8_t*& at, int size) {
    std::uint64_t value = 0;
    for (int i = 0; i < size; ++i) value = value << 8 | *at++;
    return value;
}

std::string_view as_text(std::span<const std::uint8_t> data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

// What a page nonce is bound to: the link that the page belongs to.
std::int64_t binding(std::string_view link_token) {
    const Digest digest = sha256(link_token);
    std::int64_t value = 0;
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
}

}  // namespace

std::string sign(const Token& token, const Keyring& keys, int key_id) {
    const Digest* key = keys.key(key_id, use_of(token.purpose));
    if (key == nullptr) {
        key_id = keys.newest();
        key = keys.key(key_id, use_of(token.purpose));
    }
    std::array<std::uint8_t, signed_size + tag_size> raw{};
    std::uint8_t* at = raw.data();
    put(at, static_cast<std::uint64_t>(key_id), 1);
    put(at, static_cast<std::uint64_t>(token.purpose), 1);
    put(at, token.expires_at ? static_cast<std::uint64_t>(*token.expires_at / second_ms) : never, 4);
    put(at, static_cast<std::uint64_t>(token.a), 8);
    put(at, static_cast<std::uint64_t>(token.b), 8);
    put(at, token.generation, 2);
    const Digest tag = hmac(*key, as_text({raw.data(), signed_size}));
    std::memcpy(at, tag.data(), tag_size);
    return std::string(version) + to_base64url(raw);
}

std::optional<Token> verify(std::string_view text, TokenPurpose purpose, const Keyring& keys) {
    constexpr std::size_t length = version.size() + (signed_size + tag_size) * 4 / 3 + 1;
    if (!text.starts_with(version) || text.size() > length) return std::nullopt;
    const auto raw = from_base64url(text.substr(version.size()), signed_size + tag_size);
    if (!raw || raw->size() != signed_size + tag_size) return std::nullopt;

    // The key depends on the purpose that the caller wants, so a token of another purpose fails here.
    const Digest* key = keys.key(raw->front(), use_of(purpose));
    if (key == nullptr) return std::nullopt;
    const std::span<const std::uint8_t> all(*raw);
    const Digest tag = hmac(*key, as_text(all.first(signed_size)));
    if (!equal_in_constant_time(std::span(tag).first(tag_size), all.last(tag_size))) return std::nullopt;

    const std::uint8_t* at = raw->data() + 1;
    Token token;
    token.purpose = static_cast<TokenPurpose>(take(at, 1));
    if (token.purpose != purpose) return std::nullopt;
    const auto expiry = static_cast<std::uint32_t>(take(at, 4));
    if (expiry != never) token.expires_at = static_cast<TimeMs>(expiry) * second_ms;
    token.a = static_cast<std::int64_t>(take(at, 8));
    token.b = static_cast<std::int64_t>(take(at, 8));
    token.generation = static_cast<std::uint16_t>(take(at, 2));
    return token;
}

bool expired(const Token& token, TimeMs now) {
    return token.expires_at && now > *token.expires_at + 300 * second_ms;
}

std::string page_nonce(std::string_view link_token, TimeMs now, const Keyring& keys) {
    Token token;
    token.purpose = TokenPurpose::page;
    token.a = now;
    token.b = binding(link_token);
    token.expires_at = now + page_nonce_life;
    return sign(token, keys, keys.newest());
}

std::optional<DurationMs> page_nonce_age(std::string_view nonce, std::string_view link_token, TimeMs now,
                                         const Keyring& keys) {
    const auto token = verify(nonce, TokenPurpose::page, keys);
    if (!token || token->b != binding(link_token)) return std::nullopt;
    const DurationMs age = now - token->a;
    if (age > page_nonce_life || age < -300 * second_ms) return std::nullopt;
    return age;
}

bool page_nonce_valid(std::string_view nonce, std::string_view link_token, TimeMs now, const Keyring& keys) {
    return page_nonce_age(nonce, link_token, now, keys).value_or(0) >= second_ms;
}

}  // namespace zgoda::service
