#include "api/http/client_address.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

using namespace zgoda::http;

TEST_SUITE("client address") {
    TEST_CASE("X-Forwarded-For is read from the right, skipping the proxies we trust") {
        const TrustedProxies proxies({"loopback", "unix", "10.0.0.0/8", "192.0.2.7", "fd00::/8"});
        struct Row {
            std::string why, peer, forwarded, client;
        };
        const std::vector<Row> rows{
            {"no proxy, no field", "198.51.100.1", "", "198.51.100.1"},
            {"a stranger's field is ignored", "198.51.100.1", "203.0.113.9", "198.51.100.1"},
            {"a trusted peer without the field", "127.0.0.1", "", "127.0.0.1"},
            {"one proxy", "127.0.0.1", "203.0.113.9", "203.0.113.9"},
            {"over IPv6 loopback", "::1", "203.0.113.9", "203.0.113.9"},
            {"over a Unix socket", "unix", "203.0.113.9", "203.0.113.9"},
            {"what the client wrote itself stands left", "127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"},
            {"two proxies", "127.0.0.1", "1.1.1.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"},
            {"a single trusted address", "127.0.0.1", "203.0.113.9,192.0.2.7", "203.0.113.9"},
            {"its neighbour is not", "127.0.0.1", "203.0.113.9,192.0.2.8", "192.0.2.8"},
            {"all trusted: the leftmost", "127.0.0.1", "10.9.9.9, 10.1.2.3", "10.9.9.9"},
            {"a trusted IPv6 network", "fd12::1", "2001:db8::5", "2001:db8::5"},
            {"a port", "127.0.0.1", "203.0.113.9:5123", "203.0.113.9"},
            {"brackets", "127.0.0.1", "[2001:db8::5]", "2001:db8::5"},
            {"brackets and a port", "127.0.0.1", "[2001:db8::5]:443", "2001:db8::5"},
            {"one spelling of an address", "127.0.0.1", "2001:DB8:0:0::5", "2001:db8::5"},
            {"IPv4 in IPv6", "127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"},
            {"a trusted one as IPv4 in IPv6", "127.0.0.1", "203.0.113.9, ::ffff:10.0.0.1", "203.0.113.9"},
            {"malformed: the peer", "127.0.0.1", "unknown", "127.0.0.1"},
            {"malformed behind a trusted one", "127.0.0.1", "203.0.113.9, _x, 10.1.1.1", "127.0.0.1"},
            {"malformed left of the client is never read", "127.0.0.1", "<script>, 203.0.113.9",
             "203.0.113.9"},
            {"an empty element", "127.0.0.1", "203.0.113.9,", "127.0.0.1"},
            {"a bad port", "127.0.0.1", "203.0.113.9:x", "127.0.0.1"},
            {"an open bracket", "127.0.0.1", "[2001:db8::5", "127.0.0.1"},
            {"a zone", "127.0.0.1", "fe80::1%eth0", "127.0.0.1"},
            {"a short form", "127.0.0.1", "203.9", "127.0.0.1"},
            {"leading zeros", "127.0.0.1", "203.0.113.009", "127.0.0.1"},
        };
        for (const Row& row : rows) {
            CAPTURE(row.why);
            CHECK(client_address(proxies, row.peer, row.forwarded) == row.client);
        }
    }

    TEST_CASE("only what is listed is trusted") {
        CHECK_FALSE(TrustedProxies().trusts("127.0.0.1"));
        CHECK_FALSE(TrustedProxies({"loopback"}).trusts("unix"));
        CHECK_FALSE(TrustedProxies({"unix"}).trusts("127.0.0.1"));
        const TrustedProxies loopback({"loopback"});
        CHECK(loopback.trusts("127.9.9.9"));
        CHECK_FALSE(loopback.trusts("128.0.0.1"));
        CHECK_FALSE(loopback.trusts("::2"));
        const TrustedProxies odd({"10.16.0.0/12"});
        CHECK(odd.trusts("10.31.255.255"));
        CHECK_FALSE(odd.trusts("10.32.0.0"));
        CHECK(TrustedProxies({"0.0.0.0/0"}).trusts("203.0.113.9"));
        CHECK_FALSE(TrustedProxies({"0.0.0.0/0"}).trusts("2001:db8::1"));
    }

    TEST_CASE("an entry that is no network is named") {
        for (const std::string entry :
             {"localhost", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/", "10.0.0.0/-1", "::1/129", ""}) {
            CAPTURE(entry);
            CHECK_THROWS_AS(TrustedProxies({entry}), std::invalid_argument);
        }
        CHECK_THROWS_WITH(TrustedProxies({"proxy.lan"}),
                          doctest::Contains("trusted proxy \"proxy.lan\" is neither"));
    }
}
