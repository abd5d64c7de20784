#include "service/newsletter.h"

#include <fmt/format.h>
#include <unistr.h>

#include <algorithm>
#include <charconv>

#include "service/email_address.h"
#include "service/keyring.h"

namespace zgoda::service {
namespace {

constexpr NewsletterKey keys[] = {
    {"name", true, "what readers call it"},
    {"description", true, "a sentence or two below the name"},
    {"from", false, "sender of its letters: \"Name <address>\", in a domain that mail.from_domains allows"},
    {"reply_to", false, "where answers go"},
    {"locale", false, "its language, when a reader states none"},
    {"texts.*", true, "a text of its form instead of ours, as texts.subscribe"},
    {"thanks_url", true, "https page that a reader without JavaScript sees after signing up"},
    {"consent", true, "the wording that readers agree to"},
    {"privacy_url", true, "https page linked beside the wording"},
    {"welcome", true, "text of the letter after confirming; none is sent without it"},
    {"goodbye", true, "text of the letter after leaving; none is sent without it"},
    {"fields", false,
     "what its form may ask: name:type[:required][:length], ...; types text number boolean date"},
    {"labels.*", true, "what its form calls one of these fields instead of its name, as labels.city"},
    {"listed", false, "true or false: shown on the page of all newsletters"},
};

constexpr std::size_t max_line = 500;   // characters of a one-line value
constexpr std::size_t max_text = 4000;  // and of one that may have several lines

bool has_control(std::string_view text, bool allow_newline) {
    const auto* at = reinterpret_cast<const std::uint8_t*>(text.data());
    const auto* end = at + text.size();
    while (at < end) {
        ucs4_t c = 0;
        const int length = u8_mbtouc(&c, at, static_cast<std::size_t>(end - at));
        at += length;
        if (c == '\n' && allow_newline) continue;
        // Control characters, and the bidi marks that make text read as what it is not.
        if (c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) ||
            (c >= 0x2066 && c <= 0x2069)) {
            return true;
        }
    }
    return false;
}

std::optional<std::string> text_problem(std::string_view key, std::string_view value, bool several_lines) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(value.data());
    if (u8_check(bytes, value.size()) != nullptr) return fmt::format("{} is not valid UTF-8", key);
    const std::size_t limit = several_lines ? max_text : max_line;
    if (u8_mbsnlen(bytes, value.size()) > limit) {
        return fmt::format("{} is longer than {} characters", key, limit);
    }
    if (has_control(value, several_lines)) {
        return fmt::format("{} holds a control character{}; write plain text", key,
                           several_lines ? "" : " or a line break");
    }
    if (value.find("{{{") != value.npos || value.find("{{&") != value.npos) {
        return fmt::format("{} holds '{{{{{{' or '{{{{&', which could become markup; write plain text", key);
    }
    return std::nullopt;
}

std::optional<std::string> url_problem(std::string_view key, std::string_view value) {
    const std::string_view rest = value.substr(std::min<std::size_t>(8, value.size()));
    const std::string_view host = rest.substr(0, rest.find_first_of("/?#"));
    const bool ascii = std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 0x7F; });
    if (!value.starts_with("https://") || host.empty() || !ascii ||
        value.find_first_of("<>\"'\\^`{|}") != value.npos || host.find('@') != host.npos) {
        return fmt::format("{} is not an https address; write it as https://example.org/page", key);
    }
    return std::nullopt;
}

