#include "service/signup.h"

#include "tests/service/world.h"

using namespace zgoda::service;

namespace {

std::vector<std::string> codes(World& world, SignupForm form) {
    auto checked = check_signup(std::move(form), world.rules);
    std::vector<std::string> out;
    if (const auto* refusal = std::get_if<Refusal>(&checked)) {
        for (const FieldProblem& one : refusal->problems) out.push_back(one.pointer + " " + one.code);
    }
    return out;
}

}  // namespace

TEST_SUITE("a form post") {
    TEST_CASE("that cannot be right never reaches the database") {
        World world;
        CHECK(codes(world, world.form("ada@example.com.ua", {"daily"})).empty());
        CHECK(codes(world, world.form("", {"daily"})) == Slugs{"/email empty"});
        CHECK(codes(world, world.form("ada@gmail..com", {"daily"})) == Slugs{"/email domain_dot"});
        CHECK(codes(world, world.form("ada@kyiv.ua", {})) == Slugs{"/newsletters required"});
        CHECK(codes(world, world.form("ada@kyiv.ua", Slugs(21, "daily"))) == Slugs{"/newsletters too_many"});
        SignupForm form = world.form("ada@kyiv.ua", {"daily"});
        form.name = std::string(201, 'x');
        CHECK(codes(world, form) == Slugs{"/name too_long_text"});
        form.name = "a\nb";
        CHECK(codes(world, form) == Slugs{"/name control_char"});
        form.name = std::string(199, 'x') + "ї";
        CHECK(codes(world, form).empty());
        for (const char* bad :
             {"javascript:alert(1)", "news.example/a", "https://", "https://user@x/", "https://a b/"}) {
            form.source = bad;
            CHECK(codes(world, form) == Slugs{"/source bad_source"});
        }
    }

    TEST_CASE("keeps the page it came from without query and fragment") {
        World world;
        SignupForm form = world.form("ada@kyiv.ua", {"daily"});
        form.source = "https://news.example/a?utm=1#top";
        const auto checked = check_signup(form, world.rules);
        CHECK(std::get<Signup>(checked).form.source == "https://news.example/a");
    }

    TEST_CASE("gets a suggestion for a slip of the finger, taken or refused") {
        World world;
        const auto slip = check_signup(world.form("ada@gmial.com", {"daily"}), world.rules);
        CHECK(std::get<Signup>(slip).suggestion == "ada@gmail.com");
        const auto broken = check_signup(world.form("ada@gmail..com", {"daily"}), world.rules);
        CHECK(std::get<Refusal>(broken).suggestion == "ada@gmail.com");
    }

    TEST_CASE("for newsletters that are not open names them") {
        World world;
        world.edit("weekly", [](Newsletter& one) { one.open = false; });
        const auto some = world.sign_up("ada@kyiv.ua", {"weekly", "daily", "nothing"});
        CHECK(some.kind == SignupOutcome::Kind::accepted);
        CHECK(some.skipped == Slugs{"weekly", "nothing"});
        const auto none = world.sign_up("bob@kyiv.ua", {"weekly"});
        CHECK(none.kind == SignupOutcome::Kind::no_open_newsletter);
        CHECK_FALSE(world.person("bob@kyiv.ua"));
    }

    TEST_CASE("carries only fields that its newsletters declare, of their type") {
        World world;
        world.edit("daily", [](Newsletter& one) {
            one.settings[{"fields", ""}] = "city:text:required:5,age:number,vip:boolean,born:date";
        });
        const auto problems = [&](std::vector<std::pair<std::string, std::string>> fields) {
            SignupForm form = world.form("ada@kyiv.ua", {"daily", "weekly"});
            form.fields = std::move(fields);
            std::vector<std::string> out;
            for (const auto& one : world.submit(form).problems) out.push_back(one.pointer + " " + one.code);
            return out;
        };
        CHECK(problems({}) == Slugs{"/fields/city field_required"});
        CHECK(problems({{"city", "Kharkiv"}}) == Slugs{"/fields/city field_too_long"});
        CHECK(problems({{"city", "Kyiv"}, {"age", "old"}}) == Slugs{"/fields/age field_type"});
        CHECK(problems({{"city", "Kyiv"}, {"born", "1815-13-01"}}) == Slugs{"/fields/born field_type"});
        CHECK(problems({{"city", "Kyiv"}, {"shoe", "42"}}) == Slugs{"/fields field_unknown"});
        CHECK_FALSE(world.person("ada@kyiv.ua"));
        CHECK(problems({{"city", "Kyiv"}, {"age", "36"}, {"vip", "on"}, {"born", "1815-12-10"}}).empty());
    }

    TEST_CASE("states wordings that are its newsletters', current or once current") {
        World world;
        const auto wording = [&](const std::string& slug) {
            std::string id;
            look(world.store, [&](Reader& reader) {
                id = wording_of(*reader.newsletters()->find(slug), "en", "I agree.").id;
            });
            return id;
        };
        const auto post = [&](std::vector<std::string> ids) {
            SignupForm form = world.form("ada@kyiv.ua", {"daily"});
            form.consent = std::move(ids);
            return world.submit(form).problems.size();
        };
        const std::string daily = wording("daily");
        CHECK(post({daily}) == 0);
        CHECK(post({wording("weekly")}) == 1);
        CHECK(post({"0123"}) == 1);
        CHECK(post({daily, daily}) == 0);
        world.edit("daily", [](Newsletter& one) { one.settings[{"consent", ""}] = "New words."; });
        CHECK(wording("daily") != daily);
        CHECK(post({daily}) == 0);  // the form was open while the words changed
        look(world.store, [&](Reader& reader) { CHECK(reader.wording(daily)->text == "I agree."); });
    }
}

