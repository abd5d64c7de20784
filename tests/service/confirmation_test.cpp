#include "service/confirmation.h"

#include "tests/service/world.h"

using namespace zgoda::service;
using Kind = ConfirmationView::Kind;

TEST_SUITE("a confirmation link") {
    TEST_CASE("shows what was asked for, ticked, and confirms it once") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily", "weekly"});
        const std::string token = world.deliver()[0].confirm_token;
        const auto view = world.page(token);
        CHECK(view.kind == Kind::open);
        CHECK(view.masked_address == "a•••a@kyiv.ua");
        CHECK(ticked(view) == Slugs{"daily", "weekly"});
        CHECK(world.press(token).confirmed_now.size() == 2);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        const TimeMs confirmed_at = world.now;
        world.now += day_ms;
        const auto again = world.press(token);
        CHECK(again.view.kind == Kind::confirmed);
        CHECK(again.view.confirmed_at == confirmed_at);
        CHECK(again.confirmed_now.empty());
        CHECK(world.count(EventKind::confirmed) == 1);

        run(world.store, [&](Transaction& tx) {
            const auto ada = tx.person_by_key("ada@kyiv.ua");
            for (Subscription& one : tx.subscriptions_of(ada->id)) {
                one.status = SubscriptionStatus::paused;
                one.paused_until = world.now + day_ms;
                tx.update(one);
            }
        });
        const ConfirmationView paused = world.page(token);
        CHECK(paused.kind == Kind::confirmed);
        REQUIRE(paused.has.size() == 2);
        CHECK(paused.has[1].paused_until == world.now + day_ms);
    }

    TEST_CASE("shown a thousand times changes nothing") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string token = world.deliver()[0].confirm_token;
        const auto before = world.events().size();
        for (int i = 0; i < 1000; ++i) CHECK(world.page(token).kind == Kind::open);
        CHECK(world.events().size() == before);
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
    }

    TEST_CASE("confirms only what is ticked; the rest of the page is declined") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily", "weekly"});
        const std::string token = world.deliver()[0].confirm_token;
        world.press(token, {"weekly"});
        CHECK(world.status("ada@kyiv.ua", "weekly") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
        CHECK(world.count(EventKind::declined) == 1);
    }

    TEST_CASE("with nothing ticked is no answer") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string token = world.deliver()[0].confirm_token;
        CHECK(world.press(token, {}).view.kind == Kind::open);
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
    }

    TEST_CASE("cannot confirm what was never asked for") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.sign_up("bob@kyiv.ua", {"culture"}, lviv);
        const std::string token = world.deliver()[0].confirm_token;
        world.press(token, {"daily", "weekly", "culture"});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "none");
        CHECK(world.status("ada@kyiv.ua", "culture") == "none");
        CHECK(world.status("bob@kyiv.ua", "culture") == "pending");
    }

    TEST_CASE("shows unticked what a stranger added to a waiting signup") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"}, kyiv);
        SignupForm stranger = world.form("ada@kyiv.ua", {"weekly", "culture"}, lviv);
        stranger.name = "Mallory";
        world.submit(stranger);
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        const auto view = world.page(letters[0].confirm_token);
        CHECK(ticked(view) == Slugs{"daily"});
        CHECK(unticked(view) == Slugs{"weekly", "culture"});
        world.press(letters[0].confirm_token);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "unsubscribed");
        CHECK(world.person("ada@kyiv.ua")->name.empty());
    }

    TEST_CASE("brings what was typed with the request that it confirms") {
        World world;
        world.edit("daily", [](Newsletter& one) { one.settings[{"fields", ""}] = "city:text"; });
        SignupForm form = world.form("ada@kyiv.ua", {"daily", "weekly"});
        form.name = "Ада";
        form.fields = {{"city", "Київ"}};
        form.source = "https://news.example/a";
        form.form = "footer";
        world.submit(form);
        CHECK(world.person("ada@kyiv.ua")->name.empty());
        world.press(world.deliver()[0].confirm_token);
        CHECK(world.person("ada@kyiv.ua")->name == "Ада");
        look(world.store, [&](Reader& reader) {
            const auto all = reader.subscriptions_of(world.person("ada@kyiv.ua")->id);
            REQUIRE(all.size() == 2);
            CHECK(all[0].fields == R"({"city":"Київ"})");
            CHECK(all[0].source == "https://news.example/a");
            CHECK(all[0].form == "footer");
            CHECK(all[1].fields.empty());
        });
    }

    TEST_CASE("expires 72 hours after its letter's first lease, and can be asked for again") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        world.now += hour_ms;
        const std::string token = world.deliver()[0].confirm_token;
        world.now += 72 * hour_ms;
        CHECK(world.page(token).kind == Kind::open);
        world.now += hour_ms;
        CHECK(world.page(token).kind == Kind::expired);
        CHECK(world.page(token).can_resend);
        CHECK(world.press(token, {"daily"}).view.kind == Kind::expired);
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");

        FreshLetter answer{};
        const Moment when = world.moment();
        run(world.store, [&](Transaction& tx) {
            answer = send_fresh_letter(tx, token, {kyiv, "B"}, world.rules, when);
        });
        CHECK(answer == FreshLetter::on_its_way);
        const auto fresh = world.deliver();
        REQUIRE(fresh.size() == 1);
        CHECK(fresh[0].confirm_token != token);
        world.press(fresh[0].confirm_token);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.page(token).kind == Kind::confirmed);
    }

    TEST_CASE("a fresh letter is asked for within the mail budget") {
        World world;
        world.rules.per_address = *parse_rates("1/30d");
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string token = world.deliver()[0].confirm_token;
        world.now += 80 * hour_ms;
        for (int i = 0; i < 5; ++i) {
            const Moment when = world.moment();
            run(world.store, [&](Transaction& tx) {
                send_fresh_letter(tx, token, {kyiv, "B"}, world.rules, when);
            });
        }
        CHECK(world.deliver().empty());
    }

    TEST_CASE("that is nobody's leads nowhere") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto letter = world.deliver()[0];
        CHECK(world.page("v1.nonsense").kind == Kind::unknown);
        CHECK(world.page(letter.newsletters[0].unsubscribe_token).kind == Kind::unknown);
        CHECK(world.leave(letter.confirm_token).kind == UnsubscribeView::Kind::unknown);
    }
}

