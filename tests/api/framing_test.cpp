#include "api/http/framing.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace zgoda::http;

namespace {

int verdict(const std::string& head, const Limits& limits = {}) {
    const auto refusal = check_head(head, limits);
    return refusal ? refusal->status : 200;
}

std::string get(const std::string& fields) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

std::string post(const std::string& fields) {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

}  // namespace

TEST_SUITE("framing") {
    TEST_CASE("what leaves the end of a request open is refused") {
        struct Row {
            std::string why, head;
            int status;
        };
        const std::vector<Row> rows{
            {"a plain request", get(""), 200},
            {"a body with its length", post("Content-Length: 5\r\n"), 200},
            {"no body at all", post(""), 200},
            {"Transfer-Encoding with Content-Length",
             post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
            {"the other way round", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
            {"gzip", post("Transfer-Encoding: gzip\r\n"), 400},
            {"gzip with a length", post("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"), 400},
            {"identity", post("Transfer-Encoding: identity\r\n"), 400},
            {"xchunked", post("Transfer-Encoding: xchunked\r\n"), 400},
            {"chunked, then gzip", post("Transfer-Encoding: chunked, gzip\r\n"), 400},
            {"gzip, then chunked", post("Transfer-Encoding: gzip, chunked\r\n"), 400},
            {"chunked twice in one field", post("Transfer-Encoding: chunked, chunked\r\n"), 400},
            {"two fields", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"), 400},
            {"two equal fields", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
            {"an empty Transfer-Encoding", post("Transfer-Encoding:\r\n"), 400},
            {"a quoted one", post("Transfer-Encoding: \"chunked\"\r\n"), 400},
            {"a vertical tab",
             post("Transfer-Encoding: \x0b"
                  "chunked\r\n"),
             400},
            {"chunked on HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
            {"chunked", post("Transfer-Encoding: chunked\r\n"), 200},
            {"chunked in capitals", post("TRANSFER-ENCODING:CHUNKED \r\n"), 200},
            {"two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
            {"two lengths", post("Content-Length: 5\r\ncontent-length: 6\r\n"), 400},
            {"a list of lengths", post("Content-Length: 5, 5\r\n"), 400},
            {"a sign", post("Content-Length: +5\r\n"), 400},
            {"a negative length", post("Content-Length: -5\r\n"), 400},
            {"hex", post("Content-Length: 0x5\r\n"), 400},
            {"no length in Content-Length", post("Content-Length: \r\n"), 400},
            {"Trailer", post("Transfer-Encoding: chunked\r\nTrailer: Host\r\n"), 400},
            {"Trailer without a body", get("trailer: Authorization\r\n"), 400},
            {"a folded field", get("X-A: b\r\n c\r\n"), 400},
            {"a field folded with a tab", get("X-A: b\r\n\tc\r\n"), 400},
            {"the first field folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
            {"a bare LF", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
            {"a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
            {"a field without a colon", get("nonsense\r\n"), 400},
        };
        Limits limits;
        limits.chunked = true;
        for (const Row& row : rows) {
            CAPTURE(row.why);
            CHECK(verdict(row.head, limits) == row.status);
        }
    }

    TEST_CASE("a listener that takes no chunked bodies answers 411, after what is worse") {
        CHECK(verdict(post("Transfer-Encoding: chunked\r\n")) == 411);
        CHECK(verdict(post("Transfer-Encoding: chunked, gzip\r\n")) == 400);
        CHECK(verdict(post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")) == 400);
    }

    TEST_CASE("there is exactly one Host, and an absolute target agrees with it") {
        struct Row {
            std::string head;
            int status;
        };
        const std::vector<Row> rows{
            {"GET / HTTP/1.1\r\n\r\n", 400},
            {"GET / HTTP/1.0\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200},
            {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 200},
            {"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 200},
            {"GET HTTPS://A:8080?x HTTP/1.1\r\nHost: a:8080\r\n\r\n", 200},
            {"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
            {"GET http://a:81/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
            {"GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
            {"GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
            {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400},
            {"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
            {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
            {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200},
        };
        for (const Row& row : rows) {
            CAPTURE(row.head);
            CHECK(verdict(row.head) == row.status);
        }
    }

    TEST_CASE("the request line is one of ours") {
        CHECK(verdict("GET / HTTP/1.2\r\nHost: a\r\n\r\n") == 400);
        CHECK(verdict("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 400);
        CHECK(verdict("PRI * HTTP/2.0\r\n\r\n") == 400);
        CHECK(verdict("GET /\r\nHost: a\r\n\r\n") == 400);
        CHECK(verdict("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
        CHECK(verdict("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
        CHECK(verdict("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
        CHECK(verdict("GET /\xD0\xB0 HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    }

    TEST_CASE("what decides stands once") {
        for (const std::string name : {"Origin", "Authorization", "Content-Type"}) {
            CAPTURE(name);
            CHECK(verdict(get(name + ": x\r\n")) == 200);
            CHECK(verdict(get(name + ": x\r\n" + name + ": y\r\n")) == 400);
        }
    }

    TEST_CASE("the only expectation is 100-continue") {
        CHECK(verdict(post("Expect: 100-continue\r\nContent-Length: 1\r\n")) == 200);
        CHECK(verdict(post("Expect: miracles\r\n")) == 417);
    }

    TEST_CASE("each limit lets its own size through and no more") {
        const auto target = [](std::size_t size) {
            return "GET /" + std::string(size - 1, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
        };
        CHECK(verdict(target(2048)) == 200);
        CHECK(verdict(target(2049)) == 414);

        const auto fields = [](int count) {
            std::string all;
            for (int i = 1; i < count; ++i) all += "a: b\r\n";  // Host is one
            return get(all);
        };
        CHECK(verdict(fields(64)) == 200);
        CHECK(verdict(fields(65)) == 431);

        const std::size_t frame = get("X: \r\n").size();
        CHECK(verdict(get("X: " + std::string(8192 - frame, 'x') + "\r\n")) == 200);
        CHECK(verdict(get("X: " + std::string(8193 - frame, 'x') + "\r\n")) == 431);

        CHECK(verdict(post("Content-Length: 16384\r\n")) == 200);
        CHECK(verdict(post("Content-Length: 16385\r\n")) == 413);
        CHECK(verdict(post("Content-Length: 99999999999999999999999999\r\n")) == 413);
    }

    TEST_CASE("an unfinished header is refused as soon as nothing can mend it") {
        const auto status = [](const std::string& bytes) {
            const auto refusal = check_unfinished(bytes, {});
            return refusal ? refusal->status : 0;
        };
        CHECK(status("") == 0);
        CHECK(status("GET / HTTP/1.1\r\nHost") == 0);
        CHECK(status("GET / HTTP/1.1\n") == 400);
        CHECK(status("GET / HTTP/1.1\r\nHost: a\n") == 400);
        CHECK(status("\n") == 400);
        CHECK(status("GET /" + std::string(2047, 'x')) == 0);
        CHECK(status("GET /" + std::string(2048, 'x')) == 414);
        CHECK(status(std::string(8191, 'x')) == 0);
        CHECK(status(std::string(8192, 'x')) == 431);
    }

    TEST_CASE("the end of the header is found across two reads") {
        const std::string head = "GET / HTTP/1.1\r\n\r\n";
        for (std::size_t seen = 0; seen < head.size(); ++seen) {
            CHECK(head_size(head.substr(0, seen)) == 0);
            CHECK(head_size(head + "body", seen) == head.size());
        }
    }
}
