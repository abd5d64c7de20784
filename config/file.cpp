#include "config/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace zgoda::config {

std::variant<File, Unreadable> read_file(const std::filesystem::path& name) {
    constexpr std::size_t most = 1 << 20;
    // Not blocking, so that a named pipe is refused below instead of waited for.
    const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return Unreadable{std::strerror(errno)};
    File file;
    std::string why;
    if (fstat(fd, &file.status) != 0) why = std::strerror(errno);
    if (why.empty() && !S_ISREG(file.status.st_mode)) why = "it is no regular file";
    while (why.empty()) {
        char piece[16 * 1024];
        const ssize_t count = read(fd, piece, sizeof piece);
        if (count == 0) break;
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) why = std::strerror(errno);
        if (count > 0) file.content.append(piece, static_cast<std::size_t>(count));
        if (file.content.size() > most) why = "it is larger than 1 MiB";
    }
    close(fd);
    if (!why.empty()) return Unreadable{why};
    return file;
}

}  // namespace zgoda::config
