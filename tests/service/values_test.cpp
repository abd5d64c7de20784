// The small values that everything else counts in: times, rates, words, texts, rows.
#include <doctest/doctest.h>

#include <string>

#include "service/client.h"
#include "service/confirmation.h"
#include "service/export.h"
#include "service/texts.h"
#include "service/time.h"
#include "service/words.h"

using namespace zgoda::service;

TEST_SUITE("times") {
    TEST_CASE("a time is written with milliseconds, in UTC") {
        CHECK(rfc3339(0) == "1970-01-01T00:00:00.000Z");
        CHECK(rfc3339(1795514400123) == "2026-11-24T10:00:00.123Z");
        CHECK(rfc3339(951782399999) == "2000-02-28T23:59:59.999Z");
        CHECK(rfc3339(951782400000) == "2000-02-29T00:00:00.000Z");
        CHECK(rfc3339(-1) == "1969-12-31T23:59:59.999Z");
    }

    TEST_CASE("what is written is read back, for every day of two centuries") {
        for (TimeMs day = -25567; day < 47482; ++day) {
            const TimeMs time = day * day_ms + 45296789;
            REQUIRE(parse_rfc3339(rfc3339(time)) == time);
        }
    }

    TEST_CASE("dates, offsets and fractions are understood") {
        CHECK(parse_rfc3339("2026-11-22") == parse_rfc3339("2026-11-22T00:00:00Z"));
        CHECK(parse_rfc3339("2026-11-22T12:00:00+02:00") == parse_rfc3339("2026-11-22T10:00:00.000Z"));
        CHECK(parse_rfc3339("2026-11-22t10:00:00.5z") == *parse_rfc3339("2026-11-22T10:00:00Z") + 500);
    }

    TEST_CASE("what is no time is refused") {
        for (const char* text :
             {"", "2026", "2026-13-01", "2026-02-29", "2026-00-10", "2026-11-22T", "2026-11-22T25:00:00Z",
              "2026-11-22T10:00:00", "2026-11-22T10:00:00.Z", "2026-11-22T10:00:00+2", "22.11.2026",
              "2026/11/22", "2026-11-22T10:00:00Zjunk"}) {
            CAPTURE(std::string(text));
            CHECK_FALSE(parse_rfc3339(text));
        }
    }

    TEST_CASE("durations and rates") {
        CHECK(parse_duration("90s") == 90 * second_ms);
        CHECK(parse_duration("15min") == 15 * minute_ms);
        CHECK(parse_duration("24h") == day_ms);
        CHECK(parse_duration("30d") == 30 * day_ms);
        for (const char* text : {"", "0s", "-1h", "10", "10m", "h", "1 h", "99999999999999999999d", "9e9d"}) {
            CAPTURE(std::string(text));
            CHECK_FALSE(parse_duration(text));
        }
        CHECK(parse_rates("1/15min 3/24h") == std::vector<Rate>{{1, 15 * minute_ms}, {3, 24 * hour_ms}});
        CHECK(parse_rates("60/h") == std::vector<Rate>{{60, hour_ms}});
        CHECK(parse_rates("")->empty());
        for (const char* text : {"1", "/h", "0/h", "1/0h", "x/h", "1/h,2/d", "-1/h", "1.5/h"}) {
            CAPTURE(std::string(text));
            CHECK_FALSE(parse_rates(text));
        }
    }
}

TEST_SUITE("words") {
    TEST_CASE("every word is read back as what it says") {
        for (int i = 0; i < 7; ++i) {
            CHECK(parse_subscription_status(word(static_cast<SubscriptionStatus>(i))) ==
                  static_cast<SubscriptionStatus>(i));
        }
        for (int i = 0; i < 6; ++i)
            CHECK(parse_letter_kind(word(static_cast<LetterKind>(i))) == LetterKind(i));
        for (int i = 0; i < 8; ++i)
            CHECK(parse_letter_state(word(static_cast<LetterState>(i))) == LetterState(i));
        for (int i = 0; i < 18; ++i) CHECK(parse_event_kind(word(static_cast<EventKind>(i))) == EventKind(i));
        for (int i = 0; i < 6; ++i) {
            CHECK(parse_suppression_reason(word(static_cast<SuppressionReason>(i))) == SuppressionReason(i));
        }
        for (int i = 0; i < 8; ++i)
            CHECK(parse_request_state(word(static_cast<RequestState>(i))) == RequestState(i));
        CHECK(word(EventKind::erased) == "erased");
        CHECK(word(SubscriptionStatus::complained) == "complained");
        CHECK_FALSE(parse_letter_state("Sent"));
    }
}

TEST_SUITE("client networks") {
    TEST_CASE("addresses of one network have one name") {
        CHECK(client_network("203.0.113.7") == "203.0.113.0/24");
        CHECK(client_network("203.0.113.7") == client_network("203.0.113.250"));
        CHECK(client_network("203.0.113.7") != client_network("203.0.114.7"));
        CHECK(client_network("2001:db8:1:2::3") == "2001:0db8:0001::/48");
        CHECK(client_network("2001:db8:1:2::3") == client_network("2001:db8:1:ffff::9"));
        CHECK(client_network("") == "");
    }
}

