// What the pages behind somebody's own link share: /confirm, /not-me, /unsubscribe, /undo, /preferences.
#pragma once

#include <string>
#include <string_view>

#include "api/http/message.h"
#include "api/http/pages.h"
#include "api/http/site.h"

namespace zgoda::http {

/// The token that the request came with, ?t=; "" if there is none. It goes into our own addresses and forms
/// only after it was found to be one of ours.
std::string token_of(const Request& request);
std::string link(std::string_view path, const std::string& token);

/// What is around such a page: no search engine keeps it. `title` is the key of a text.
Frame frame_of(const Site& site, int status, const std::string& locale, std::string_view title);

/// 404, for a token that is not one of ours or whose person is gone.
Response unknown_link(const Request& request, const Site& site);

}  // namespace zgoda::http
