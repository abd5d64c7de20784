// The keys of programs that administer over HTTP.
#include "service/admin_token.h"

#include "tests/service/world.h"

using namespace zgoda::service;

namespace {

struct TokenWorld : World {
    std::string text = admin_token_text(Seed{1, 2, 3});

    AdminTokenWish wish() {
        AdminTokenWish one;
        one.name = "nightly";
        one.scopes = {TokenScope::stats_read};
        return one;
    }

    // What went wrong, or "".
    std::string create(const AdminTokenWish& one) {
        std::variant<AdminToken, std::string> made;
        run(store, [&](Transaction& tx) { made = create_admin_token(tx, "root", one, text, now); });
        const auto* problem = std::get_if<std::string>(&made);
        return problem ? *problem : "";
    }

    bool admits(const std::string& shown, const std::string& ip = "127.0.0.1") {
        bool found = false;
        look(store, [&](Reader& reader) { found = find_admin_token(reader, shown, ip, now).has_value(); });
        return found;
    }
};

}  // namespace

TEST_SUITE("tokens of the admin API") {
    TEST_CASE("are 256 random bits behind a prefix, and kept as a hash only") {
        TokenWorld world;
        CHECK(world.text.starts_with("zgoda_"));
        CHECK(world.text.size() == 49);
        CHECK(admin_token_text(random_seed()) != admin_token_text(random_seed()));
        REQUIRE(world.create(world.wish()) == "");
        CHECK(world.store.tables.admin_tokens.begin()->second.digest == sha256(world.text));
        CHECK(world.admits(world.text));
        CHECK_FALSE(world.admits(world.text.substr(0, 48)));
        CHECK_FALSE(world.admits("zgoda_"));
        CHECK_FALSE(world.admits(""));
        CHECK_FALSE(world.admits(admin_token_text(Seed{1, 2, 4})));
    }

    TEST_CASE("end when they expire, and when they are revoked by name or id") {
        TokenWorld world;
        AdminTokenWish brief = world.wish();
        brief.life = 90 * day_ms;
        REQUIRE(world.create(brief) == "");
        world.now += 90 * day_ms - 1;
        CHECK(world.admits(world.text));
        world.now += 1;
        CHECK_FALSE(world.admits(world.text));

        CHECK(world.create(world.wish()) != "");  // an expired one still has the name
        const auto revoke = [&](const std::string& which) {
            bool ended = false;
            run(world.store, [&](Transaction& tx) {
                ended = revoke_admin_token(tx, "root", which, world.keys, world.now).has_value();
            });
            return ended;
        };
        CHECK_FALSE(revoke("weekly"));
        CHECK(revoke("nightly"));
        CHECK_FALSE(revoke("nightly"));
        world.text = admin_token_text(Seed{9});
        REQUIRE(world.create(world.wish()) == "");
        CHECK(world.admits(world.text));
        CHECK(revoke(std::to_string(world.store.tables.admin_tokens.rbegin()->first)));
        CHECK_FALSE(world.admits(world.text));
        std::vector<std::string> acts;
        for (const AdminAct& act : world.store.tables.admin_acts) acts.push_back(act.what);
        CHECK(acts ==
              std::vector<std::string>{"token create", "token revoke", "token create", "token revoke"});
    }

    TEST_CASE("work only from their networks, if they name any") {
        TokenWorld world;
        AdminTokenWish one = world.wish();
        one.networks = {"203.0.113.0/24", "2001:db8::/32", "198.51.100.7"};
        REQUIRE(world.create(one) == "");
        for (const char* ip : {"203.0.113.255", "2001:db8:ffff::1", "198.51.100.7"})
            CHECK(world.admits(world.text, ip));
        for (const char* ip : {"203.0.114.0", "2001:db9::", "198.51.100.8", "", "unix", "::", "0.0.0.0"})
            CHECK_FALSE(world.admits(world.text, ip));
    }

    TEST_CASE("an address is in a network of its own family, by its first bits") {
        CHECK(in_network("10.1.2.3", "0.0.0.0/0"));
        CHECK(in_network("10.1.2.3", "10.1.2.3/32"));
        CHECK(in_network("10.129.0.1", "10.128.0.0/9"));
        CHECK_FALSE(in_network("10.127.0.1", "10.128.0.0/9"));
        CHECK_FALSE(in_network("::", "0.0.0.0/0"));
        CHECK_FALSE(in_network("0.0.0.0", "::/0"));
        CHECK_FALSE(in_network("10.1.2.3", "10.1.2.3/33"));
        CHECK_FALSE(in_network("10.0.0.0/7", "10.0.0.0/8"));
        CHECK_FALSE(in_network("here", "10.0.0.0/8"));
    }

    TEST_CASE("are not made of wrong wishes") {
        TokenWorld world;
        for (const char* name : {"", "two words", "17", "a@b", "name\n", "назва"}) {
            AdminTokenWish one = world.wish();
            one.name = name;
            CHECK(world.create(one) != "");
        }
        for (const char* network : {"", "home", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/33", "2001:db8::1/32"}) {
            AdminTokenWish one = world.wish();
            one.networks = {network};
            CHECK(world.create(one) != "");
        }
        AdminTokenWish nothing = world.wish();
        nothing.scopes.clear();
        CHECK(world.create(nothing) != "");
        CHECK(world.store.tables.admin_tokens.empty());
        CHECK(world.store.tables.admin_acts.empty());
    }

    TEST_CASE("may do what their scopes say, and nothing else") {
        AdminToken token;
        token.scopes = {TokenScope::subscribers_read, TokenScope::signup_write};
        for (const auto text : scope_words()) {
            const TokenScope scope = parse_scope(text).value();
            CHECK(word(scope) == text);
            CHECK(allows(token, scope) == (text == "subscribers:read" || text == "signup:write"));
        }
        CHECK(scope_words().size() == 10);
        CHECK_FALSE(parse_scope("subscribers"));
    }

    TEST_CASE("remember their last use to the minute") {
        TokenWorld world;
        REQUIRE(world.create(world.wish()) == "");
        const auto token = [&] { return world.store.tables.admin_tokens.begin()->second; };
        const auto use = [&] {
            run(world.store, [&](Transaction& tx) { note_use(tx, token().id, world.now); });
        };
        CHECK(use_is_news(token(), world.now));
        use();
        const TimeMs first = world.now;
        CHECK(token().last_used_at == first);
        world.now += minute_ms - 1;
        CHECK_FALSE(use_is_news(token(), world.now));
        use();
        CHECK(token().last_used_at == first);
        world.now += 1;
        use();
        CHECK(token().last_used_at == world.now);
    }
}