TEST_SUITE("a signup") {
    TEST_CASE("gets one letter, in her language, that names just those newsletters") {
        World world;
        SignupForm form = world.form("ada@kyiv.ua", {"daily", "culture"});
        form.accept_language = "uk-UA,uk;q=0.9,en;q=0.5";
        const auto outcome = world.submit(form);
        CHECK(outcome.locale == "uk");
        CHECK(outcome.message == "Дякуємо.");
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(names(letters[0]) == Slugs{"daily", "culture"});
        CHECK(letters[0].letter.locale == "uk");
        CHECK(letters[0].newsletters[0].name == "Наш daily");
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "none");
        CHECK(world.deliver().empty());
    }

    TEST_CASE("repeated joins the letter that was never leased, and costs nothing") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.sign_up("ada@kyiv.ua", {"daily", "weekly"});
        world.sign_up("Ada@Kyiv.UA", {"daily"});
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(names(letters[0]) == Slugs{"daily", "weekly"});
    }

    TEST_CASE("of a plus address is another person, but the same budget") {
        World world;
        world.sign_up("ada+one@gmail.com", {"daily"});
        world.sign_up("a.d.a+two@gmail.com", {"daily"});
        CHECK(world.person("ada+one@gmail.com")->id != world.person("a.d.a+two@gmail.com")->id);
        CHECK(world.deliver().size() == 1);
        world.now += 16 * minute_ms;
        CHECK(world.deliver().size() == 1);
    }

    TEST_CASE("after the letter was leased waits for the budget, and an earlier letter's page offers it") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto first = world.deliver();
        world.now += 2 * minute_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        CHECK(world.deliver().empty());
        const auto view = world.page(first[0].confirm_token);
        CHECK(ticked(view) == Slugs{"daily"});
        CHECK(unticked(view) == Slugs{"weekly"});
        world.press(first[0].confirm_token, {"daily", "weekly"});
        CHECK(world.status("ada@kyiv.ua", "weekly") == "confirmed");
        world.now += hour_ms;
        CHECK(world.deliver().empty());  // there is nothing left to ask
    }

    TEST_CASE("that waited gets its own letter when the budget allows") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.deliver();
        world.now += 2 * minute_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        world.now += 12 * minute_ms;
        CHECK(world.deliver().empty());
        world.now += minute_ms;
        const auto second = world.deliver();
        REQUIRE(second.size() == 1);
        CHECK(names(second[0]) == Slugs{"weekly"});
    }

    TEST_CASE("that found no budget for 72 hours lapses, and explain says so") {
        World world;
        world.rules.per_address = *parse_rates("1/30d");
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.deliver();
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        world.now += 72 * hour_ms - 1;
        CHECK(world.deliver().empty());
        CHECK(world.count(EventKind::lapsed) == 0);
        world.now += 1;
        CHECK(world.deliver().empty());
        CHECK(world.count(EventKind::lapsed) == 1);
        CHECK(world.explained("ada@kyiv.ua").find("lapsed") != std::string::npos);
    }

    TEST_CASE("lapses after 72 hours if no mailer came by meanwhile, but one that was paid for goes out") {
        World world;
        world.rules.per_address = *parse_rates("1/24h");
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.deliver();
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        world.sign_up("ben@kyiv.ua", {"weekly"});
        world.now += 80 * hour_ms;
        const auto sent = world.deliver();
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].person.address == "ben@kyiv.ua");
        CHECK(world.count(EventKind::lapsed) == 1);
    }

    TEST_CASE("that joined a letter over budget has 72 hours of its own") {
        World world;
        world.rules.per_address = *parse_rates("1/30d");
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.deliver();
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        world.now += 71 * hour_ms;
        world.sign_up("ada@kyiv.ua", {"culture"});
        world.now += hour_ms;
        CHECK(world.deliver().empty());
        CHECK(world.count(EventKind::lapsed) == 1);
        world.now += 71 * hour_ms - 1;
        CHECK(world.deliver().empty());
        CHECK(world.count(EventKind::lapsed) == 1);
        world.now += 1;
        CHECK(world.deliver().empty());
        CHECK(world.count(EventKind::lapsed) == 2);
    }

    TEST_CASE("meets a letter that is being retried: it waits until that one is through") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto first = world.lease_all();
        world.report(first[0], {Result::Kind::try_later, "451 later", world.now + 30 * second_ms});
        world.now += 20 * minute_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        const auto again = world.deliver();
        REQUIRE(again.size() == 1);
        CHECK(names(again[0]) == Slugs{"daily"});
        CHECK(again[0].letter.message_id == first[0].letter.message_id);
        CHECK(again[0].confirm_token == first[0].confirm_token);
        const auto next = world.deliver();
        REQUIRE(next.size() == 1);
        CHECK(names(next[0]) == Slugs{"weekly"});
    }

    TEST_CASE("of somebody subscribed to all of it gets one letter that says so") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.sign_up("ada@kyiv.ua", {"daily"}, lviv);
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].letter.kind == LetterKind::already_subscribed);
        CHECK(letters[0].confirm_token.empty());
        CHECK_FALSE(letters[0].newsletters[0].unsubscribe_token.empty());
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("changes nothing of a person who is there already") {
        World world;
        SignupForm mine = world.form("ada@kyiv.ua", {"daily"});
        mine.name = "Ada";
        world.submit(mine);
        world.press(world.deliver()[0].confirm_token);
        SignupForm stranger = world.form("ADA@kyiv.ua", {"daily", "weekly"}, lviv);
        stranger.name = "Buy cheap pills";
        stranger.locale = "uk";
        world.submit(stranger);
        CHECK(world.person("ada@kyiv.ua")->name == "Ada");
        CHECK(world.person("ada@kyiv.ua")->address == "ada@kyiv.ua");
        CHECK(world.person("ada@kyiv.ua")->locale == "en");
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("with the trap field filled in gets no letter, and explain says why") {
        World world;
        SignupForm bot = world.form("ada@kyiv.ua", {"daily"});
        bot.website = "https://spam.example";
        const auto outcome = world.submit(bot);
        CHECK(outcome.kind == SignupOutcome::Kind::accepted);
        CHECK(outcome.ticket.letter == 0);
        CHECK(world.deliver().empty());
        CHECK(world.explained("ada@kyiv.ua").find("taken for a bot") != std::string::npos);
        // The person herself is not shut out by what a bot did.
        world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(world.deliver().size() == 1);
    }
}

