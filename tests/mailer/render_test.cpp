#include "mailer/render.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>

#include "tests/mailer/letter_world.h"

using namespace zgoda;
using namespace zgoda::mailer;

namespace {

struct Press {
    Templates templates = test::installed_templates();
    service::Texts texts = test::installed_texts();
    Stationery stationery{
        "https://news.example.org", {"Kyiv Independent", "news@example.org"}, "Example Ltd\n1 Main Street"};

    Letter render(const service::LeasedLetter& leased) {
        return LetterRenderer(templates, texts, stationery).render(leased, leased.letter.created_at);
    }
};

service::LeasedLetter confirmation() {
    service::LeasedLetter leased;
    leased.letter.id = 17;
    leased.letter.kind = service::LetterKind::confirmation;
    leased.letter.locale = "en";
    leased.letter.message_id = "17.abc@news.example.org";
    leased.letter.created_at = leased.asked_at = 1795341600000;  // 2026-11-22T10:00Z
    leased.letter.expires_at = 1795341600000 + 72 * service::hour_ms;
    leased.person.envelope = "ada@example.com";
    leased.person.name = "BUY CHEAP WATCHES";
    leased.newsletters = {{1, "daily", "The Daily", "v1.unsubscribe-daily"}};
    leased.confirm_token = "v1.confirm-17";
    return leased;
}

bool holds(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_SUITE("render") {
    TEST_CASE("the installed templates are fine in every language") {
        Press press;
        CHECK_FALSE(template_problem(press.templates, press.texts));
    }

    TEST_CASE("a confirmation says who asked, when, for what, and how to answer") {
        Press press;
        const Letter letter = press.render(confirmation());
        CHECK(letter.to == "ada@example.com");
        CHECK(letter.from.name == "Kyiv Independent");
        CHECK(letter.message_id == "<17.abc@news.example.org>");
        CHECK(letter.language == "en");
        CHECK(holds(letter.subject, "The Daily"));
        CHECK(letter.unsubscribe == "https://news.example.org/unsubscribe?t=v1.unsubscribe-daily");
        CHECK(letter.one_click);
        CHECK(letter.feedback_id == "confirmation:daily:tx:zgoda");
        for (const std::string& part : {letter.text, letter.html}) {
            CAPTURE(part);
            CHECK(holds(part, "news.example.org"));
            CHECK(holds(part, "The Daily"));
            CHECK(holds(part, "22 November 2026"));
            CHECK(holds(part, "10:00 UTC"));
            CHECK(holds(part, "25 November 2026"));
            CHECK(holds(part, "Example Ltd\n1 Main Street"));
            CHECK(holds(part, "https://news.example.org/not-me?t=v1.confirm-17"));
            CHECK_FALSE(holds(part,
                              "{"
                              "{"));
            CHECK_FALSE(holds(part, "{site}"));
        }
        CHECK(holds(letter.text, "\nhttps://news.example.org/confirm?t=v1.confirm-17\n"));
        CHECK(holds(letter.html, "href=\"https://news.example.org/confirm?t=v1.confirm-17\""));
    }

    TEST_CASE("no text that a stranger typed is in a letter") {
        Press press;
        CHECK_FALSE(holds(build_message(press.render(confirmation())), "WATCHES"));
    }

    TEST_CASE("a letter is in its reader's language, and an unknown language is English") {
        Press press;
        auto leased = confirmation();
        leased.letter.locale = "uk";
        CHECK(holds(press.render(leased).text, "листопада 2026"));
        leased.letter.locale = "xx";
        CHECK(holds(press.render(leased).text, "22 November 2026"));
    }

    TEST_CASE("several newsletters are listed one a line") {
        Press press;
        auto leased = confirmation();
        leased.newsletters.push_back({2, "weekly", "The Weekly", ""});
        const Letter letter = press.render(leased);
        CHECK(holds(letter.text, "\n  * The Daily\n  * The Weekly\n"));
        CHECK_FALSE(holds(letter.subject, "The Daily"));
    }

    TEST_CASE("who is subscribed already gets the links to leave, and nothing to confirm") {
        Press press;
        auto leased = confirmation();
        leased.letter.kind = service::LetterKind::already_subscribed;
        leased.confirm_token.clear();
        const Letter letter = press.render(leased);
        for (const std::string& part : {letter.text, letter.html}) {
            CHECK(holds(part, "https://news.example.org/unsubscribe?t=v1.unsubscribe-daily"));
            CHECK_FALSE(holds(part, "/confirm"));
            CHECK_FALSE(holds(part, "/not-me"));
        }
    }

    TEST_CASE("names are text: HTML escapes them, and the text part does not") {
        Press press;
        auto leased = confirmation();
        leased.newsletters[0].name = "<b>\"Q&A\"</b>";
        const Letter letter = press.render(leased);
        CHECK(holds(letter.text, "<b>\"Q&A\"</b>"));
        CHECK(holds(letter.html, "&lt;b&gt;&quot;Q&amp;A&quot;&lt;/b&gt;"));
        CHECK_FALSE(holds(letter.html, "<b>\"Q"));
        leased.newsletters[0].name = "{{confirm_link}} {site}";
        CHECK(holds(press.render(leased).text, "{{confirm_link}} {site}"));
    }

    TEST_CASE("a control character in a name or a link refuses the letter") {
        Press press;
        auto leased = confirmation();
        leased.newsletters[0].name = "The\r\nDaily";
        CHECK_THROWS_AS(press.render(leased), std::invalid_argument);
        leased = confirmation();
        leased.confirm_token = "v1\n";
        CHECK_THROWS_AS(press.render(leased), std::invalid_argument);
    }

    TEST_CASE("a newsletter's own sender and reply address are used") {
        Press press;
        auto leased = confirmation();
        leased.from = "\"The Daily\" <daily@example.org>";
        leased.reply_to = "editor@example.org";
        const Letter letter = press.render(leased);
        CHECK(letter.from.name == "The Daily");
        CHECK(letter.from.address == "daily@example.org");
        CHECK(letter.reply_to.address == "editor@example.org");
    }

    TEST_CASE("without an imprint there is no foot") {
        Press press;
        press.stationery.imprint.clear();
        const Letter letter = press.render(confirmation());
        CHECK_FALSE(holds(letter.text, "-- "));
        CHECK_FALSE(holds(letter.html, "pre-line"));
    }

    TEST_CASE("letters are small, and have no images") {
        Press press;
        auto leased = confirmation();
        for (int i = 0; i < 20; ++i)
            leased.newsletters.push_back({i, "n", "A newsletter with quite a long name", "v1.x"});
        leased.letter.locale = "uk";
        const Letter letter = press.render(leased);
        CHECK(build_message(letter).size() < 20 * 1024);
        CHECK_FALSE(holds(letter.html, "<img"));
        CHECK_FALSE(holds(letter.html, "url("));
        CHECK(holds(letter.html, "prefers-color-scheme:dark"));
    }

    TEST_CASE("broken templates are told with their file") {
        Press press;
        const auto problem_of = [&](const std::string& file, const std::string& text) {
            Templates changed = press.templates;
            changed[file] = text;
            return template_problem(changed, press.texts).value_or("none");
        };
        CHECK(problem_of("letter.confirmation.html", "{{#newsletters}}")
                  .starts_with("letter.confirmation.html: "));
        CHECK(problem_of("letter.confirmation.txt", "{{text.nonsense}}") ==
              "there is no text letter.nonsense");
        CHECK(problem_of("letter.confirmation.html", "{{{site}}}").starts_with("letter.confirmation.html: "));
        CHECK(problem_of("letter.confirmation.html", "{{& site}}").starts_with("letter.confirmation.html: "));
        press.templates.erase("letter.already_subscribed.txt");
        CHECK(template_problem(press.templates, press.texts) ==
              "there is no template letter.already_subscribed.txt");
    }

    TEST_CASE("senders are read as people write them") {
        const auto read = [](const char* text) {
            const Mailbox box = parse_mailbox(text);
            return box.name + "|" + box.address;
        };
        CHECK(read("Kate <kate@example.org>") == "Kate|kate@example.org");
        CHECK(read("\"Kate, \\\"T\\\"\" <kate@example.org>") == "Kate, \"T\"|kate@example.org");
        CHECK(read("<kate@example.org>") == "|kate@example.org");
        CHECK(read(" kate@example.org ") == "|kate@example.org");
        CHECK(read("Новини <kate@example.org>") == "Новини|kate@example.org");
    }
}
