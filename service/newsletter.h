// A newsletter and its settings.
//
// A newsletter is a slug and a set of (key, language, value). The keys are closed (newsletter_keys()); those
// that readers see may have a value per language, the one without a language ("") serves all others. Values
// are checked when they are set, here and nowhere else: what is stored can never become markup or a header.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zgoda::service {

using Id = std::int64_t;  // of anything that is stored; never 0, never reused

// A field that the newsletter's forms may carry.
struct FieldRule {
    std::string name;
    enum class Type { text, number, boolean, date } type = Type::text;
    bool required = false;
    int max_length = 200;  // characters
};

struct Newsletter {
    Id id = 0;
    std::string slug;
    std::vector<std::string> aliases;  // former slugs, still valid in forms and links
    bool open = true;  // a closed one takes no signups; it still confirms, unsubscribes, exports
    std::map<std::pair<std::string, std::string>, std::string> settings;  // (key, language) -> value

    // The value for a language: its own, else the one without a language, else "".
    const std::string& setting(std::string_view key, std::string_view locale = {}) const;

    const std::string& name(std::string_view locale) const { return setting("name", locale); }
    const std::string& description(std::string_view locale) const { return setting("description", locale); }
    const std::string& locale() const { return setting("locale"); }  // its own language; "" is English
    bool listed() const { return setting("listed") != "false"; }
    std::vector<FieldRule> fields() const;
    // What a form calls this field of it: its label for the language, else its name.
    const std::string& label(const FieldRule&, std::string_view locale) const;
};

// All newsletters, in the order in which they were made; immutable, shared between threads.
class Newsletters {
 public:
    Newsletters() = default;
    explicit Newsletters(std::vector<Newsletter> all);

    const Newsletter* find(std::string_view slug) const;  // by slug or alias; nullptr if there is none
    const Newsletter* find(Id id) const;
    std::span<const Newsletter> all() const { return all_; }

 private:
    std::vector<Newsletter> all_;
};

struct NewsletterKey {
    std::string_view name;     // "name"; "texts.*" for a family
    bool per_language;         // takes --in LOCALE
    std::string_view meaning;  // one line for --help
};
std::span<const NewsletterKey> newsletter_keys();

struct NewsletterRules {
    std::vector<std::string> from_domains;  // domains that `from` may use; empty: any
    std::vector<std::string> locales;       // languages that there are texts for
    std::vector<std::string> text_keys;     // which texts.* exist
};

// Why a slug or a value cannot be: one sentence for a person. nullopt means that it is fine.
// A slug: 1 to 64 of a-z, 0-9 and inner single hyphens.
std::optional<std::string> slug_problem(std::string_view slug);

// Checks and sets one value; an empty value removes it. On a problem the newsletter is unchanged.
std::optional<std::string> set_newsletter(Newsletter&, std::string_view key, std::string_view locale,
                                          std::string_view value, const NewsletterRules&);

// The wording that a form shows beside its button: the newsletter's `consent` in this language, else
// `fallback` (the product's own text), with the privacy link. Its id names exactly these words, for ever.
struct Wording {
    std::string id;  // 32 hex digits, of SHA-256 over newsletter id, language, text and link
    Id newsletter = 0;
    std::string locale;
    std::string text;
    std::string privacy_url;
};
Wording make_wording(Id newsletter, std::string_view locale, std::string_view text,
                     std::string_view privacy_url);
Wording wording_of(const Newsletter&, std::string_view locale, std::string_view fallback);

}  // namespace zgoda::service