TEST_SUITE("the mail budget in the flow") {
    TEST_CASE("ten thousand requests from one network cause no more letters than it allows") {
        World world;
        int letters = 0;
        for (int i = 0; i < 2000; ++i) {
            world.sign_up("ada@kyiv.ua", {i % 2 == 0 ? "daily" : "weekly"}, lviv);
            letters += static_cast<int>(world.deliver().size());
            world.now += 40 * second_ms;
        }
        CHECK(letters == 2);  // 22 hours; the third is kept for somebody else
    }

    TEST_CASE("the last letter of the window is kept for her, and is about what she asked for") {
        World world;
        world.rules.per_address = *parse_rates("2/24h");
        world.sign_up("ada@kyiv.ua", {"daily"}, lviv);
        world.deliver();
        world.now += minute_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"}, lviv);
        CHECK(world.deliver().empty());
        world.now += minute_ms;
        world.sign_up("ada@kyiv.ua", {"culture"}, kyiv);
        const auto hers = world.deliver();
        REQUIRE(hers.size() == 1);
        CHECK(names(hers[0]) == Slugs{"culture"});
        const auto view = world.page(hers[0].confirm_token);
        CHECK(ticked(view) == Slugs{"culture"});
        CHECK(unticked(view) == Slugs{"weekly"});
    }

    TEST_CASE("a confirmation starts it anew") {
        World world;
        world.rules.per_address = *parse_rates("1/24h");
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.sign_up("ada@kyiv.ua", {"weekly"});
        CHECK(world.deliver().size() == 1);
    }

    TEST_CASE("counts letters to confirmed addresses too") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        int letters = 0;
        for (int i = 0; i < 300; ++i) {
            world.sign_up("ada@kyiv.ua", {"daily"}, lviv);
            letters += static_cast<int>(world.deliver().size());
            world.now += 4 * minute_ms;
        }
        CHECK(letters == 2);
    }
}

