#include "service/email_address.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace zgoda::service;

namespace {

std::string verdict(std::string_view typed, const AddressRules& rules = {}) {
    const auto result = check_address(typed, rules);
    if (const auto* problem = std::get_if<AddressProblem>(&result)) return std::string(code(*problem));
    return "ok";
}

EmailAddress accepted(std::string_view typed, const AddressRules& rules = {}) {
    CAPTURE(std::string(typed));
    const auto result = check_address(typed, rules);
    REQUIRE(std::holds_alternative<EmailAddress>(result));
    return std::get<EmailAddress>(result);
}

bool same(const EmailAddress& a, const EmailAddress& b) {
    return a.address == b.address && a.envelope == b.envelope && a.addr_key == b.addr_key &&
           a.abuse_key == b.abuse_key && a.needs_smtputf8 == b.needs_smtputf8;
}

struct Row {
    std::string typed;
    std::string verdict;
    std::string reason;
};

void hold(const std::vector<Row>& rows, const AddressRules& rules = {}) {
    for (const Row& row : rows) {
        CAPTURE(row.typed);
        CAPTURE(row.reason);
        CHECK(verdict(row.typed, rules) == row.verdict);
    }
}

std::string times(std::size_t count, std::string_view piece) {
    std::string result;
    for (std::size_t i = 0; i < count; ++i) result += piece;
    return result;
}

const std::string label63 = times(63, "a");

}  // namespace

