// embed.js, the script that draws a form on somebody else's page or makes one of its own work, and what an
// operator pastes there.
//
// It runs with all rights of that page, so a careful page names it by its hash and checks its integrity
// (Subresource Integrity). Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>

#include "service/newsletter.h"
#include "service/texts.h"

namespace zgoda::service {

struct EmbedScript {
    std::string text;
    std::string hash;       // names it in /embed.{hash}.js; other words or another version, another hash
    std::string integrity;  // "sha384-...", for the attribute of that name
};

// From its source, without comments and indentation. Of the words it holds one sentence in each language, for
// when nobody answers; all others it asks for.
EmbedScript embed_script(std::string_view source, const Texts&);

// What goes into the page for one newsletter: the script, and a place for the form.
std::string embed_snippet(const EmbedScript&, const Newsletter&, const std::string& public_url);

}  // namespace zgoda::service
