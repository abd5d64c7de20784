// The files that are compiled into the program: config/locales/*.toml and config/templates/*, by their names
// ("en.toml", "page.confirm.html"). The build writes the function's body (embed.cmake).
#pragma once

#include <map>
#include <string_view>

namespace zgoda::config {

const std::map<std::string_view, std::string_view>& builtin_files();

// The one file bounce_rules.toml (bounce_rules.h).
const std::map<std::string_view, std::string_view>& builtin_bounce_rules();

// The one file docs/openapi.json, which the private listener shows.
const std::map<std::string_view, std::string_view>& builtin_openapi();

}  // namespace zgoda::config
