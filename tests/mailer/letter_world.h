#pragma once

// The vocabulary of the letters' tests: the templates and texts that are installed.

#include <toml++/toml.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "mailer/render.h"
#include "service/texts.h"

namespace zgoda::test {

inline mailer::Templates installed_templates() {
    mailer::Templates templates;
    for (const auto& file : std::filesystem::directory_iterator(ZGODA_SOURCE_DIR "/config/templates")) {
        std::ifstream in(file.path(), std::ios::binary);
        templates[file.path().filename()] = {std::istreambuf_iterator<char>(in),
                                             std::istreambuf_iterator<char>()};
    }
    return templates;
}

inline service::Texts installed_texts() {
    std::map<std::string, service::Texts::Language, std::less<>> languages;
    for (const auto& file : std::filesystem::directory_iterator(ZGODA_SOURCE_DIR "/config/locales")) {
        auto& language = languages[file.path().stem()];
        for (const auto& [section, entries] : toml::parse_file(file.path().string()))
            for (const auto& [key, value] : *entries.as_table())
                language[std::string(section.str()) + "." + std::string(key.str())] =
                    value.value_or(std::string());
    }
    return service::Texts(std::move(languages));
}

}  // namespace zgoda::test