TEST_SUITE("texts") {
    const Texts texts(
        std::map<std::string, Texts::Language, std::less<>>{{"en",
                                                             {{"form.subscribe", "Subscribe"},
                                                              {"only.english", "yes"},
                                                              {"date.format", "{day} {month} {year}"},
                                                              {"date.time_format", "{date}, {time} UTC"},
                                                              {"date.month_11", "November"}}},
                                                            {"uk",
                                                             {{"form.subscribe", "Підписатися"},
                                                              {"date.format", "{day} {month} {year} р."},
                                                              {"date.month_11", "листопада"}}}});

    TEST_CASE("the language: chosen, else the browser's, else the newsletter's, else English") {
        CHECK(texts.choose("uk", "en", "en") == "uk");
        CHECK(texts.choose("uk-UA", "", "") == "uk");
        CHECK(texts.choose("UK_ua", "", "") == "uk");
        CHECK(texts.choose("fr", "uk, en;q=0.5", "") == "uk");
        CHECK(texts.choose("", "en;q=0.5, uk-UA;q=0.9", "") == "uk");
        CHECK(texts.choose("", "en, uk;q=0.9", "") == "en");
        CHECK(texts.choose("", "fr, de;q=0.9", "uk") == "uk");
        CHECK(texts.choose("", "uk;q=0", "") == "en");
        CHECK(texts.choose("<script>", ",,;;q=x", "zz") == "en");
    }

    TEST_CASE("a missing text falls back to English, a newsletter's own wins") {
        CHECK(texts.text("uk", "only.english") == "yes");
        CHECK(texts.text("uk", "form.subscribe") == "Підписатися");
        CHECK(texts.text("uk", "no.such").empty());
        Newsletter newsletter;
        newsletter.settings[{"texts.subscribe", "uk"}] = "Хочу";
        CHECK(texts.text(newsletter, "uk", "form.subscribe") == "Хочу");
        CHECK(texts.text(newsletter, "en", "form.subscribe") == "Subscribe");
    }

    TEST_CASE("dates are written as people of the language do") {
        const TimeMs time = *parse_rfc3339("2026-11-22T10:05:00Z");
        CHECK(texts.date("en", time) == "22 November 2026");
        CHECK(texts.date("uk", time) == "22 листопада 2026 р.");
        CHECK(texts.date_and_time("uk", time) == "22 листопада 2026 р., 10:05 UTC");
    }

    TEST_CASE("fill() replaces what it knows and leaves the rest") {
        CHECK(fill("{a} and {b} and {", {{"a", "1"}}) == "1 and {b} and {");
        CHECK(fill("{a}", {{"a", "{a}"}}) == "{a}");
    }
}

TEST_SUITE("export rows") {
    ExportRow row() {
        ExportRow one;
        one.email = "ada@example.org";
        one.newsletter = "daily";
        one.locale = "en";
        one.status = SubscriptionStatus::confirmed;
        one.signed_up_at = *parse_rfc3339("2026-11-22T10:00:00Z");
        one.confirmed_at = *parse_rfc3339("2026-11-22T10:01:00Z");
        return one;
    }

    TEST_CASE("a row is RFC 4180, with CRLF") {
        std::string out;
        ExportRow one = row();
        one.name = "Lovelace, \"Ada\"\nof Kyiv";
        append_csv(out, one, false, nullptr);
        CHECK(
            out ==
            "ada@example.org,\"Lovelace, \"\"Ada\"\"\nof Kyiv\",daily,confirmed,en,2026-11-22T10:00:00.000Z,"
            "2026-11-22T10:01:00.000Z,,,,\r\n");
    }

    TEST_CASE("a cell that a spreadsheet would run is guarded, and so is one that looks guarded") {
        for (const std::string name : {"=1+1", "+1", "-1", "@x", "\tx", "'x"}) {
            std::string out;
            ExportRow one = row();
            one.name = name;
            append_csv(out, one, false, nullptr);
            CHECK(out.find(",'" + name + ",") != std::string::npos);
            out.clear();
            append_csv(out, one, true, nullptr);
            CHECK(out.find("," + name + ",") != std::string::npos);
        }
        std::string out;
        ExportRow one = row();
        one.name = "\rx";
        append_csv(out, one, false, nullptr);
        CHECK(out.find(",\"'\rx\",") != std::string::npos);
    }

    TEST_CASE("NDJSON escapes what JSON must") {
        std::string out;
        ExportRow one = row();
        one.name = "a\"b\\c\n\x01";
        one.fields = R"({"city":"Kyiv"})";
        append_ndjson(out, one, nullptr);
        CHECK(out.find(R"("name":"a\"b\\c\u000a\u0001")") != std::string::npos);
        CHECK(out.find(R"("unsubscribed_at":null)") != std::string::npos);
        CHECK(out.find(R"("fields":{"city":"Kyiv"}})") != std::string::npos);
        CHECK(out.back() == '\n');
    }
}

TEST_SUITE("what people see") {
    TEST_CASE("a masked address is known to its owner and to nobody else") {
        CHECK(masked("olena@example.org") == "o•••a@example.org");
        CHECK(masked("Оксана@пошта.укр") == "О•••а@пошта.укр");
        CHECK(masked("ab@example.org") == "a•••@example.org");
        CHECK(masked("a@example.org") == "a•••@example.org");
    }
}
