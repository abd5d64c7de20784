#include "api/cli/admin.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "service/printable.h"

namespace zgoda::cli {

std::string admin_name() {
    const passwd* user = ::getpwuid(::geteuid());
    std::string name = user != nullptr ? user->pw_name : std::to_string(::geteuid());
    const char* sudo = std::getenv("SUDO_USER");
    if (sudo != nullptr && *sudo != '\0' && name != sudo)
        name += fmt::format(" (sudo by {})", service::printable(sudo));
    return name;
}

void let_others_in() {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace zgoda::cli
