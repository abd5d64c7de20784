// What a setting may say: each function here reads one kind of value.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/settings.h"

namespace zgoda::config {

// What the value must be, the end of a sentence that begins with "server.listen must be"; "" if it is that
// already. It never repeats a value that may hold a password. On a problem the setting is unchanged.
using Wanted = std::string;

// UTF-8 without control characters: no reader of a setting expects a line end or NUL. A postal address has
// lines.
bool is_plain(std::string_view text, bool may_have_lines);

// `base` is the folder from which relative paths count. "" stays "".
std::filesystem::path resolve(const std::filesystem::path& base, const std::filesystem::path& file);
std::string_view trim(std::string_view text);

Wanted read_path(std::filesystem::path& file, const std::string& text, const std::filesystem::path& base);
Wanted read_optional_path(std::filesystem::path& file, const std::string& text,
                          const std::filesystem::path& base);
Wanted read_listen(std::string& listen, const std::string& text, const std::filesystem::path& base,
                   bool is_private);
Wanted read_public_url(std::string& url, const std::string& text);
Wanted read_origins(std::vector<std::string>& origins, const std::vector<std::string>& texts);
Wanted read_proxies(std::vector<std::string>& proxies, const std::vector<std::string>& texts);
Wanted read_number(int& number, std::int64_t value, int least, int most);
Wanted read_storage_url(SqliteFile& url, const std::string& text, const std::filesystem::path& base);
Wanted read_mail_url(std::variant<Maildir, Relay>& url, const std::string& text,
                     const std::filesystem::path& base);
Wanted read_sender(Sender& sender, const std::string& text);
Wanted read_domain(std::string& domain, const std::string& text);
Wanted read_domains(std::vector<std::string>& domains, const std::vector<std::string>& texts);
Wanted read_text(std::string& setting, const std::string& text);
Wanted read_rates(std::vector<service::Rate>& rates, const std::string& text);
Wanted read_duration(service::DurationMs& duration, const std::string& text);

}  // namespace zgoda::config
