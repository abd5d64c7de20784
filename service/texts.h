// The product's own words in each language: what pages, letters and answers say.
//
// A value: built once from what config/ read, then shared. Keys are dotted ("form.subscribe"). English is
// complete; a key that another language lacks falls back to English, and a test fails on it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/newsletter.h"
#include "service/time.h"

namespace zgoda::service {

class Texts {
 public:
    using Language = std::map<std::string, std::string, std::less<>>;

    Texts() = default;
    explicit Texts(std::map<std::string, Language, std::less<>> languages);  // needs "en"

    // "" if no language has it (a broken program; tests find it).
    const std::string& text(std::string_view locale, std::string_view key) const;
    // A newsletter's own text (its setting texts.KEY) if it has one, else ours.
    const std::string& text(const Newsletter&, std::string_view locale, std::string_view key) const;

    const Language& language(std::string_view locale) const;  // English if there is none
    std::vector<std::string> locales() const;

    // The language for a reader: the one chosen (a BCP 47 tag, RFC 4647 lookup: "uk-UA" finds "uk"), else the
    // best of an Accept-Language header (RFC 9110, 12.5.4), else `fallback`, else English.
    std::string choose(std::string_view chosen, std::string_view accept_language,
                       std::string_view fallback) const;

    // "22 November 2026" / "22 листопада 2026 р.", and with the time of day in UTC.
    std::string date(std::string_view locale, TimeMs) const;
    std::string date_and_time(std::string_view locale, TimeMs) const;

 private:
    std::map<std::string, Language, std::less<>> languages_;
};

// Replaces {name} by its value; used for the few texts that contain one. Values are inserted as they are.
std::string fill(std::string_view text,
                 const std::vector<std::pair<std::string_view, std::string_view>>& values);

}  // namespace zgoda::service
