#include "api/http/private_link.h"

#include "api/http/accept.h"

namespace zgoda::http {

std::string token_of(const Request& request) {
    return query_parameter(request, "t").value_or("");
}

std::string link(std::string_view path, const std::string& token) {
    return std::string(path) + "?t=" + token;
}

Frame frame_of(const Site& site, int status, const std::string& locale, std::string_view title) {
    Frame frame;
    frame.status = status;
    frame.locale = locale;
    frame.title = site.text(locale, title);
    frame.private_link = true;
    return frame;
}

Response unknown_link(const Request& request, const Site& site) {
    if (!prefers_page(request.accept, true)) return refuse(request, site, 404, "unknown_link");
    const std::string locale = reader_language(request, site);
    Message message;
    message.paragraphs = {site.text(locale, "page.unknown_lead")};
    message.link = {site.text(locale, "page.back"), "/?locale=" + locale};
    return site.pages.message(frame_of(site, 404, locale, "page.unknown_title"), message);
}

}  // namespace zgoda::http