std::optional<std::string> mailbox_problem(std::string_view key, std::string_view value,
                                           const std::vector<std::string>& domains) {
    std::string_view address = value;
    if (value.ends_with('>')) {
        const std::size_t open = value.rfind('<');
        if (open == value.npos) return fmt::format("{} has '>' without '<'; write Name <address>", key);
        address = value.substr(open + 1, value.size() - open - 2);
    }
    AddressRules rules;
    rules.smtputf8 = false;
    rules.allow_test_domains = true;
    const auto checked = check_address(address, rules);
    const auto* good = std::get_if<EmailAddress>(&checked);
    if (good == nullptr) {
        return fmt::format("{} is no e-mail address ({}); write Name <name@example.org>", key,
                           code(std::get<AddressProblem>(checked)));
    }
    const std::string_view domain = std::string_view(good->addr_key).substr(good->addr_key.find('@') + 1);
    if (!domains.empty() && std::find(domains.begin(), domains.end(), domain) == domains.end()) {
        return fmt::format("{}: {} is not a domain that mail.from or mail.from_domains names; add it there",
                           key, domain);
    }
    return std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char by) {
    std::vector<std::string_view> parts;
    while (true) {
        const std::size_t end = text.find(by);
        std::string_view part = text.substr(0, end);
        while (part.starts_with(' ')) part.remove_prefix(1);
        while (part.ends_with(' ')) part.remove_suffix(1);
        parts.push_back(part);
        if (end == text.npos) return parts;
        text = text.substr(end + 1);
    }
}

bool is_field_name(std::string_view name) {
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    return !name.empty() && name.size() <= 40 && std::all_of(name.begin(), name.end(), plain);
}

std::optional<FieldRule> parse_field(std::string_view text) {
    const std::vector<std::string_view> parts = split(text, ':');
    FieldRule rule;
    rule.name = parts[0];
    if (!is_field_name(rule.name)) return std::nullopt;
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        if (part == "required") {
            rule.required = true;
        } else if (part == "text" || part == "number" || part == "boolean" || part == "date") {
            rule.type = part == "text"      ? FieldRule::Type::text
                        : part == "number"  ? FieldRule::Type::number
                        : part == "boolean" ? FieldRule::Type::boolean
                                            : FieldRule::Type::date;
        } else {
            const auto [end, error] =
                std::from_chars(part.data(), part.data() + part.size(), rule.max_length);
            if (error != std::errc{} || end != part.data() + part.size() || rule.max_length < 1 ||
                rule.max_length > 1000) {
                return std::nullopt;
            }
        }
    }
    return rule;
}

const NewsletterKey* find_key(std::string_view name) {
    for (const NewsletterKey& key : keys) {
        const bool family = key.name.ends_with(".*");
        if (family ? name.starts_with(key.name.substr(0, key.name.size() - 1)) : name == key.name)
            return &key;
    }
    return nullptr;
}

}  // namespace

const std::string& Newsletter::setting(std::string_view key, std::string_view locale) const {
    static const std::string nothing;
    // Looked up without building the pair of strings: the map is small and ordered by key.
    const std::string* plain = nullptr;
    for (const auto& [where, value] : settings) {
        if (where.first != key) continue;
        if (where.second == locale) return value;
        // One that has a name in other languages only is better called by such a one than by none.
        if (where.second.empty() || (plain == nullptr && key == "name")) plain = &value;
    }
    return plain == nullptr ? nothing : *plain;
}

std::vector<FieldRule> Newsletter::fields() const {
    std::vector<FieldRule> rules;
    const std::string& text = setting("fields");
    if (text.empty()) return rules;
    for (const std::string_view one : split(text, ',')) {
        if (auto rule = parse_field(one)) rules.push_back(std::move(*rule));
    }
    return rules;
}

const std::string& Newsletter::label(const FieldRule& field, std::string_view locale) const {
    const std::string& own = setting("labels." + field.name, locale);
    return own.empty() ? field.name : own;
}

Newsletters::Newsletters(std::vector<Newsletter> all) : all_(std::move(all)) {}

const Newsletter* Newsletters::find(std::string_view slug) const {
    for (const Newsletter& one : all_) {
        if (one.slug == slug) return &one;
    }
    for (const Newsletter& one : all_) {
        if (std::find(one.aliases.begin(), one.aliases.end(), slug) != one.aliases.end()) return &one;
    }
    return nullptr;
}

const Newsletter* Newsletters::find(Id id) const {
    const auto found =
        std::find_if(all_.begin(), all_.end(), [id](const Newsletter& one) { return one.id == id; });
    return found == all_.end() ? nullptr : &*found;
}

std::span<const NewsletterKey> newsletter_keys() {
    return keys;
}

