// What a form on somebody else's page asks us for: the script that draws it or makes it work
// (service/embed_script.h), and the words that it speaks. Reading handlers, any thread.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "api/http/origin.h"
#include "api/http/site.h"
#include "service/embed_script.h"

namespace zgoda::http {

/// GET /embed.js: may be kept for some minutes. Any page of any origin may load it.
Response show_script(const Request& request, const service::EmbedScript& script);

/// GET /embed.{hash}.js: the same for ever, or 404.
Response show_hashed_script(const Request& request, const Site& site, const service::EmbedScript& script);

/// GET /newsletters/{slug}/embed.json, and /embed.json for a form that asks for several: what a form shows,
/// in the reader's language.
boost::asio::awaitable<Response> describe_form(Request& request, const Site& site, const Origins& origins);

}  // namespace zgoda::http
