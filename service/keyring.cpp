#include "service/keyring.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <cstring>
#include <memory>
#include <stdexcept>

namespace zgoda::service {
namespace {

struct UseName {
    KeyUse use;
    std::string_view name;
};
constexpr UseName uses[] = {
    {KeyUse::token_confirm, "zgoda/token/confirm"},
    {KeyUse::token_unsubscribe, "zgoda/token/unsubscribe"},
    {KeyUse::token_preferences, "zgoda/token/preferences"},
    {KeyUse::token_undo, "zgoda/token/undo"},
    {KeyUse::token_page, "zgoda/token/page"},
    {KeyUse::ticket, "zgoda/ticket"},
    {KeyUse::ledger_head, "zgoda/ledger/head"},
    {KeyUse::suppression, "zgoda/suppression"},
    {KeyUse::budget, "zgoda/budget"},
    {KeyUse::journal, "zgoda/withdrawals"},
    {KeyUse::code, "zgoda/code"},
    {KeyUse::verp, "zgoda/verp"},
};

const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

Digest derive(const MasterKey& master, std::string_view name) {
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
        EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr), EVP_PKEY_CTX_free);
    Digest out{};
    std::size_t length = out.size();
    if (!context || EVP_PKEY_derive_init(context.get()) <= 0 ||
        EVP_PKEY_CTX_set_hkdf_md(context.get(), EVP_sha256()) <= 0 ||
        EVP_PKEY_CTX_set1_hkdf_key(context.get(), master.secret.data(),
                                   static_cast<int>(master.secret.size())) <= 0 ||
        EVP_PKEY_CTX_add1_hkdf_info(context.get(), bytes(name), static_cast<int>(name.size())) <= 0 ||
        EVP_PKEY_derive(context.get(), out.data(), &length) <= 0) {
        throw std::runtime_error("OpenSSL could not derive a key");
    }
    return out;
}

std::uint64_t first_eight(const Digest& digest) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = value << 8 | digest[i];
    return value;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

constexpr std::string_view base64url_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

}  // namespace

Keyring::Keyring(std::vector<MasterKey> masters) {
    if (masters.empty()) throw std::invalid_argument("a keyring needs at least one key");
    const MasterKey* newest = &masters.front();
    const MasterKey* oldest = &masters.front();
    for (const MasterKey& master : masters) {
        if (master.id < 1 || master.id > 255) throw std::invalid_argument("a key's id is 1 to 255");
        if (derived_.contains({master.id, KeyUse::ticket}))
            throw std::invalid_argument("two keys with one id");
        // Of two made in the same instant, the one with the larger id is the newer.
        const auto age = [](const MasterKey& key) { return std::pair(key.created_at, key.id); };
        if (age(*newest) < age(master)) newest = &master;
        if (age(master) < age(*oldest)) oldest = &master;
        for (const auto& [use, name] : uses) derived_[{master.id, use}] = derive(master, name);
    }
    newest_ = newest->id;
    oldest_ = oldest->id;
}

std::vector<int> Keyring::ids() const {
    std::vector<int> ids;
    for (const auto& [key, unused] : derived_) {
        if (ids.empty() || ids.back() != key.first) ids.push_back(key.first);
    }
    return ids;
}

const Digest* Keyring::key(int id, KeyUse use) const {
    const auto found = derived_.find({id, use});
    return found == derived_.end() ? nullptr : &found->second;
}

namespace {

// OpenSSL's one-call functions look the algorithm up anew each time, which costs more than the hashing of so
// little.
Digest sha256(std::string_view first, std::string_view second) {
    using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
    static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm(
        EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free);
    thread_local const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    Digest out{};
    if (EVP_DigestInit_ex2(context.get(), algorithm.get(), nullptr) != 1 ||
        EVP_DigestUpdate(context.get(), first.data(), first.size()) != 1 ||
        EVP_DigestUpdate(context.get(), second.data(), second.size()) != 1 ||
        EVP_DigestFinal_ex(context.get(), out.data(), nullptr) != 1) {
        throw std::runtime_error("OpenSSL has no SHA-256");
    }
    return out;
}

}  // namespace

Digest sha256(std::string_view text) {
    return sha256(text, {});
}

