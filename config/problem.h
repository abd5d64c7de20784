// Why the program cannot start as it is set up.
#pragma once

#include <string>

namespace zgoda::config {

struct Problem {
    std::string
        sentence;  // one, for a person: where (file and line, or variable), what, and what would be right
};

}  // namespace zgoda::config
