// What every handler of the admin API needs: the desk that it works at, and strict readers of queries and
// bodies.
//
// Programs ask here, not people: answers are JSON, errors application/problem+json in English with a `code`.
// What a request says and nobody asked for is refused: a misspelt filter must not export everything.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/aside.h"
#include "api/http/message.h"
#include "service/desk.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::http {

/// Immutable after construction and shared by all network threads; what it refers to outlives it.
struct Desk {
    service::Store& store;
    const service::Rules& rules;
    service::NewsletterRules newsletter_rules;
    std::string public_url;            // without a slash at its end
    std::vector<std::string> origins;  // pages of these are told one by one in statistics
    std::function<service::TimeMs()> now;
    Aside& aside;
};

/// `who` is the token, as the record of acts calls it.
using AdminHandler = boost::asio::awaitable<Response> (*)(Request&, const Desk&, const std::string& who);

/// What a client made up, cut to be told back: UTF-8 stays UTF-8.
std::string shortened(std::string_view name);

Response admin_problem(int status, std::string_view code, std::string_view detail);
/// 422: what is wrong with which member of the body (a JSON pointer, RFC 6901).
struct MemberProblem {
    std::string pointer, code, detail;
};
Response admin_invalid(const std::vector<MemberProblem>& problems);

Response admin_answer(int status, const boost::json::object& body);

/// Awaits the store. A response says that it was not done (503); throws what the unit itself threw.
boost::asio::awaitable<std::optional<Response>> act(const Desk& desk, service::Store::Work work);
boost::asio::awaitable<std::optional<Response>> see(const Desk& desk, service::Store::Query query);

/// When an act happens: drawn before it is handed to the store.
service::Moment moment_of(const Desk& desk);

/// The query of a request. problem() is a 400 that names the first parameter which is wrong, unknown, given
/// twice, or given without a value (which, taken as absent, would mean everything).
class Parameters {
 public:
    Parameters(const Request& request, std::initializer_list<std::string_view> known);

    std::string text(std::string_view name) const;  // "" when absent
    bool flag(std::string_view name);               // true or false; absent: false
    std::optional<service::TimeMs> time(std::string_view name);
    std::int64_t number(std::string_view name, std::int64_t otherwise, std::int64_t most);  // from 1
    std::size_t limit();   // of a page: 100 unless told, at most 1,000
    std::string cursor();  // what cursor_of() was given; "": the first page
    service::Id after();   // the cursor as an id; 0: the first page
    void refuse(std::string_view name, std::string_view why);

    const std::optional<Response>& problem() const { return problem_; }

 private:
    std::vector<std::pair<std::string, std::string>> given_;
    std::optional<Response> problem_;
};

/// Opaque to clients; any bytes.
std::string cursor_of(std::string_view position);

/// The JSON object in the body of a request. problem() is 415, 400, or a 422 that names every member which is
/// wrong, missing or unknown; ask it after all members were taken.
class Body {
 public:
    explicit Body(const Request& request);

    std::string text(std::string_view name, bool required);  // "" only when absent: given empty is wrong
    bool flag(std::string_view name);
    std::int64_t number(std::string_view name, std::int64_t otherwise, std::int64_t most);
    const boost::json::value* member(std::string_view name);  // nullptr: absent
    void refuse(std::string pointer, std::string_view code, std::string_view detail);

    std::optional<Response> problem() const;

 private:
    boost::json::object members_;
    std::vector<std::string> taken_;
    std::vector<MemberProblem> problems_;
    std::optional<Response> unreadable_;
};

}  // namespace zgoda::http
