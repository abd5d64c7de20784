#include "api/http/message.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace zgoda::http;

namespace {

std::string header(const Response& response, const std::string& name) {
    for (const auto& [key, value] : response.headers)
        if (key == name) return value;
    return "";
}

}  // namespace

TEST_SUITE("message") {
    TEST_CASE("a query parameter is decoded, the first of its name") {
        Request request;
        request.query = "a=1&t=x%2By+z&t=2&empty=&flag&bad=%4&%74%32=named";
        CHECK(query_parameter(request, "t") == "x+y z");
        CHECK(query_parameter(request, "empty") == "");
        CHECK(query_parameter(request, "flag") == "");
        CHECK(query_parameter(request, "t2") == "named");
        CHECK_FALSE(query_parameter(request, "bad"));
        CHECK_FALSE(query_parameter(request, "absent"));
    }

    TEST_CASE("percent-decoding takes two hex digits and no NUL") {
        CHECK(percent_decode("a%2fb%2Fc+d", false) == "a/b/c+d");
        CHECK(percent_decode("a+b", true) == "a b");
        CHECK_FALSE(percent_decode("%", false));
        CHECK_FALSE(percent_decode("%4", false));
        CHECK_FALSE(percent_decode("%4g", false));
        CHECK_FALSE(percent_decode("%00", false));
    }

    TEST_CASE("a media type is compared without case and parameters") {
        CHECK(media_type(" Application/JSON ; charset=utf-8") == "application/json");
        CHECK(media_type("") == "");
    }

    TEST_CASE("a problem is RFC 9457") {
        const Response response = problem(404, "No \"such\" thing.");
        CHECK(response.status == 404);
        CHECK(response.content_type == "application/problem+json");
        CHECK(
            response.body ==
            R"({"type":"about:blank","title":"Not Found","status":404,"detail":"No \"such\" thing.","code":"not_found"})");
    }

    TEST_CASE("a page loads nothing foreign, tells nobody its address, and is framed only by whom it names") {
        Response page;
        add_page_headers(page);
        const std::string policy = header(page, "Content-Security-Policy");
        CHECK(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'; "));
        CHECK(policy.find("form-action 'self'; base-uri 'none'; frame-ancestors 'none'") !=
              std::string::npos);
        CHECK(header(page, "X-Frame-Options") == "DENY");
        CHECK(header(page, "Referrer-Policy") == "no-referrer");
        CHECK(header(page, "X-Content-Type-Options") == "nosniff");
        CHECK(header(page, "Cross-Origin-Opener-Policy") == "same-origin");
        CHECK(header(page, "Cross-Origin-Resource-Policy") == "same-origin");
        CHECK(header(page, "Cache-Control") == "no-store");
        CHECK(header(page, "Permissions-Policy").find("geolocation=()") != std::string::npos);

        Response embedded;
        add_page_headers(embedded, "https://news.example");
        CHECK(header(embedded, "Content-Security-Policy").ends_with("frame-ancestors https://news.example"));
        CHECK(header(embedded, "X-Frame-Options").empty());
    }
}
