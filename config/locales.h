// The product's words in each language, and the templates of pages and letters: built in, and overridable by
// files.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "config/problem.h"
#include "service/texts.h"

namespace zgoda::config {

// One language a built-in file: "uk.toml" is "uk"; [form] subscribe = "..." becomes "form.subscribe".
// Throws std::logic_error if a built-in file is broken: then the program is.
std::map<std::string, service::Texts::Language, std::less<>> load_languages();
service::Texts load_texts();

// The built-in templates by file name, some replaced by the files of the same name in `folder`
// (mail.templates; empty: none). A file in it that replaces nothing is a Problem, because its writer believes
// that it does.
using Templates = std::map<std::string, std::string, std::less<>>;
std::variant<Templates, Problem> load_templates(const std::filesystem::path& folder);

}  // namespace zgoda::config
