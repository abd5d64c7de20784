#include "service/ticket.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace zgoda::service {
namespace {

// key id 1 | nonce 12 | sealed (person 8 | letter 8 | slot 8 | time 8 | generation 2) | tag 16
constexpr std::size_t nonce_size = 12;
constexpr std::size_t plain_size = 34;
constexpr std::size_t tag_size = 16;
constexpr std::size_t ticket_size = 1 + nonce_size + plain_size + tag_size;
constexpr DurationMs life = hour_ms;

// From signup to sent, lately: what tickets without a letter imitate.
DurationMs usual_delay(Reader& reader) {
    const DurationMs noted = reader.mailer_note().usual_delay;
    // Until a first letter was sent there is no usual delay; cron's minute is a fair guess.
    return noted == 0 ? minute_ms : std::clamp(noted, DurationMs{500}, 10 * minute_ms);
}

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

}  // namespace

std::string seal(const Ticket& ticket, const Nonce& nonce, const Keyring& keys) {
    std::array<std::uint8_t, ticket_size> raw{};
    raw[0] = static_cast<std::uint8_t>(keys.newest());
    std::memcpy(raw.data() + 1, nonce.data(), nonce_size);
    std::array<std::uint8_t, plain_size> plain{};
    std::memcpy(plain.data(), &ticket.person, 8);
    std::memcpy(plain.data() + 8, &ticket.letter, 8);
    std::memcpy(plain.data() + 16, &ticket.slot, 8);
    std::memcpy(plain.data() + 24, &ticket.issued_at, 8);
    std::memcpy(plain.data() + 32, &ticket.generation, 2);

    const Cipher cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    int written = 0;
    if (!cipher ||
        EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr,
                           keys.key(keys.newest(), KeyUse::ticket)->data(), raw.data() + 1) != 1 ||
        EVP_EncryptUpdate(cipher.get(), nullptr, &written, raw.data(), 1) != 1 ||
        EVP_EncryptUpdate(cipher.get(), raw.data() + 1 + nonce_size, &written, plain.data(), plain_size) !=
            1 ||
        EVP_EncryptFinal_ex(cipher.get(), raw.data() + 1 + nonce_size + plain_size, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, tag_size,
                            raw.data() + 1 + nonce_size + plain_size) != 1) {
        throw std::runtime_error("OpenSSL could not seal a ticket");
    }
    return to_base64url(raw);
}

std::optional<Ticket> unseal(std::string_view text, TimeMs now, const Keyring& keys) {
    auto raw = from_base64url(text, ticket_size);
    if (!raw || raw->size() != ticket_size) return std::nullopt;
    const Digest* key = keys.key(raw->front(), KeyUse::ticket);
    if (key == nullptr) return std::nullopt;

    std::array<std::uint8_t, plain_size> plain{};
    const Cipher cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    int written = 0;
    if (!cipher) throw std::runtime_error("OpenSSL is out of memory");
    if (EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key->data(), raw->data() + 1) != 1 ||
        EVP_DecryptUpdate(cipher.get(), nullptr, &written, raw->data(), 1) != 1 ||
        EVP_DecryptUpdate(cipher.get(), plain.data(), &written, raw->data() + 1 + nonce_size, plain_size) !=
            1 ||
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, tag_size,
                            raw->data() + 1 + nonce_size + plain_size) != 1 ||
        EVP_DecryptFinal_ex(cipher.get(), plain.data() + plain_size, &written) != 1) {
        return std::nullopt;
    }
    Ticket ticket;
    std::memcpy(&ticket.person, plain.data(), 8);
    std::memcpy(&ticket.letter, plain.data() + 8, 8);
    std::memcpy(&ticket.slot, plain.data() + 16, 8);
    std::memcpy(&ticket.issued_at, plain.data() + 24, 8);
    std::memcpy(&ticket.generation, plain.data() + 32, 2);
    if (now > ticket.issued_at + life || now < ticket.issued_at - 300 * second_ms) return std::nullopt;
    return ticket;
}

std::string_view word(TicketStatus status) {
    switch (status) {
        case TicketStatus::queued:
            return "queued";
        case TicketStatus::sent:
            return "sent";
        case TicketStatus::deferred:
            return "deferred";
        case TicketStatus::refused:
            return "refused";
    }
    return "queued";
}

DurationMs longest_delay(Reader& reader) {
    DurationMs delay = 2 * minute_ms;  // cron comes once a minute
    while (delay < 3 * usual_delay(reader)) delay *= 2;
    return delay;
}

Id slot_of(Reader& reader, const Request& request, const std::vector<Request>& earlier, TimeMs now) {
    // Whoever shares a letter must share the slot, or suppressed addresses, which share only slots, would be
    // known by it. Mailers that have not come to an older letter yet would not have come to hers.
    TimeMs since = now - longest_delay(reader);
    const auto due = reader.due_letters(now, 1);
    if (!due.empty()) since = std::min(since, due.front().due_at - 1);
    for (const Request& other : earlier) {
        if (other.asked_at > since) return other.id;
    }
    return request.id;
}

TicketStatus ticket_status(Reader& reader, const Ticket& ticket, TimeMs now) {
    const auto letter = ticket.letter == 0 ? std::nullopt : reader.letter(ticket.letter);
    if (!letter) {
        return now >= ticket.issued_at + usual_delay(reader) ? TicketStatus::sent : TicketStatus::queued;
    }
    switch (letter->state) {
        case LetterState::queued:
        case LetterState::leased:
            return letter->attempts == 0 ? TicketStatus::queued : TicketStatus::deferred;
        case LetterState::deferred:
        case LetterState::uncertain:
            return TicketStatus::deferred;
        case LetterState::refused:
            return letter->mailbox_unknown ? TicketStatus::refused : TicketStatus::deferred;
        case LetterState::sent:
        case LetterState::expired:
        case LetterState::cancelled:
            return TicketStatus::sent;
    }
    return TicketStatus::queued;
}

}  // namespace zgoda::service
