#include "config/secret_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "config/file.h"

namespace zgoda::config {

std::variant<std::string, Problem> read_secret_file(const std::filesystem::path& name,
                                                    std::string_view setting) {
    const std::string file = name.string();
    auto read = read_file(name);
    if (const auto* unreadable = std::get_if<Unreadable>(&read)) {
        return Problem{fmt::format("{} names {}, which cannot be read: {}.", setting, file, unreadable->why)};
    }
    File& secret = std::get<File>(read);
    if (secret.status.st_uid != geteuid()) {
        return Problem{
            fmt::format("{} names {}, which belongs to user {} and not to the one who runs this program, "
                        "user {}: run it as the owner, or give them the file.",
                        setting, file, secret.status.st_uid, geteuid())};
    }
    if ((secret.status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return Problem{
            fmt::format("{} names {}, which others than its owner may read or change: run \"chmod 600 {}\".",
                        setting, file, file)};
    }
    return std::move(secret.content);
}

std::variant<std::string, Problem> load_password(const std::filesystem::path& file,
                                                 std::string_view setting) {
    if (file.empty()) return std::string();
    auto read = read_secret_file(file, setting);
    if (!std::holds_alternative<std::string>(read)) return read;
    std::string& password = std::get<std::string>(read);
    if (password.ends_with('\n')) password.pop_back();
    if (password.ends_with('\r')) password.pop_back();
    const bool has_control = std::any_of(password.begin(), password.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20) || c == 0x7f;
    });
    if (password.empty() || has_control) {
        return Problem{fmt::format("{} names {}, which must hold the password on one line and nothing else.",
                                   setting, file.string())};
    }
    return read;
}

}  // namespace zgoda::config
