#include "api/cli/startup.h"
#include "api/cli/verbs.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli_fixture.h"

using namespace zgoda;
using namespace zgoda::cli;
using tests::Newsroom;
using tests::Said;
using tests::said_by;

namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

const service::Newsletter* newsletter(Newsroom& room, const std::string& slug) {
    for (const auto& [id, one] : room.store.tables.newsletters) {
        if (one.slug == slug) return &one;
    }
    return nullptr;
}

}  // namespace

TEST_SUITE("newsletter") {
    TEST_CASE("add makes one, and refuses what cannot be") {
        Newsroom room;
        const auto add = [&](const std::string& slug, const std::string& name) {
            return said_by([&] {
                return newsletter_add({slug, "", {{"name", name}}}, room.newsletter_rules, room.store);
            });
        };
        CHECK(add("daily", "Daily").exit == Exit::done);
        REQUIRE(newsletter(room, "daily") != nullptr);
        CHECK(newsletter(room, "daily")->name("") == "Daily");
        CHECK(add("daily", "Again").exit == Exit::failed);
        CHECK(newsletter(room, "daily")->name("") == "Daily");
        CHECK(add("Not A Slug", "x").exit == Exit::usage);
        CHECK(add("weekly", "two\nlines").exit == Exit::usage);
        CHECK(room.store.tables.newsletters.size() == 1);
    }

    TEST_CASE("edit changes all that it is told, or nothing") {
        Newsroom room({"daily"});
        const auto edit = [&](std::vector<SettingChange> changes) {
            return said_by([&] {
                       return newsletter_edit({"daily", "", std::move(changes)}, room.newsletter_rules,
                                              room.store);
                   })
                .exit;
        };
        CHECK(edit({{"description", "News"}, {"listed", "perhaps"}}) == Exit::usage);
        CHECK(newsletter(room, "daily")->description("") == "");
        CHECK(edit({{"description", "News"}, {"listed", "false"}}) == Exit::done);
        CHECK(newsletter(room, "daily")->description("") == "News");
        CHECK(edit({{"description", ""}}) == Exit::done);
        CHECK(newsletter(room, "daily")->description("") == "");
    }

    TEST_CASE("rename keeps the old slug as an alias, and takes no slug that is in use") {
        Newsroom room({"daily", "weekly"});
        const auto rename = [&](const char* from, const char* to) {
            return said_by([&] { return newsletter_rename({from, to}, room.store); }).exit;
        };
        CHECK(rename("nothing", "x") == Exit::not_found);
        CHECK(rename("daily", "weekly") == Exit::failed);
        CHECK(rename("daily", "A B") == Exit::usage);
        CHECK(rename("daily", "every-day") == Exit::done);
        CHECK(newsletter(room, "every-day")->aliases == std::vector<std::string>{"daily"});
        CHECK(rename("weekly", "daily") == Exit::failed);
        CHECK(rename("daily", "daily") == Exit::done);  // by its alias, back again
        CHECK(newsletter(room, "daily")->aliases == std::vector<std::string>{"every-day"});
    }

    TEST_CASE("close and open") {
        Newsroom room({"daily"});
        CHECK(newsletter_open({"daily", false}, room.store) == Exit::done);
        CHECK_FALSE(newsletter(room, "daily")->open);
        CHECK(newsletter_open({"daily", true}, room.store) == Exit::done);
        CHECK(newsletter(room, "daily")->open);
        CHECK(said_by([&] {
                  return newsletter_open({"nothing", true}, room.store);
              }).exit == Exit::not_found);
    }

    TEST_CASE("embed prints what a page needs, and says when no page may use it") {
        Newsroom room;
        newsletter_add({"daily", "", {{"name", "The daily"}}}, room.newsletter_rules, room.store);
        config::Settings settings;
        settings.server.public_url = "https://letters.example";
        const auto embed = [&](const std::string& slug) {
            return said_by([&] { return newsletter_embed({slug}, settings, room.texts, room.store); });
        };
        const auto said = embed("daily");
        CHECK(said.exit == Exit::done);
        CHECK(contains(said.out, "<script src=\"https://letters.example/embed."));
        CHECK(contains(said.out, "integrity=\"sha384-"));
        CHECK(contains(said.out, "<div data-zgoda=\"daily\">"));
        CHECK(contains(said.err, "server.allowed_origins"));
        settings.server.allowed_origins = {"https://news.example"};
        CHECK(embed("daily").err.empty());
        CHECK(embed("nothing").exit == Exit::not_found);
        // The texts that a newsletter may say in its own words are those of its form.
        const auto keys = newsletter_rules_of(settings, room.texts).text_keys;
        CHECK(std::count(keys.begin(), keys.end(), "subscribe") == 1);
        CHECK(std::count(keys.begin(), keys.end(), "confirm_title") == 0);
    }

    TEST_CASE("list and show for people, for programs, and as TOML") {
        Newsroom room;
        CHECK(said_by([&] { return newsletter_list({true}, room.store); }).out == "[]\n");
        newsletter_add({"daily", "", {{"name", "Say \"daily\""}}}, room.newsletter_rules, room.store);
        newsletter_edit({"daily", "uk", {{"name", "Щодня"}, {"texts.subscribe", "Так"}}},
                        room.newsletter_rules, room.store);
        CHECK(contains(said_by([&] { return newsletter_list({}, room.store); }).out, "daily  open"));
        const auto json = boost::json::parse(said_by([&] {
                                                 return newsletter_show({"daily", true, false}, room.store);
                                             }).out);
        CHECK(json.at("settings").at("name").at("uk") == "Щодня");
        CHECK(said_by([&] {
                  return newsletter_show({"daily", false, true}, room.store);
              }).out ==
              "slug = \"daily\"\nopen = true\naliases = []\nname = \"Say \\\"daily\\\"\"\n\n"
              "[in.\"uk\"]\nname = \"Щодня\"\ntexts.\"subscribe\" = \"Так\"\n");
        CHECK(said_by([&] { return newsletter_show({"nothing"}, room.store); }).exit == Exit::not_found);
    }
}

