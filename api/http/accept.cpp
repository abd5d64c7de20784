#include "api/http/accept.h"

#include <charconv>

#include "api/http/message.h"

namespace zgoda::http {

namespace {

double weight_of(std::string_view range) {
    double weight = 1;
    const std::size_t q = range.find("q=");
    if (q == range.npos) return weight;
    const std::string_view number = trimmed(range.substr(q + 2));
    return std::from_chars(number.data(), number.data() + number.size(), weight).ec == std::errc{} ? weight
                                                                                                   : 0;
}

// What the most specific range that fits says: "application/problem+json" is as good as "application/json".
struct Preference {
    int precision = 0;  // 0: none fits
    double weight = 0;

    void consider(int how_precise, double how_much) {
        if (how_precise < precision) return;
        weight = how_precise > precision || how_much > weight ? how_much : weight;
        precision = how_precise;
    }
};

}  // namespace

bool prefers_page(std::string_view accept, bool otherwise) {
    Preference page;
    Preference json;
    while (!accept.empty()) {
        const std::string_view range = accept.substr(0, accept.find(','));
        accept.remove_prefix(range.size() < accept.size() ? range.size() + 1 : accept.size());
        const std::string type = media_type(range);
        const double weight = weight_of(range);
        if (type == "text/html" || type == "application/xhtml+xml") page.consider(3, weight);
        if (type == "application/json" || type == "application/problem+json") json.consider(3, weight);
        if (type == "text/*") page.consider(2, weight);
        if (type == "application/*") json.consider(2, weight);
        if (type == "*/*") {
            page.consider(1, weight);
            json.consider(1, weight);
        }
    }
    if (page.weight > json.weight) return true;
    if (page.weight < json.weight) return false;
    // "text/html, */*" of equal weight: what is named is what is wanted.
    return page.precision == json.precision ? otherwise : page.precision > json.precision;
}

}  // namespace zgoda::http