std::optional<std::string> slug_problem(std::string_view slug) {
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
    if (slug.empty() || slug.size() > 64 || !std::all_of(slug.begin(), slug.end(), plain) ||
        slug.starts_with('-') || slug.ends_with('-') || slug.find("--") != slug.npos) {
        return "a slug has 1 to 64 of a-z, 0-9 and single hyphens between them, as explaining-ukraine";
    }
    return std::nullopt;
}

std::optional<std::string> set_newsletter(Newsletter& newsletter, std::string_view key,
                                          std::string_view locale, std::string_view value,
                                          const NewsletterRules& rules) {
    const NewsletterKey* known = find_key(key);
    if (known == nullptr) {
        std::string names;
        for (const NewsletterKey& one : keys) names.append(names.empty() ? "" : ", ").append(one.name);
        return fmt::format("a newsletter has no setting '{}'; there are: {}", key, names);
    }
    if (!locale.empty()) {
        if (!known->per_language)
            return fmt::format("{} is the same in every language; set it without one", key);
        if (std::find(rules.locales.begin(), rules.locales.end(), locale) == rules.locales.end()) {
            return fmt::format("there are no texts for the language '{}'; there are: {}", locale,
                               fmt::join(rules.locales, ", "));
        }
    }
    if (value.empty()) {
        if (key == "name" && locale.empty()) return "name can't be empty: readers see it";
        newsletter.settings.erase({std::string(key), std::string(locale)});
        return std::nullopt;
    }
    const bool several_lines =
        key == "description" || key == "consent" || key == "welcome" || key == "goodbye";
    std::optional<std::string> problem = text_problem(key, value, several_lines);
    if (!problem && key.starts_with("texts.")) {
        const std::string_view name = key.substr(6);
        if (std::find(rules.text_keys.begin(), rules.text_keys.end(), name) == rules.text_keys.end()) {
            problem =
                fmt::format("there is no text '{}'; there are: {}", name, fmt::join(rules.text_keys, ", "));
        }
    }
    if (!problem && key.starts_with("labels.") && !is_field_name(key.substr(7)))
        problem = fmt::format("'{}' is no name of a field; one has 1 to 40 of a-z, 0-9 and _", key.substr(7));
    if (!problem && (key == "thanks_url" || key == "privacy_url")) problem = url_problem(key, value);
    if (!problem && key == "from") problem = mailbox_problem(key, value, rules.from_domains);
    if (!problem && key == "reply_to") problem = mailbox_problem(key, value, {});
    if (!problem && key == "listed" && value != "true" && value != "false")
        problem = "listed is true or false";
    if (!problem && key == "locale" &&
        std::find(rules.locales.begin(), rules.locales.end(), value) == rules.locales.end()) {
        problem = fmt::format("there are no texts for the language '{}'; there are: {}", value,
                              fmt::join(rules.locales, ", "));
    }
    if (!problem && key == "fields") {
        std::vector<std::string> names;
        for (const std::string_view one : split(value, ',')) {
            const auto rule = parse_field(one);
            if (!rule) {
                problem = fmt::format("fields: '{}' is not name:type[:required][:length]", one);
            } else if (std::find(names.begin(), names.end(), rule->name) != names.end()) {
                problem = fmt::format("fields: '{}' is there twice", rule->name);
            } else {
                names.push_back(rule->name);
            }
        }
    }
    if (!problem) newsletter.settings[{std::string(key), std::string(locale)}] = value;
    return problem;
}

Wording make_wording(Id newsletter, std::string_view locale, std::string_view text,
                     std::string_view privacy_url) {
    Wording wording;
    wording.newsletter = newsletter;
    wording.locale = locale;
    wording.text = text;
    wording.privacy_url = privacy_url;
    const Digest digest = sha256(
        fmt::format("{}\n{}\n{}\n{}", wording.newsletter, wording.locale, wording.privacy_url, wording.text));
    wording.id = to_hex(std::span(digest).first(16));
    return wording;
}

Wording wording_of(const Newsletter& newsletter, std::string_view locale, std::string_view fallback) {
    const std::string& own = newsletter.setting("consent", locale);
    return make_wording(newsletter.id, locale, own.empty() ? fallback : own,
                        newsletter.setting("privacy_url", locale));
}

}  // namespace zgoda::service