TEST_SUITE("export") {
    TEST_CASE("writes the confirmed ones of one newsletter or of all") {
        Newsroom room({"daily", "weekly"});
        room.sign_up("ada@example.org", "daily");
        room.sign_up("eve@example.org", "weekly");
        room.confirm_all();
        room.sign_up("late@example.org", "daily");
        const auto rows = [&](const Export& options) {
            const Said said = said_by(
                [&] { return export_subscribers(options, "https://n.example", room.rules, room.store); });
            CHECK(said.exit == Exit::done);
            return said.out;
        };
        Export options;
        options.ndjson = true;
        std::string text = rows(options);
        CHECK(contains(text, "ada@example.org"));
        CHECK(contains(text, "eve@example.org"));
        CHECK_FALSE(contains(text, "late@example.org"));
        options.newsletter = "weekly";
        text = rows(options);
        CHECK_FALSE(contains(text, "ada@example.org"));
        options.status.reset();
        options.newsletter.clear();
        options.links = true;
        text = rows(options);
        CHECK(contains(text, "late@example.org"));
        CHECK(contains(text, "https://n.example/unsubscribe?t=v1."));
    }

    TEST_CASE("pages by key: nobody is left out or written twice") {
        Newsroom room({"daily"});
        constexpr int people = 25'001;  // more than two pages
        for (int i = 1; i <= people; ++i) {
            service::Person person;
            person.id = 1000 + i;
            person.addr_key = person.address = fmt::format("r{}@example.org", i);
            room.store.tables.people[person.id] = person;
            service::Subscription one;
            one.id = 100'000 + i;
            one.person = person.id;
            one.newsletter = room.store.tables.newsletters.begin()->first;
            one.status = service::SubscriptionStatus::confirmed;
            room.store.tables.subscriptions[one.id] = one;
        }
        const Said said = said_by([&] { return export_subscribers({}, "", room.rules, room.store); });
        CHECK(std::count(said.out.begin(), said.out.end(), '\n') == people + 1);
        CHECK(contains(said.out, "\nr1@example.org,"));
        CHECK(contains(said.out, "\nr25001@example.org,"));
    }

    TEST_CASE("an unknown newsletter is exit 3, and makes no file") {
        Newsroom room({"daily"});
        const tests::TemporaryFolder folder;
        Export options;
        options.newsletter = "nothing";
        options.output = (folder.path / "out.csv").string();
        const Said said = said_by([&] { return export_subscribers(options, "", room.rules, room.store); });
        CHECK(said.exit == Exit::not_found);
        CHECK(contains(said.err, "nothing"));
        CHECK(std::filesystem::is_empty(folder.path));
    }
}

