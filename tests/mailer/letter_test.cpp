#include "mailer/letter.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <stdexcept>

using namespace zgoda::mailer;

namespace {

Letter plain_letter() {
    Letter letter;
    letter.from = {"Kyiv Independent", "news@example.org"};
    letter.to = "ada@example.com";
    letter.subject = "Please confirm";
    letter.text = "Hello\n";
    letter.html = "<p>Hello</p>\n";
    letter.message_id = "<17.abc@example.org>";
    letter.date_ms = 1795341600000;
    letter.language = "uk";
    return letter;
}

// The value of a header, with its folding.
std::string header(const std::string& message, const std::string& name) {
    const std::string headers = "\r\n" + message.substr(0, message.find("\r\n\r\n") + 2);
    const auto at = headers.find("\r\n" + name + ": ");
    if (at == headers.npos) return "(none)";
    auto end = at;
    do end = headers.find("\r\n", end + 2);
    while (headers.compare(end + 2, 1, " ") == 0);
    const auto from = at + 4 + name.size();
    return headers.substr(from, end - from);
}

std::string body(const std::string& message, const std::string& type) {
    const auto part = message.find("Content-Type: " + type);
    const auto from = message.find("\r\n\r\n", part) + 4;
    return message.substr(from, message.find("\r\n--", from) - from + 2);
}

std::string with_text(std::string text) {
    Letter letter = plain_letter();
    letter.text = std::move(text);
    return body(build_message(letter), "text/plain");
}

// 1 to 60 code points of everything that a subject may hold: no controls, no surrogates.
std::string random_subject(std::mt19937_64& random) {
    std::string out;
    for (std::uint64_t left = 1 + random() % 60; left > 0; --left) {
        char32_t c = 0;
        switch (random() % 6) {
            case 0:
                c = U' ';
                break;
            case 1:
                c = static_cast<char32_t>(0x20 + random() % 0x5F);
                break;
            case 2:
                c = static_cast<char32_t>(0x410 + random() % 0x50);
                break;
            case 3:
                c = static_cast<char32_t>(0xA1 + random() % 0x700);
                break;
            case 4:
                c = static_cast<char32_t>(0x3041 + random() % 0x9000);
                break;
            default:
                c = static_cast<char32_t>(0x1F300 + random() % 0x300);
                break;
        }
        if (c < 0x80) {
            out += static_cast<char>(c);
        } else if (c < 0x800) {
            out += static_cast<char>(0xC0 | c >> 6);
            out += static_cast<char>(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            out += static_cast<char>(0xE0 | c >> 12);
            out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
            out += static_cast<char>(0x80 | (c & 0x3F));
        } else {
            out += static_cast<char>(0xF0 | c >> 18);
            out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
            out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
            out += static_cast<char>(0x80 | (c & 0x3F));
        }
    }
    return out;
}

}  // namespace

TEST_SUITE("letter") {
    TEST_CASE("a letter has the headers that receivers look for") {
        Letter letter = plain_letter();
        letter.reply_to = {"", "editor@example.org"};
        letter.unsubscribe = "https://example.org/unsubscribe?t=v1.abc";
        letter.one_click = true;
        letter.feedback_id = "confirmation:daily:tx:zgoda";
        const std::string message = build_message(letter);
        CHECK(header(message, "Date") == "Sun, 22 Nov 2026 10:00:00 +0000");
        CHECK(header(message, "From") == "\"Kyiv Independent\" <news@example.org>");
        CHECK(header(message, "Reply-To") == "editor@example.org");
        CHECK(header(message, "To") == "ada@example.com");
        CHECK(header(message, "Subject") == "Please confirm");
        CHECK(header(message, "Message-ID") == "<17.abc@example.org>");
        CHECK(header(message, "Content-Language") == "uk");
        CHECK(header(message, "Auto-Submitted") == "auto-generated");
        CHECK(header(message, "X-Auto-Response-Suppress") == "All");
        CHECK(header(message, "List-Unsubscribe") == "<https://example.org/unsubscribe?t=v1.abc>");
        CHECK(header(message, "List-Unsubscribe-Post") == "List-Unsubscribe=One-Click");
        CHECK(header(message, "Feedback-ID") == "confirmation:daily:tx:zgoda");
        CHECK(header(message, "MIME-Version") == "1.0");
        CHECK(message.find("Content-Type: text/plain") < message.find("Content-Type: text/html"));
    }

    TEST_CASE("a long List-Unsubscribe stays on one line") {
        Letter letter = plain_letter();
        letter.unsubscribe = "https://example.org/" + std::string(600, 'a');
        CHECK(header(build_message(letter), "List-Unsubscribe") == "<" + letter.unsubscribe + ">");
    }

    TEST_CASE("dates are English and UTC, in leap years and before 1970 too") {
        CHECK(date_header(0) == "Thu, 01 Jan 1970 00:00:00 +0000");
        CHECK(date_header(951'827'696'999) == "Tue, 29 Feb 2000 12:34:56 +0000");
        CHECK(date_header(-1) == "Wed, 31 Dec 1969 23:59:59 +0000");
    }

    TEST_CASE("the same letter is the same bytes, and another Message-ID another boundary") {
        Letter letter = plain_letter();
        const std::string message = build_message(letter);
        CHECK(build_message(letter) == message);
        letter.message_id = "<18.abc@example.org>";
        CHECK(header(build_message(letter), "Content-Type") != header(message, "Content-Type"));
    }

    TEST_CASE("a control character in a header value refuses the whole letter") {
        for (const std::string& evil :
             {std::string("a\r\nBcc: eve@example.org"), std::string("a\nb"), std::string("a\rb"),
              std::string("a\0b", 3), std::string("a\tb"), std::string("\x7F")}) {
            CAPTURE(evil);
            const auto refused = [&](auto change) {
                Letter letter = plain_letter();
                change(letter);
                CHECK_THROWS_AS(build_message(letter), std::invalid_argument);
            };
            refused([&](Letter& l) { l.subject = evil; });
            refused([&](Letter& l) { l.from.name = evil; });
            refused([&](Letter& l) { l.from.address = evil + "@example.org"; });
            refused([&](Letter& l) { l.to = evil + "@example.org"; });
            refused([&](Letter& l) { l.reply_to = {"", "a@example.org" + evil}; });
            refused([&](Letter& l) { l.message_id = "<" + evil + "@x>"; });
            refused([&](Letter& l) { l.language = evil; });
            refused([&](Letter& l) { l.unsubscribe = "https://example.org/" + evil; });
            refused([&](Letter& l) { l.feedback_id = evil; });
        }
    }

    TEST_CASE("what is no address or no UTF-8 refuses the letter") {
        const auto refused = [](auto change) {
            Letter letter = plain_letter();
            change(letter);
            CHECK_THROWS_AS(build_message(letter), std::invalid_argument);
        };
        refused([](Letter& l) { l.to = "ada@example.com, eve@example.org"; });
        refused([](Letter& l) { l.to = "Ada <ada@example.com>"; });
        refused([](Letter& l) { l.to = "ada"; });
        refused([](Letter& l) { l.to = ""; });
        refused([](Letter& l) { l.from.address = "редакція@example.org"; });
        refused([](Letter& l) { l.message_id = "17"; });
        refused([](Letter& l) { l.unsubscribe = "https://a>,<mailto:b@c"; });
        refused([](Letter& l) { l.subject = "\xC3"; });
        refused([](Letter& l) { l.text = "\xC0\x80"; });
    }

    TEST_CASE("only the recipient's local part may be raw UTF-8 (RFC 6532)") {
        Letter letter = plain_letter();
        letter.to = "Оксана@xn--80a1acny.xn--j1amh";
        CHECK(header(build_message(letter), "To") == letter.to);
    }

    TEST_CASE("display names are quoted or encoded") {
        Letter letter = plain_letter();
        letter.from.name = "The \"Daily\", Inc.";
        CHECK(header(build_message(letter), "From") == R"("The \"Daily\", Inc." <news@example.org>)");
        letter.from.name = "Новини";
        CHECK(header(build_message(letter), "From") == "=?UTF-8?B?0J3QvtCy0LjQvdC4?= <news@example.org>");
    }

    TEST_CASE("subjects that a reader could misread are encoded") {
        Letter letter = plain_letter();
        const auto subject = [&](std::string text) {
            letter.subject = std::move(text);
            return header(build_message(letter), "Subject");
        };
        CHECK(subject("Новини") == "=?UTF-8?B?0J3QvtCy0LjQvdC4?=");
        CHECK(subject("=?us-ascii?Q?x?=").starts_with("=?UTF-8?B?"));
        CHECK(subject(" x").starts_with("=?UTF-8?B?"));
        CHECK(subject(std::string(200, 'x')).find("\r\n =?UTF-8?B?") != std::string::npos);
    }

    TEST_CASE("mostly ASCII text is quoted-printable, other text base64") {
        CHECK(with_text("Grüße = hello to you") == "Gr=C3=BC=C3=9Fe =3D hello to you\r\n");
        CHECK(with_text("Привіт") == "0J/RgNC40LLRltGCDQo=\r\n");
    }

    TEST_CASE("quoted-printable keeps what relays would change") {
        CHECK(with_text("a \nb\t\n") == "a=20\r\nb=09\r\n");
        CHECK(with_text(".\n.x\nx.\n") == "=2E\r\n=2Ex\r\nx.\r\n");
        CHECK(with_text("From here\nno From\nFromage") == "=46rom here\r\nno From\r\nFromage\r\n");
        CHECK(with_text("a\rb\r\nc\n\nd") == "a\r\nb\r\nc\r\n\r\nd\r\n");
        CHECK(with_text(std::string(76, 'x')) == std::string(76, 'x') + "\r\n");
        CHECK(with_text(std::string(77, 'x')) == std::string(75, 'x') + "=\r\nxx\r\n");
        CHECK(with_text(std::string(75, 'x') + ".") == std::string(75, 'x') + ".\r\n");
        CHECK(with_text(std::string(75, 'x') + ".y") == std::string(75, 'x') + "=\r\n=2Ey\r\n");
    }

    TEST_CASE("every line ends in CRLF, is short, and is 7-bit") {
        std::mt19937_64 random(1);
        for (int i = 0; i < 200; ++i) {
            Letter letter = plain_letter();
            letter.subject = random_subject(random);
            for (int k = 0; k < 20; ++k) letter.text += random_subject(random) + (k % 3 ? " " : "\n");
            letter.html = std::string(static_cast<std::size_t>(i) * 40, 'x') + letter.text;
            const std::string message = build_message(letter);
            std::size_t start = 0;
            for (std::size_t at = 0; at < message.size(); ++at) {
                REQUIRE(static_cast<unsigned char>(message[at]) < 0x80);
                if (message[at] == '\n') REQUIRE(message[at - 1] == '\r');
                if (message[at] != '\r') continue;
                REQUIRE(message[at + 1] == '\n');
                REQUIRE(at - start <= 78);
                start = at + 2;
            }
            REQUIRE(start == message.size());
        }
    }

    // Python's parser has nothing to do with ours. It reads length, letter, and what it should find in there.
    TEST_CASE("an independent parser finds no defect in 2,000 letters and reads back what went in") {
        char file[] = "/tmp/zgoda-letters-XXXXXX";
        const int fd = ::mkstemp(file);
        REQUIRE(fd >= 0);
        ::close(fd);
        {
            std::ofstream out(file, std::ios::binary);
            std::mt19937_64 random(20261122);
            const auto put = [&out](const std::string& s) { out << s.size() << "\n" << s; };
            for (int i = 0; i < 2000; ++i) {
                Letter letter = plain_letter();
                letter.subject = random_subject(random);
                letter.from.name = random_subject(random);
                for (std::uint64_t k = random() % 12; k > 0; --k)
                    letter.text += random_subject(random) + "\n";
                letter.html = "<p>" + random_subject(random) + "</p>\n";
                if (i % 10 == 0) letter.to = "Оксана@xn--80a1acny.xn--j1amh";
                put(build_message(letter));
                put(letter.subject);
                put(letter.from.name);
                put(letter.to);
                put(letter.text);
                put(letter.html);
            }
        }
        const std::string command =
            std::string("/usr/bin/python3 " ZGODA_SOURCE_DIR "/tests/mailer/parse_letters.py ") + file +
            " 2>&1";
        std::FILE* pipe = ::popen(command.c_str(), "r");
        REQUIRE(pipe);
        std::string said;
        char buffer[4096];
        while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) said.append(buffer, n);
        CHECK(::pclose(pipe) == 0);
        CHECK(said == "2000 letters\n");
        ::unlink(file);
    }
}