TEST_SUITE("email address") {
    TEST_CASE("what people have is accepted") {
        hold({
            {"ada@gmail.com", "ok", "the plain case"},
            {"Ada.Lovelace+news@Example.ORG", "ok", "tags, dots, capitals"},
            {"test@nominet.org.uk", "ok", "several labels"},
            {"test@e.com", "ok", "a label of one letter"},
            {"test@123.com", "ok", "a label of digits"},
            {"test@c--n.com", "ok", "two hyphens, but not in places 3 and 4"},
            {"!#$%&'*+-/=?^_`{|}~@iana.org", "ok", "all of RFC 5322's atext"},
            {"xn--test@iana.org", "ok", "an A-label look-alike in the local part means nothing"},
            {"test@about.museum", "ok", "a long top-level domain"},
            {"Оксана@пошта.укр", "ok", "a Ukrainian address in Ukrainian letters"},
            {"jeff@臺網中心.tw", "ok", "ASCII local part, IDN domain"},
            {"伊昭傑@郵件.商務", "ok", "Han"},
            {"राम@मोहन.ईन्फो", "ok", "Devanagari, with vowel signs that are marks"},
            {"ñoñó@example.tld", "ok", "Latin letters beside ASCII"},
            {"test@xn--hxajbheg2az3al.xn--jxalpdlp", "ok", "A-labels as written by a machine"},
            {times(64, "a") + "@iana.org", "ok", "64 octets of local part are the limit"},
            {"test@" + label63 + ".com", "ok", "63 octets of label are the limit"},
        });
    }

    TEST_CASE("the first broken rule is named") {
        hold({
            {"", "empty", "nothing typed"},
            {"\u200B\u00A0", "empty", "nothing but junk of copy and paste"},
            {"mailto:", "empty", "a link without an address"},
            {"ada\xC0\xAE@iana.org", "bad_utf8", "an overlong dot"},
            {"ada\xED\xA0\x80@iana.org", "bad_utf8", "a surrogate"},
            {"ada\xC2", "bad_utf8", "cut in the middle of a character"},
            {times(1100, "a"), "too_long", "refused before anything costs time"},
            {std::string("ada\0@iana.org", 13), "control_char", "NUL"},
            {"ada@iana.org\r\nRCPT TO:<eve@evil.org>", "control_char", "SMTP injection"},
            {"ada\n@iana.org", "control_char", "header injection"},
            {"ada\u0085@iana.org", "control_char", "C1: a next line to some programs"},
            {"\x7F@iana.org", "control_char", "DEL"},
            {"ada", "no_at", "only a name"},
            {"hello\uFF20world", "wide_at", "a full-width @"},
            {"hello\uFE6Bworld", "wide_at", "a small @"},
            {"Ada <ada@iana.org>", "display_name", "copied with the name"},
            {"<ada@iana.org", "display_name", "half copied"},
            {"\"ada\"@iana.org", "quoted_local", "valid in RFC 5321, and nobody has it"},
            {"\"a@b\"@iana.org", "quoted_local", "quotes are told before the @ in them"},
            {"ada@gmail.com,eve@gmail.com", "many_at", "two addresses"},
            {"@", "local_empty", "before domain_empty"},
            {"@iana.org", "local_empty", "nobody"},
            {"ada@", "domain_empty", "nowhere"},
            {"ada(comment)@iana.org", "comment", "valid only in headers"},
            {"ada@(comment)[1.2.3.4]", "comment", "before domain_literal"},
            {"ada@[127.0.0.1]", "domain_literal", "also a way into our own network"},
            {"ada lovelace@iana.org", "local_char", "a space inside"},
            {" ada@iana.org", "local_char", "a space outside, unless the caller asks to trim"},
            {"ada\"x\"@iana.org", "local_char", "quotes inside"},
            {"a:b@iana.org", "local_char", "a colon: a path in old syntax"},
            {"me.\u037E@iana.org", "local_char", "a Greek question mark, which NFC turns into ';'"},
            {"a\u200Bda@iana.org", "local_char", "an invisible space inside"},
            {"a\u00ADda@iana.org", "local_char", "a soft hyphen"},
            {"a\u3000b@iana.org", "local_char", "an ideographic space"},
            {"\u0301ada@iana.org", "local_char", "an accent on nothing"},
            {"a\uE000@iana.org", "local_char", "private use"},
            {"a\u0378@iana.org", "local_char", "unassigned"},
            {"p\u0430ypal@iana.org", "local_script", "a Cyrillic a in a Latin word"},
            {"Oксана@пошта.укр", "local_script", "a Latin O in a Cyrillic word: the keyboard layout slipped"},
            {"οксана@пошта.укр", "local_script", "Greek omicron in a Cyrillic word"},
            {"оксана.ñ@iana.org", "local_script", "two scripts beside ASCII"},
            {"ひ한@iana.org", "local_script", "kana and Hangul are not written together"},
            {".ada@iana.org", "local_dot", "leading dot"},
            {"ada.@iana.org", "local_dot", "trailing dot"},
            {"a..da@iana.org", "local_dot", "two dots in a row"},
            {times(65, "a") + "@iana.org", "local_too_long", "65 octets"},
            {times(33, "я") + "@iana.org", "local_too_long", "33 letters, 66 octets"},
            {"ada@gmail..com", "domain_dot", "the usual slip"},
            {"ada@.iana.org", "domain_dot", "leading dot"},
            {"ada@iana.org.", "domain_dot", "trailing dot: DNS takes it, SMTP does not"},
            {"ada@foo_bar.com", "domain_char", "no underscore in host names; libidn2 would drop it"},
            {"ada@iana.org ", "domain_char", "a space outside, unless the caller asks to trim"},
            {"ada@iana,org", "domain_char", "comma for dot"},
            {"ada@x!", "domain_char", "before domain_single_label"},
            {"ada@a" + label63 + ".com", "label_too_long", "64 octets"},
            {"a@" + times(4, label63 + ".") + "com", "domain_too_long", "more than 253 octets"},
            {"ada@-iana.org", "domain_hyphen", "leading hyphen"},
            {"ada@iana-.org", "domain_hyphen", "trailing hyphen"},
            {"ada@yy--0.tld", "domain_hyphen34", "reserved for other encodings than xn--"},
            {"ada@xn--0.tld", "domain_idn", "an A-label of nothing"},
            {"ada@xn--abc-.com", "domain_hyphen", "no label ends in a hyphen, A-labels neither"},
            {"ada@i❤.ws", "domain_idn", "a symbol: DISALLOWED by IDNA 2008"},
            {"ada@\uFF0Eleadingdot.com", "domain_idn", "a full-width dot makes an empty label"},
            {"ada@foo_bar.укр", "domain_idn", "an underscore beside an IDN label"},
            {"ada@пош\u00ADта.укр", "domain_idn", "UTS 46 would map the soft hyphen away"},
            {"ada@" + times(64, "я") + ".укр", "domain_idn", "the A-label is too long"},
            {"ada@\u0301a.com", "domain_idn", "an accent on nothing"},
            {"ada@io", "domain_single_label", "no mail at a top-level domain"},
            {"ada@localhost", "domain_single_label", "before special_use"},
            {"ada@укр", "domain_single_label", "the same with an IDN"},
            {"ada@iana.a", "tld", "one letter"},
            {"ada@iana.123", "tld", "digits: an IPv4 address"},
            {"ada@iana.co-uk", "tld", "hyphen"},
            {"ada@anything.arpa", "special_use", "RFC 6761"},
            {"ada@host.localhost", "special_use", "RFC 6761"},
            {"ada@valid.invalid", "special_use", "RFC 6761"},
            {"ada@printer.local", "special_use", "RFC 6762"},
            {"ada@x.onion", "special_use", "RFC 7686"},
            {"ada@x.alt", "special_use", "RFC 9476"},
            {"ada@x.internal", "special_use", "ICANN, 2024"},
            {"ada@x.TEST", "special_use", "RFC 2606, in any case"},
            {"ada@x.example", "special_use", "RFC 2606"},
            {times(64, "a") + "@" + times(3, times(62, "b") + ".") + "com", "too_long", "258 octets in all"},
        });
    }

    TEST_CASE("hosts under example.com and test.com are ordinary; only the top-level domains are special") {
        CHECK(verdict("ada@example.com") == "ok");
        CHECK(verdict("ada@test.com") == "ok");
        AddressRules rules;
        rules.allow_test_domains = true;
        hold({{"ada@x.test", "ok", "allowed for tests"},
              {"ada@x.example", "ok", "allowed for tests"},
              {"ada@x.invalid", "special_use", "the others stay refused"}},
             rules);
    }

    TEST_CASE("without SMTPUTF8 only ASCII local parts can be written to") {
        AddressRules rules;
        rules.smtputf8 = false;
        CHECK(verdict("Оксана@пошта.укр", rules) == "local_non_ascii");
        CHECK(verdict("oksana@пошта.укр", rules) == "ok");
    }

    TEST_CASE("junk of copy and paste is dropped at the ends") {
        const EmailAddress plain = accepted("ada@gmail.com");
        CHECK(same(accepted("\uFEFFada@gmail.com\u200B"), plain));
        CHECK(same(accepted("\u202A\u00A0ada@gmail.com\u202C"), plain));
        CHECK(same(accepted("mailto:ada@gmail.com"), plain));
        CHECK(same(accepted("MailTo:ada@gmail.com"), plain));
        CHECK(verdict("mailto:mailto:ada@gmail.com") == "local_char");

        AddressRules rules;
        rules.trim_spaces = true;
        CHECK(same(accepted(" ada@gmail.com \r\n", rules), plain));
        CHECK(same(accepted("\t\u00A0 mailto:ada@gmail.com\u200E ", rules), plain));
        CHECK(verdict("ada @gmail.com", rules) == "local_char");
        CHECK(verdict(" \r\n ", rules) == "empty");
    }

    TEST_CASE("scripts that are written together may stand together") {
        hold({
            {"阿Q正传@example.tld", "ok", "ASCII with Han"},
            {"東京タワーの子@example.tld", "ok", "Han, Katakana, Hiragana"},
            {"漢한@example.tld", "ok", "Han, Hangul"},
            {"漢ㄅ@example.tld", "ok", "Han, Bopomofo"},
            {"оксана.k@example.tld", "ok", "an ASCII word beside a Cyrillic one"},
            {"λong@example.tld", "ok", "a Greek letter that no one takes for a Latin one"},
            {"оксана2026@example.tld", "ok", "digits belong to everybody"},
        });
    }

    TEST_CASE("an address is shown in U-labels and sent in A-labels") {
        const EmailAddress oksana = accepted("Оксана@Пошта.УКР");
        CHECK(oksana.address == "Оксана@пошта.укр");
        CHECK(oksana.envelope == "Оксана@xn--80a1acn3a.xn--j1amh");
        CHECK(oksana.addr_key == "оксана@xn--80a1acn3a.xn--j1amh");
        CHECK(oksana.needs_smtputf8);

        const EmailAddress ada = accepted("Ada@XN--E1AYBC.xn--J1AMH");
        CHECK(ada.address == "Ada@тест.укр");
        CHECK(ada.envelope == "Ada@xn--e1aybc.xn--j1amh");
        CHECK(ada.addr_key == "ada@xn--e1aybc.xn--j1amh");
        CHECK_FALSE(ada.needs_smtputf8);

        CHECK(accepted("a@faß.de").envelope == "a@xn--fa-hia.de");  // not fass.de, which is somebody else's
        CHECK(accepted("a@тест.укр").envelope == "a@xn--e1aybc.xn--j1amh");
        CHECK(accepted("a@ｇmail。com").envelope == "a@gmail.com");

        // A joiner, which IDNA allows here, can be neither seen nor typed: the A-label is shown.
        CHECK(accepted("a@www.xn--10cl1a0b660p.com").address == "a@www.xn--10cl1a0b660p.com");
    }

    TEST_CASE("different spellings of one character are one address") {
        const EmailAddress composed = accepted("\u00E9@caf\u00E9.fr");
        const EmailAddress decomposed = accepted("e\u0301@cafe\u0301.fr");
        CHECK(same(composed, decomposed));
        CHECK(composed.address == "\u00E9@caf\u00E9.fr");
        CHECK(accepted("Й@пошта.укр").addr_key == accepted("и\u0306@пошта.укр").addr_key);

        const EmailAddress kelvin = accepted("\u212A@iana.org");  // NFC makes an ASCII K of the Kelvin sign
        CHECK(kelvin.address == "K@iana.org");
        CHECK_FALSE(kelvin.needs_smtputf8);
    }

    TEST_CASE("case is kept for sending and ignored for identity") {
        const EmailAddress loud = accepted("ADA.L@IANA.ORG");
        CHECK(loud.envelope == "ADA.L@iana.org");
        CHECK(loud.addr_key == accepted("ada.l@iana.org").addr_key);
        CHECK(accepted("ÉÏ@iana.org").addr_key == "éï@iana.org");
        CHECK(accepted("\u0130\u0308@iana.org").addr_key == "\u00EF@iana.org");  // lower case, then NFC again
        CHECK(accepted("ada.l@gmail.com").addr_key != accepted("adal@gmail.com").addr_key);
        CHECK(accepted("ada+x@gmail.com").addr_key != accepted("ada@gmail.com").addr_key);
    }

    TEST_CASE("the abuse key folds the spellings of one mailbox") {
        struct Fold {
            std::string typed, key, reason;
        };
        const std::vector<Fold> folds = {
            {"A.d.a+news@GoogleMail.com", "ada@gmail.com", "Gmail: dots, tags, both names"},
            {"ada@gmail.com", "ada@gmail.com", "and what it folds to"},
            {"a.da+news@google.com", "a.da@google.com", "not Gmail: dots count"},
            {"a.da+x@outlook.com", "a.da@outlook.com", "Microsoft: tags, dots count"},
            {"ada+x@hotmail.co.uk", "ada@hotmail.co.uk", "a national domain is another mailbox"},
            {"ada+x@live.fr", "ada@live.fr", "the same"},
            {"ada+x@msn.com", "ada@msn.com", "the same"},
            {"ada-x+y@passport.com", "ada-x@passport.com", "a hyphen is part of the name"},
            {"ada+x@me.com", "ada@icloud.com", "Apple gives one mailbox under three names"},
            {"ada@mac.com", "ada@icloud.com", "the same"},
            {"ada@icloud.com", "ada@icloud.com", "the same"},
            {"ada-shop@yahoo.com", "ada@yahoo.com", "Yahoo's tags come after a hyphen"},
            {"ada+shop@yahoo.com", "ada@yahoo.com", "or a plus"},
            {"ada-shop@yahoo.co.uk", "ada@yahoo.co.uk", "in every country, each its own mailbox"},
            {"ada-shop@yahoo.com.br", "ada@yahoo.com.br", "the same"},
            {"ada-shop@yahoo.de", "ada@yahoo.de", "the same"},
            {"ada-shop@ymail.com", "ada@ymail.com", "the same house"},
            {"ada-shop@rocketmail.com", "ada@rocketmail.com", "the same house"},
            {"ada-x@yahoo.evil.com", "ada-x@yahoo.evil.com", "not Yahoo"},
            {"ada-x@myyahoo.com", "ada-x@myyahoo.com", "not Yahoo"},
            {"ada-x@yahoo.news", "ada-x@yahoo.news", "not one of Yahoo's countries"},
            {"ada+x@yandex.com.tr", "ada@yandex.ru", "Yandex: one mailbox under all its domains"},
            {"ada@yandex.ua", "ada@yandex.ru", "the same"},
            {"ada@yandex.co.il", "ada@yandex.ru", "the same"},
            {"ada@ya.ru", "ada@yandex.ru", "the same"},
            {"Ada+news+more@kyiv.ua", "ada@kyiv.ua", "elsewhere the tag is dropped, from the first plus"},
            {"Оксана+новини@пошта.укр", "оксана@xn--80a1acn3a.xn--j1amh", "in any script"},
            {"+news@kyiv.ua", "+news@kyiv.ua", "a tag of nobody is a name"},
            {"+news@gmail.com", "+news@gmail.com", "the same"},
        };
        for (const Fold& fold : folds) {
            CAPTURE(fold.typed);
            CAPTURE(fold.reason);
            CHECK(accepted(fold.typed).abuse_key == fold.key);
        }
    }

    TEST_CASE("right-to-left domains keep the bidi rule of RFC 5893 in every label") {
        hold({
            {"a@אבג.com", "ok", "Hebrew, then a Latin label"},
            {"a@אבג1.com", "ok", "rule 3: may end in a digit"},
            {"a@עִברית.com", "ok", "rule 3: marks"},
            {"a@مثال.إختبار", "ok", "Arabic"},
            {"a@1אבג.com", "domain_idn", "rule 1: must not begin with a digit"},
            {"a@123.אבג.com", "domain_idn", "rule 1, in a label that is all ASCII"},
            {"a@אbג.com", "domain_idn", "rule 2: no Latin letter inside"},
            {"a@א1\u0661.com", "domain_idn", "rule 4: European and Arabic digits"},
            {"a@אˇ.com", "domain_idn", "rule 3: must not end in a neutral character"},
            {"a@àˇ.אב.com", "domain_idn", "rule 6: nor may a Latin label beside it"},
            {"a@àˇ.com", "ok", "which is fine where all is left to right"},
            {"a@bא.com", "domain_idn", "rule 5: no Hebrew letter in a Latin label"},
        });
    }

    TEST_CASE("every problem has a word of its own") {
        std::set<std::string_view> words;
        const int count = static_cast<int>(AddressProblem::special_use) + 1;
        for (int i = 0; i < count; ++i) words.insert(code(static_cast<AddressProblem>(i)));
        CHECK(words.size() == static_cast<std::size_t>(count));
        CHECK(words.count("") == 0);
    }

    TEST_CASE("what is accepted is safe to send and stays what it is") {
        const std::vector<std::string> seeds = {
            "ada@gmail.com",
            "Ada.Lovelace+news@example.org",
            "Оксана@пошта.укр",
            "阿Q正传@臺網中心.tw",
            "e\u0301@cafe\u0301.fr",
            "a@faß.de",
            "a@אבג.com",
            "test@xn--hxajbheg2az3al.xn--jxalpdlp",
            "a@www.xn--10cl1a0b660p.com",
            "\u212A\u2126.x@ｇmail。com",
        };
        const std::vector<std::string> pieces = {
            "@",      ".",      "..",     "<",      ">",      "\"",     "(",      ")",      ",",
            ":",      ";",      "[",      "]",      "\\",     " ",      "\r\n",   "\t",     "\x7F",
            "\0",     "-",      "--",     "xn--",   "_",      "+",      "A",      "é",      "Я",
            "\u037E", "\u1FEF", "\uFF20", "\uFF1C", "\uFF0E", "\u3002", "\u0301", "\u200B", "\u00A0",
            "\u200D", "\u0085", "\u2028", "א",      "١",      "\xC3",   "\xFF",
        };
        std::minstd_rand random(20260801);
        const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
        int accepted_count = 0;
        for (int round = 0; round < 20000; ++round) {
            std::string typed = seeds[below(seeds.size())];
            for (std::size_t edits = below(3); edits > 0; --edits) {
                const std::size_t where = below(typed.size() + 1);
                switch (below(3)) {
                    case 0:
                        typed.insert(where, pieces[below(pieces.size())]);
                        break;
                    case 1:
                        typed.erase(where, 1 + below(3));
                        break;
                    case 2:
                        typed.insert(where, 1, static_cast<char>(below(256)));
                        break;
                }
            }
            const auto result = check_address(typed);
            const auto* address = std::get_if<EmailAddress>(&result);
            if (!address) continue;
            ++accepted_count;

            CAPTURE(typed);
            for (const std::string& text :
                 {address->address, address->envelope, address->addr_key, address->abuse_key}) {
                CAPTURE(text);
                bool clean = std::count(text.begin(), text.end(), '@') == 1;
                for (const char c : text) {
                    if (static_cast<unsigned char>(c) < 0x21 || c == 0x7F) clean = false;
                    if (std::string_view("<>\"(),:;[]\\").find(c) != std::string_view::npos) clean = false;
                }
                REQUIRE(clean);
            }
            REQUIRE(address->address.size() <= 254);
            REQUIRE(address->envelope.size() <= 254);
            REQUIRE(same(accepted(address->address), *address));
            REQUIRE(same(accepted(address->envelope), *address));
        }
        CHECK(accepted_count > 3000);  // or the mutations say nothing
    }

    TEST_CASE("a file of verdicts from outside agrees, line by line") {
        const char* path = std::getenv("ZGODA_ADDRESS_VERDICTS");
        if (!path) {
            MESSAGE("skipped: ZGODA_ADDRESS_VERDICTS names no file");
            return;
        }
        std::ifstream file(path);
        REQUIRE(file);
        std::string line;
        REQUIRE(std::getline(file, line));  // source, address as JSON, verdict
        int lines = 0;
        while (std::getline(file, line)) {
            const std::size_t first = line.find('\t');
            const std::size_t last = line.rfind('\t');
            REQUIRE(first < last);
            CAPTURE(line);
            const auto typed = boost::json::parse(line.substr(first + 1, last - first - 1)).as_string();
            CHECK(verdict({typed.data(), typed.size()}) == line.substr(last + 1));
            ++lines;
        }
        CHECK(lines > 0);
    }
}
