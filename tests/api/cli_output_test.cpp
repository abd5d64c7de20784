#include "api/cli/output.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "api/cli/log.h"
#include "cli_fixture.h"

using namespace zgoda;
using namespace zgoda::cli;
namespace fs = std::filesystem;

namespace {

std::string content(const fs::path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::size_t files_in(const fs::path& folder) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

}  // namespace

TEST_SUITE("output") {
    TEST_CASE("a file appears whole, for its owner only") {
        const tests::TemporaryFolder folder;
        const fs::path file = folder.path / "monday.csv";
        Output output(file.string());
        output.write("ada@example.org\r\n");
        CHECK_FALSE(fs::exists(file));
        output.finish();
        CHECK_FALSE(output.problem());
        CHECK(content(file) == "ada@example.org\r\n");
        CHECK(fs::status(file).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
        CHECK(files_in(folder.path) == 1);
    }

    TEST_CASE("without finish() nothing is left, and what was there stays") {
        const tests::TemporaryFolder folder;
        const fs::path file = folder.path / "monday.csv";
        std::ofstream(file) << "last week";
        { Output(file.string()).write("half"); }
        CHECK(content(file) == "last week");
        CHECK(files_in(folder.path) == 1);
    }

    TEST_CASE("a link stays a link, and what it names is replaced") {
        const tests::TemporaryFolder folder;
        std::ofstream(folder.path / "real.csv") << "old";
        fs::create_symlink("real.csv", folder.path / "link.csv");
        Output output((folder.path / "link.csv").string());
        output.write("new");
        output.finish();
        CHECK(fs::is_symlink(folder.path / "link.csv"));
        CHECK(content(folder.path / "real.csv") == "new");
    }

    TEST_CASE("what is no file is not replaced by one") {
        const Output device("/dev/null");
        REQUIRE(device.problem());
        CHECK(device.problem()->find("not a regular file") != std::string::npos);
        CHECK(fs::is_character_file("/dev/null"));

        const tests::TemporaryFolder folder;
        const Output nowhere((folder.path / "no" / "monday.csv").string());
        REQUIRE(nowhere.problem());
        CHECK(nowhere.problem()->find("No such file") != std::string::npos);
    }
}

TEST_SUITE("log") {
    TEST_CASE("an event is one JSON object on one line, whatever is in it") {
        tests::Captured err(stderr);
        const Log log(config::LogLevel::info);
        log.info("started", {{"public", "http://127.0.0.1:1"}, {"odd", "a\"b\n{}"}});
        log.debug("too small", [] { return boost::json::object(); });
        const std::string text = err.text();
        CHECK(text.find(
                  R"("level":"info","event":"started","public":"http://127.0.0.1:1","odd":"a\"b\n{}"})") !=
              std::string::npos);
        CHECK(text.substr(0, 11) == R"({"time":"20)");
        CHECK(std::count(text.begin(), text.end(), '\n') == 1);
    }
}
