#include "service/ticket.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace zgoda::service {
namespace {

// key id 1 | nonce 12 | sealed (letter 8 | time 8) | tag 16
constexpr std::size_t nonce_size = 12;
constexpr std::size_t plain_size = 16;
constexpr std::size_t tag_size = 16;
constexpr std::size_t ticket_size = 1 + nonce_size + plain_size + tag_size;
constexpr DurationMs life = hour_ms;

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

}  // namespace

std::string seal(const Ticket& ticket, const Nonce& nonce, const Keyring& keys) {
    std::array<std::uint8_t, ticket_size> raw{};
    raw[0] = static_cast<std::uint8_t>(keys.newest());
    std::memcpy(raw.data() + 1, nonce.data(), nonce_size);
    std::array<std::uint8_t, plain_size> plain{};
    std::memcpy(plain.data(), &ticket.letter, 8);
    std::memcpy(plain.data() + 8, &ticket.issued_at, 8);

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
    std::memcpy(&ticket.letter, plain.data(), 8);
    std::memcpy(&ticket.issued_at, plain.data() + 8, 8);
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

TicketStatus ticket_status(Reader& reader, const Ticket& ticket, TimeMs now) {
    const MailerNote note = reader.mailer_note();
    const auto letter = ticket.letter == 0 ? std::nullopt : reader.letter(ticket.letter);
    if (!letter) {
        // Until a first letter was sent there is no usual delay; cron's minute is a fair guess.
        const DurationMs delay =
            note.usual_delay == 0 ? minute_ms : std::clamp(note.usual_delay, DurationMs{500}, 10 * minute_ms);
        return now >= ticket.issued_at + delay ? TicketStatus::sent : TicketStatus::queued;
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
