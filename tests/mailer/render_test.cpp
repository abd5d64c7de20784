#include "mailer/render.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

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
    leased.newsletters = {{1, "daily", "The Daily", "", "v1.unsubscribe-daily"}};
    leased.confirm_token = "v1.confirm-17";
    leased.code = "012345";
    return leased;
}

// Letters about the address itself name no newsletter.
service::LeasedLetter of_kind(service::LetterKind kind) {
    auto leased = confirmation();
    leased.letter.kind = kind;
    leased.code.clear();
    leased.confirm_token.clear();
    leased.newsletters.clear();
    return leased;
}

service::LeasedLetter preference_link() {
    auto leased = of_kind(service::LetterKind::preference_link);
    leased.preferences_token = "v1.preferences-17";
    leased.letter.expires_at = leased.asked_at + service::hour_ms;
    return leased;
}

using ChangePart = service::LeasedLetter::ChangePart;

service::LeasedLetter address_change(ChangePart part) {
    auto leased = of_kind(service::LetterKind::address_change);
    leased.change_part = part;
    leased.old_address = "a•••a@example.com";
    leased.new_address = "b•••b@example.org";
    if (part == ChangePart::ask_old || part == ChangePart::ask_new) leased.confirm_token = "v1.confirm-17";
    if (part == ChangePart::done) leased.undo_token = "v1.undo-3";
    return leased;
}

service::LeasedLetter own(service::LetterKind kind) {
    auto leased = of_kind(kind);
    leased.newsletters = {{1, "daily", "The Daily", "Good morning!\n\nYours, Kate", ""}};
    if (kind == service::LetterKind::welcome)
        leased.newsletters[0].unsubscribe_token = "v1.unsubscribe-daily";
    return leased;
}

