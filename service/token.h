// Signed links: one link, one purpose.
//
//     "v1." + base64url(key id 1 | purpose 1 | expiry 4 | a 8 | b 8 | generation 2 | tag 16)
//
// big-endian, 57 characters; tag = HMAC-SHA256 under the key of this id *and purpose*, cut to 128 bits. The
// ids are plain numbers: the tag protects them. Nothing in a token is parsed before its tag has been
// compared, in constant time. Whether the row behind it still allows anything is the caller's question.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "service/keyring.h"

namespace zgoda::service {

enum class TokenPurpose : std::uint8_t { confirm = 1, unsubscribe = 2, preferences = 3, undo = 4, page = 5 };

struct Token {
    TokenPurpose purpose = TokenPurpose::confirm;
    std::int64_t a = 0;                // confirm: person; unsubscribe: subscription; page: time of issue, ms
    std::int64_t b = 0;                // confirm: letter; page: hash of what the page is about
    std::uint16_t generation = 0;      // of the person; unsubscribe tokens carry 0
    std::optional<TimeMs> expires_at;  // whole seconds; none: never
};

std::string sign(const Token&, const Keyring&, int key_id);

// nullopt: not a token, not ours, tampered with, or of another purpose. An expired one is returned all the
// same.
std::optional<Token> verify(std::string_view text, TokenPurpose, const Keyring&);

// Clocks differ: a token is taken for 300 s longer than it says.
bool expired(const Token&, TimeMs now);

// A page's form carries this nonce, bound to the link that the page belongs to. POST without a valid one
// shows the page again instead of acting, so that blind replays of a link do nothing; nor do machines that
// post at once: a nonce is valid from 1 second to 24 hours after it was made.
std::string page_nonce(std::string_view link_token, TimeMs now, const Keyring&);
bool page_nonce_valid(std::string_view nonce, std::string_view link_token, TimeMs now, const Keyring&);
// How old it is, if it is ours, for this link and younger than 24 hours. Clocks of two machines differ: may
// be a little less than 0.
std::optional<DurationMs> page_nonce_age(std::string_view nonce, std::string_view link_token, TimeMs now,
                                         const Keyring&);

}  // namespace zgoda::service
