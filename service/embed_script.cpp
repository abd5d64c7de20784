#include "service/embed_script.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <span>
#include <stdexcept>

#include "service/keyring.h"

namespace zgoda::service {
namespace {

std::string without_comments(std::string_view source) {
    std::string text;
    while (!source.empty()) {
        const std::size_t end = std::min(source.find('\n'), source.size());
        std::string_view line = source.substr(0, end);
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
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

}  // namespace

EmbedScript embed_script(std::string_view source, const Texts& texts) {
    boost::json::object unreachable;
    for (const std::string& locale : texts.locales())
        unreachable[locale] = texts.text(locale, "form.offline");
    EmbedScript script;
    script.text = without_comments(source);
    constexpr std::string_view place = "\"{{unreachable}}\"";
    if (const std::size_t at = script.text.find(place); at != std::string::npos)
        script.text.replace(at, place.size(), boost::json::serialize(unreachable));
    const Digest digest = sha256(script.text);
    script.hash = to_hex(std::span(digest).first(8));
    script.integrity = "sha384-" + sha384_base64(script.text);
    return script;
}

std::string embed_snippet(const EmbedScript& script, const Newsletter& newsletter,
                          const std::string& public_url) {
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

}  // namespace zgoda::service