std::vector<service::LeasedLetter> every_letter() {
    auto already = confirmation();
    already.letter.kind = service::LetterKind::already_subscribed;
    already.confirm_token.clear();
    already.code.clear();
    return {confirmation(),
            already,
            preference_link(),
            address_change(ChangePart::ask_old),
            address_change(ChangePart::ask_new),
            address_change(ChangePart::taken),
            address_change(ChangePart::done),
            own(service::LetterKind::welcome),
            own(service::LetterKind::goodbye)};
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
            CHECK_FALSE(holds(part, "{{"));
            CHECK_FALSE(holds(part, "{site}"));
        }
        CHECK(holds(letter.text, "\nhttps://news.example.org/confirm?t=v1.confirm-17\n"));
        CHECK(holds(letter.html, "href=\"https://news.example.org/confirm?t=v1.confirm-17\""));
    }

    TEST_CASE("no text that a stranger typed is in a letter") {
        Press press;
        for (const auto& leased : every_letter()) {
            const Letter letter = press.render(leased);
            CHECK_FALSE(holds(letter.text + letter.html + build_message(letter), "WATCHES"));
        }
    }

    TEST_CASE("every letter says all of it in every language, and leaves no hole") {
        Press press;
        for (const std::string& locale : press.texts.locales()) {
            for (auto leased : every_letter()) {
                leased.letter.locale = locale;
                const Letter letter = press.render(leased);
                const std::string said =
                    locale + " " + std::string(service::word(leased.letter.kind)) + ": " + letter.subject;
                CAPTURE(said);
                for (const std::string& part : {letter.subject, letter.text, letter.html}) {
                    CAPTURE(part);
                    CHECK_FALSE(part.empty());
                    CHECK_FALSE(holds(part, "{{"));  // a template's
                    for (const char* hole :
                         {"{site", "{newsletter", "{code", "{asked", "{old", "{new", "{exp"})
                        CHECK_FALSE(holds(part, hole));
                }
                CHECK(letter.language == locale);
                CHECK(holds(letter.html, "<html lang=\"" + locale + "\" dir=\"ltr\">"));
                CHECK(holds(letter.html, "name=\"color-scheme\" content=\"light dark\""));
                CHECK(holds(letter.html, "prefers-color-scheme:dark"));
                for (const char* loads : {"<img", "url(", "<link", "<script", "src="})
                    CHECK_FALSE(holds(letter.html, loads));
                CHECK(build_message(letter).size() < 20 * 1024);
                // Nothing waits in the HTML that the text does not have: each link stands in both.
                for (std::size_t at = 0; (at = letter.html.find("href=\"", at)) != std::string::npos;) {
                    at += 6;
                    const std::string link = letter.html.substr(at, letter.html.find('"', at) - at);
                    CAPTURE(link);
                    CHECK(link.starts_with("https://news.example.org/"));
                    CHECK(holds(letter.text, link));
                }
            }
        }
    }

    TEST_CASE("a confirmation has its code in the subject and in both parts, no other letter has one") {
        Press press;
        for (const char* locale : {"en", "uk"}) {
            auto leased = confirmation();
            leased.letter.locale = locale;
            Letter letter = press.render(leased);
            CHECK(letter.subject.starts_with("012345 "));
            CHECK(holds(letter.text, "\n012345\n"));
            CHECK(holds(letter.html, ">012345<"));
            leased.newsletters.push_back({2, "weekly", "The Weekly", "", ""});
            CHECK(press.render(leased).subject.starts_with("012345 "));
        }
        for (auto leased : every_letter()) {
            if (leased.letter.kind == service::LetterKind::confirmation) continue;
            leased.code = "987654";
            const Letter letter = press.render(leased);
            CHECK_FALSE(holds(letter.subject + letter.text + letter.html, "987654"));
        }
    }

    TEST_CASE("a link to the preferences says how long it works, and nothing about newsletters") {
        Press press;
        const Letter letter = press.render(preference_link());
        CHECK(letter.from.address == "news@example.org");
        CHECK(holds(letter.text, "\nhttps://news.example.org/preferences?t=v1.preferences-17\n"));
        CHECK(holds(letter.text, "22 November 2026, 11:00 UTC"));
        CHECK(letter.feedback_id == "preference_link:all:tx:zgoda");
    }

    TEST_CASE("a change of address asks each end for its own answer, with the other one masked") {
        Press press;
        for (const auto part : {ChangePart::ask_old, ChangePart::ask_new}) {
            const bool old_end = part == ChangePart::ask_old;
            const Letter letter = press.render(address_change(part));
            for (const std::string& said : {letter.text, letter.html}) {
                CHECK(holds(said, "https://news.example.org/confirm?t=v1.confirm-17"));
                CHECK(holds(said, "https://news.example.org/not-me?t=v1.confirm-17"));
                CHECK(holds(said, "b•••b@example.org") == old_end);
                CHECK(holds(said, "a•••a@example.com") != old_end);
            }
        }
        const Letter taken = press.render(address_change(ChangePart::taken));
        CHECK_FALSE(holds(taken.text, "/confirm"));
        CHECK_FALSE(holds(taken.text, "/not-me"));
        CHECK(holds(taken.text, "\nhttps://news.example.org/preferences\n"));
        const Letter done = press.render(address_change(ChangePart::done));
        CHECK(holds(done.text, "\nhttps://news.example.org/undo?t=v1.undo-3\n"));
        CHECK(holds(done.text, "25 November 2026"));
        CHECK_FALSE(holds(done.text, "/confirm"));
    }

    TEST_CASE("a welcome and a goodbye say what the newsletter says, as text") {
        Press press;
        auto leased = own(service::LetterKind::welcome);
        Letter letter = press.render(leased);
        CHECK(letter.text.starts_with("Good morning!\n\nYours, Kate\n"));
        CHECK(holds(letter.html, "Good morning!\n\nYours, Kate"));
        CHECK(holds(letter.text, "https://news.example.org/unsubscribe?t=v1.unsubscribe-daily"));
        letter = press.render(own(service::LetterKind::goodbye));
        CHECK(holds(letter.text, "Yours, Kate"));
        CHECK(holds(letter.text, "\nhttps://news.example.org/newsletters/daily\n"));
        CHECK_FALSE(holds(letter.text, "/unsubscribe"));

        leased.newsletters[0].text = "<script>alert(1)</script> {{confirm_link}} {{{site}}} {site} &amp;";
        letter = press.render(leased);
        CHECK(holds(letter.text, leased.newsletters[0].text));
        CHECK_FALSE(holds(letter.html, "<script"));
        CHECK(holds(letter.html, "&lt;script&gt;alert(1)&lt;/script&gt; {{confirm_link}} {{{site}}} {site}"));
        CHECK(holds(letter.html, "&amp;amp;"));
        leased.newsletters[0].text = "a\r\nBcc: all@example.org";
        CHECK_THROWS_AS(press.render(leased), std::invalid_argument);
    }

    TEST_CASE("no newsletter's text becomes a header") {
        Press press;
        for (auto leased : every_letter()) {
            for (auto& one : leased.newsletters) {
                one.name = "The Daily Bcc: all@example.org =?UTF-8?Q?=0ABcc:?=";
                one.text = "\nBcc: all@example.org\n\n.\nQUIT";
            }
            const std::string message = build_message(press.render(leased));
            const std::string head = message.substr(0, message.find("\r\n\r\n"));
            CHECK_FALSE(holds(head, "\r\nBcc:"));
            CHECK_FALSE(holds(head, "=0ABcc"));
        }
    }

    TEST_CASE("only letters of a newsletter can be left with one click") {
        Press press;
        for (const auto& leased : every_letter()) {
            const Letter letter = press.render(leased);
            const auto kind = leased.letter.kind;
            const bool can = kind == service::LetterKind::confirmation ||
                             kind == service::LetterKind::already_subscribed ||
                             kind == service::LetterKind::welcome;
            CHECK(letter.one_click == can);
            CHECK(letter.unsubscribe.empty() != can);
        }
        auto unbound = confirmation();
        unbound.newsletters[0].unsubscribe_token.clear();
        CHECK(press.render(unbound).unsubscribe == "https://news.example.org/not-me?t=v1.confirm-17");
        CHECK_FALSE(press.render(unbound).one_click);
        auto ends_nothing = own(service::LetterKind::goodbye);
        ends_nothing.newsletters[0].unsubscribe_token = "v1.unsubscribe-daily";
        CHECK(press.render(ends_nothing).unsubscribe.empty());
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
        leased.newsletters.push_back({2, "weekly", "The Weekly", "", ""});
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

    TEST_CASE("who has paused what is asked for again is told until when, and how to get it now") {
        Press press;
        auto leased = confirmation();
        leased.letter.kind = service::LetterKind::already_subscribed;
        leased.newsletters[0].paused_until = leased.asked_at + 14 * service::day_ms;
        const Letter letter = press.render(leased);
        for (const std::string& part : {letter.text, letter.html}) {
            CHECK(holds(part, "Paused until 6 December 2026."));
            CHECK(holds(part, "https://news.example.org/confirm?t=v1.confirm-17"));
            CHECK(holds(part, "https://news.example.org/unsubscribe?t=v1.unsubscribe-daily"));
            CHECK_FALSE(holds(part, "/not-me"));
            CHECK_FALSE(holds(part, "there is nothing that you need to do"));
        }
        leased.letter.locale = "uk";
        CHECK(holds(press.render(leased).text, "Призупинено до 6 грудня 2026 р."));
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
            leased.newsletters.push_back({i, "n", "A newsletter with quite a long name", "", "v1.x"});
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
        CHECK(problem_of("letter.layout.txt", "{{imprint}}") == "letter.layout.txt lacks a line {{letter}}");
        CHECK(problem_of("letter.layout.html", "{{#letter}}").starts_with("letter.layout.html: "));
        for (const auto& one : press.templates) {
            const std::string file = one.first;
            if (!file.starts_with("letter.")) continue;
            CAPTURE(file);
            CHECK(problem_of(file, "{{#nonsense}}").starts_with(file + ": "));
        }
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
