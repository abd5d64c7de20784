#include "mailer/letter.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <unistr.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>

#include "mailer/courier.h"

namespace zgoda::mailer {
namespace {

constexpr std::size_t line_limit = 76;  // RFC 2045 and 2047; RFC 5322 allows 78

bool is_utf8(std::string_view s) {
    return u8_check(reinterpret_cast<const std::uint8_t*>(s.data()), s.size()) == nullptr;
}

bool is_printable_ascii(std::string_view s) {
    return std::all_of(s.begin(), s.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

void require(bool holds, const char* header, const char* rule) {
    if (!holds) throw std::invalid_argument(fmt::format("letter: {} {}", header, rule));
}

void require_text(const char* header, std::string_view value) {
    const bool clean = std::none_of(value.begin(), value.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    require(clean, header, "has a control character");
    require(is_utf8(value), header, "is not UTF-8");
}

// For values that are one word of our own making: URLs, ids, tags.
void require_token(const char* header, std::string_view value) {
    require(is_printable_ascii(value) && value.find(' ') == value.npos && value.size() <= 900, header,
            "is not one short ASCII word");
}

void require_ascii_address(const char* header, std::string_view address) {
    require(is_safe_address(address) && is_printable_ascii(address), header, "is not one ASCII address");
}

void append_base64(std::string& out, std::string_view bytes) {
    const std::size_t at = out.size();
    out.resize(at + (bytes.size() + 2) / 3 * 4 + 1);  // EVP_EncodeBlock writes a final NUL
    const int written =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + at),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    out.resize(at + static_cast<std::size_t>(written));
}

// The longest prefix of at most `limit` octets that ends between two code points.
std::string_view prefix_of_code_points(std::string_view s, std::size_t limit) {
    if (s.size() <= limit) return s;
    while ((static_cast<unsigned char>(s[limit]) & 0xC0) == 0x80) --limit;
    return s.substr(0, limit);
}

// RFC 2047 words of at most 75 characters, each a whole number of code points, on lines of at most 76.
// `column` is where the first begins; returns where the last ends.
std::size_t append_encoded_words(std::string& out, std::string_view text, std::size_t column) {
    for (;;) {
        const std::string_view head = "=?UTF-8?B?";
        const std::size_t room = (line_limit - column - head.size() - 2) / 4 * 3;
        const std::string_view piece = prefix_of_code_points(text, std::min<std::size_t>(room, 45));
        out += head;
        append_base64(out, piece);
        out += "?=";
        text.remove_prefix(piece.size());
        column += head.size() + (piece.size() + 2) / 3 * 4 + 2;
        if (text.empty()) return column;
        out += "\r\n ";
        column = 1;
    }
}

void append_subject(std::string& out, std::string_view subject) {
    require_text("Subject", subject);
    out += "Subject: ";
    // What a reader of headers could take for white space or for an encoded word must be encoded to survive.
    const bool plain = is_printable_ascii(subject) && subject.find("=?") == subject.npos &&
                       subject.size() <= line_limit - 9 && !subject.starts_with(' ') &&
                       !subject.ends_with(' ');
    if (plain)
        out += subject;
    else
        append_encoded_words(out, subject, 9);
    out += "\r\n";
}

void append_mailbox(std::string& out, const char* header, const Mailbox& box) {
    require_text(header, box.name);
    require_ascii_address(header, box.address);
    const std::size_t start = out.size();
    out += header;
    out += ": ";
    if (box.name.empty()) {
        out += box.address;
        out += "\r\n";
        return;
    }
    std::size_t column = out.size() - start;
    if (is_printable_ascii(box.name) && box.name.find("=?") == box.name.npos && box.name.size() < 50) {
        const std::size_t from = out.size();
        out += '"';
        for (const char c : box.name) {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
        out += '"';
        column += out.size() - from;
    } else {
        column = append_encoded_words(out, box.name, column);
    }
    out += column + box.address.size() + 3 > line_limit ? "\r\n <" : " <";
    out += box.address;
    out += ">\r\n";
}

std::string with_crlf(std::string_view text) {
    std::string out;
    out.reserve(text.size() + text.size() / 32 + 2);
    for (std::size_t from = 0; from < text.size();) {
        std::size_t end = from;
        while (end < text.size() && text[end] != '\r' && text[end] != '\n') ++end;
        out += text.substr(from, end - from);
        if (end < text.size()) out += "\r\n";
        from = text.substr(end, 2) == "\r\n" ? end + 2 : end + 1;
    }
    if (!out.ends_with("\r\n")) out += "\r\n";
    return out;
}

void append_base64_lines(std::string& out, std::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(text.size(), 57))) {
        append_base64(out, text.substr(0, 57));
        out += "\r\n";
    }
}

// RFC 2045 6.7. A dot or "From " at the start of a line is encoded too: some relays rewrite those.
void append_quoted_printable(std::string& out, std::string_view text) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    std::size_t column = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c == '\r') {  // with_crlf() leaves it only before LF
            out += "\r\n";
            column = 0;
            ++i;
            continue;
        }
        // Most of a line stays as it is, and is copied at once.
        std::size_t end = i;
        while (end < text.size() && column + (end - i) + 1 < line_limit && text[end] > 0x20 &&
               text[end] < 0x7F && text[end] != '=')
            ++end;
        if (end > i && column > 0) {
            out += text.substr(i, end - i);
            column += end - i;
            i = end - 1;
            continue;
        }
        const bool line_ends = i + 1 == text.size() || text[i + 1] == '\r';
        bool literal = (c > 0x20 && c < 0x7F && c != '=') || ((c == ' ' || c == '\t') && !line_ends);
        if (column + (literal ? 1 : 3) + (line_ends ? 0 : 1) > line_limit) {
            out += "=\r\n";
            column = 0;
        }
        if (column == 0 && (c == '.' || text.substr(i, 5) == "From ")) literal = false;
        if (literal) {
            out += static_cast<char>(c);
            ++column;
        } else {
            out += '=';
            out += hex[c >> 4];
            out += hex[c & 15];
            column += 3;
        }
    }
}

