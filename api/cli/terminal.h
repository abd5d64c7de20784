// How the verbs speak with a person: sentences, questions, progress.
//
// Results go to stdout through standard C output, everything in here to stderr. Decoration is for terminals
// only, and not under NO_COLOR (https://no-color.org).
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "api/cli/verbs.h"

namespace zgoda::cli {

// "zgoda: <sentence>" on stderr; gives `exit` back, for a return statement.
Exit fail(Exit exit, std::string_view sentence);

bool is_decorated(std::FILE*);  // a terminal, and no NO_COLOR

// Asks on stderr and reads one line from stdin: is it "yes" or "y"? nullopt if stdin or stderr is no
// terminal: nobody is there to answer.
std::optional<bool> ask(std::string_view question);

// A bar on stderr, with rate and time left; nothing where stderr is not decorated. Erases itself at the end.
class Progress {
 public:
    Progress(std::string what, std::int64_t total);
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress();

    static bool wanted();  // whether it is worth counting the total

    void at(std::int64_t done);

 private:
    std::string what_;
    std::int64_t total_;
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point shown_ = started_;
    bool visible_ = false;
};

}  // namespace zgoda::cli
