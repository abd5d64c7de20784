#include "service/import.h"

#include "tests/service/import_newsroom.h"

namespace zgoda::service {

TEST_SUITE_BEGIN("import");

namespace {

using S = SubscriptionStatus;
const std::string ada = "ada@example.org";

}  // namespace

TEST_CASE("a person comes with what the file shows, into the ledger with its proof, and gets no letter") {
    Newsroom news;
    ImportRow row = Newsroom::row("Ada@Example.org");
    row.name = "Ada \"A\", two\nlines 👩";
    row.signed_up_at = news.now - 3 * day_ms;
    row.confirmed_at = news.now - 2 * day_ms;
    row.signup_ip = "192.0.2.1";
    row.confirm_ip = "192.0.2.2";
    CHECK(news.import({row}) == "imported");
    CHECK(news.status(ada, "weekly") == "confirmed");
    CHECK(news.person(ada)->name == row.name);
    CHECK(news.person(ada)->proven_at == row.confirmed_at);
    CHECK(news.store.tables.letters.empty());
    REQUIRE(news.events().size() == 1);
    const Event event = news.events().front();
    CHECK(event.kind == EventKind::imported);
    CHECK(event.evidence.find("192.0.2.2") != std::string::npos);
    CHECK(event.identity.find(rfc3339(*row.confirmed_at)) != std::string::npos);
    const Wording basis = make_wording(news.id_of("weekly"), "", news.plan.basis, "");
    CHECK(event.details.find(basis.id) != std::string::npos);
    CHECK(news.store.tables.wordings.at(basis.id).text == news.plan.basis);
    CHECK_FALSE(news.verify_chain().problem);
    CHECK(news.explained(ada).find(": weekly (confirmed); the file says she signed up " +
                                   rfc3339(*row.signed_up_at) +
                                   " from 192.0.2.1; the file says she confirmed " +
                                   rfc3339(*row.confirmed_at) + " from 192.0.2.2.") != std::string::npos);
    ImportRow left = Newsroom::row("left@example.org", S::unsubscribed);
    left.unsubscribed_at = news.now - day_ms;
    left.confirm_ip = "192.0.2.3";  // where she confirmed once
    CHECK(news.import({left}) == "imported");
    CHECK(news.explained("left@example.org")
              .find("; the file says she confirmed from 192.0.2.3; the file says she left " +
                    rfc3339(*left.unsubscribed_at) + ".") != std::string::npos);
    CHECK(news.import({Newsroom::row(ada)}) == "unchanged");
    CHECK(news.events().size() == 2);
}

TEST_CASE("rows that cannot be are refused, with why") {
    Newsroom news;
    ImportRow unproven = Newsroom::row("a@example.org"), nobody = Newsroom::row("b@example.org"),
              bell = Newsroom::row("c@example.org"), wordy = Newsroom::row("d@example.org");
    unproven.proven = false;
    nobody.no_person = true;
    bell.name = "\a";
    wordy.name = std::string(201, 'x');
    CHECK(news.import({Newsroom::row("nobody"), unproven, nobody, bell, wordy}) ==
          "refused (address_no_at), refused (unproven), refused (deletion_request), refused (control_char), "
          "refused (name_too_long)");
    CHECK(news.store.tables.people.empty());
    news.plan.unproven = Unproven::pending;
    CHECK(news.import({unproven}) == "imported");
    CHECK(news.status("a@example.org", "weekly") == "pending");
    news.plan.unproven = Unproven::confirmed;
    CHECK(news.import({unproven, Newsroom::row("e@example.org", S::pending)}) == "merged, imported");
    CHECK(news.status("a@example.org", "weekly") == "confirmed");
    CHECK(news.status("e@example.org", "weekly") == "pending");
}

TEST_CASE("an import never lifts what was said here") {
    Newsroom news;
    news.subscribed(ada, {"weekly"});
    news.leave(news.unsubscribe_link(ada, "weekly"));
    ImportRow later = Newsroom::row(ada);
    later.confirmed_at = news.now + day_ms;
    CHECK(news.import({later}) == "refused (unsubscribed)");
    CHECK(news.status(ada, "weekly") == "unsubscribed");

    for (const auto reason :
         {SuppressionReason::complaint, SuppressionReason::not_me, SuppressionReason::never_again,
          SuppressionReason::hard_bounce, SuppressionReason::admin}) {
        const std::string who = std::string(word(reason)) + "@example.org";
        Suppression one = suppression_keys(news.keys, who).front();
        one.reason = reason;
        run(news.store, [&](Transaction& tx) { tx.add(one); });
        CHECK(news.import({Newsroom::row(who)}) == "refused (suppressed_" + std::string(word(reason)) + ")");
        CHECK_FALSE(news.person(who));
        CHECK(news.suppressed_as(who, reason));
    }

    news.import({Newsroom::row("eve@example.org")});
    run(news.store,
        [&](Transaction& tx) { erase(tx, *tx.person_by_key("eve@example.org"), news.rules, news.moment()); });
    CHECK(news.store.tables.import_entries.size() == 0);  // the journal forgot her
    for (const S status : {S::confirmed, S::unsubscribed, S::bounced})
        CHECK(news.import({Newsroom::row("eve@example.org", status)}) == "refused (erased)");
    CHECK_FALSE(news.person("eve@example.org"));
}

TEST_CASE("a confirmation made here beats an older leave in a file, and no newer one") {
    Newsroom news;
    news.subscribed(ada, {"weekly", "daily"});
    for (const S status : {S::unsubscribed, S::bounced, S::complained}) {
        ImportRow older = Newsroom::row(ada, status);
        older.unsubscribed_at = news.now - day_ms;
        CHECK(news.import({older}) == "unchanged");
    }
    CHECK(news.status(ada, "weekly") == "confirmed");
    CHECK_FALSE(news.suppressed_as(ada, SuppressionReason::hard_bounce));
    ImportRow newer = Newsroom::row(ada, S::unsubscribed);
    newer.unsubscribed_at = news.now + 1;
    const auto generation = news.person(ada)->generation;
    CHECK(news.import({newer}) == "merged");
    CHECK(news.status(ada, "weekly") == "unsubscribed");
    CHECK(news.status(ada, "daily") == "confirmed");
    CHECK(news.person(ada)->generation == generation + 1);
    CHECK(news.store.withdrawals_journal.size() >= 1);
}

TEST_CASE("the story calls a bounce in a file a bounce, and says whether it still holds") {
    Newsroom news;
    ImportRow old = Newsroom::row(ada, S::bounced), fresh = Newsroom::row("eve@example.org", S::bounced);
    old.unsubscribed_at = news.now - 100 * day_ms;
    fresh.unsubscribed_at = news.now - day_ms;
    news.import({old, fresh});
    const std::string told = news.explained(ada);
    CHECK(told.find("; the file says her mailbox bounced on " + rfc3339(*old.unsubscribed_at) +
                    "; no more letters: hard_bounce, until " + rfc3339(*old.unsubscribed_at + 7 * day_ms) +
                    ", which is over.") != std::string::npos);
    CHECK(told.find("she left") == std::string::npos);
    CHECK(news.explained("eve@example.org")
              .find("hard_bounce, until " + rfc3339(news.now + 6 * day_ms) + ".") != std::string::npos);
}

TEST_CASE("a dead mailbox and a complaint end all that she has, and close the door") {
    Newsroom news;
    news.plan.newsletters = {news.id_of("daily")};
    news.import({Newsroom::row(ada), Newsroom::row("eve@example.org")});
    news.plan.newsletters = {news.id_of("weekly")};
    CHECK(news.import({Newsroom::row(ada, S::bounced), Newsroom::row("eve@example.org", S::complained)}) ==
          "merged, merged");
    CHECK(news.status(ada, "daily") == "bounced");
    CHECK(news.status(ada, "weekly") == "bounced");
    CHECK(news.status("eve@example.org", "daily") == "complained");
    CHECK(news.suppressed_as(ada, SuppressionReason::hard_bounce));
    CHECK(news.suppressed_as("eve@example.org", SuppressionReason::complaint));
}

TEST_CASE("the order of files does not matter") {
    // Three files about the same people; each order must end the same.
    const auto file = [](Newsroom& news, int which) {
        const TimeMs t = 1'700'000'000'000;
        ImportRow a = Newsroom::row(ada), b = Newsroom::row("bob@example.org"),
                  c = Newsroom::row("eve@example.org");
        if (which == 0) {
            a.signed_up_at = t, a.confirmed_at = t + 5, a.name = "Ada", a.source = "https://b.example/";
            b.signed_up_at = t + 7;
            c.confirmed_at = t;
        } else if (which == 1) {
            a.status = S::unsubscribed, a.signed_up_at = t - 1, a.unsubscribed_at = t + 9,
            a.name = "Ada Lovelace";
            b.status = S::pending, b.signed_up_at = t + 3, b.fields = R"({"x":"1"})";
            c.status = S::unsubscribed, c.unsubscribed_at = t + 1;
        } else {
            a.status = S::unsubscribed, a.unsubscribed_at = t + 8, a.source = "https://a.example/";
            b.confirmed_at = t + 1, b.name = "Bo";
            c.status = S::bounced, c.unsubscribed_at = t + 2;
        }
        for (ImportRow* one : {&a, &b, &c})
            if (!one->signed_up_at) one->signed_up_at = t + 20;
        news.import({a, b, c});
    };
    std::vector<int> order{0, 1, 2};
    std::string expected;
    do {
        Newsroom news;
        news.plan.unproven = Unproven::pending;
        for (const int which : order) file(news, which);
        if (expected.empty()) expected = news.state();
        CHECK(news.state() == expected);
        for (const int which : order) file(news, which);  // and saying it again changes nothing
        CHECK(news.state() == expected);
    } while (std::next_permutation(order.begin(), order.end()));
    CHECK(expected.find("unsubscribed") != std::string::npos);
    CHECK(expected.find("bounced") != std::string::npos);
}

TEST_CASE("labels become newsletters; who left, left all that the file maps to") {
    Newsroom news;
    news.plan.newsletters.clear();
    news.maps = {*parse_label_map("TAGS=News:daily,War: today:weekly,VIP:")};
    CHECK(news.maps[0].values[1].value == "War: today");
    news.plan.labels = {{{"News", news.id_of("daily")}, {"War: today", news.id_of("weekly")}, {"VIP", 0}}};
    const auto with = [&](ImportRow row, std::vector<std::string> labels) {
        row.labels = {std::move(labels)};
        return row;
    };
    CHECK(news.import({with(Newsroom::row(ada), {"News", "VIP"}),
                       with(Newsroom::row("bob@example.org"), {"VIP"}),
                       with(Newsroom::row("eve@example.org", S::unsubscribed), {})}) ==
          "imported, refused (no_newsletter), imported");
    CHECK(news.status(ada, "daily") == "confirmed");
    CHECK(news.status(ada, "weekly") == "none");
    CHECK(news.status("eve@example.org", "daily") == "unsubscribed");
    CHECK(news.status("eve@example.org", "weekly") == "unsubscribed");
    const auto unknown = prepare(with(Newsroom::row(ada), {"Else"}), 9, ImportFormat::generic, news.plan,
                                 news.maps, Newsletters(), news.rules);
    REQUIRE(std::holds_alternative<InputProblem>(unknown));
    CHECK(std::get<InputProblem>(unknown).line == 9);
    CHECK(std::get<InputProblem>(unknown).what.find("\"Else\"") != std::string::npos);
    for (const char* wrong : {"", "=a:b", "TAGS", "TAGS=", "TAGS=a", "TAGS=:b"})
        CHECK_FALSE(parse_label_map(wrong));
}

TEST_CASE("a value with a comma stands in quotes, as the advice about it prints it") {
    const auto map = parse_label_map(R"(TAGS="Big, ""Fat"":x":weekly,Big: a:daily,"VIP":)");
    REQUIRE(map);
    REQUIRE(map->values.size() == 3);
    CHECK(map->values[0].value == R"(Big, "Fat":x)");
    CHECK(map->values[0].slug == "weekly");
    CHECK(map->values[1].value == "Big: a");
    CHECK(map->values[2].value == "VIP");
    CHECK(map->values[2].slug.empty());
    for (const char* wrong : {R"(TAGS="Big)", R"(TAGS="Big")", R"(TAGS="Big"x:weekly)", R"(TAGS="":weekly)"})
        CHECK_FALSE(parse_label_map(wrong));
    for (const std::string value : {"Big", "Big, Fat", "\"Big\"", "a: \"b, c\", d"}) {
        const auto again = parse_label_map("TAGS=" + map_value(value) + ":weekly");
        REQUIRE(again);
        CHECK(again->values.size() == 1);
        CHECK(again->values[0].value == value);
    }

    Newsroom news;
    news.plan.newsletters.clear();
    news.maps = {*parse_label_map("TAGS=x:")};
    news.plan.labels = {{{"x", 0}}};
    ImportRow row = Newsroom::row(ada);
    row.labels = {{"Big, 'Fat'"}};
    std::shared_ptr<const Newsletters> newsletters;
    look(news.store, [&](Reader& reader) { newsletters = reader.newsletters(); });
    const auto unknown =
        prepare(row, 9, ImportFormat::mailchimp, news.plan, news.maps, *newsletters, news.rules);
    CHECK(std::get<InputProblem>(unknown).what.find(R"(add "Big, '\''Fat'\''":SLUG to --map 'TAGS=...')") !=
          std::string::npos);
}

TEST_CASE("who is taken without proof is known as that for ever") {
    for (const auto& [unproven, word] : {std::pair(Unproven::confirmed, std::string("confirmed")),
                                         std::pair(Unproven::pending, std::string("pending"))}) {
        Newsroom news;
        news.plan.unproven = unproven;
        ImportRow row = Newsroom::row(ada);
        row.proven = false;
        CHECK(news.import({row, Newsroom::row("bob@example.org")}) == "imported, imported");
        CHECK(news.status(ada, "weekly") == word);
        CHECK(news.events().at(0).details.find("\"without_proof\":\"" + word + "\"") != std::string::npos);
        CHECK(news.events().at(1).details.find("without_proof") == std::string::npos);
        CHECK(news.explained(ada).find("taken without proof (--unproven " + word + ")") != std::string::npos);
        CHECK_FALSE(news.verify_chain().problem);
    }
}

TEST_CASE("our own export restores every row, whatever the others of its person say") {
    Newsroom news;
    news.plan = {};
    CHECK(news.import({news.own(ada, "daily", S::complained), news.own(ada, "weekly", S::confirmed),
                       news.own(ada, "culture", S::paused)},
                      ImportFormat::zgoda) == "imported, imported, imported");
    CHECK(news.status(ada, "weekly") == "confirmed");
    CHECK(news.suppressed_as(ada, SuppressionReason::complaint));
    CHECK(news.import({news.own(ada, "weekly", S::confirmed)}, ImportFormat::zgoda) == "unchanged");
    // but another file finds the door closed
    news.add_newsletter("fresh");
    CHECK(news.import({news.own(ada, "fresh", S::confirmed)}, ImportFormat::zgoda) ==
          "refused (suppressed_complaint)");
}

TEST_CASE("a batch goes on where it was, and nowhere else") {
    Newsroom news;
    const Id batch = news.begin("monday");
    news.step(batch, 0, {Newsroom::row(ada), Newsroom::row("bob@example.org")});
    ImportStart start;
    Digest same{};
    same[0] = 1;
    run(news.store,
        [&](Transaction& tx) { start = start_import(tx, "", same, "generic", news.plan, news.now); });
    CHECK(start.kind == ImportStart::Kind::resumed);
    CHECK(start.batch.position == 2);
    CHECK(start.batch.imported == 2);
    CHECK_THROWS_AS(news.step(batch, 0, {Newsroom::row("eve@example.org")}), ImportInterrupted);
    CHECK_THROWS_AS(news.step(batch, 3, {Newsroom::row("eve@example.org")}), ImportInterrupted);
    CHECK_FALSE(news.person("eve@example.org"));
    same[0] = 99;
    run(news.store,
        [&](Transaction& tx) { start = start_import(tx, "monday", same, "generic", news.plan, news.now); });
    CHECK(start.kind == ImportStart::Kind::name_taken);
    run(news.store, [&](Transaction& tx) { CHECK(start_undo(tx, batch, news.now) == UndoStart::begun); });
    CHECK_THROWS_AS(news.step(batch, 2, {Newsroom::row("eve@example.org")}), ImportInterrupted);
}

TEST_CASE("who left elsewhere leaves here, and nobody is brought in") {
    Newsroom news;
    news.subscribed(ada, {"weekly", "daily"});
    news.plan = {};
    news.plan.leaves_only = news.plan.everything = true;
    news.plan.reason = "left at the sender";
    CHECK(news.import({Newsroom::row(ada), Newsroom::row("nobody@example.org")}) ==
          "merged, refused (not_here)");
    CHECK(news.status(ada, "weekly") == "unsubscribed");
    CHECK(news.status(ada, "daily") == "unsubscribed");
    CHECK(news.count(EventKind::withdrawn) == 1);
    CHECK(news.events().back().details.find("left at the sender") != std::string::npos);
    CHECK(news.explained(ada).find(" by import, batch ") != std::string::npos);
    CHECK(news.explained(ada).find("; the reason given: left at the sender.") != std::string::npos);
    CHECK(news.import({Newsroom::row(ada)}) == "unchanged");
}

TEST_SUITE_END();

}  // namespace zgoda::service