TEST_SUITE("subscriber") {
    TEST_CASE("show and explain: what strangers typed cannot act on the terminal") {
        Newsroom room({"daily"});
        room.sign_up("eve@example.org", "daily", "Eve");
        room.store.tables.people.begin()->second.name =
            "\x1b[2J\xE2\x80\xAE"
            "gnp.exe";
        const Said shown =
            said_by([&] { return subscriber_show({"EVE@example.org"}, room.rules, room.store); });
        CHECK(shown.exit == Exit::done);
        CHECK(contains(shown.out, "pending"));
        CHECK(contains(shown.out, "\\u{1B}[2J\\u{202E}gnp.exe"));
        CHECK_FALSE(contains(shown.out, "\x1b"));
        const Said explained = said_by([&] {
            return subscriber_explain({"eve@example.org", true}, room.rules, room.store);
        });
        CHECK(boost::json::parse(explained.out).at("story").as_array().size() >= 2);
    }

    TEST_CASE("somebody unknown is exit 3, something that is no address is exit 2") {
        Newsroom room({"daily"});
        CHECK(said_by([&] { return subscriber_show({"ada@example.org"}, room.rules, room.store); }).exit ==
              Exit::not_found);
        CHECK(said_by([&] { return subscriber_show({"not an address"}, room.rules, room.store); }).exit ==
              Exit::usage);
        CHECK(said_by([&] {
                  return subscriber_unsubscribe({"ada@example.org", "", true}, room.rules, room.store);
              }).exit == Exit::not_found);
        CHECK(said_by([&] { return consent_show({"ada@example.org"}, room.rules, room.store); }).exit ==
              Exit::not_found);
    }

    TEST_CASE("unsubscribe wants to know from what when there are several") {
        Newsroom room({"daily", "weekly"});
        room.sign_up("ada@example.org", "daily");
        room.sign_up("ada@example.org", "weekly");
        room.confirm_all();
        const auto unsubscribe = [&](const std::string& from, bool all) {
            return said_by([&] {
                return subscriber_unsubscribe({"ada@example.org", from, all, true}, room.rules, room.store);
            });
        };
        CHECK(unsubscribe("", false).exit == Exit::usage);
        CHECK(unsubscribe("nothing", false).exit == Exit::not_found);
        CHECK(unsubscribe("daily", false).out == "1 subscription ended\n");
        CHECK(unsubscribe("daily", false).out == "0 subscriptions ended\n");
        CHECK(unsubscribe("", true).out == "1 subscription ended\n");
        CHECK(room.store.withdrawals_journal.size() == 2);
    }

    TEST_CASE("erase does nothing unless somebody said yes") {
        Newsroom room({"daily"});
        room.sign_up("ada@example.org", "daily");
        if (isatty(STDIN_FILENO) == 0) {
            CHECK(said_by([&] {
                      return subscriber_erase({"ada@example.org"}, room.rules, room.store);
                  }).exit == Exit::usage);
        }
        CHECK(room.store.tables.people.size() == 1);
        CHECK(said_by([&] {
                  return subscriber_erase({"ada@example.org", true}, room.rules, room.store);
              }).exit == Exit::done);
        CHECK(room.store.tables.people.empty());
    }

    TEST_CASE("resend over budget is written to the ledger with its reason") {
        Newsroom room({"daily"});
        room.rules.per_address = {{1, service::day_ms}};
        room.sign_up("ada@example.org", "daily");
        service::Letter& letter = room.store.tables.letters.begin()->second;
        letter.state = service::LetterState::sent;
        CHECK(contains(said_by([&] {
                           return subscriber_resend({"ada@example.org", false, ""}, room.rules, room.store);
                       }).out,
                       "waits"));
        const Said said = said_by([&] {
            return subscriber_resend({"ada@example.org", true, "asked by telephone"}, room.rules, room.store);
        });
        CHECK(said.out == "the letter is queued\n");
        CHECK(contains(room.store.tables.ledger.back().details, "asked by telephone"));
        CHECK(said_by([&] { return consent_verify({}, room.keys, room.store); }).exit == Exit::done);
    }

    TEST_CASE("resend says that a pause holds the letter") {
        Newsroom room({"daily"});
        room.sign_up("ada@example.org", "daily");
        room.store.tables.letters.begin()->second.state = service::LetterState::sent;
        service::run(room.store, [](service::Transaction& tx) {
            tx.add(service::MailPause{service::MailPause::Scope::domain, "example.org", 0});
        });
        const Said said = said_by([&] {
            return subscriber_resend({"ada@example.org", true, "asked by telephone"}, room.rules, room.store);
        });
        CHECK(
            contains(said.out, "the letter is queued, held by `zgoda mail pause` of letters to example.org"));
    }
}

