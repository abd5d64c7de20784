// The return path of one letter: mail that comes back to it names the letter, and nobody else can make one
// up.
//
//     "b" + key id 2 + letter id 13 + "-" + tag 10        (27 characters of a-z, 2-7 and "-", RFC 4648
//     base32)
//
// The tag is the first 48 bits of an HMAC-SHA256 over key id and letter id; relays may change the case of
// letters. Anybody can send a bounce: it is acted upon only if it came to such an address.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "service/keyring.h"

namespace zgoda::service {

// The part before the @, under this key, or the newest if there is none of this id.
std::string return_path(Id letter, const Keyring&, int key_id);

// nullopt: not of this form, or not ours. The tag is compared in constant time.
std::optional<Id> returned_letter(std::string_view local_part, const Keyring&);

}  // namespace zgoda::service
