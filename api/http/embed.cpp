#include "api/http/embed.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <boost/json.hpp>
#include <memory>
#include <stdexcept>

#include "api/http/store_awaitable.h"
#include "service/keyring.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;
using service::FieldRule;
using service::Newsletter;

namespace {

// Every state of a form has its words under form.*; these few others it shares with our own pages.
constexpr std::string_view shared_texts[] = {"choose", "leave_empty", "privacy"};

std::string without_comments(std::string_view source) {
    std::string text;
    while (!source.empty()) {
        const std::size_t end = std::min(source.find('\n'), source.size());
        const std::string_view line = trimmed(source.substr(0, end));
        if (!line.empty() && !line.starts_with("//")) text.append(line).append("\n");
        source.remove_prefix(std::min(end + 1, source.size()));
    }
    return text;
}

// As Subresource Integrity wants it: the standard alphabet of base64, with padding.
std::string sha384_base64(std::string_view text) {
    std::array<unsigned char, 48> digest{};
    std::array<unsigned char, 65> base64{};
    if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha384(), nullptr) != 1)
        throw std::runtime_error("OpenSSL could not hash a script");
    const int length = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(digest.size()));
    return {base64.begin(), base64.begin() + length};
}

Response script_response(const Script& script, std::string_view cache) {
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
        fields.push_back({{"name", field.name}, {"type", type_of(field.type)}, {"required", field.required}});
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

Script embed_script(std::string_view source, const service::Texts& texts) {
    json::object unreachable;
    for (const std::string& locale : texts.locales())
        unreachable[locale] = texts.text(locale, "form.offline");
    Script script;
    script.text = without_comments(source);
    constexpr std::string_view place = "\"{{unreachable}}\"";
    if (const std::size_t at = script.text.find(place); at != std::string::npos)
        script.text.replace(at, place.size(), json::serialize(unreachable));
    const service::Digest digest = service::sha256(script.text);
    script.hash = service::to_hex(std::span(digest).first(8));
    script.integrity = "sha384-" + sha384_base64(script.text);
    return script;
}

Response show_script(const Request& request, const Script& script) {
    Response response = script_response(script, "public, max-age=300");
    if (request.if_none_match == '"' + script.hash + '"') {
        response.status = 304;
        response.content_type.clear();
        response.body.clear();
    }
    return response;
}

Response show_hashed_script(const Request& request, const Site& site, const Script& script) {
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

std::string snippet(const Script& script, const Newsletter& newsletter, const std::string& public_url) {
    const auto escaped = [](const std::string& text) {
        std::string out;
        for (const char c : text) {
            if (c == '&')
                out += "&amp;";
            else if (c == '<')
                out += "&lt;";
            else if (c == '>')
                out += "&gt;";
            else if (c == '"')
                out += "&quot;";
            else
                out += c;
        }
        return out;
    };
    return fmt::format(
        R"(<script src="{url}/embed.{hash}.js" integrity="{integrity}" crossorigin="anonymous" defer></script>
<div data-zgoda="{slug}"><a href="{url}/newsletters/{slug}">{name}</a></div>

<!-- Instead of the div, a form of your own keeps its looks, and works without JavaScript too:
<form data-zgoda="{slug}" method="post" action="{url}/v1/subscriptions">
<input type="hidden" name="newsletters" value="{slug}">
<label>Email <input name="email" type="email" autocomplete="email" required></label>
<button>Subscribe</button>
</form>
Instead of both, a frame; with the script it is as high as its form:
<iframe src="{url}/newsletters/{slug}/embed" title="{name}" width="100%" height="420"></iframe> -->
)",
        fmt::arg("url", public_url), fmt::arg("hash", script.hash), fmt::arg("integrity", script.integrity),
        fmt::arg("slug", newsletter.slug), fmt::arg("name", escaped(newsletter.name(newsletter.locale()))));
}

}  // namespace zgoda::http
