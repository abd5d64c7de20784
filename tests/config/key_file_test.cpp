#include "config/key_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "config/secret_file.h"
#include "tests/config/folder.h"

using namespace zgoda;
using namespace zgoda::config;
using std::filesystem::path;

namespace {

constexpr service::TimeMs now = 1'795'341'600'000;  // 2026-11-22T10:00:00Z
const std::string hex(64, 'a');
const std::string key_a = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const std::string key_b = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

mode_t mode_of(const path& file) {
    struct stat status {};
    REQUIRE(stat(file.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

path secret(const Folder& folder, const std::string& content) {
    const path file = folder.write("secret.key", content);
    chmod(file.c_str(), 0600);
    return file;
}

std::vector<service::MasterKey> good(const path& file, bool data_present) {
    const auto loaded = load_keys(file, data_present, now);
    const auto* problem = std::get_if<Problem>(&loaded);
    REQUIRE_MESSAGE(!problem, problem->sentence);
    return std::get<std::vector<service::MasterKey>>(loaded);
}

std::string sentence(const path& file, bool data_present = true) {
    const auto loaded = load_keys(file, data_present, now);
    const auto* problem = std::get_if<Problem>(&loaded);
    return problem ? problem->sentence : "";
}

}  // namespace

TEST_SUITE("the key file") {
    TEST_CASE("is made at the first start, for its owner alone, and stays the same") {
        const Folder folder;
        const path file = folder.path / "var/deep/secret.key";
        const mode_t usual = umask(0);
        const auto made = good(file, false);
        umask(usual);
        CHECK(mode_of(file) == 0600);
        CHECK(mode_of(file.parent_path()) == 0700);
        CHECK(mode_of(folder.path / "var") == 0700);
        REQUIRE(made.size() == 1);
        CHECK(made[0].id == 1);
        CHECK(made[0].created_at == now);
        CHECK(good(file, true)[0].secret == made[0].secret);
        CHECK(good(file, false)[0].secret == made[0].secret);
        CHECK(std::distance(std::filesystem::directory_iterator(file.parent_path()), {}) ==
              1);  // nothing unfinished

        const Folder other;
        CHECK(good(other.path / "secret.key", false)[0].secret != made[0].secret);
    }

    TEST_CASE("is one and the same for all who start at once") {
        for (int round = 0; round < 20; ++round) {
            const Folder folder;
            const path file = folder.path / "var/secret.key";
            std::atomic<int> ready = 0;
            std::vector<std::array<std::uint8_t, 32>> secrets(4);
            std::vector<std::thread> starts;
            for (auto& secret_of_one : secrets) {
                starts.emplace_back([&] {
                    ++ready;
                    while (ready < 4) std::this_thread::yield();
                    const auto loaded = load_keys(file, false, now);
                    if (const auto* keys = std::get_if<std::vector<service::MasterKey>>(&loaded)) {
                        secret_of_one = keys->at(0).secret;
                    }
                });
            }
            for (auto& start : starts) start.join();
            CHECK(secrets[0] != std::array<std::uint8_t, 32>{});
            CHECK(std::count(secrets.begin(), secrets.end(), secrets[0]) == 4);
        }
    }

    TEST_CASE("is never made when there are data") {
        const Folder folder;
        const path file = folder.path / "secret.key";
        CHECK(sentence(file) == "secrets.key_file names " + file.string() +
                                    ", which is missing although there are data: restore it from your copy, "
                                    "because without it no link "
                                    "in a sent letter works and nobody who left for good is recognised.");
        CHECK_FALSE(std::filesystem::exists(file));
    }

    TEST_CASE("a link to nowhere is not taken for a first start") {
        const Folder folder;
        std::filesystem::create_symlink("/nonexistent/secret.key", folder.path / "secret.key");
        CHECK(sentence(folder.path / "secret.key", false).find("No such file or directory") !=
              std::string::npos);
    }

    TEST_CASE("holds several keys, comments and blank lines") {
        const Folder folder;
        const auto keys = good(secret(folder, "# ours\n\n 1, " + key_a + ", 2026-11-22\r\n255," + key_b +
                                                  ",2026-11-22T12:00:00.000+02:00"),
                               true);
        REQUIRE(keys.size() == 2);
        CHECK(keys[0].id == 1);
        CHECK(keys[0].secret[1] == 0x11);
        CHECK(keys[1].id == 255);
        CHECK(keys[1].secret[0] == 0xff);
        CHECK(keys[1].created_at == now);
        CHECK(service::Keyring(keys).ids().size() == 2);
    }

    TEST_CASE("with a wrong line is refused by the line's number, without a byte of the key") {
        struct Row {
            std::string content, sentence;
        };
        const std::string digits = "the key must be 64 hexadecimal digits";
        const std::string id = "the id must be a number from 1 to 255";
        const std::string shape = "a line must be \"id, 64 hexadecimal digits, time\"";
        const std::string good_line = "1, " + key_a + ", 2026-11-22\n";
        const Row rows[] = {
            {"# x\n1, " + key_a.substr(2) + ", 2026-11-22", "line 2 is wrong: " + digits},
            {"1, " + key_a + "00, 2026-11-22", "line 1 is wrong: " + digits},
            {"1, " + key_a.substr(1) + "g, 2026-11-22", "line 1 is wrong: " + digits},
            {"1, " + hex + ", 2026-11-22", "line 1 is wrong: the key must be random"},
            {"0, " + key_a + ", 2026-11-22", "line 1 is wrong: " + id},
            {"256, " + key_a + ", 2026-11-22", "line 1 is wrong: " + id},
            {"x, " + key_a + ", 2026-11-22", "line 1 is wrong: " + id},
            {"1, " + key_a, "line 1 is wrong: " + shape},
            {key_a, "line 1 is wrong: " + shape},
            {"1, " + key_a + ", yesterday", "line 1 is wrong: the time must be as in RFC 3339"},
            {"1, " + key_a + ", 2026-11-22, x", "line 1 is wrong: the time must be as in RFC 3339"},
            {good_line + "1, " + key_b + ", 2026-11-23", "line 2 is wrong: this id is taken by a line above"},
            {"", "holds no key"},
            {"# nothing\n", "holds no key"},
        };
        const Folder folder;
        for (const Row& row : rows) {
            CAPTURE(row.content);
            const std::string said = sentence(secret(folder, row.content), false);
            CHECK(said.find(row.sentence) != std::string::npos);
            CHECK(said.find("8899aabb") == std::string::npos);
            CHECK(said.find("aaaaaaaa") == std::string::npos);
        }
    }

    TEST_CASE("that others may read or write is refused") {
        const Folder folder;
        const path file = secret(folder, "1, " + key_a + ", 2026-11-22\n");
        for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0644U, 0610U}) {
            chmod(file.c_str(), mode);
            CHECK(sentence(file) == "secrets.key_file names " + file.string() +
                                        ", which others than its owner may read or change: run \"chmod 600 " +
                                        file.string() + "\".");
        }
        for (const mode_t mode : {0600U, 0400U}) {
            chmod(file.c_str(), mode);
            CHECK(sentence(file).empty());
        }
        if (geteuid() == 0) {  // only root can give a file away
            REQUIRE(chown(file.c_str(), 12345, 12345) == 0);
            CHECK(sentence(file).find("which belongs to user 12345") != std::string::npos);
        }
    }

    TEST_CASE("that cannot be made or read is told with the system's reason") {
        const Folder folder;
        folder.write("file", "");
        CHECK(sentence(folder.path / "file/secret.key", false).find("Not a directory") != std::string::npos);
        std::filesystem::create_directory(folder.path / "secret.key");
        CHECK(sentence(folder.path / "secret.key").find("it is no regular file") != std::string::npos);
        REQUIRE(mkfifo((folder.path / "pipe").c_str(), 0600) == 0);
        CHECK(sentence(folder.path / "pipe").find("it is no regular file") != std::string::npos);
    }
}

TEST_SUITE("the password file") {
    TEST_CASE("holds the password on its one line") {
        const Folder folder;
        for (const std::string content : {"pass wörd", "pass wörd\n", "pass wörd\r\n"}) {
            const auto loaded = load_password(secret(folder, content));
            REQUIRE(std::holds_alternative<std::string>(loaded));
            CHECK(std::get<std::string>(loaded) == "pass wörd");
        }
        CHECK(std::get<std::string>(load_password("")).empty());
    }

    TEST_CASE("is refused when it holds something else, or others may read it") {
        const Folder folder;
        for (const std::string content : {"", "\n", "hunter2\nhunter3\n", "hunter2\x01"}) {
            const auto loaded = load_password(secret(folder, content));
            REQUIRE(std::holds_alternative<Problem>(loaded));
            const std::string& said = std::get<Problem>(loaded).sentence;
            CHECK(said.ends_with("which must hold the password on one line and nothing else."));
            CHECK(said.find("hunter") == std::string::npos);
        }
        const path file = secret(folder, "hunter2\n");
        chmod(file.c_str(), 0644);
        CHECK(std::holds_alternative<Problem>(load_password(file)));
    }
}