TEST_SUITE("this was not me") {
    TEST_CASE("declines all that is pending, and no form causes a letter to her again") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily", "weekly"}, lviv);
        const std::string token = world.deliver()[0].confirm_token;
        CHECK(world.deny(token) == NotMe::done);
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
        const auto events = world.events().size();
        CHECK(world.deny(token) == NotMe::done);
        CHECK(world.events().size() == events);
        CHECK(world.press(token, {"daily"}).confirmed_now.empty());
        world.now += 10 * day_ms;
        const auto outcome = world.sign_up("ada@kyiv.ua", {"daily"});
        CHECK(outcome.kind == SignupOutcome::Kind::accepted);
        CHECK(outcome.ticket.letter == 0);
        CHECK(world.deliver().empty());
        CHECK(world.explained("ada@kyiv.ua").find("suppressed") != std::string::npos);
        CHECK(world.explained("ada@kyiv.ua").find("not me") != std::string::npos);
    }

    TEST_CASE("leaves what she confirmed herself") {
        World world;
        world.subscribed("ada@kyiv.ua", {"daily"});
        world.sign_up("ada@kyiv.ua", {"weekly"}, lviv);
        const std::string token = world.deliver()[0].confirm_token;
        world.deny(token);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "unsubscribed");
    }

    TEST_CASE("stops a letter that was not sent yet") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string token = world.deliver()[0].confirm_token;
        world.now += minute_ms;
        world.sign_up("ada@kyiv.ua", {"weekly"});
        world.deny(token);
        world.now += day_ms;
        CHECK(world.deliver().empty());
    }
}

TEST_SUITE("a scanner of mail") {
    struct Delivered : World {
        std::string token;

        Delivered() {
            sign_up("ada@kyiv.ua", {"daily", "weekly"});
            token = deliver()[0].confirm_token;
        }
        Press all() { return {{id_of("daily"), id_of("weekly")}}; }
        std::string status_now() { return status("ada@kyiv.ua", "daily"); }
    };

    TEST_CASE("that presses within 5 seconds of the delivery is asked once more, for 3 minutes") {
        Delivered world;
        world.now += 4999;
        const auto outcome = world.post(world.token, world.all());
        CHECK(outcome.ask_once_more);
        CHECK(outcome.confirmed_now.empty());
        CHECK(outcome.view.kind == Kind::open);
        CHECK(world.status_now() == "pending");
        CHECK(world.explained("ada@kyiv.ua").find("as machines press") != std::string::npos);

        world.now += 2 * minute_ms;
        CHECK(world.post(world.token, world.all()).ask_once_more);
        CHECK(world.status_now() == "pending");
        world.now += minute_ms;
        CHECK(world.post(world.token, world.all()).confirmed_now.size() == 2);
        CHECK(world.status_now() == "confirmed");
    }

    TEST_CASE("that presses the second button too is asked again until 5 seconds have gone") {
        Delivered world;
        Press second = world.all();
        second.asked_again = true;
        for (int i = 0; i < 4; ++i) {
            CHECK(world.post(world.token, second).ask_once_more);
            world.now += 1249;
        }
        CHECK(world.status_now() == "pending");
        world.now += 4;
        CHECK(world.post(world.token, second).confirmed_now.size() == 2);
    }

    TEST_CASE("that is there before the server has taken the letter confirms nothing") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const auto letter = world.lease_all()[0];
        Press press{{world.id_of("daily")}};
        Press second{{world.id_of("daily")}, true};
        for (int i = 0; i < 10; ++i) {
            world.now += 15 * second_ms;
            CHECK(world.post(letter.confirm_token, press).ask_once_more);
            CHECK(world.post(letter.confirm_token, second).ask_once_more);
        }
        world.report(letter, {Result::Kind::delivered, "250 ok"});
        world.now += 4 * second_ms;
        CHECK(world.post(letter.confirm_token, second).ask_once_more);
        world.now += second_ms;
        CHECK(world.post(letter.confirm_token, press).ask_once_more);
        CHECK(world.post(letter.confirm_token, second).confirmed_now.size() == 1);
    }

    TEST_CASE("is not what she is whose letter was never recorded as sent: she is asked twice, and heard") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string token = world.lease_all()[0].confirm_token;
        world.now += 3 * minute_ms;
        CHECK(world.post(token, {{world.id_of("daily")}}).ask_once_more);
        world.now += second_ms;
        CHECK(world.post(token, {{world.id_of("daily")}, true}).confirmed_now.size() == 1);
    }

    TEST_CASE("that follows many links at once is asked once more, and what she ticked stays ticked") {
        Delivered world;
        world.now += hour_ms;
        Press press{{world.id_of("weekly")}};
        press.in_a_crowd = true;
        const auto outcome = world.post(world.token, press);
        CHECK(outcome.ask_once_more);
        CHECK(ticked(outcome.view) == Slugs{"weekly"});
        CHECK(unticked(outcome.view) == Slugs{"daily"});
        press.asked_again = true;
        CHECK(world.post(world.token, press).confirmed_now.size() == 1);
        CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
    }

    TEST_CASE("is nothing that a person meets who comes after 5 seconds") {
        Delivered world;
        world.now += 5 * second_ms;
        CHECK(world.post(world.token, world.all()).confirmed_now.size() == 2);
    }
}

