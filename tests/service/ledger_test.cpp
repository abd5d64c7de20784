#include "service/ledger.h"

#include "tests/service/world.h"

using namespace zgoda::service;

namespace {

World storied() {
    World world;
    world.subscribed("ada@kyiv.ua", {"daily", "weekly"});
    world.now += hour_ms;
    world.subscribed("bob@kyiv.ua", {"daily"});
    world.leave(world.unsubscribe_link("ada@kyiv.ua", "daily"));
    return world;
}

}  // namespace

TEST_SUITE("the consent ledger") {
    TEST_CASE("tells what was agreed to, in order, and is whole") {
        World world = storied();
        std::string kinds;
        for (const Event& event : world.events()) kinds += std::string(word(event.kind)) + " ";
        CHECK(kinds ==
              "signup_requested letter_sent confirmed signup_requested letter_sent confirmed withdrawn ");
        const Verdict verdict = world.verify_chain();
        CHECK_FALSE(verdict.problem);
        CHECK(verdict.events == 7);
        CHECK(verdict.head.starts_with("7:"));
        CHECK_FALSE(world.verify_chain(verdict.head).problem);
    }

    TEST_CASE("an empty one is whole") {
        World world;
        CHECK_FALSE(world.verify_chain().problem);
        CHECK(world.verify_chain().events == 0);
    }

    TEST_CASE("keeps nothing personal in the chain itself") {
        World world;
        SignupForm form = world.form("ada@kyiv.ua", {"daily"});
        form.name = "Ada";
        form.source = "https://news.example/ada";
        world.submit(form);
        for (const Event& event : world.events()) {
            for (const char* secret : {"ada", "Ada", "203.0.113"}) {
                CHECK(event.details.find(secret) == std::string::npos);
            }
        }
    }

    TEST_CASE("any edit shows") {
        const std::vector<std::pair<std::string, std::function<void(Event&)>>> edits = {
            {"time", [](Event& one) { one.at += 1; }},
            {"kind", [](Event& one) { one.kind = EventKind::imported; }},
            {"person", [](Event& one) { one.person += 1; }},
            {"details", [](Event& one) { one.details += " "; }},
            {"identity", [](Event& one) { one.identity[2] = 'X'; }},
            {"evidence", [](Event& one) { one.evidence[2] = 'X'; }},
            {"identity nonce", [](Event& one) { (*one.identity_nonce)[0] ^= 1; }},
            {"identity commitment", [](Event& one) { one.identity_commitment[0] ^= 1; }},
            {"evidence commitment", [](Event& one) { one.evidence_commitment[0] ^= 1; }},
            {"previous", [](Event& one) { one.previous[0] ^= 1; }},
            {"hash", [](Event& one) { one.hash[0] ^= 1; }},
            {"identity taken away",
             [](Event& one) {
                 one.identity.clear();
                 one.identity_nonce.reset();
             }},
            {"identity without its nonce", [](Event& one) { one.identity_nonce.reset(); }},
        };
        for (const auto& [name, edit] : edits) {
            const std::string what = name;  // clang 14 captures no structured binding
            World world = storied();
            for (std::size_t i = 0; i < world.events().size(); ++i) {
                World copy = storied();
                edit(copy.store.tables.ledger[i]);
                CAPTURE(what);
                CAPTURE(i);
                CHECK(copy.verify_chain().problem);
            }
        }
    }

    TEST_CASE("a deletion, an insertion and a swap show") {
        for (std::size_t i = 0; i < 7; ++i) {
            World world = storied();
            auto& events = world.store.tables.ledger;
            events.erase(events.begin() + static_cast<std::ptrdiff_t>(i));
            CHECK(world.verify_chain().problem);
        }
        World swapped = storied();
        auto& events = swapped.store.tables.ledger;
        std::swap(events[1].identity, events[4].identity);
        std::swap(events[1].identity_nonce, events[4].identity_nonce);
        CHECK(swapped.verify_chain().problem);
        World reordered = storied();
        auto& list = reordered.store.tables.ledger;
        std::swap(list[1], list[2]);
        std::swap(list[1].seq, list[2].seq);
        CHECK(reordered.verify_chain().problem);
    }

    TEST_CASE("a cut-off tail shows, even where the head was sealed anew for what is left") {
        World world = storied();
        const std::string head = world.verify_chain().head;
        auto& events = world.store.tables.ledger;
        events.pop_back();
        CHECK(world.verify_chain().problem);

        // A restored older database is whole in itself; only the head that was kept elsewhere tells.
        World older;
        older.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        CHECK_FALSE(older.verify_chain().problem);
        CHECK(older.verify_chain(head).problem);
    }

    TEST_CASE("another chain of the same length is not the expected one") {
        World world = storied();
        World other;
        other.now += 1;
        other.subscribed("ada@kyiv.ua", {"daily", "weekly"});
        const std::string head = other.verify_chain().head;
        CHECK(world.verify_chain(head).problem);
        CHECK(world.verify_chain(std::string("nonsense")).problem);
    }

    TEST_CASE("a head that was not sealed with our key is not believed") {
        World world = storied();
        MasterKey stranger;
        stranger.id = 1;
        stranger.secret.fill(8);
        CHECK(verify_ledger(world.store, Keyring({stranger}), {}).problem);
    }
}