// HMAC over SHA-256 as RFC 2104 draws it.
Digest hmac(std::span<const std::uint8_t> key, std::string_view message) {
    constexpr std::size_t block = 64;
    std::array<char, block> inner{};
    std::array<char, block> outer{};
    inner.fill('\x36');
    outer.fill('\x5c');
    Digest hashed_key{};
    if (key.size() > block) {
        hashed_key = sha256({reinterpret_cast<const char*>(key.data()), key.size()});
        key = hashed_key;
    }
    for (std::size_t i = 0; i < key.size(); ++i) {
        inner[i] = static_cast<char>(inner[i] ^ static_cast<char>(key[i]));
        outer[i] = static_cast<char>(outer[i] ^ static_cast<char>(key[i]));
    }
    const Digest inside = sha256({inner.data(), block}, message);
    return sha256({outer.data(), block}, {reinterpret_cast<const char*>(inside.data()), inside.size()});
}

bool equal_in_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(std::span<const std::uint8_t> data) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    out.reserve(data.size() * 2);
    for (const std::uint8_t byte : data) {
        out.push_back(digits[byte >> 4]);
        out.push_back(digits[byte & 15]);
    }
    return out;
}

std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::vector<std::uint8_t> out;
    out.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_digit(text[i]);
        const int low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        out.push_back(static_cast<std::uint8_t>(high * 16 + low));
    }
    return out;
}

std::string to_base64url(std::span<const std::uint8_t> data) {
    std::string out;
    out.reserve((data.size() * 4 + 2) / 3);
    std::uint32_t held = 0;
    int bits = 0;
    for (const std::uint8_t byte : data) {
        held = held << 8 | byte;
        for (bits += 8; bits >= 6; bits -= 6) out.push_back(base64url_alphabet[held >> (bits - 6) & 63]);
    }
    if (bits > 0) out.push_back(base64url_alphabet[held << (6 - bits) & 63]);
    return out;
}

std::optional<std::vector<std::uint8_t>> from_base64url(std::string_view text, std::size_t max_bytes) {
    if (text.size() > max_bytes * 4 / 3 + 2 || text.size() % 4 == 1) return std::nullopt;
    std::vector<std::uint8_t> out;
    out.reserve(text.size() * 3 / 4);
    std::uint32_t held = 0;
    int bits = 0;
    for (const char c : text) {
        const std::size_t value = base64url_alphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        held = held << 6 | static_cast<std::uint32_t>(value);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out.push_back(static_cast<std::uint8_t>(held >> bits));
        }
    }
    // The bits that are left over must be zero, or one value would have several spellings.
    if ((held & ((1u << bits) - 1)) != 0 || out.size() > max_bytes) return std::nullopt;
    return out;
}

// Most of what OpenSSL takes for random bytes goes into the call, so a thread asks for many seeds at once.
Seed random_seed() {
    thread_local std::array<Seed, 64> drawn;
    thread_local std::size_t left = 0;
    if (left == 0) {
        if (RAND_bytes(drawn.front().data(), static_cast<int>(sizeof drawn)) != 1)
            throw std::runtime_error("OpenSSL has no random bytes");
        left = drawn.size();
    }
    Seed& next = drawn[--left];
    const Seed seed = next;
    OPENSSL_cleanse(next.data(), next.size());
    return seed;
}

Nonce Nonces::next() {
    const std::size_t half = drawn_ % 2 * sizeof(Nonce);  // a block of 32 bytes is two nonces
    if (half == 0) {
        block_ = sha256({reinterpret_cast<const char*>(seed_.data()), seed_.size()},
                        {reinterpret_cast<const char*>(&drawn_), sizeof drawn_});
    }
    ++drawn_;
    Nonce out{};
    std::memcpy(out.data(), block_.data() + half, out.size());
    return out;
}

std::vector<Suppression> suppression_keys(const Keyring& keys, std::string_view addr_key) {
    std::vector<Suppression> out;
    for (const int id : keys.ids()) {
        Suppression one;
        one.key = hmac(*keys.key(id, KeyUse::suppression), addr_key);
        one.key_id = id;
        if (id == keys.oldest()) {
            out.insert(out.begin(), one);
        } else {
            out.push_back(one);
        }
    }
    return out;
}

std::uint64_t network_hash(const Keyring& keys, std::string_view network) {
    return first_eight(hmac(*keys.key(keys.oldest(), KeyUse::budget), "network " + std::string(network)));
}

}  // namespace zgoda::service
