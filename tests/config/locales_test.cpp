#include "config/locales.h"

#include <doctest/doctest.h>

#include <regex>
#include <set>

#include "config/builtin.h"
#include "tests/config/folder.h"

using namespace zgoda;
using namespace zgoda::config;
using std::filesystem::path;

namespace {

const path source_dir = ZGODA_SOURCE_DIR;

std::multiset<std::string> placeholders(const std::string& text) {
    static const std::regex placeholder(R"(\{[^}]*\})");
    return {std::sregex_token_iterator(text.begin(), text.end(), placeholder), {}};
}

std::string problem(const path& folder) {
    const auto loaded = load_templates(folder);
    const auto* found = std::get_if<Problem>(&loaded);
    return found ? found->sentence : "";
}

}  // namespace

TEST_SUITE("the built-in files") {
    TEST_CASE("are byte for byte those of the source") {
        for (const auto& [file, content] : builtin_files()) {
            const std::string name(file);
            const path folder = source_dir / "config" / (name.ends_with(".toml") ? "locales" : "templates");
            CAPTURE(name);
            CHECK(std::string(content) == read(folder / name));
        }
    }
}

TEST_SUITE("the languages") {
    TEST_CASE("say all that English says, and nothing else") {
        const auto languages = load_languages();
        REQUIRE(languages.contains("en"));
        REQUIRE(languages.contains("uk"));
        const auto& english = languages.at("en");
        CHECK(english.contains("form.subscribe"));
        for (const auto& [locale, language] : languages) {
            for (const auto& [key, text] : english) {
                const std::string said = locale + " " + key;
                CAPTURE(said);
                const auto found = language.find(key);
                REQUIRE(found != language.end());
                CHECK(placeholders(found->second) == placeholders(text));
                CHECK_FALSE(found->second.empty());
            }
            for (const auto& [key, text] : language) {
                const std::string said = locale + " " + key;
                CAPTURE(said);
                CHECK(english.contains(key));
            }
        }
    }

    TEST_CASE("leave no blank before a sign that ends a word") {
        static const std::regex blank(R"( (…|[,;.?!:]( |$)))");
        for (const auto& [locale, language] : load_languages()) {
            for (const auto& [key, text] : language) {
                const std::string said = locale + " " + key;
                CAPTURE(said);
                CHECK_FALSE(std::regex_search(text, blank));
            }
        }
    }

    TEST_CASE("are handed on as the service's texts") {
        const service::Texts texts = load_texts();
        CHECK(texts.text("en", "form.subscribe") == "Subscribe");
        CHECK(texts.text("uk", "form.subscribe") == load_languages().at("uk").at("form.subscribe"));
    }
}

TEST_SUITE("the templates") {
    TEST_CASE("are the built-in ones, where the folder has none") {
        const auto all = std::get<Templates>(load_templates(""));
        CHECK(all.contains("page.layout.html"));
        CHECK_FALSE(all.contains("en.toml"));
        const Folder folder;
        CHECK(std::get<Templates>(load_templates(folder.path)) == all);
    }

    TEST_CASE("are replaced one by one, by name") {
        const Folder folder;
        folder.write("page.layout.html", "<p>ours");
        folder.write(".page.layout.html.swp", "\xff");
        auto expected = std::get<Templates>(load_templates(""));
        expected["page.layout.html"] = "<p>ours";
        CHECK(std::get<Templates>(load_templates(folder.path)) == expected);
    }

    TEST_CASE("a file that replaces none is refused, with the nearest that there is") {
        const Folder folder;
        const path file = folder.write("page.layuot.html", "x");
        CHECK(problem(folder.path) == "mail.templates holds " + file.string() +
                                          ", which replaces no template; the nearest is page.layout.html.");
        std::filesystem::remove(file);
        folder.write("en.toml", "");
        CHECK(problem(folder.path).find("which replaces no template") != std::string::npos);
    }

    TEST_CASE("what cannot be read, or is not UTF-8, is refused") {
        const Folder folder;
        CHECK(problem(folder.path / "none") ==
              "mail.templates names " + (folder.path / "none").string() +
                  ", which cannot be read as a folder: No such file or directory.");
        const path file = folder.write("page.layout.html", "a\xff");
        CHECK(problem(folder.path) == "mail.templates holds " + file.string() + ", which must be UTF-8.");
        std::filesystem::remove(file);
        std::filesystem::create_directory(file);
        CHECK(problem(folder.path).find("cannot be read: it is no regular file") != std::string::npos);
    }
}
