// What a form on somebody else's page needs from us: the script that draws it or makes it work, and the words
// that it speaks.
//
// The script runs with all rights of that page, so a careful page names it by its hash and checks its
// integrity (Subresource Integrity). Immutable values and reading handlers, any thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "api/http/origin.h"
#include "api/http/site.h"

namespace zgoda::http {

struct Script {
    std::string text;
    std::string hash;       // names it in /embed.{hash}.js; other words or another version, another hash
    std::string integrity;  // "sha384-...", for the attribute of that name
};

/// embed.js from its template, without comments and indentation. Of the words it holds one sentence in each
/// language, for when nobody answers; all others it asks for.
Script embed_script(std::string_view source, const service::Texts& texts);

/// GET /embed.js: may be kept for some minutes. Any page of any origin may load it.
Response show_script(const Request& request, const Script& script);

/// GET /embed.{hash}.js: the same for ever, or 404.
Response show_hashed_script(const Request& request, const Site& site, const Script& script);

/// GET /newsletters/{slug}/embed.json, and /embed.json for a form that asks for several: what a form shows,
/// in the reader's language.
boost::asio::awaitable<Response> describe_form(Request& request, const Site& site, const Origins& origins);

/// What the operator puts into his page for one newsletter: the script, and a place for the form.
std::string snippet(const Script& script, const service::Newsletter& newsletter,
                    const std::string& public_url);

}  // namespace zgoda::http
