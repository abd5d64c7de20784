#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "mailer/courier.h"

namespace fs = std::filesystem;
using namespace zgoda::mailer;
using Kind = Outcome::Kind;

namespace {

struct Folder {
    Folder() {
        char name[] = "/tmp/zgoda-maildir-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { fs::remove_all(path); }
    fs::path path;
};

const Envelope envelope{"news@example.org", "ada@example.com", false};

std::vector<std::string> letters_in(const fs::path& folder) {
    std::vector<std::string> out;
    for (const auto& file : fs::directory_iterator(folder)) {
        std::ifstream in(file.path(), std::ios::binary);
        out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return out;
}

}  // namespace

TEST_SUITE("maildir courier") {
    TEST_CASE("a letter becomes a file with exactly its bytes, in a folder that only we may read") {
        const Folder folder;
        const fs::path box = folder.path / "letters";
        const auto courier = make_maildir_courier(box);
        CHECK(courier->deliver({envelope, "Subject: x\r\n\r\n.dot\r\n"}).kind == Kind::delivered);
        CHECK(letters_in(box / "new") == std::vector<std::string>{"Subject: x\r\n\r\n.dot\r\n"});
        CHECK(fs::is_empty(box / "tmp"));
        CHECK(fs::is_empty(box / "cur"));
        CHECK(fs::status(box).permissions() == fs::perms::owner_all);
    }

    TEST_CASE("a look whether letters could go makes nothing, and says what is in the way") {
        const Folder folder;
        const fs::path box = folder.path / "letters";
        CHECK(make_maildir_courier(box)->check().kind == Kind::delivered);
        CHECK_FALSE(fs::exists(box));
        std::ofstream(box) << "a file";
        const Outcome outcome = make_maildir_courier(box)->check();
        CHECK(outcome.scope == Outcome::Scope::config);
        CHECK(outcome.reply.find("letters") != std::string::npos);
    }

    TEST_CASE("couriers that share a folder never take each other's names") {
        const Folder folder;
        const auto one = make_maildir_courier(folder.path), other = make_maildir_courier(folder.path);
        for (int i = 0; i < 50; ++i) {
            CHECK(one->deliver({envelope, "a"}).kind == Kind::delivered);
            CHECK(other->deliver({envelope, "a"}).kind == Kind::delivered);
        }
        CHECK(letters_in(folder.path / "new").size() == 100);
    }

    TEST_CASE("a folder that was removed meanwhile is made again") {
        const Folder folder;
        const auto courier = make_maildir_courier(folder.path / "letters");
        CHECK(courier->deliver({envelope, "a"}).kind == Kind::delivered);
        fs::remove_all(folder.path / "letters");
        courier->deliver({envelope, "b"});
        CHECK(courier->deliver({envelope, "c"}).kind == Kind::delivered);
    }

    TEST_CASE("what cannot be written waits, with nothing left behind") {
        const Folder folder;
        SUBCASE("a full disk (here: no file may grow) passes") {
            const auto courier = make_maildir_courier(folder.path);
            ::signal(SIGXFSZ, SIG_IGN);
            rlimit before{};
            ::getrlimit(RLIMIT_FSIZE, &before);
            const rlimit small{100, before.rlim_max};
            ::setrlimit(RLIMIT_FSIZE, &small);
            const Outcome outcome = courier->deliver({envelope, std::string(1000, 'x')});
            ::setrlimit(RLIMIT_FSIZE, &before);
            CHECK(outcome.kind == Kind::try_later);
            CHECK(outcome.scope == Outcome::Scope::relay);
            CHECK(fs::is_empty(folder.path / "tmp"));
            CHECK(fs::is_empty(folder.path / "new"));
        }
        SUBCASE("a folder that cannot be made needs a human") {
            std::ofstream(folder.path / "file") << "x";
            const Outcome outcome = make_maildir_courier(folder.path / "file")->deliver({envelope, "x"});
            CHECK(outcome.kind == Kind::try_later);
            CHECK(outcome.scope == Outcome::Scope::config);
        }
    }

    TEST_CASE("an address that is not safe to send is refused") {
        const Folder folder;
        CHECK(make_maildir_courier(folder.path)->deliver({{"a@b.c", "a\r\n@b.c", false}, "x"}).kind ==
              Kind::refused);
    }
}
