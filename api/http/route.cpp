#include "api/http/route.h"

#include <optional>
#include <string>

namespace zgoda::http {

namespace {

/// What stands for the parameter ("" when the template has none); nothing when the path does not fit.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
    const std::size_t open = pattern.find('{');
    if (open == std::string_view::npos)
        return pattern == path ? std::optional<std::string_view>("") : std::nullopt;
    const std::string_view before = pattern.substr(0, open);
    const std::string_view after = pattern.substr(pattern.find('}') + 1);
    if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after))
        return std::nullopt;
    const std::string_view value = path.substr(before.size(), path.size() - before.size() - after.size());
    if (value.find('/') != std::string_view::npos) return std::nullopt;
    return value;
}

boost::asio::awaitable<Response> answer(Response response) {
    co_return response;
}

}  // namespace

boost::asio::awaitable<Response> dispatch(const Routes& routes, Request& request) {
    const Method wanted = request.method == Method::head ? Method::get : request.method;
    std::string allow;
    for (const Route& route : routes) {
        const auto parameter = match(route.path, request.path);
        if (!parameter) continue;
        if (request.route.empty()) request.route = route.path;
        if (route.method == wanted) {
            request.route = route.path;
            request.path_parameter = *parameter;
            return route.handler(request);
        }
        allow += (allow.empty() ? "" : ", ") + std::string(name_of(route.method));
        if (route.method == Method::get) allow += ", HEAD";
    }
    if (allow.empty()) return answer(problem(404, "There is nothing at this address."));
    Response response = problem(405, "This address does not take this method.");
    response.headers.emplace_back("Allow", allow);
    return answer(std::move(response));
}

}  // namespace zgoda::http
