#include "mailer/bounce_rules.h"

#include <glib.h>

#include <stdexcept>

namespace zgoda::mailer {
namespace {

using Lists = std::map<std::string, std::vector<std::string>>;

std::vector<std::string> take(Lists& lists, const std::string& name) {
    const auto found = lists.find(name);
    if (found == lists.end()) throw std::invalid_argument("the rules for bounces lack " + name);
    std::vector<std::string> list = std::move(found->second);
    lists.erase(found);
    return list;
}

std::map<std::string, std::string> take_codes(Lists& lists) {
    std::map<std::string, std::string> codes;
    for (const char* verdict : {"hard", "inactive", "quota", "policy"}) {
        for (const std::string& code : take(lists, std::string("codes.") + verdict))
            codes.emplace(code, verdict);
    }
    return codes;
}

// A text may have been cut in the middle of a character, which GLib would not search.
std::string_view valid_start(std::string_view text) {
    const char* valid = text.data();
    if (!text.empty()) g_utf8_validate_len(text.data(), text.size(), &valid);
    return text.substr(0, static_cast<std::size_t>(valid - text.data()));
}

}  // namespace

struct Words::Compiled {
    explicit Compiled(GRegex* owned) : regex(owned) {}
    Compiled(const Compiled&) = delete;
    Compiled& operator=(const Compiled&) = delete;
    ~Compiled() { g_regex_unref(regex); }
    GRegex* regex;
};

Words::Words(const std::vector<std::string>& expressions) {
    std::string all;
    for (const std::string& one : expressions) all += (all.empty() ? "(?:" : "|(?:") + one + ")";
    GError* error = nullptr;
    GRegex* regex =
        g_regex_new(all.c_str(), static_cast<GRegexCompileFlags>(G_REGEX_CASELESS | G_REGEX_OPTIMIZE),
                    GRegexMatchFlags{}, &error);
    if (!regex) {
        const std::string why = error->message;
        g_error_free(error);
        throw std::invalid_argument("a rule for bounces is no regular expression: " + why);
    }
    compiled_ = std::make_shared<const Compiled>(regex);
}

std::string_view Words::first(std::string_view text) const {
    text = valid_start(text);
    if (text.empty()) return text;
    GMatchInfo* match = nullptr;
    int from = 0, to = 0;
    if (g_regex_match_full(compiled_->regex, text.data(), static_cast<gssize>(text.size()), 0,
                           GRegexMatchFlags{}, &match, nullptr))
        g_match_info_fetch_pos(match, 0, &from, &to);
    g_match_info_free(match);
    return text.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
}

std::string Words::cut_from(std::string_view text) const {
    text = valid_start(text);
    if (text.empty()) return "";
    char* cut = g_regex_replace_literal(compiled_->regex, text.data(), static_cast<gssize>(text.size()), 0,
                                        " ", GRegexMatchFlags{}, nullptr);
    if (!cut) return std::string(text);
    std::string result(cut);
    g_free(cut);
    return result;
}

BounceRules::BounceRules(Lists lists)
    : codes(take_codes(lists)),
      noise(take(lists, "noise.cut")),
      policy(take(lists, "says.policy")),
      quota(take(lists, "says.quota")),
      inactive(take(lists, "says.inactive")),
      mailbox(take(lists, "says.mailbox")),
      domain(take(lists, "says.domain")),
      soft(take(lists, "says.soft")),
      from(take(lists, "bounce.from")),
      subject(take(lists, "bounce.subject")),
      text(take(lists, "bounce.text")),
      delayed(take(lists, "bounce.delayed")),
      original(take(lists, "bounce.original")),
      vacation(take(lists, "vacation.subject")),
      challenge(take(lists, "challenge.text")),
      complaint_subject(take(lists, "complaint.subject")),
      complaint_text(take(lists, "complaint.text")) {
    if (!lists.empty())
        throw std::invalid_argument("the rules for bounces know no list " + lists.begin()->first);
}

}  // namespace zgoda::mailer
