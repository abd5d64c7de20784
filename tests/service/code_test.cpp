#include "service/code.h"

#include "tests/service/world.h"

using namespace zgoda::service;
using Kind = CodeOutcome::Kind;

namespace {

// A code that this one is not.
std::string other_than(const std::string& code) {
    return code == "000000" ? "111111" : "000000";
}

std::string told(const CodeOutcome& outcome) {
    switch (outcome.kind) {
        case Kind::confirmed:
            return "confirmed";
        case Kind::wrong:
            return "wrong " + std::to_string(outcome.tries_left);
        case Kind::dead:
            return "dead";
        case Kind::too_many:
            return "too many";
    }
    return "";
}

}  // namespace

TEST_SUITE("a code") {
    TEST_CASE("is six digits of its letter and key, and of nothing else") {
        World world;
        const std::string code = confirmation_code(7, 1, world.keys);
        CHECK(code.size() == 6);
        CHECK(code.find_first_not_of("0123456789") == code.npos);
        CHECK(confirmation_code(7, 1, world.keys) == code);
        CHECK(confirmation_code(8, 1, world.keys) != code);
        MasterKey other;
        other.id = 1;
        other.secret.fill(8);
        CHECK(confirmation_code(7, 1, Keyring({other})) != code);
    }

    TEST_CASE("confirms what its form asked for, and says so again") {
        World world;
        SignupForm form = world.form("ada@kyiv.ua", {"daily", "weekly"});
        form.name = "Ada";
        const Ticket ticket = world.submit(form).ticket;
        const std::string code = world.deliver()[0].code;
        CHECK(world.type(ticket, code.substr(0, 3) + " " + code.substr(3) + "\n").kind == Kind::confirmed);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "confirmed");
        CHECK(world.person("ada@kyiv.ua")->name == "Ada");
        CHECK(world.type(ticket, code).kind == Kind::confirmed);
        CHECK(world.count(EventKind::confirmed) == 1);
        CHECK(world.events().back().details.find(R"("method":"code")") != std::string::npos);
        CHECK(world.explained("ada@kyiv.ua").find("confirmed daily, weekly by code") != std::string::npos);
        CHECK(world.verify_chain().problem == std::nullopt);
    }

    TEST_CASE("confirms none of the 20 newsletters that a stranger added") {
        World world;
        Slugs many;
        for (int i = 0; i < 20; ++i) {
            many.push_back("extra-" + std::to_string(i));
            world.add_newsletter(many.back());
        }
        const Ticket hers = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        SignupForm stranger = world.form("ada@kyiv.ua", many, lviv);
        stranger.name = "Mallory";
        const Ticket his = world.submit(stranger).ticket;
        const auto letter = world.deliver()[0];
        CHECK(ticked(world.page(letter.confirm_token)) == Slugs{"daily"});
        CHECK(unticked(world.page(letter.confirm_token)) == many);
        CHECK(hers.letter == his.letter);
        CHECK(world.type(hers, letter.code).kind == Kind::confirmed);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        for (const std::string& slug : many) CHECK(world.status("ada@kyiv.ua", slug) == "pending");
        CHECK(world.person("ada@kyiv.ua")->name.empty());
        CHECK(unticked(world.page(letter.confirm_token)) == many);
    }

    TEST_CASE("typed into the second of two equal forms leaves nothing open in the first") {
        World world;
        const Ticket first = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        const Ticket second = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        const std::string code = world.deliver()[0].code;
        CHECK(world.type(second, code).kind == Kind::confirmed);
        CHECK(world.explained("ada@kyiv.ua").find("not answered yet") == std::string::npos);
        CHECK(world.type(first, code).kind == Kind::confirmed);
        CHECK(world.count(EventKind::confirmed) == 1);
    }

    TEST_CASE("belongs to its ticket's request, even of two in one millisecond") {
        World world;
        const Ticket his = world.sign_up("ada@kyiv.ua", {"weekly"}, lviv).ticket;
        const Ticket hers = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        CHECK(his.issued_at != hers.issued_at);
        CHECK(world.type(hers, world.deliver()[0].code).kind == Kind::confirmed);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
        CHECK(world.status("ada@kyiv.ua", "weekly") == "pending");
    }

    TEST_CASE("is of no use with the ticket of another letter") {
        World world;
        const Ticket ada = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        world.sign_up("bob@kyiv.ua", {"daily"});
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 2);
        CHECK(told(world.type(ada, letters[1].code)) == "wrong 4");
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
        CHECK(world.status("bob@kyiv.ua", "daily") == "pending");
    }

    TEST_CASE("counts down and dies of the fifth wrong one, over all tickets of its letter; the link lives") {
        World world;
        std::vector<Ticket> tickets;
        for (int i = 0; i < 8; ++i) {
            tickets.push_back(world.sign_up("ada@kyiv.ua", {"daily"}, "192.0.2." + std::to_string(i)).ticket);
            world.now += 5 * minute_ms;
        }
        const auto letter = world.deliver()[0];
        std::vector<std::string> answers;
        for (const Ticket& ticket : tickets)
            answers.push_back(told(world.type(ticket, other_than(letter.code))));
        CHECK(answers == std::vector<std::string>{"wrong 4", "wrong 3", "wrong 2", "wrong 1", "wrong 0",
                                                  "dead", "dead", "dead"});
        for (const Ticket& ticket : tickets) CHECK(world.type(ticket, letter.code).kind == Kind::dead);
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
        world.press(letter.confirm_token);
        CHECK(world.status("ada@kyiv.ua", "daily") == "confirmed");
    }

    TEST_CASE("dies of the fifth wrong one even if the mailers' backlog put its tickets into several slots") {
        World world;
        world.sign_up("bob@kyiv.ua", {"daily"});
        world.now += minute_ms;
        SignupForm trapped = world.form("ada@kyiv.ua", {"daily"}, lviv);
        trapped.website = "x";
        world.submit(trapped);
        world.now += 10 * minute_ms;
        const Ticket first = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        world.now += 10 * minute_ms;
        const Moment when = world.moment();
        run(world.store, [&](Transaction& tx) {  // bob's, which is older
            lease(
                tx, "m1", 1, [](const std::string&) { return true; }, world.rules, when);
        });
        const Ticket second = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        CHECK(first.letter == second.letter);
        CHECK(first.slot != second.slot);
        const auto letters = world.deliver();
        REQUIRE(letters.size() == 1);
        for (int left = 4; left >= 0; --left) {
            const CodeOutcome outcome =
                world.type(left % 2 == 0 ? first : second, other_than(letters[0].code));
            CHECK(told(outcome) == "wrong " + std::to_string(left));
        }
        CHECK(world.type(first, letters[0].code).kind == Kind::dead);
        CHECK(world.type(second, letters[0].code).kind == Kind::dead);
    }

    TEST_CASE("lives 30 minutes from the first lease of its letter") {
        World world;
        const Ticket ticket = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        world.now += 20 * minute_ms;
        const std::string code = world.deliver()[0].code;
        world.now += 30 * minute_ms + 1;
        CHECK(world.type(ticket, code).kind == Kind::dead);
        world.now -= 1;
        CHECK(world.type(ticket, code).kind == Kind::confirmed);
    }

    TEST_CASE("of a late letter can be guessed no more often than another one") {
        World world;
        run(world.store, [&](Transaction& tx) { tx.note_mailer({world.now, second_ms}); });
        const Ticket ticket = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        world.now += 20 * minute_ms;
        const std::string code = world.deliver()[0].code;
        world.now += 29 * minute_ms;
        run(world.store, [&](Transaction& tx) { tx.note_mailer({world.now, second_ms}); });
        // The clock of those who have no code goes by the signup.
        for (int i = 0; i < 5; ++i) CHECK(world.type(ticket, other_than(code)).kind == Kind::dead);
        CHECK(world.type(ticket, code).kind == Kind::dead);
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
    }

    TEST_CASE("may be wrong 20 times a day for one mailbox, over all spellings and letters") {
        World world;
        world.rules.per_address.clear();
        Ticket ticket;
        std::string code;
        for (int i = 0; i < 4; ++i) {
            ticket = world.sign_up("ada+" + std::to_string(i) + "@kyiv.ua", {"daily"}).ticket;
            code = world.deliver()[0].code;
            for (int j = 0; j < 5; ++j) CHECK(world.type(ticket, other_than(code)).kind == Kind::wrong);
            world.now += minute_ms;
        }
        ticket = world.sign_up("ada+last@kyiv.ua", {"daily"}).ticket;
        code = world.deliver()[0].code;
        const CodeOutcome outcome = world.type(ticket, code);
        CHECK(outcome.kind == Kind::too_many);
        CHECK(outcome.retry_after > 23 * hour_ms);
        CHECK(world.status("ada+last@kyiv.ua", "daily") == "pending");

        const Ticket other = world.sign_up("bob@kyiv.ua", {"daily"}).ticket;
        CHECK(world.type(other, world.deliver()[0].code).kind == Kind::confirmed);
        world.now += day_ms;
        ticket = world.sign_up("ada+last@kyiv.ua", {"daily"}).ticket;
        CHECK(world.type(ticket, world.deliver()[0].code).kind == Kind::confirmed);
    }

    TEST_CASE("right ones are not counted") {
        World world;
        const Ticket ticket = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        const std::string code = world.deliver()[0].code;
        for (int i = 0; i < 50; ++i) CHECK(world.type(ticket, code).kind == Kind::confirmed);
        CHECK(told(world.type(ticket, other_than(code))) == "wrong 4");
    }

    TEST_CASE("ends with \"this was not me\", and when she has left; wrong ones are told nothing of it") {
        for (const bool denies : {true, false}) {
            World world;
            const Ticket ticket = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
            const auto letter = world.deliver()[0];
            if (denies)
                world.deny(letter.confirm_token);
            else
                world.leave(letter.newsletters[0].unsubscribe_token);
            CHECK(told(world.type(ticket, other_than(letter.code))) == "wrong 4");
            CHECK(world.type(ticket, letter.code).kind == Kind::dead);
            CHECK(world.status("ada@kyiv.ua", "daily") == "unsubscribed");
            CHECK(world.count(EventKind::confirmed) == 0);
        }
    }

    TEST_CASE("ends when she leaves something else, as the link does") {
        World world;
        world.subscribed("ada@kyiv.ua", {"weekly"});
        const Ticket ticket = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        const auto letter = world.deliver()[0];
        world.leave(world.unsubscribe_link("ada@kyiv.ua", "weekly"));
        CHECK(world.page(letter.confirm_token).kind == ConfirmationView::Kind::expired);
        CHECK(world.type(ticket, letter.code).kind == Kind::dead);
        CHECK(world.status("ada@kyiv.ua", "daily") == "pending");
    }

    TEST_CASE("brings the newsletter's welcome, as the link does") {
        for (const bool by_code : {true, false}) {
            World world;
            world.edit("daily", [](Newsletter& one) { one.settings[{"welcome", ""}] = "Good to see you."; });
            const Ticket ticket = world.sign_up("ada@kyiv.ua", {"daily", "weekly"}).ticket;
            const auto letter = world.deliver()[0];
            if (by_code)
                world.type(ticket, letter.code);
            else
                world.press(letter.confirm_token);
            const auto welcome = world.deliver();
            REQUIRE(welcome.size() == 1);
            CHECK(welcome[0].letter.kind == LetterKind::welcome);
            CHECK(names(welcome[0]) == Slugs{"daily"});
        }
    }
}

