#include "api/http/admin.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "api/http/form.h"
#include "api/http/site.h"
#include "api/http/store_awaitable.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::int64_t largest_page = 1000;

std::string_view view(const json::string& text) {
    return {text.data(), text.size()};
}

std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<Response> not_done(const service::CommitResult& result) {
    if (result.commit == service::Commit::done) return std::nullopt;
    if (result.commit == service::Commit::failed && result.error) std::rethrow_exception(result.error);
    Response response =
        admin_problem(503, "unavailable", "The database is busy or full. Asking again is harmless.");
    response.headers.emplace_back("Retry-After", "5");
    return response;
}

}  // namespace

std::string shortened(std::string_view name) {
    constexpr std::size_t longest = 40;
    if (name.size() <= longest) return std::string(name);
    std::size_t end = longest;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;  // not inside a letter
    return std::string(name.substr(0, end)) + "…";
}

Response admin_problem(int status, std::string_view code, std::string_view detail) {
    return problem_json(status, code, detail, ",\"code\":\"" + std::string(code) + '"');
}

Response admin_invalid(const std::vector<MemberProblem>& problems) {
    json::array errors;
    for (const MemberProblem& one : problems)
        errors.push_back({{"pointer", one.pointer}, {"code", one.code}, {"detail", one.detail}});
    return problem_json(422, "invalid", "Something in the body is wrong; `errors` says what.",
                        ",\"code\":\"invalid\",\"errors\":" + json::serialize(errors));
}

