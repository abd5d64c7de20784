#include "api/http/form.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace zgoda::http;

namespace {

const std::string multipart = "multipart/form-data; boundary=X";

std::string part(const std::string& name, const std::string& value) {
    return "--X\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
}

}  // namespace

TEST_SUITE("form") {
    TEST_CASE("an urlencoded body is its fields in order") {
        CHECK(parse_urlencoded("") == Form{});
        CHECK(parse_urlencoded("email=ada%40example.org&newsletters=a&newsletters=b+c") ==
              Form{{"email", "ada@example.org"}, {"newsletters", "a"}, {"newsletters", "b c"}});
        CHECK(parse_urlencoded("a&b=&=c&&d=e=f") == Form{{"a", ""}, {"b", ""}, {"", "c"}, {"d", "e=f"}});
        CHECK(parse_urlencoded("n=%D0%9E%D0%BA%D1%81%D0%B0%D0%BD%D0%B0") == Form{{"n", "Оксана"}});
    }

    TEST_CASE("an urlencoded body with a bad encoding is no form") {
        for (const std::string body : {"a=%", "a=%4", "a=%zz", "%=a", "a=%00", "a=%FF", "a=%C0%AF",
                                       "a=%ED%A0%80", "a=%F4%90%80%80", "a=%D0", "a=%E0%80%80"}) {
            CAPTURE(body);
            CHECK_FALSE(parse_urlencoded(body));
        }
        CHECK_FALSE(parse_urlencoded(std::string("a=b\0c", 5)));
    }

    TEST_CASE("a form has at most 100 fields") {
        std::string urlencoded;
        std::string parts;
        for (int i = 0; i < 100; ++i) {
            urlencoded += "a=b&";
            parts += part("a", "b");
        }
        CHECK(parse_urlencoded(urlencoded)->size() == 100);
        CHECK_FALSE(parse_urlencoded(urlencoded + "a=b"));
        CHECK(parse_multipart(multipart, parts + "--X--\r\n")->size() == 100);
        CHECK_FALSE(parse_multipart(multipart, parts + part("a", "b") + "--X--\r\n"));
    }

    TEST_CASE("a multipart body is its fields in order, without files") {
        CHECK(parse_multipart(multipart, part("email", "ada@example.org") + part("n", "") +
                                             part("n", "a\r\nb") + "--X--\r\n") ==
              Form{{"email", "ada@example.org"}, {"n", ""}, {"n", "a\r\nb"}});
        CHECK(parse_multipart(multipart, "--X--") == Form{});
        CHECK(parse_multipart("multipart/form-data; charset=utf-8; Boundary=\"a b\"",
                              "--a b\r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n--a b--") ==
              Form{{"x", "y"}});
        CHECK(parse_multipart(
                  multipart,
                  "--X\r\nContent-Type: text/plain; charset=utf-8\r\ncontent-disposition: FORM-DATA; "
                  "name=\"a %22b%22\"\r\n\r\nОксана\r\n--X--") == Form{{"a \"b\"", "Оксана"}});
        CHECK(parse_multipart(multipart,
                              "--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n"
                              "Content-Type: application/octet-stream\r\n\r\n\xFF\r\n" +
                                  part("a", "b") + "--X--") == Form{{"a", "b"}});
        CHECK(parse_multipart(multipart, part("a", "--X") + "--X--") == Form{{"a", "--X"}});
    }

    TEST_CASE("a multipart body that is broken is no form") {
        const std::string good = part("a", "b") + "--X--\r\n";
        REQUIRE(parse_multipart(multipart, good));
        struct Row {
            std::string why, type, body;
        };
        const std::vector<Row> rows{
            {"no boundary", "multipart/form-data", good},
            {"an empty boundary", "multipart/form-data; boundary=", good},
            {"a boundary of 71", "multipart/form-data; boundary=" + std::string(71, 'X'), good},
            {"another boundary", "multipart/form-data; boundary=Y", good},
            {"an open quote", "multipart/form-data; boundary=\"X", good},
            {"nothing", multipart, ""},
            {"no end", multipart, part("a", "b")},
            {"a cut end", multipart, part("a", "b") + "--X-"},
            {"something after the end", multipart, good + "more"},
            {"something before the first part", multipart, "x\r\n" + good},
            {"a part without a head", multipart, "--X\r\n\r\nb\r\n--X--"},
            {"a part without a disposition", multipart, "--X\r\nContent-Type: text/plain\r\n\r\nb\r\n--X--"},
            {"another disposition", multipart,
             "--X\r\nContent-Disposition: attachment; name=a\r\n\r\nb\r\n--X--"},
            {"no name", multipart, "--X\r\nContent-Disposition: form-data\r\n\r\nb\r\n--X--"},
            {"base64", multipart,
             "--X\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: "
             "base64\r\n\r\nYg==\r\n--X--"},
            {"a value that is not UTF-8", multipart, part("a", "\xFF") + "--X--"},
            {"a value with NUL", multipart, part("a", std::string(1, '\0')) + "--X--"},
            {"a head that never ends", multipart, "--X\r\nContent-Disposition: form-data; name=a\r\n--X--"},
        };
        for (const Row& row : rows) {
            CAPTURE(row.why);
            CHECK_FALSE(parse_multipart(row.type, row.body));
        }
    }

    TEST_CASE("the content type decides") {
        CHECK(parse_form("Application/X-WWW-Form-URLencoded; charset=UTF-8", "a=b") == Form{{"a", "b"}});
        CHECK(parse_form(multipart, part("a", "b") + "--X--") == Form{{"a", "b"}});
        CHECK_FALSE(parse_form("text/plain", "a=b"));
        CHECK_FALSE(parse_form("", "a=b"));
    }
}
