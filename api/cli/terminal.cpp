#include "api/cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace zgoda::cli {

Exit fail(Exit exit, std::string_view sentence) {
    fmt::print(stderr, "zgoda: {}\n", sentence);
    return exit;
}

bool is_decorated(std::FILE* stream) {
    const char* no_color = std::getenv("NO_COLOR");
    return isatty(fileno(stream)) == 1 && (no_color == nullptr || *no_color == '\0');
}

std::optional<bool> ask(std::string_view question) {
    if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1) return std::nullopt;
    fmt::print(stderr, "{} [y/N] ", question);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "yes";
}

Progress::Progress(std::string what, std::int64_t total) : what_(std::move(what)), total_(total) {}

Progress::~Progress() {
    if (visible_) fmt::print(stderr, "\r\033[K");
}

bool Progress::wanted() {
    return is_decorated(stderr);
}

void Progress::at(std::int64_t done) {
    const auto now = std::chrono::steady_clock::now();
    if (!wanted() || now - shown_ < std::chrono::milliseconds(100)) return;
    shown_ = now;
    visible_ = true;
    constexpr int width = 30;
    const double share =
        total_ > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 0;
    const double seconds = std::chrono::duration<double>(now - started_).count();
    const double rate = static_cast<double>(done) / seconds;
    const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
    fmt::print(stderr, "\r\033[K{} [{:-<{}}] {:.0f} %, {:.0f}/s, {:.0f} s left", what_,
               std::string(static_cast<std::size_t>(share * width), '#'), width, share * 100, rate,
               std::max(0.0, left));
}

}  // namespace zgoda::cli