Response admin_answer(int status, const json::object& body) {
    return {status,
            "application/json",
            json::serialize(body),
            {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
}

asio::awaitable<std::optional<Response>> act(const Desk& desk, service::Store::Work work) {
    const auto result = co_await submit(desk.store, std::move(work));
    co_return not_done(result);
}

asio::awaitable<std::optional<Response>> see(const Desk& desk, service::Store::Query query) {
    const auto result = co_await read(desk.store, std::move(query));
    co_return not_done(result);
}

service::Moment moment_of(const Desk& desk) {
    return {desk.now(), service::random_seed()};
}

Parameters::Parameters(const Request& request, std::initializer_list<std::string_view> known) {
    const auto form = parse_urlencoded(request.query);
    if (!form) {
        problem_ = admin_problem(400, "bad_parameter", "The query is not well-formed.");
        return;
    }
    for (const FormField& field : *form) {
        if (std::find(known.begin(), known.end(), field.name) == known.end()) {
            refuse(shortened(field.name), "there is no such parameter here");
        } else if (std::any_of(given_.begin(), given_.end(),
                               [&](const auto& one) { return one.first == field.name; })) {
            refuse(field.name, "it is given twice");
        } else if (field.value.empty()) {
            refuse(field.name, "it is given without a value");
        } else {
            given_.emplace_back(field.name, field.value);
        }
    }
}

std::string Parameters::text(std::string_view name) const {
    for (const auto& [key, value] : given_)
        if (key == name) return value;
    return {};
}

bool Parameters::flag(std::string_view name) {
    const std::string value = text(name);
    if (!value.empty() && value != "true" && value != "false") refuse(name, "it is true or false");
    return value == "true";
}

std::optional<service::TimeMs> Parameters::time(std::string_view name) {
    const std::string value = text(name);
    if (value.empty()) return std::nullopt;
    const auto time = service::parse_rfc3339(value);
    if (!time) refuse(name, "it is a time such as 2026-11-22 or 2026-11-22T10:00:00Z");
    return time;
}

std::int64_t Parameters::number(std::string_view name, std::int64_t otherwise, std::int64_t most) {
    const std::string value = text(name);
    if (value.empty()) return otherwise;
    const auto number = whole_number(value);
    if (number && *number >= 1 && *number <= most) return *number;
    refuse(name, "it is a number from 1 to " + std::to_string(most));
    return otherwise;
}

std::size_t Parameters::limit() {
    return static_cast<std::size_t>(number("limit", 100, largest_page));
}

std::string Parameters::cursor() {
    const std::string value = text("cursor");
    if (value.empty()) return {};
    const auto bytes = service::from_base64url(value, 64);
    if (!bytes || bytes->empty()) {
        refuse("cursor", "it is not one that an answer gave as `next`");
        return {};
    }
    return std::string(bytes->begin(), bytes->end());
}

service::Id Parameters::after() {
    const std::string position = cursor();
    if (position.empty()) return 0;
    const auto id = whole_number(position);
    if (!id) refuse("cursor", "it is not one that this list gave as `next`");
    return id.value_or(0);
}

void Parameters::refuse(std::string_view name, std::string_view why) {
    if (problem_) return;
    problem_ = admin_problem(400, "bad_parameter", std::string(name) + ": " + std::string(why) + ".");
}

std::string cursor_of(std::string_view position) {
    return service::to_base64url({reinterpret_cast<const std::uint8_t*>(position.data()), position.size()});
}

Body::Body(const Request& request) {
    if (media_type(request.content_type) != "application/json") {
        unreadable_ = admin_problem(415, "unsupported_type", "The body must be application/json.");
        unreadable_->headers.emplace_back(request.method == Method::patch ? "Accept-Patch" : "Accept-Post",
                                          "application/json");
        return;
    }
    json::parse_options options;
    options.max_depth = 4;
    json::error_code error;
    json::value value = json::parse({request.body.data(), request.body.size()}, error, {}, options);
    if (error || !value.is_object()) {
        unreadable_ = admin_problem(400, "bad_request", "The body is not a JSON object (RFC 8259).");
        return;
    }
    members_ = std::move(value.get_object());
}

const json::value* Body::member(std::string_view name) {
    taken_.emplace_back(name);
    const json::value* value = members_.if_contains({name.data(), name.size()});
    return value == nullptr || value->is_null() ? nullptr : value;
}

std::string Body::text(std::string_view name, bool required) {
    const json::value* value = member(name);
    if (value != nullptr && value->is_string() && !value->get_string().empty())
        return std::string(view(value->get_string()));
    const std::string pointer = "/" + std::string(name);
    if (value != nullptr && !value->is_string())
        refuse(pointer, "wrong_type", "This must be text.");
    else if (value != nullptr && !required)
        refuse(pointer, "empty", "This is empty; leave it out if it is not meant.");
    else if (required)
        refuse(pointer, "required", "This is missing.");
    return {};
}

bool Body::flag(std::string_view name) {
    const json::value* value = member(name);
    if (value == nullptr) return false;
    if (value->is_bool()) return value->get_bool();
    refuse("/" + std::string(name), "wrong_type", "This must be true or false.");
    return false;
}

std::int64_t Body::number(std::string_view name, std::int64_t otherwise, std::int64_t most) {
    const json::value* value = member(name);
    if (value == nullptr) return otherwise;
    if (value->is_int64() && value->get_int64() >= 1 && value->get_int64() <= most) return value->get_int64();
    refuse("/" + std::string(name), "wrong_type",
           "This must be a whole number from 1 to " + std::to_string(most) + ".");
    return otherwise;
}

void Body::refuse(std::string pointer, std::string_view code, std::string_view detail) {
    problems_.push_back({std::move(pointer), std::string(code), std::string(detail)});
}

std::optional<Response> Body::problem() const {
    if (unreadable_) return unreadable_;
    std::vector<MemberProblem> all = problems_;
    for (const auto& [key, value] : members_) {
        const std::string name(key.data(), key.size());
        if (std::find(taken_.begin(), taken_.end(), name) == taken_.end())
            all.push_back({json_pointer("", shortened(name)), "unknown", "There is no such member here."});
    }
    if (all.empty()) return std::nullopt;
    return admin_invalid(all);
}

}  // namespace zgoda::http
