#include "service/texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace zgoda::service {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
    return out;
}

std::string_view trim(std::string_view text) {
    while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
    while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
    return text;
}

}  // namespace

Texts::Texts(std::map<std::string, Language, std::less<>> languages) : languages_(std::move(languages)) {
    if (!languages_.contains("en")) throw std::invalid_argument("there are no English texts");
}

const Texts::Language& Texts::language(std::string_view locale) const {
    static const Language none;
    auto found = languages_.find(locale);
    if (found == languages_.end()) found = languages_.find("en");
    return found == languages_.end() ? none : found->second;
}

const std::string& Texts::text(std::string_view locale, std::string_view key) const {
    static const std::string nothing;
    const Language& own = language(locale);
    if (const auto found = own.find(key); found != own.end()) return found->second;
    const Language& english = language("en");
    const auto found = english.find(key);
    return found == english.end() ? nothing : found->second;
}

const std::string& Texts::text(const Newsletter& newsletter, std::string_view locale,
                               std::string_view key) const {
    // A newsletter overrides texts of forms, by their names without "form.".
    if (key.starts_with("form.")) {
        const std::string& own = newsletter.setting("texts." + std::string(key.substr(5)), locale);
        if (!own.empty()) return own;
    }
    return text(locale, key);
}

std::vector<std::string> Texts::locales() const {
    std::vector<std::string> out;
    for (const auto& [locale, unused] : languages_) out.push_back(locale);
    return out;
}

std::string Texts::choose(std::string_view chosen, std::string_view accept_language,
                          std::string_view fallback) const {
    // RFC 4647 3.4: shorten the tag from its end until a language matches.
    const auto lookup = [this](std::string_view tag) -> std::string {
        std::string wanted = lower(tag.substr(0, 64));
        std::replace(wanted.begin(), wanted.end(), '_', '-');
        while (!wanted.empty()) {
            for (const auto& [locale, unused] : languages_) {
                if (lower(locale) == wanted) return locale;
            }
            const std::size_t cut = wanted.rfind('-');
            if (cut == std::string::npos) break;
            wanted.resize(cut);
        }
        return {};
    };
    if (std::string found = lookup(trim(chosen)); !found.empty()) return found;

    std::string best;
    double best_weight = 0;
    std::string_view rest = accept_language;
    for (int ranges = 0; !rest.empty() && ranges < 20; ++ranges) {
        const std::size_t comma = rest.find(',');
        const std::string_view range = rest.substr(0, comma);
        rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
        double weight = 1;
        if (const std::size_t q = range.find("q="); q != range.npos) {
            const std::string_view number = trim(range.substr(q + 2));
            if (std::from_chars(number.data(), number.data() + number.size(), weight).ec != std::errc{})
                continue;
        }
        if (weight <= best_weight) continue;
        if (std::string found = lookup(trim(range.substr(0, range.find(';')))); !found.empty()) {
            best = std::move(found);
            best_weight = weight;
        }
    }
    if (!best.empty()) return best;
    if (std::string found = lookup(fallback); !found.empty()) return found;
    return "en";
}

std::string Texts::date(std::string_view locale, TimeMs time) const {
    const std::string iso = rfc3339(time);
    int month = 0;
    int day = 0;
    std::from_chars(iso.data() + 5, iso.data() + 7, month);
    std::from_chars(iso.data() + 8, iso.data() + 10, day);
    return fill(text(locale, "date.format"), {{"day", std::to_string(day)},
                                              {"month", text(locale, fmt::format("date.month_{}", month))},
                                              {"year", iso.substr(0, 4)}});
}

std::string Texts::date_and_time(std::string_view locale, TimeMs time) const {
    return fill(text(locale, "date.time_format"),
                {{"date", date(locale, time)}, {"time", rfc3339(time).substr(11, 5)}});
}

std::string fill(std::string_view text,
                 const std::vector<std::pair<std::string_view, std::string_view>>& values) {
    std::string out;
    while (!text.empty()) {
        const std::size_t open = text.find('{');
        const std::size_t close = open == text.npos ? text.npos : text.find('}', open);
        if (close == text.npos) break;
        out.append(text.substr(0, open));
        const std::string_view name = text.substr(open + 1, close - open - 1);
        const auto value =
            std::find_if(values.begin(), values.end(), [name](const auto& one) { return one.first == name; });
        out.append(value == values.end() ? text.substr(open, close - open + 1) : value->second);
        text = text.substr(close + 1);
    }
    out.append(text);
    return out;
}

}  // namespace zgoda::service
