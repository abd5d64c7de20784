#include "api/http/site.h"

#include <boost/json.hpp>

#include "api/http/accept.h"

namespace zgoda::http {

std::string reader_language(const Request& request, const Site& site, std::string_view fallback) {
    return site.rules.texts.choose(query_parameter(request, "locale").value_or(""), request.accept_language,
                                   fallback);
}

service::Client client_of(const Request& request) {
    return {request.client == "unix" ? std::string() : request.client, request.user_agent};
}

std::string network_of(const Request& request) {
    const std::string network = service::client_network(request.client);
    return network.substr(0, network.find('/'));
}

Response problem_json(int status, std::string_view code, std::string_view detail, std::string_view more) {
    std::string body = R"({"type":"urn:zgoda:problem:)";
    body.append(code).append(R"(","title":")").append(reason_of(status)).append(R"(","status":)");
    body.append(std::to_string(status)).append(R"(,"detail":)");
    body.append(boost::json::serialize(boost::json::value(detail))).append(more).append("}");
    return {status,
            "application/problem+json",
            std::move(body),
            {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
}

Response refuse(const Request& request, const Site& site, int status, std::string_view code) {
    const std::string locale = reader_language(request, site);
    const std::string& detail = site.text(locale, "problem." + std::string(code));
    if (!prefers_page(request.accept, !request.path.starts_with("/v1/")))
        return problem_json(status, code, detail, ",\"code\":\"" + std::string(code) + '"');
    Frame frame;
    frame.status = status;
    frame.locale = locale;
    frame.title = site.text(locale, status == 404 ? "page.not_found_title" : "page.problem_title");
    frame.private_link = true;
    Message message;
    message.paragraphs = {detail};
    if (request.framed_form.empty()) {
        message.link = {site.text(locale, "page.back"), "/?locale=" + locale};
    } else {
        frame.framed_by = site.framed_by;
        frame.script = true;
        message.link = {site.text(locale, "page.back_to_form"), request.framed_form + "?locale=" + locale};
    }
    return site.pages.message(frame, message);
}

Response unavailable(const Request& request, const Site& site, const service::CommitResult& result) {
    if (result.commit == service::Commit::failed && result.error) std::rethrow_exception(result.error);
    Response response = refuse(request, site, 503, "unavailable");
    response.headers.emplace_back("Retry-After", "5");
    return response;
}

}  // namespace zgoda::http