void append_part(std::string& out, std::string_view boundary, const char* type, std::string_view body) {
    require(is_utf8(body), type, "is not UTF-8");
    const std::string text = with_crlf(body);
    const auto wide = static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7F; }));
    const bool base64 = wide * 6 > text.size();
    fmt::format_to(std::back_inserter(out),
                   "--{}\r\nContent-Type: {}; charset=utf-8\r\nContent-Transfer-Encoding: {}\r\n\r\n",
                   boundary, type, base64 ? "base64" : "quoted-printable");
    if (base64)
        append_base64_lines(out, text);
    else
        append_quoted_printable(out, text);
}

// "=_" can stand neither in quoted-printable nor in base64, so no part ever holds a boundary.
std::string boundary_of(std::string_view message_id) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(message_id.data()), message_id.size(), digest.data());
    std::string out = "=_";
    for (std::size_t i = 0; i < 15; ++i) fmt::format_to(std::back_inserter(out), "{:02x}", digest[i]);
    return out;
}

}  // namespace

std::string date_header(std::int64_t ms) {
    using namespace std::chrono;
    constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const sys_seconds time{floor<seconds>(milliseconds{ms})};
    const sys_days day = floor<std::chrono::days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{time - day};
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000", days[weekday{day}.c_encoding()],
                       unsigned{date.day()}, months[unsigned{date.month()} - 1], int{date.year()},
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string build_message(const Letter& letter) {
    require_token("Message-ID", letter.message_id);
    require(letter.message_id.size() > 4 && letter.message_id.starts_with('<') &&
                letter.message_id.ends_with('>'),
            "Message-ID", "has no angle brackets");
    require_token("Content-Language", letter.language);
    require_token("List-Unsubscribe", letter.unsubscribe);
    require(letter.unsubscribe.find_first_of("<>,") == std::string::npos, "List-Unsubscribe", "is not a URL");
    require_token("Feedback-ID", letter.feedback_id);
    require(is_safe_address(letter.to), "To", "is not one address");

    std::string out;
    out.reserve(1500 + letter.text.size() * 3 / 2 + letter.html.size() * 3 / 2);
    const auto header = [&out](std::string_view name, std::string_view value) {
        out += name;
        out += ": ";
        out += value;
        out += "\r\n";
    };

    header("Date", date_header(letter.date_ms));
    append_mailbox(out, "From", letter.from);
    if (!letter.reply_to.address.empty()) append_mailbox(out, "Reply-To", letter.reply_to);
    header("To", letter.to);
    append_subject(out, letter.subject);
    header("Message-ID", letter.message_id);
    if (!letter.language.empty()) header("Content-Language", letter.language);
    header("Auto-Submitted", "auto-generated");
    header("X-Auto-Response-Suppress", "All");
    if (!letter.unsubscribe.empty()) {
        // Never folded: relays that unfold it break its DKIM signature.
        out += "List-Unsubscribe: <";
        out += letter.unsubscribe;
        out += ">\r\n";
        if (letter.one_click) header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
    }
    if (!letter.feedback_id.empty()) header("Feedback-ID", letter.feedback_id);

    const std::string boundary = boundary_of(letter.message_id);
    header("MIME-Version", "1.0");
    out += "Content-Type: multipart/alternative;\r\n boundary=\"";
    out += boundary;
    out += "\"\r\n\r\n";
    append_part(out, boundary, "text/plain", letter.text);
    append_part(out, boundary, "text/html", letter.html);
    out += "--";
    out += boundary;
    out += "--\r\n";
    return out;
}

}  // namespace zgoda::mailer
