#include "api/cli/commands.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cli_fixture.h"

using namespace zgoda;
using namespace zgoda::cli;
using tests::said_by;

namespace {

template <class Options>
Options parsed(std::vector<std::string> words) {
    auto result = parse_command_line(std::move(words));
    REQUIRE(std::holds_alternative<Command>(result));
    const Command& command = std::get<Command>(result);
    REQUIRE(std::holds_alternative<Options>(command.verb));
    return std::get<Options>(command.verb);
}

tests::Said refused(std::vector<std::string> words) {
    return said_by([&] {
        const auto result = parse_command_line(words);
        return std::holds_alternative<Exit>(result) ? std::get<Exit>(result) : Exit::done;
    });
}

}  // namespace

TEST_SUITE("command line") {
    TEST_CASE("--config may stand before the verb or behind it") {
        for (const auto& words : {std::vector<std::string>{"--config", "a.toml", "export"},
                                  std::vector<std::string>{"export", "--config", "a.toml"}}) {
            CHECK(std::get<Command>(parse_command_line(words)).config_file == "a.toml");
        }
    }

    TEST_CASE("mail sends; mail test and mail status do not") {
        const Mail mail = parsed<Mail>({"mail", "--limit", "10", "--max-time", "55", "--dry-run"});
        CHECK(mail.limit == 10);
        CHECK(mail.max_time == 55);
        CHECK(mail.dry_run);
        CHECK_FALSE(mail.follow);
        CHECK(parsed<MailTest>({"mail", "test", "ada@example.org"}).address == "ada@example.org");
        CHECK(parsed<MailStatus>({"mail", "status", "--json"}).json);
    }

    TEST_CASE("a verb takes no option and no argument of the verb above it") {
        using Words = std::vector<std::string>;
        for (const Words& words :
             {Words{"import", "undo", "b", "--dry-run"}, Words{"import", "--dry-run", "undo", "b"},
              Words{"import", "undo", "b", "--newsletter", "weekly"}, Words{"import", "undo", "x", "y"},
              Words{"import", "list", "extra"}, Words{"import", "list", "undo"},
              Words{"import", "a.csv", "list"}, Words{"mail", "--dry-run", "pause"},
              Words{"mail", "pause", "--dry-run"}, Words{"mail", "test", "ada@example.org", "--dry-run"},
              Words{"mail", "status", "--limit", "3"}, Words{"mail", "test", "a@example.org", "pause"},
              Words{"newsletter", "list", "extra"}, Words{"stats", "audit"}}) {
            const std::string line = fmt::format("{}", fmt::join(words, " "));
            CAPTURE(line);
            CHECK(refused(words).exit == Exit::usage);
        }
        CHECK(refused({"import", "undo", "b", "--dry-run"})
                  .err.find("`zgoda import undo` has no option --dry-run") != std::string::npos);
        CHECK(refused({"import", "undo", "x", "y"}).err.find("`zgoda import undo` takes no \"y\"") !=
              std::string::npos);
        CHECK(parsed<ImportUndo>({"import", "undo", "b", "--json", "--config", "a.toml"}).json);
    }

    TEST_CASE("an option without a value is not one that was left away") {
        using Words = std::vector<std::string>;
        for (const Words& words :
             {Words{"mail", "pause", "--domain", ""},
              Words{"mail", "pause", "--newsletter="},
              Words{"mail", "resume", "--newsletter", ""},
              Words{"export", "--newsletter", ""},
              Words{"export", "--locale="},
              Words{"export", "--changed-since", ""},
              Words{"export", "-o", ""},
              Words{"export", "-o="},
              Words{"stats", "--newsletter", ""},
              Words{"subscriber", "confirm", "a@example.org", "--newsletter", "", "--evidence", "x"},
              Words{"subscriber", "unsubscribe", "a@example.org", "--newsletter", ""},
              Words{"subscriber", "find", ""},
              Words{"suppress", "list", ""},
              Words{"suppress", "list", "--reason", ""},
              Words{"import", "a.csv", "--newsletter", ""},
              Words{"import", "a.csv", "--basis", ""},
              Words{"import", "a.csv", "--batch", ""},
              Words{"unsubscribe", "import", "a.csv", "--newsletter", "", "--reason", "x"},
              Words{"letter", "preview", "daily", "--locale", ""},
              Words{"newsletter", "edit", "daily", "--in", "", "--name", "x"},
              Words{"token", "create", "x", "--scope", "stats:read", "--network", ""},
              Words{"token", "create", "x", "--scope", "stats:read", "--expires", ""},
              Words{"consent", "verify", "--expect-head", ""},
              Words{"--config", "", "stats"}}) {
            const std::string line = fmt::format("{}", fmt::join(words, " "));
            CAPTURE(line);
            CHECK(refused(words).exit == Exit::usage);
        }
        CHECK(refused({"mail", "pause", "--domain", ""}).err.find("--domain wants a value") !=
              std::string::npos);
        CHECK(parsed<NewsletterEdit>({"newsletter", "edit", "daily", "--description", ""}).settings.size() ==
              1);
    }

    TEST_CASE("a value may stand behind an = of a short option too") {
        CHECK(parsed<Export>({"export", "-o=all.csv"}).output ==
              parsed<Export>({"export", "-o", "all.csv"}).output);
        CHECK(parsed<Export>({"export", "-o==all.csv"}).output ==
              parsed<Export>({"export", "--output==all.csv"}).output);
    }

    TEST_CASE("token create takes several scopes and networks, one by one or with commas") {
        const auto wish =
            parsed<TokenCreate>({"token", "create", "nightly", "--scope", "stats:read,signup:write",
                                 "--scope", "subscribers:export", "--expires", "90d", "--network",
                                 "203.0.113.0/24", "--network", "::1"})
                .wish;
        CHECK(wish.name == "nightly");
        CHECK(wish.scopes == std::vector<service::TokenScope>{service::TokenScope::stats_read,
                                                              service::TokenScope::signup_write,
                                                              service::TokenScope::subscribers_export});
        CHECK(wish.life == 90 * service::day_ms);
        CHECK(wish.networks == std::vector<std::string>{"203.0.113.0/24", "::1"});
        CHECK_FALSE(parsed<TokenCreate>({"token", "create", "x", "--scope", "stats:read"}).wish.life);
        CHECK(parsed<TokenList>({"token", "list", "--json"}).json);
        CHECK(parsed<TokenRevoke>({"token", "revoke", "17"}).token == "17");
        CHECK(refused({"token", "create", "x"}).exit == Exit::usage);
        CHECK(refused({"token", "create", "x", "--scope", "stats:write"}).exit == Exit::usage);
        CHECK(refused({"token", "create", "x", "--scope", "stats:read", "--expires", "soon"}).exit ==
              Exit::usage);
    }

    TEST_CASE("export takes the confirmed ones unless told otherwise") {
        CHECK(parsed<Export>({"export"}).status == service::SubscriptionStatus::confirmed);
        CHECK(parsed<Export>({"export", "--status", "unsubscribed"}).status ==
              service::SubscriptionStatus::unsubscribed);
        CHECK_FALSE(parsed<Export>({"export", "--status", "all"}).status.has_value());
        CHECK(parsed<Export>({"export", "--changed-since", "1970-01-02"}).changed_since == service::day_ms);
        CHECK(parsed<Export>({"export", "--format", "ndjson", "-o", "a"}).output == "a");
    }

    TEST_CASE("each setting of a newsletter is an option; what is not given is not changed") {
        const auto edit =
            parsed<NewsletterEdit>({"newsletter", "edit", "daily", "--in", "uk", "--name", "Щодня",
                                    "--thanks-url", "https://news.example/a=b", "--description="});
        CHECK(edit.slug == "daily");
        CHECK(edit.locale == "uk");
        REQUIRE(edit.settings.size() == 3);
        CHECK(edit.settings[0].key == "name");
        CHECK(edit.settings[0].value == "Щодня");
        CHECK(edit.settings[1].key == "description");
        CHECK(edit.settings[1].value == "");
        CHECK(edit.settings[2].key == "thanks_url");
        CHECK(edit.settings[2].value == "https://news.example/a=b");
    }

    TEST_CASE("a text may be given in both spellings") {
        for (const auto& words : {std::vector<std::string>{"--text", "subscribe=Yes = please"},
                                  std::vector<std::string>{"--texts.subscribe", "Yes = please"},
                                  std::vector<std::string>{"--texts.subscribe=Yes = please"}}) {
            std::vector<std::string> line{"newsletter", "edit", "daily"};
            line.insert(line.end(), words.begin(), words.end());
            const auto edit = parsed<NewsletterEdit>(line);
            REQUIRE(edit.settings.size() == 1);
            CHECK(edit.settings[0].key == "texts.subscribe");
            CHECK(edit.settings[0].value == "Yes = please");
        }
    }

    TEST_CASE("so may the label of a field") {
        for (const auto& words : {std::vector<std::string>{"--label", "city=Your city"},
                                  std::vector<std::string>{"--labels.city", "Your city"},
                                  std::vector<std::string>{"--labels.city=Your city"}}) {
            std::vector<std::string> line{"newsletter", "edit", "daily", "--in", "uk"};
            line.insert(line.end(), words.begin(), words.end());
            const auto edit = parsed<NewsletterEdit>(line);
            REQUIRE(edit.settings.size() == 1);
            CHECK(edit.locale == "uk");
            CHECK(edit.settings[0].key == "labels.city");
            CHECK(edit.settings[0].value == "Your city");
        }
    }

    TEST_CASE("a newsletter may be called like a verb") {
        CHECK(parsed<NewsletterShow>({"newsletter", "show", "list"}).slug == "list");
        CHECK(parsed<Export>({"export", "--newsletter", "mail"}).newsletter == "mail");
    }

    TEST_CASE("wrong usage is exit 2 and a sentence on stderr that names what is wrong") {
        const std::vector<std::pair<std::vector<std::string>, std::string>> table{
            {{}, "which verb?"},
            {{"dance"}, "no verb `zgoda dance`"},
            {{"newsletter", "dance"}, "no verb `zgoda newsletter dance`"},
            {{"newsletter", "add", "daily"}, "--name"},
            {{"newsletter", "edit", "daily"}, "what is to be changed?"},
            {{"newsletter", "edit", "daily", "--text", "no-value"}, "KEY=VALUE"},
            {{"export", "--status", "gone"}, "confirmed"},
            {{"export", "--format", "mailchimp", "--status", "pending"},
             "confirmed, unsubscribed and bounced"},
            {{"import"}, "which FILE?"},
            {{"import", "a.csv", "--map", "TAGS"}, "COLUMN=value:slug"},
            {{"import", "a.csv", "--unproven", "perhaps"}, "--unproven"},
            {{"unsubscribe", "import", "a.csv", "--reason", "r"}, "--newsletter SLUG or --all"},
            {{"export", "--changed-since", "yesterday"}, "2026-11-22"},
            {{"mail", "--limit", "0"}, "--limit"},
            {{"letter", "preview", "daily", "--kind", "poem"}, "poem"},
            {{"consent", "verify", "--expect-head", "12"}, "SEQ:HASH"},
            {{"subscriber", "resend", "a@example.org", "--over-budget"}, "--reason"},
            {{"subscriber", "show", "a@example.org", "b\x1b[2J"}, "\\u{1B}"},
        };
        for (const auto& row : table) {
            const std::string& says = row.second;  // a name of its own: clang 14 captures no binding
            const auto said = refused(row.first);
            CAPTURE(says);
            CAPTURE(said.err);
            CHECK(said.exit == Exit::usage);
            CHECK(said.out == "");
            CHECK(said.err.find(says) != std::string::npos);
            CHECK(said.err.find("--help` shows") != std::string::npos);
        }
    }

    TEST_CASE("help and version go to stdout and are no failure") {
        for (const auto& words : {std::vector<std::string>{"--help"}, std::vector<std::string>{"--version"},
                                  std::vector<std::string>{"mail", "--help"}}) {
            const auto said = refused(words);
            CHECK(said.exit == Exit::done);
            CHECK(said.out != "");
            CHECK(said.err == "");
        }
    }
}
