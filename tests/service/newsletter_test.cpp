#include "service/newsletter.h"

#include <doctest/doctest.h>

#include <string>

using namespace zgoda::service;

namespace {
const NewsletterRules rules{{"example.org"}, {"en", "uk"}, {"subscribe", "thanks"}};

std::optional<std::string> set(std::string_view key, std::string_view value, std::string_view locale = "") {
    Newsletter newsletter;
    return set_newsletter(newsletter, key, locale, value, rules);
}
}  // namespace

TEST_SUITE("a newsletter's settings") {
    TEST_CASE("what readers see may differ by language") {
        Newsletter newsletter;
        CHECK_FALSE(set_newsletter(newsletter, "name", "", "Daily", rules));
        CHECK_FALSE(set_newsletter(newsletter, "name", "uk", "Щоденник", rules));
        CHECK(newsletter.name("uk") == "Щоденник");
        CHECK(newsletter.name("en") == "Daily");
        CHECK_FALSE(set_newsletter(newsletter, "name", "uk", "", rules));
        CHECK(newsletter.name("uk") == "Daily");
        CHECK(set_newsletter(newsletter, "name", "", "", rules));
        CHECK(newsletter.name("en") == "Daily");
    }

    TEST_CASE("good values are taken") {
        CHECK_FALSE(set("from", "Kyiv News <news@example.org>"));
        CHECK_FALSE(set("from", "news@example.org"));
        CHECK_FALSE(set("reply_to", "editor@elsewhere.net"));
        CHECK_FALSE(set("thanks_url", "https://example.org/thanks"));
        CHECK_FALSE(set("privacy_url", "https://example.org/privacy", "uk"));
        CHECK_FALSE(set("description", "Two\nlines", "uk"));
        CHECK_FALSE(set("welcome", "Good morning!\n\nYours, Kate", "en"));
        CHECK_FALSE(set("goodbye", "Farewell!\n\nYours, Kate", "uk"));
        CHECK_FALSE(set("texts.subscribe", "Join", "en"));
        CHECK_FALSE(set("fields", "city:text:required:80, age:number"));
        CHECK_FALSE(set("labels.city", "Your city"));
        CHECK_FALSE(set("labels.city", "Ваше місто", "uk"));
        CHECK_FALSE(set("listed", "false"));
        CHECK_FALSE(set("locale", "uk"));
    }

    TEST_CASE("values that could become a header, markup or a trick are refused") {
        CHECK(set("name", "Daily\r\nBcc: all@example.org"));
        CHECK(set("name", "Two\nlines"));
        CHECK(set("name", "{{{raw}}}"));
        CHECK(set("name", "{{&raw}}"));
        CHECK(set("name", "\xE2\x80\xAEylliad"));
        CHECK(set("name", "bad \xFF"));
        for (const char* letter : {"welcome", "goodbye"}) {
            CHECK(set(letter, "Hello\r\nBcc: all@example.org"));
            CHECK(set(letter, "{{{raw}}}"));
            CHECK(set(letter, std::string("nul \0", 5)));
            CHECK(set(letter, "\xE2\x80\xAEylliad"));
            CHECK(set(letter, std::string(4001, 'x')));
        }
        CHECK(set("name", std::string(501, 'x')));
        CHECK(set("from", "News <news@other.net>"));
        CHECK(set("from", "News <news@example.org"));
        CHECK(set("from", "News <news@example.org>\nBcc: x@example.org"));
        CHECK(set("from", "no address"));
        CHECK(set("thanks_url", "http://example.org/"));
        CHECK(set("thanks_url", "javascript:alert(1)"));
        CHECK(set("thanks_url", "https://user@example.org/"));
        CHECK(set("privacy_url", "https://example.org/\"onclick"));
        CHECK(set("listed", "maybe"));
        CHECK(set("locale", "fr"));
        CHECK(set("name", "Quotidien", "fr"));
        CHECK(set("from", "news@example.org", "uk"));
        CHECK(set("texts.nothing", "x"));
        CHECK(set("labels.Your city", "x"));
        CHECK(set("labels.", "x"));
        CHECK(set("labels.city", "Two\nlines"));
        CHECK(set("colour", "red"));
        CHECK(set("fields", "City Name:text"));
        CHECK(set("fields", "city:text,city:number"));
        CHECK(set("fields", "city:picture"));
    }

    TEST_CASE("a field is called by its label, in the reader's language, else by its name") {
        Newsletter newsletter;
        CHECK_FALSE(set_newsletter(newsletter, "fields", "", "city,age:number", rules));
        CHECK_FALSE(set_newsletter(newsletter, "labels.city", "", "Your city", rules));
        CHECK_FALSE(set_newsletter(newsletter, "labels.city", "uk", "Ваше місто", rules));
        const auto fields = newsletter.fields();
        CHECK(newsletter.label(fields[0], "en") == "Your city");
        CHECK(newsletter.label(fields[0], "uk") == "Ваше місто");
        CHECK(newsletter.label(fields[1], "uk") == "age");
    }

    TEST_CASE("a refused value changes nothing") {
        Newsletter newsletter;
        CHECK_FALSE(set_newsletter(newsletter, "name", "", "Daily", rules));
        const auto before = newsletter.settings;
        CHECK(set_newsletter(newsletter, "name", "", "a\rb", rules));
        CHECK(newsletter.settings == before);
    }

    TEST_CASE("slugs") {
        for (const char* good : {"a", "daily", "explaining-ukraine", "top-10"})
            CHECK_FALSE(slug_problem(good));
        for (const char* bad : {"", "-a", "a-", "a--b", "Daily", "a b", "a/b", "щоденник", "../x"}) {
            CAPTURE(std::string(bad));
            CHECK(slug_problem(bad));
        }
        CHECK(slug_problem(std::string(65, 'a')));
    }

    TEST_CASE("fields are read with their rules") {
        Newsletter newsletter;
        CHECK_FALSE(set_newsletter(newsletter, "fields", "", "city:text:required:80,age:number", rules));
        const auto fields = newsletter.fields();
        REQUIRE(fields.size() == 2);
        CHECK(fields[0].name == "city");
        CHECK(fields[0].required);
        CHECK(fields[0].max_length == 80);
        CHECK(fields[1].type == FieldRule::Type::number);
        CHECK_FALSE(fields[1].required);
    }

    TEST_CASE("an old slug still finds it, a present one before it") {
        Newsletter renamed;
        renamed.id = 1;
        renamed.slug = "new";
        renamed.aliases = {"old", "taken"};
        Newsletter other;
        other.id = 2;
        other.slug = "taken";
        const Newsletters all({renamed, other});
        CHECK(all.find("old")->id == 1);
        CHECK(all.find("taken")->id == 2);
        CHECK(all.find("none") == nullptr);
        CHECK(all.find(Id{2})->slug == "taken");
    }

    TEST_CASE("a wording's id names exactly these words") {
        Newsletter newsletter;
        newsletter.id = 5;
        const Wording plain = wording_of(newsletter, "en", "I agree.");
        CHECK(plain.id.size() == 32);
        CHECK(plain.id == wording_of(newsletter, "en", "I agree.").id);
        CHECK(plain.id != wording_of(newsletter, "uk", "I agree.").id);
        CHECK(plain.id != wording_of(newsletter, "en", "I agree!").id);
        CHECK_FALSE(set_newsletter(newsletter, "privacy_url", "", "https://example.org/p", rules));
        CHECK(plain.id != wording_of(newsletter, "en", "I agree.").id);
        newsletter.id = 6;
        CHECK(plain.id != wording_of(newsletter, "en", "I agree.").id);
    }
}
