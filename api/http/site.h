// What every public handler needs, and the answers that all of them give when something is wrong.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "api/http/pages.h"
#include "service/rules.h"
#include "service/signup.h"
#include "service/store.h"

namespace zgoda::http {

/// Immutable after construction and shared by all network threads; what it refers to outlives it.
struct Site {
    service::Store& store;
    const service::Rules& rules;
    Pages pages;
    std::string public_url;                // without a slash at its end
    std::string framed_by;                 // the origins that may frame a form, or "'none'"
    std::function<service::TimeMs()> now;  // wall clock

    /// One of our texts.
    const std::string& text(std::string_view locale, std::string_view key) const {
        return rules.texts.text(locale, key);
    }
};

/// The language of an answer: ?locale=, else Accept-Language, else `fallback`.
std::string reader_language(const Request& request, const Site& site, std::string_view fallback = {});

service::Client client_of(const Request& request);

/// "203.0.113.0" of "203.0.113.0/24": limiters take addresses, and a network's first one stands for it.
std::string network_of(const Request& request);

/// A problem (RFC 9457) for a program, a page for a person; what it says is the text problem.CODE.
/// `type` is "urn:zgoda:problem:CODE".
Response refuse(const Request& request, const Site& site, int status, std::string_view code);

/// Why a unit of work was not done: 503 with Retry-After. Throws what the unit threw if it failed by itself.
Response unavailable(const Request& request, const Site& site, const service::CommitResult& result);

/// The JSON of a problem; the caller adds what is particular to it.
Response problem_json(int status, std::string_view code, std::string_view detail, std::string_view more = {});

}  // namespace zgoda::http