TEST_SUITE("the browser that signed up") {
    const std::string secret = "00112233445566778899aabbccddeeff";

    struct AtHome : World {
        std::string token;

        explicit AtHome(const std::string& browser = to_hex(sha256(secret))) {
            SignupForm own = form("ada@kyiv.ua", {"daily"});
            own.browser = browser;
            submit(own);
            sign_up("ada@kyiv.ua", {"weekly"}, kyiv);  // without the script, from the same house
            token = deliver()[0].confirm_token;
        }
        ConfirmationOutcome open_with(const std::string& shown) {
            ConfirmationOutcome outcome;
            const Moment when = moment();
            run(store, [&](Transaction& tx) {
                outcome = confirm_by_browser(tx, token, shown, {lviv, "Phone"}, rules, when);
            });
            return outcome;
        }
    };

    TEST_CASE("confirms at once what it asked for, and nothing else") {
        AtHome world;
        const auto outcome = world.open_with(secret);
        CHECK(outcome.confirmed_now == std::vector<Id>{world.id_of("daily")});
        REQUIRE(outcome.view.has.size() == 1);
        CHECK(outcome.view.kind == Kind::open);  // the rest is still hers to answer
        CHECK(ticked(outcome.view) == Slugs{"weekly"});
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "pending");
        CHECK(world.events().back().details.find(R"("method":"browser")") != std::string::npos);
        CHECK(world.verify_chain().problem == std::nullopt);
    }

    TEST_CASE("is known by nothing but its secret") {
        AtHome world;
        for (const std::string& shown :
             {std::string(), std::string("ff112233445566778899aabbccddeeff"), to_hex(sha256(secret))}) {
            const auto outcome = world.open_with(shown);
            CHECK(outcome.confirmed_now.empty());
            CHECK(outcome.view.kind == Kind::open);
        }
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
        CHECK(world.count(EventKind::confirmed) == 0);
    }

    TEST_CASE("that left no hash, or one that is none, gets the button") {
        for (const std::string& browser : {std::string(), std::string("abc"), std::string(64, 'z')}) {
            AtHome world(browser);
            CHECK(world.open_with(secret).confirmed_now.empty());
            CHECK(world.open_with("").confirmed_now.empty());
            look(world.store, [&](Reader& reader) {
                for (const Request& one : reader.requests_of(world.person("ada@kyiv.ua")->id))
                    CHECK(one.browser.empty());
            });
        }
    }

    TEST_CASE("cannot open a letter that does not name its request") {
        World world;
        world.sign_up("ada@kyiv.ua", {"daily"});
        const std::string token = world.deliver()[0].confirm_token;
        SignupForm late = world.form("ada@kyiv.ua", {"weekly"}, lviv);
        late.browser = to_hex(sha256(secret));
        world.submit(late);
        ConfirmationOutcome outcome;
        const Moment when = world.moment();
        run(world.store, [&](Transaction& tx) {
            outcome = confirm_by_browser(tx, token, secret, {lviv, "B"}, world.rules, when);
        });
        CHECK(outcome.confirmed_now.empty());
        CHECK(world.status("ada@kyiv.ua", "weekly") == "pending");
    }
}