TEST_SUITE("consent") {
    TEST_CASE("show has the words that were agreed to") {
        Newsroom room({"daily"});
        const auto* daily = newsletter(room, "daily");
        service::SignupForm form;
        form.email = "ada@example.org";
        form.newsletters = {"daily"};
        form.consent = {service::wording_of(*daily, "en", room.texts.text("en", "form.consent")).id};
        const auto signup = std::get<service::Signup>(service::check_signup(form, room.rules));
        service::run(room.store, [&](service::Transaction& tx) {
            service::subscribe(tx, signup, room.rules, room.moment);
        });

        const std::string words = room.texts.text("en", "form.consent");
        CHECK(contains(said_by([&] { return consent_show({"ada@example.org"}, room.rules, room.store); }).out,
                       words));
        const auto json =
            boost::json::parse(said_by([&] {
                                   return consent_show({"ada@example.org", true}, room.rules, room.store);
                               }).out);
        const auto& details = json.at("events").at(0).at("details");
        CHECK(details.at("newsletters").at(0).at("wording_text") == boost::json::string(words));
    }

    TEST_CASE("verify prints the head, takes it back later, and fails on what was changed") {
        Newsroom room({"daily"});
        room.sign_up("ada@example.org", "daily");
        const Said said = said_by([&] { return consent_verify({}, room.keys, room.store); });
        CHECK(said.exit == Exit::done);
        const std::string head = said.out.substr(0, said.out.size() - 1);
        CHECK(head.substr(0, 2) == "1:");
        room.sign_up("eve@example.org", "daily");
        CHECK(said_by([&] { return consent_verify({head}, room.keys, room.store); }).exit == Exit::done);

        room.store.tables.ledger[0].at += 1;
        const Said changed = said_by([&] { return consent_verify({}, room.keys, room.store); });
        CHECK(changed.exit == Exit::failed);
        CHECK(contains(changed.err, "event 1"));
        const Said json = said_by([&] {
            return consent_verify({std::nullopt, true}, room.keys, room.store);
        });
        CHECK(json.exit == Exit::failed);
        CHECK(contains(json.out, "\"problem\":"));
    }
}
