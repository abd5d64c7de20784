// A courier that puts letters into a Maildir: for a first try, for development, and for whoever fetches them
// there.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "mailer/courier.h"

namespace zgoda::mailer {
namespace {

using Kind = Outcome::Kind;
using Scope = Outcome::Scope;

class Descriptor {
 public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }
    bool ok() const { return fd_ >= 0; }

 private:
    int fd_;
};

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

bool make_folder(const std::string& path) {
    return ::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
}

bool sync_folder(const std::string& path) {
    const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder.ok() && ::fsync(folder.get()) == 0;
}

// A full disk empties again; a missing right does not change by itself.
Outcome trouble(const char* what, const std::string& path) {
    const int error = errno;
    const bool passes = error == ENOSPC || error == EDQUOT || error == EFBIG || error == EMFILE ||
                        error == ENFILE || error == EIO;
    return {Kind::try_later, passes ? Scope::relay : Scope::config,
            fmt::format("cannot {} {}: {}", what, path, std::strerror(error)), false};
}

class MaildirCourier : public Courier {
 public:
    explicit MaildirCourier(std::string folder) : folder_(std::move(folder)) {}

    Outcome check() override {
        std::filesystem::path place = folder_ + "/new";
        while (::access(place.c_str(), F_OK) != 0 && errno == ENOENT && place.has_relative_path())
            place = place.parent_path();  // will be made in there
        if (::access(place.c_str(), W_OK | X_OK) != 0) return trouble("write to", place);
        return {Kind::delivered, Scope::letter, "", false};
    }

    Outcome deliver(const Parcel& parcel, const Parcel*) override {
        const Envelope& envelope = parcel.envelope;
        if (!is_safe_address(envelope.sender) || !is_safe_address(envelope.recipient))
            return {Kind::refused, Scope::letter, "the envelope has an address that is not safe to send",
                    false};
        if (const auto problem = make_folders()) return *problem;
        const std::string name = unique_name();
        const std::string draft = folder_ + "/tmp/" + name;
        const std::string place = folder_ + "/new/" + name;

        const Descriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!file.ok()) {
            ready_ = errno != ENOENT;
            return trouble("create", draft);
        }
        if (!write_all(file.get(), parcel.message) || ::fsync(file.get()) != 0 ||
            ::rename(draft.c_str(), place.c_str()) != 0) {
            Outcome outcome = trouble("write", draft);
            ::unlink(draft.c_str());
            return outcome;
        }
        if (!sync_folder(folder_ + "/new")) {
            Outcome outcome = trouble("sync", folder_ + "/new");
            outcome.kind = Kind::uncertain;  // there now, but perhaps not after a power cut
            outcome.scope = Scope::letter;
            return outcome;
        }
        return {Kind::delivered, Scope::letter, name, false};
    }

 private:
    std::optional<Outcome> make_folders() {
        if (ready_) return std::nullopt;
        for (const char* part : {"", "/tmp", "/new", "/cur"})
            if (!make_folder(folder_ + part)) return trouble("make", folder_ + part);
        if (!sync_folder(folder_) || !sync_folder(folder_ + "/..")) return trouble("sync", folder_);
        ready_ = true;
        return std::nullopt;
    }

    // As qmail names them: time, process and a count are never the same twice on one machine.
    static std::string unique_name() {
        static std::atomic<unsigned> count{0};
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
        return fmt::format("{}.M{:06}P{}Q{}.zgoda", us / 1'000'000, us % 1'000'000, ::getpid(), ++count);
    }

    std::string folder_;
    bool ready_ = false;
};

}  // namespace

std::unique_ptr<Courier> make_maildir_courier(std::string folder) {
    return std::make_unique<MaildirCourier>(std::move(folder));
}

}  // namespace zgoda::mailer
