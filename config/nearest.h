// Did you mean ...?
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zgoda::config {

// The candidate that takes the fewest keystrokes to come to; the first of equals. "" if there are none.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace zgoda::config
