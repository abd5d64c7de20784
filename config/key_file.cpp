#include "config/key_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <set>

#include "config/secret_file.h"

namespace zgoda::config {
namespace {

using std::filesystem::path;

constexpr std::string_view setting = "secrets.key_file";

std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r";
    const std::size_t first = std::min(text.find_first_not_of(blanks), text.size());
    text.remove_prefix(first);
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

// What a line should have been, else nullptr and `key` is filled.
const char* read_key(std::string_view line, service::MasterKey& key) {
    std::array<std::string_view, 3> parts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::size_t comma = i + 1 < parts.size() ? line.find(',') : line.size();
        if (comma == std::string_view::npos) return "a line must be \"id, 64 hexadecimal digits, time\"";
        parts[i] = trim(line.substr(0, comma));
        line.remove_prefix(std::min(comma + 1, line.size()));
    }
    const auto [end, error] = std::from_chars(parts[0].data(), parts[0].data() + parts[0].size(), key.id);
    if (error != std::errc{} || end != parts[0].data() + parts[0].size() || key.id < 1 || key.id > 255) {
        return "the id must be a number from 1 to 255";
    }
    const auto bytes = service::from_hex(parts[1]);
    if (!bytes || bytes->size() != key.secret.size()) return "the key must be 64 hexadecimal digits";
    if (std::count(bytes->begin(), bytes->end(), bytes->front()) == 32) return "the key must be random";
    std::copy(bytes->begin(), bytes->end(), key.secret.begin());
    const auto created = service::parse_rfc3339(parts[2]);
    if (!created) return "the time must be as in RFC 3339, such as 2026-11-22T10:00:00.000Z";
    key.created_at = *created;
    return nullptr;
}

std::variant<std::vector<service::MasterKey>, Problem> read_keys(const path& file) {
    const auto content = read_secret_file(file, setting);
    if (const auto* problem = std::get_if<Problem>(&content)) return *problem;
    std::vector<service::MasterKey> keys;
    std::set<int> ids;
    std::string_view rest = std::get<std::string>(content);
    for (int number = 1; !rest.empty(); ++number) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = trim(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (line.empty() || line.front() == '#') continue;
        service::MasterKey key;
        const char* wrong = read_key(line, key);
        if (!wrong && !ids.insert(key.id).second) wrong = "this id is taken by a line above";
        if (wrong) {
            return Problem{
                fmt::format("{} names {}, whose line {} is wrong: {}; restore the file from your copy.",
                            setting, file.string(), number, wrong)};
        }
        keys.push_back(key);
    }
    if (keys.empty()) {
        return Problem{fmt::format("{} names {}, which holds no key; restore the file from your copy.",
                                   setting, file.string())};
    }
    return keys;
}

// --- making one. Each step returns errno, 0 is done

int sync_folder(const path& folder) {
    const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    const int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

int make_folder(const path& folder) {
    if (mkdir(folder.c_str(), 0700) == 0) return sync_folder(folder.parent_path());
    if (errno == EEXIST) return 0;
    if (errno != ENOENT || folder == folder.parent_path()) return errno;
    if (const int error = make_folder(folder.parent_path())) return error;
    return mkdir(folder.c_str(), 0700) == 0 ? sync_folder(folder.parent_path()) : errno == EEXIST ? 0 : errno;
}

int write_and_sync(int fd, std::string_view content) {
    while (!content.empty()) {
        const ssize_t count = write(fd, content.data(), content.size());
        if (count < 0 && errno != EINTR) return errno;
        if (count > 0) content.remove_prefix(static_cast<std::size_t>(count));
    }
    return fsync(fd) == 0 ? 0 : errno;
}

// The name appears once the content is on the disk: a crash leaves no short key file, and of two programs
// that start at once the second finds the name taken and reads the first one's key.
int make_key_file(const path& file, service::TimeMs now) {
    if (const int error = make_folder(file.parent_path())) return error;
    std::string unfinished = file.string() + ".XXXXXX";
    const int fd = mkostemp(unfinished.data(), O_CLOEXEC);  // O_EXCL, 0600
    if (fd < 0) return errno;
    int error =
        write_and_sync(fd, fmt::format("# The keys of this installation: id, hex, created. Keep a copy apart "
                                       "from the backups; show it to nobody.\n1, {}, {}\n",
                                       service::to_hex(service::random_seed()), service::rfc3339(now)));
    close(fd);
    if (!error && link(unfinished.c_str(), file.c_str()) != 0 && errno != EEXIST) error = errno;
    unlink(unfinished.c_str());
    return error ? error : sync_folder(file.parent_path());
}

// Of a file that is there, with one line more.
int replace_key_file(const path& file, const std::string& content) {
    std::string unfinished = file.string() + ".XXXXXX";
    const int fd = mkostemp(unfinished.data(), O_CLOEXEC);  // O_EXCL, 0600
    if (fd < 0) return errno;
    int error = write_and_sync(fd, content);
    close(fd);
    if (!error && rename(unfinished.c_str(), file.c_str()) != 0) error = errno;
    if (error) unlink(unfinished.c_str());
    return error ? error : sync_folder(file.parent_path());
}

}  // namespace

std::variant<int, Problem> add_key(const path& file, service::TimeMs now) {
    const auto known = read_keys(file);
    if (const auto* problem = std::get_if<Problem>(&known)) return *problem;
    const auto& keys = std::get<std::vector<service::MasterKey>>(known);
    service::MasterKey fresh;
    fresh.created_at = now;
    for (const service::MasterKey& one : keys) {
        fresh.id = std::max(fresh.id, one.id);
        // The youngest one signs: a clock that went back must not make the new one older.
        fresh.created_at = std::max(fresh.created_at, one.created_at);
    }
    if (++fresh.id > 255)
        return Problem{fmt::format("{} holds key 255; there can be no newer one.", file.string())};
    auto content = read_secret_file(file, setting);
    if (auto* problem = std::get_if<Problem>(&content)) return *problem;
    std::string text = std::get<std::string>(std::move(content));
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += fmt::format("{}, {}, {}\n", fresh.id, service::to_hex(service::random_seed()),
                        service::rfc3339(fresh.created_at));
    if (const int error = replace_key_file(file, text)) {
        return Problem{fmt::format("{} names {}, which cannot be written: {}.", setting, file.string(),
                                   std::strerror(error))};
    }
    return fresh.id;
}

std::variant<std::vector<service::MasterKey>, Problem> load_keys(const path& file, bool data_present,
                                                                 service::TimeMs now) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0 && errno == ENOENT) {
        if (data_present) {
            return Problem{
                fmt::format("{} names {}, which is missing although there are data: restore it from your "
                            "copy, because without it no link in a sent letter works and nobody who left "
                            "for good is recognised.",
                            setting, file.string())};
        }
        if (const int error = make_key_file(file, now)) {
            return Problem{fmt::format("{} names {}, which cannot be made: {}.", setting, file.string(),
                                       std::strerror(error))};
        }
    }
    return read_keys(file);
}

}  // namespace zgoda::config