TEST_SUITE("who holds nothing but tickets") {
    const std::vector<std::string> states = {"new",          "pending",    "confirmed",  "confirmed for one",
                                             "unsubscribed", "suppressed", "over budget"};

    // Brings the address into a state; the mailers then have the same habits in all worlds.
    void prepare(World & world, const std::string& state) {
        if (state == "pending") world.sign_up("ada@kyiv.ua", {"daily"}), world.deliver();
        if (state == "confirmed") world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        if (state == "confirmed for one") world.subscribed("ada@kyiv.ua", {"daily"});
        if (state == "unsubscribed") {
            world.subscribed("ada@kyiv.ua", {"daily"});
            world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
        }
        if (state == "suppressed") {
            world.sign_up("ada@kyiv.ua", {"daily"});
            world.deny(world.deliver()[0].confirm_token);
        }
        world.now += 2 * day_ms;
        for (int i = 0; i < 3; ++i) {
            if (state == "over budget") {
                world.sign_up("ada@kyiv.ua", {"daily"}, "192.0." + std::to_string(i) + ".1");
                world.deliver();
            }
            world.now += 16 * minute_ms;
        }
        world.now += minute_ms - world.now % minute_ms;
        run(world.store, [&](Transaction& tx) { tx.note_mailer({world.now, 20 * second_ms}); });
    }

    // cron, every minute
    void pass(World & world, TimeMs seconds) {
        for (TimeMs i = 0; i < seconds; ++i) {
            world.now += second_ms;
            if (world.now % minute_ms == 0) world.deliver();
        }
    }

    struct Post {
        int wait;  // seconds before it
        std::string newsletter;
        bool trap = false;
    };

    // Everything that somebody sees who signs the address up like this and tries codes all the time.
    std::string seen(const std::string& state, const std::vector<Post>& posts) {
        World world;
        prepare(world, state);
        std::string out;
        std::vector<Ticket> tickets;
        int turn = 0;
        const auto try_all = [&] {
            for (std::size_t i = 0; i < tickets.size(); ++i)
                out += std::to_string(i) + ": " + told(world.type(tickets[i], "12345a")) + "; ";
        };
        for (const Post& post : posts) {
            pass(world, post.wait);
            SignupForm form = world.form("ada@kyiv.ua", {post.newsletter}, lviv);
            if (post.trap) form.website = "https://spam.example";
            tickets.push_back(world.submit(form).ticket);
            out += seal(tickets.back(), {}, world.keys).size() == 84 ? "ticket; " : "odd; ";
            look(world.store, [&](Reader& reader) {
                out += std::string(word(ticket_status(reader, tickets.back(), world.now))) + "; ";
            });
            if (++turn % 2 == 0) try_all();
        }
        pass(world, 3 * 60);
        try_all();
        look(world.store, [&](Reader& reader) {
            for (const Ticket& ticket : tickets)
                out += std::string(word(ticket_status(reader, ticket, world.now))) + "; ";
        });
        pass(world, 40 * 60);
        try_all();
        return out;
    }

    void check_that_all_states_look_alike(const std::vector<Post>& posts) {
        const std::string expected = seen("new", posts);
        for (const std::string& state : states) {
            CAPTURE(state);
            CHECK(seen(state, posts) == expected);
        }
    }

    TEST_CASE("cannot tell the states of an address apart by two quick ones") {
        check_that_all_states_look_alike({{5, "daily"}, {5, "daily"}});
        CHECK(seen("new", {{5, "daily"}, {5, "daily"}}) ==
              "ticket; queued; ticket; queued; 0: wrong 4; 1: wrong 3; 0: wrong 2; 1: wrong 1; sent; sent; "
              "0: dead; 1: dead; ");
    }

    TEST_CASE("nor by several newsletters, of which she may have some") {
        check_that_all_states_look_alike({{5, "daily"}, {5, "weekly"}, {5, "daily"}});
        check_that_all_states_look_alike({{5, "weekly"}, {5, "daily"}});
    }

    TEST_CASE("nor by waiting for the mailer between them") {
        check_that_all_states_look_alike({{5, "daily"}, {50, "daily"}});
        check_that_all_states_look_alike({{5, "daily"}, {58, "daily"}});
        check_that_all_states_look_alike({{5, "daily"}, {70, "daily"}});
        check_that_all_states_look_alike({{5, "daily"}, {600, "daily"}, {5, "weekly"}});
    }

    TEST_CASE("nor by a mailer that does not come at all") {
        for (const bool suppressed : {false, true}) {
            World world;
            if (suppressed) {
                world.sign_up("ada@kyiv.ua", {"daily"});
                world.deny(world.deliver()[0].confirm_token);
                world.now += 2 * day_ms;
            }
            world.sign_up("bob@kyiv.ua", {"daily"});
            run(world.store, [&](Transaction& tx) { tx.note_mailer({world.now, second_ms}); });
            const Ticket first = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
            world.now += 10 * minute_ms;
            const Ticket second = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
            CHECK(told(world.type(first, "x")) == "wrong 4");
            CHECK(told(world.type(second, "x")) == "wrong 3");
        }
    }

    TEST_CASE("nor by the trap of the form") {
        check_that_all_states_look_alike({{5, "daily", true}, {5, "daily"}});
        check_that_all_states_look_alike({{5, "daily"}, {5, "daily", true}});
        CHECK(seen("new", {{5, "daily", true}, {5, "daily", true}}) ==
              seen("new", {{5, "daily"}, {5, "daily"}}));
    }

    TEST_CASE("nor by what is left after her erasure") {
        World world;
        const Ticket ticket = world.sign_up("ada@kyiv.ua", {"daily"}).ticket;
        const std::string code = world.deliver()[0].code;
        run(world.store, [&](Transaction& tx) { tx.erase_person(ticket.person); });
        CHECK(world.type(ticket, code).kind == Kind::dead);
        CHECK_FALSE(world.person("ada@kyiv.ua"));
    }
}
