// Keys, signed links, tickets and the mail budget: arithmetic that promises depend on.
#include <doctest/doctest.h>

#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "service/budget.h"
#include "service/keyring.h"
#include "service/ticket.h"
#include "service/token.h"

using namespace zgoda::service;

namespace {

MasterKey master(int id, std::uint8_t fill, TimeMs created) {
    MasterKey key;
    key.id = id;
    key.secret.fill(fill);
    key.created_at = created;
    return key;
}

Token confirm_token(TimeMs expires_at) {
    Token token;
    token.purpose = TokenPurpose::confirm;
    token.a = 41;
    token.b = 42;
    token.generation = 7;
    token.expires_at = expires_at;
    return token;
}

constexpr TimeMs now = 1'795'514'400'000;

}  // namespace

TEST_SUITE("digests") {
    TEST_CASE("HMAC-SHA256 gives the values of RFC 4231") {
        const std::vector<std::uint8_t> key1(20, 0x0b);
        CHECK(to_hex(hmac(key1, "Hi There")) ==
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        const std::string jefe = "Jefe";
        CHECK(to_hex(hmac({reinterpret_cast<const std::uint8_t*>(jefe.data()), 4},
                          "what do ya want for nothing?")) ==
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        const std::vector<std::uint8_t> key6(131, 0xaa);
        CHECK(to_hex(hmac(key6, "Test Using Larger Than Block-Size Key - Hash Key First")) ==
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    TEST_CASE("base64url takes back what it gave, and one spelling only") {
        for (std::size_t size = 0; size < 50; ++size) {
            std::vector<std::uint8_t> data(size);
            for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::uint8_t>(i * 37 + size);
            CHECK(from_base64url(to_base64url(data), 100) == data);
        }
        CHECK(from_base64url("AA", 10).has_value());
        CHECK_FALSE(from_base64url("AB", 10));  // bits that are left over
        CHECK_FALSE(from_base64url("A", 10));   // no byte
        CHECK_FALSE(from_base64url("AA==", 10));
        CHECK_FALSE(from_base64url("A+/A", 10));
        CHECK_FALSE(from_base64url("AAAAAAAAAAAA", 8));
        CHECK_FALSE(from_hex("0g"));
        CHECK_FALSE(from_hex("012"));
    }
}

TEST_SUITE("a keyring") {
    TEST_CASE("the newest key signs, the oldest is the pepper, all of them verify") {
        const Keyring keys({master(3, 1, 300), master(1, 2, 500), master(2, 3, 100)});
        CHECK(keys.newest() == 1);
        CHECK(keys.oldest() == 2);
        CHECK(keys.ids() == std::vector<int>{1, 2, 3});
        CHECK(keys.key(9, KeyUse::ticket) == nullptr);
        CHECK(suppression_keys(keys, "ada@example.org").front().key_id == 2);
        CHECK(suppression_keys(keys, "ada@example.org").size() == 3);
    }

    TEST_CASE("each use has a key of its own, and each master its own set") {
        const Keyring keys({master(1, 1, 1), master(2, 2, 2)});
        std::set<Digest> seen;
        for (const int id : keys.ids()) {
            for (int use = 0; use <= static_cast<int>(KeyUse::code); ++use) {
                const Digest* key = keys.key(id, static_cast<KeyUse>(use));
                REQUIRE(key != nullptr);
                CHECK(seen.insert(*key).second);
            }
        }
    }

    TEST_CASE("without keys, or with two of one id, there is none") {
        CHECK_THROWS_AS(Keyring({}), std::invalid_argument);
        CHECK_THROWS_AS(Keyring({master(1, 1, 1), master(1, 2, 2)}), std::invalid_argument);
        CHECK_THROWS_AS(Keyring({master(0, 1, 1)}), std::invalid_argument);
        CHECK_THROWS_AS(Keyring({master(256, 1, 1)}), std::invalid_argument);
    }

    TEST_CASE("nonces are the same for the same seed, and never repeat within it") {
        Seed seed{};
        seed[0] = 9;
        Nonces first(seed);
        Nonces second(seed);
        std::set<Nonce> seen;
        for (int i = 0; i < 100; ++i) {
            const Nonce one = first.next();
            CHECK(one == second.next());
            CHECK(seen.insert(one).second);
        }
    }

    TEST_CASE("no seed is drawn twice, on whatever thread") {
        std::set<Seed> seen;
        std::mutex mutex;
        const auto draw = [&] {
            for (int i = 0; i < 500; ++i) {
                const Seed one = random_seed();
                const std::lock_guard lock(mutex);
                CHECK(one != Seed{});
                CHECK(seen.insert(one).second);
            }
        };
        std::thread other(draw);
        draw();
        other.join();
        CHECK(seen.size() == 1000);
    }
}

TEST_SUITE("a signed link") {
    const Keyring keys({master(1, 1, 1), master(2, 2, 2)});

    TEST_CASE("says what was signed, for its own purpose") {
        const std::string text = sign(confirm_token(now), keys, 2);
        CHECK(text.size() == 57);
        const auto token = verify(text, TokenPurpose::confirm, keys);
        REQUIRE(token);
        CHECK(token->a == 41);
        CHECK(token->b == 42);
        CHECK(token->generation == 7);
        CHECK(token->expires_at == now);
    }

    TEST_CASE("opens nothing but its purpose") {
        const std::string text = sign(confirm_token(now), keys, 2);
        for (const TokenPurpose other :
             {TokenPurpose::unsubscribe, TokenPurpose::preferences, TokenPurpose::undo, TokenPurpose::page}) {
            CHECK_FALSE(verify(text, other, keys));
        }
    }

    TEST_CASE("no single character of it can be changed") {
        const std::string text = sign(confirm_token(now), keys, 1);
        int refused = 0;
        for (std::size_t i = 0; i < text.size(); ++i) {
            std::string changed = text;
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            if (!verify(changed, TokenPurpose::confirm, keys)) ++refused;
        }
        CHECK(refused == static_cast<int>(text.size()));
        CHECK_FALSE(verify(text + "A", TokenPurpose::confirm, keys));
        CHECK_FALSE(verify(text.substr(0, 56), TokenPurpose::confirm, keys));
        CHECK_FALSE(verify("", TokenPurpose::confirm, keys));
        CHECK_FALSE(verify("v2." + text.substr(3), TokenPurpose::confirm, keys));
    }

    TEST_CASE("of a key that is gone is nobody's") {
        const std::string text = sign(confirm_token(now), keys, 2);
        CHECK(verify(text, TokenPurpose::confirm,
                     Keyring({master(1, 1, 1), master(2, 2, 2), master(3, 3, 3)})));
        CHECK_FALSE(verify(text, TokenPurpose::confirm, Keyring({master(1, 1, 1)})));
        CHECK_FALSE(verify(text, TokenPurpose::confirm, Keyring({master(2, 9, 2)})));
    }

    TEST_CASE("expires with five minutes of grace, or never") {
        const auto token = verify(sign(confirm_token(now), keys, 1), TokenPurpose::confirm, keys);
        CHECK_FALSE(expired(*token, now + 299 * second_ms));
        CHECK(expired(*token, now + 301 * second_ms));
        Token unending;
        unending.purpose = TokenPurpose::unsubscribe;
        const auto read = verify(sign(unending, keys, 1), TokenPurpose::unsubscribe, keys);
        REQUIRE(read);
        CHECK_FALSE(read->expires_at);
        CHECK_FALSE(expired(*read, now + 36500 * day_ms));
    }

    TEST_CASE("has page nonces of its own, for a day") {
        const std::string nonce = page_nonce("v1.link", now, keys);
        CHECK(page_nonce_valid(nonce, "v1.link", now + hour_ms, keys));
        CHECK_FALSE(page_nonce_valid(nonce, "v1.other", now, keys));
        CHECK_FALSE(page_nonce_valid(nonce, "v1.link", now + 25 * hour_ms, keys));
        CHECK_FALSE(page_nonce_valid(nonce, "v1.link", now - hour_ms, keys));
        CHECK_FALSE(page_nonce_valid("", "v1.link", now, keys));
        CHECK(page_nonce_valid(nonce, "v1.link", now + 24 * hour_ms, keys));
        CHECK_FALSE(page_nonce_valid(nonce, "v1.link", now + 24 * hour_ms + 1, keys));
    }

    TEST_CASE("has page nonces that nobody can use within the first second") {
        const std::string nonce = page_nonce("v1.link", now, keys);
        CHECK_FALSE(page_nonce_valid(nonce, "v1.link", now + 999, keys));
        CHECK(page_nonce_valid(nonce, "v1.link", now + 1000, keys));
        CHECK(page_nonce_age(nonce, "v1.link", now + 999, keys) == 999);
    }
}

TEST_SUITE("a ticket") {
    const Keyring keys({master(1, 1, 1)});
    const Nonce nonce{1, 2, 3};

    TEST_CASE("with or without a letter is of one length, and says nothing to others") {
        const std::string with = seal({3, 77, 5, now, 65535}, nonce, keys);
        const std::string without = seal({3, 0, 5, now, 0}, nonce, keys);
        CHECK(with.size() == 84);
        CHECK(without.size() == 84);
        CHECK(unseal(with, now, keys)->letter == 77);
        CHECK(unseal(without, now, keys)->letter == 0);
        CHECK_FALSE(unseal(with, now, Keyring({master(1, 2, 1)})));
    }

    TEST_CASE("lives one hour and cannot be changed") {
        const std::string text = seal({3, 77, 5, now, 2}, nonce, keys);
        CHECK(unseal(text, now + hour_ms, keys));
        CHECK_FALSE(unseal(text, now + hour_ms + 1, keys));
        for (std::size_t i = 0; i < text.size(); ++i) {
            std::string changed = text;
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            CHECK_FALSE(unseal(changed, now, keys));
        }
    }
}

TEST_SUITE("the mail budget") {
    const std::vector<Rate> rates = *parse_rates("1/15min 3/24h 5/30d");

    // The times, in minutes from the start, at which letters asked for every minute by these networks in turn
    // go.
    std::vector<TimeMs> letters(const std::vector<std::uint64_t>& networks, TimeMs minutes) {
        std::vector<BudgetEntry> history;
        std::vector<TimeMs> sent;
        for (TimeMs minute = 0; minute < minutes; ++minute) {
            const std::uint64_t network = networks[static_cast<std::size_t>(minute) % networks.size()];
            if (next_allowed(history, rates, network, minute * minute_ms) > minute * minute_ms) continue;
            history = spend(history, rates, network, minute * minute_ms);
            sent.push_back(minute);
        }
        return sent;
    }

    TEST_CASE("one network never gets the last letter of a window") {
        const std::vector<TimeMs> sent = letters({1}, 24 * 60);
        CHECK(sent == std::vector<TimeMs>{0, 15});
    }

    TEST_CASE("the last one is for a network that caused none of the others") {
        std::vector<BudgetEntry> history = spend({}, rates, 1, 0);
        history = spend(history, rates, 1, 15 * minute_ms);
        const TimeMs later = 40 * minute_ms;
        CHECK(next_allowed(history, rates, 2, later) == later);
        CHECK(next_allowed(history, rates, 1, later) == day_ms);
    }

    TEST_CASE("no number of networks gets more than the budget") {
        std::vector<std::uint64_t> many(997);
        for (std::size_t i = 0; i < many.size(); ++i) many[i] = i;
        CHECK(letters(many, 24 * 60).size() == 3);
        CHECK(letters(many, 30 * 24 * 60).size() == 5);
    }

    TEST_CASE("without rates everything is allowed and nothing is remembered") {
        CHECK(next_allowed({}, {}, 1, now) == now);
        CHECK(spend({}, {}, 1, now).empty());
    }

    TEST_CASE("the answer is the first moment that really is allowed") {
        std::vector<BudgetEntry> history = spend({}, rates, 1, now);
        const TimeMs next = next_allowed(history, rates, 1, now + 1);
        CHECK(next == now + 15 * minute_ms);
        CHECK(next_allowed(history, rates, 1, next) == next);
        CHECK(next_allowed(history, rates, 1, next - 1) == next);
    }
}