TEST_SUITE("tickets") {
    TEST_CASE("follow the letter, or imitate one") {
        World world;
        const auto status = [&](const Ticket& ticket) {
            TicketStatus out{};
            look(world.store, [&](Reader& reader) { out = ticket_status(reader, ticket, world.now); });
            return std::string(word(out));
        };
        const auto real = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        SignupForm bot = world.form("bob@kyiv.ua", {"daily"});
        bot.website = "x";
        const auto fake = world.submit(bot).ticket;
        CHECK(real.letter != 0);
        CHECK(fake.letter == 0);
        CHECK(status(real) == "queued");
        CHECK(status(fake) == "queued");
        world.now += 20 * second_ms;
        world.deliver();
        CHECK(status(real) == "sent");
        world.now += second_ms;
        CHECK(status(fake) == "sent");
    }

    TEST_CASE("say refused only when the mailbox does not exist") {
        World world;
        const auto first = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        const auto second = world.sign_up("bob@kyiv.ua", {"daily"}).ticket;
        const auto letters = world.lease_all();
        REQUIRE(letters.size() == 2);
        Result refused{Result::Kind::refused, "550 5.1.1 no such user"};
        refused.mailbox_unknown = true;
        world.report(letters[0], refused);
        world.report(letters[1], {Result::Kind::refused, "554 5.7.1 spam"});
        look(world.store, [&](Reader& reader) {
            CHECK(word(ticket_status(reader, first, world.now)) == "refused");
            CHECK(word(ticket_status(reader, second, world.now)) == "deferred");
        });
        CHECK(world.status("ada@kyiv.ua", "daily") == "undeliverable");
        world.now += hour_ms;
        world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
    }
}
