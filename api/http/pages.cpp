#include "api/http/pages.h"

#include <stdexcept>

#include "service/keyring.h"

namespace zgoda::http {

using kainjow::mustache::mustache;

namespace {

constexpr const char* layout = "page.layout.html";

// Parsed anew for each page: mustache's render() is not const, and pages are not what has to be fast.
std::string render(const std::string& text, const PageData& data) {
    return mustache(text).render(data);
}

PageData list_of(const std::vector<std::string>& texts) {
    PageData list(PageData::type::list);
    for (const std::string& text : texts) list.push_back(PageData("text", text));
    return list;
}

}  // namespace

void put(PageData& data, const std::string& name, std::string_view value) {
    if (!value.empty()) data.set(name, std::string(value));
}

Pages::Pages(std::map<std::string, std::string, std::less<>> templates, const service::Texts& texts,
             std::string imprint)
    : templates_(std::move(templates)), texts_(texts), imprint_(std::move(imprint)) {
    for (const char* name : {layout, "page.signup.html", "page.confirm.html", "page.message.html"}) {
        if (!templates_.contains(name))
            throw std::runtime_error(std::string(name) + ": there is no such template");
    }
    for (const auto& [name, text] : templates_) {
        if (!name.starts_with("page.")) continue;
        const mustache parsed(text);
        if (!parsed.is_valid()) throw std::runtime_error(name + ": " + parsed.error_message());
    }
    for (const char* name : {"zgoda.css", "zgoda.js"}) {
        const service::Digest digest = service::sha256(templates_[name]);
        tags_[name] = '"' + service::to_hex(std::span(digest).first(8)) + '"';
    }
}

Response Pages::page(const Frame& frame, const std::string& body, const PageData& data) const {
    PageData around;
    around.set("lang", frame.locale);
    around.set("dir", texts_.text(frame.locale, "language.dir"));
    around.set("title", frame.title);
    around.set("site", texts_.text(frame.locale, "page.site"));
    around.set("preferences", texts_.text(frame.locale, "preferences.nav"));
    put(around, "imprint", imprint_);
    around.set("alone", frame.framed_by.empty());
    around.set("script", frame.script);
    PageData languages(PageData::type::list);
    for (const std::string& other : texts_.locales()) {
        if (frame.here.empty() || other == frame.locale) continue;
        PageData language;
        language.set("tag", other);
        language.set("name", texts_.text(other, "language.name"));
        language.set("href", frame.here + "?locale=" + other);
        languages.push_back(language);
    }
    around.set("languages", languages);
    around.set("main", render(templates_.at(body), data));

    Response response{frame.status, "text/html; charset=utf-8", render(templates_.at(layout), around), {}};
    response.headers.emplace_back("Content-Language", frame.locale);
    add_page_headers(response, frame.framed_by, frame.form_targets);
    if (frame.private_link) response.headers.emplace_back("X-Robots-Tag", "noindex, nofollow");
    return response;
}

Response Pages::message(const Frame& frame, const Message& message) const {
    PageData data;
    data.set("title", frame.title);
    data.set("paragraphs", list_of(message.paragraphs));
    data.set("has_items", !message.items.empty());
    data.set("items", list_of(message.items));
    put(data, "note", message.note);
    if (message.button) {
        PageData button;
        button.set("label", message.button->label);
        button.set("action", message.button->action);
        button.set("nonce", message.button->nonce);
        button.set("resend", message.button->resend);
        button.set("quiet", message.button->quiet);
        data.set("button", button);
    }
    if (message.link) {
        PageData link;
        link.set("label", message.link->label);
        link.set("href", message.link->href);
        data.set("link", link);
    }
    return page(frame, "page.message.html", data);
}

Response Pages::file(const Request& request, const std::string& name, std::string_view type) const {
    const std::string& tag = tags_.at(name);
    Response response{200, std::string(type) + "; charset=utf-8", templates_.at(name), {}};
    if (request.if_none_match == tag) response = {304, {}, {}, {}};
    response.headers.emplace_back("Cache-Control", "public, max-age=3600");
    response.headers.emplace_back("ETag", tag);
    response.headers.emplace_back("X-Content-Type-Options", "nosniff");
    return response;
}

}  // namespace zgoda::http
