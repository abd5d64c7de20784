#pragma once

// What returned mails say, as lists of regular expressions (PCRE, by GLib, which GMime brings along) and of
// status codes: config/bounce_rules.toml, which explains each list, compiled.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace zgoda::mailer {

// Expressions of which one is looked for in a text, upper and lower case alike. Copies share what was
// compiled.
class Words {
 public:
    explicit Words(const std::vector<std::string>& expressions);  // throws std::invalid_argument
    // The text is UTF-8. What takes too long to match counts as not found.
    bool in(std::string_view text) const { return !first(text).empty(); }
    // The text's first part that matches, or "".
    std::string_view first(std::string_view text) const;
    // The text with a blank for each part that matches.
    std::string cut_from(std::string_view text) const;

 private:
    struct Compiled;
    std::shared_ptr<const Compiled> compiled_;
};

struct BounceRules {
    // The file's lists by their full names ("says.policy"). Throws std::invalid_argument for a list that is
    // missing or unknown and for an expression that is none: then the program is broken.
    explicit BounceRules(std::map<std::string, std::vector<std::string>> lists);

    std::map<std::string, std::string> codes;  // "1.1" or "7.*" to the name of its list: "hard"
    Words noise;
    Words policy, quota, inactive, mailbox, domain, soft;
    Words from, subject, text, delayed, original;
    Words vacation, challenge;
    Words complaint_subject, complaint_text;
};

}  // namespace zgoda::mailer
