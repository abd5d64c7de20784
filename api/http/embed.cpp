#include "api/http/embed.h"

#include <boost/json.hpp>
#include <memory>

#include "api/http/store_awaitable.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;
using service::FieldRule;
using service::Newsletter;

namespace {

// Every state of a form has its words under form.*; these few others it shares with our own pages.
constexpr std::string_view shared_texts[] = {"choose", "leave_empty", "privacy"};

Response script_response(const service::EmbedScript& script, std::string_view cache) {
    return {200,
            "text/javascript; charset=utf-8",
            script.text,
            {{"Cache-Control", std::string(cache)},
             {"ETag", '"' + script.hash + '"'},
             {"Access-Control-Allow-Origin", "*"},
             {"Cross-Origin-Resource-Policy", "cross-origin"},
             {"X-Content-Type-Options", "nosniff"}}};
}

std::string_view type_of(FieldRule::Type type) {
    switch (type) {
        case FieldRule::Type::number:
            return "number";
        case FieldRule::Type::boolean:
            return "boolean";
        case FieldRule::Type::date:
            return "date";
        case FieldRule::Type::text:
            break;
    }
    return "text";
}

json::object words_of(const Newsletter& newsletter, const Site& site, const std::string& locale) {
    json::object texts;
    for (const auto& [key, unused] : site.rules.texts.language("en")) {
        if (!key.starts_with("form.") || key == "form.consent") continue;
        texts[key.substr(5)] = site.rules.texts.text(newsletter, locale, key);
    }
    for (const std::string_view key : shared_texts)
        texts[key] = site.text(locale, "page." + std::string(key));
    const auto wording = service::wording_of(newsletter, locale, site.text(locale, "form.consent"));
    json::array fields;
    for (const FieldRule& field : newsletter.fields())
        fields.push_back({{"name", field.name},
                          {"label", newsletter.label(field, locale)},
                          {"type", type_of(field.type)},
                          {"required", field.required}});
    return {{"slug", newsletter.slug},
            {"name", newsletter.name(locale)},
            {"description", newsletter.description(locale)},
            {"open", newsletter.open},
            {"locale", locale},
            {"dir", site.text(locale, "language.dir")},
            {"texts", std::move(texts)},
            {"consent", {{"id", wording.id}, {"text", wording.text}, {"privacy_url", wording.privacy_url}}},
            {"fields", std::move(fields)}};
}

}  // namespace

Response show_script(const Request& request, const service::EmbedScript& script) {
    Response response = script_response(script, "public, max-age=300");
    if (request.if_none_match == '"' + script.hash + '"') {
        response.status = 304;
        response.content_type.clear();
        response.body.clear();
    }
    return response;
}

Response show_hashed_script(const Request& request, const Site& site, const service::EmbedScript& script) {
    if (request.path_parameter != script.hash) return refuse(request, site, 404, "not_found");
    return script_response(script, "public, max-age=31536000, immutable");
}

asio::awaitable<Response> describe_form(Request& request, const Site& site, const Origins& origins) {
    const auto newsletters = std::make_shared<std::shared_ptr<const service::Newsletters>>();
    service::Store::Query query = [newsletters](service::Reader& reader) {
        *newsletters = reader.newsletters();
    };
    const auto result = co_await read(site.store, std::move(query));
    Response response;
    const Newsletter any;
    const Newsletter* newsletter = &any;
    if (result.commit == service::Commit::done && !request.path_parameter.empty())
        newsletter = (*newsletters)->find(request.path_parameter);
    if (result.commit != service::Commit::done) {
        response = unavailable(request, site, result);
    } else if (newsletter == nullptr) {
        response = refuse(request, site, 404, "not_found");
    } else {
        const std::string locale = reader_language(request, site, newsletter->locale());
        response = {200,
                    "application/json",
                    json::serialize(words_of(*newsletter, site, locale)),
                    {{"Cache-Control", "public, max-age=60"},
                     {"Content-Language", locale},
                     {"Vary", "Accept-Language"},
                     {"X-Content-Type-Options", "nosniff"}}};
    }
    origins.add_headers(request, response);
    co_return response;
}

}  // namespace zgoda::http
