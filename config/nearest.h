// Did you mean ...?
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zgoda::config {

// The candidate that takes the fewest keystrokes to come to; the first of equals. "" if none is near: more
// than half of it would have to be typed anew.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace zgoda::config
