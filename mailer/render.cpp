#include "mailer/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <kainjow/mustache.hpp>
#include <stdexcept>
#include <utility>

#include "service/words.h"

namespace zgoda::mailer {
namespace {

using kainjow::mustache::data;
using kainjow::mustache::html_escape;
using kainjow::mustache::mustache;
using service::LetterKind;
using ChangePart = service::LeasedLetter::ChangePart;

// The templates letter.NAME.txt and .html: a kind's word, and what comes of a change of address.
constexpr std::array<std::string_view, 8> names{
    "confirmation",         "already_subscribed",  "preference_link", "address_change",
    "address_change_taken", "address_change_done", "welcome",         "goodbye"};

std::string name_of(const service::LeasedLetter& leased) {
    std::string name(service::word(leased.letter.kind));
    if (leased.letter.kind == LetterKind::address_change) {
        if (leased.change_part == ChangePart::taken) name += "_taken";
        if (leased.change_part == ChangePart::done) name += "_done";
    }
    return name;
}

// Letters of newsletters carry List-Unsubscribe. The others are about her address, and a goodbye about what
// is over: there is nothing that one more click could leave.
bool can_be_left(LetterKind kind) {
    return kind == LetterKind::confirmation || kind == LetterKind::already_subscribed ||
           kind == LetterKind::welcome;
}

std::string as_it_is(const std::string& s) {
    return s;
}

std::string trimmed(std::string_view s) {
    const auto first = s.find_first_not_of(' ');
    if (first == s.npos) return {};
    return std::string(s.substr(first, s.find_last_not_of(' ') - first + 1));
}

// "https://news.example.org:8443/letters" -> "news.example.org:8443"
std::string host_of(std::string_view url) {
    const auto scheme = url.find("://");
    if (scheme != url.npos) url.remove_prefix(scheme + 3);
    return std::string(url.substr(0, url.find('/')));
}

// "{site}" in a text becomes the template's "{{site}}".
std::string with_holes(std::string_view text) {
    std::string out;
    for (const char c : text) out.append(c == '{' || c == '}' ? 2 : 1, c);
    return out;
}

const std::string& text_of(const service::Texts& texts, const std::string& locale, std::string_view key) {
    const std::string& text = texts.text(locale, fmt::format("letter.{}", key));
    if (text.empty()) throw std::invalid_argument(fmt::format("there is no text letter.{}", key));
    return text;
}

const std::string& source_of(const Templates& templates, const std::string& file) {
    const auto found = templates.find(file);
    if (found == templates.end()) throw std::invalid_argument(fmt::format("there is no template {}", file));
    const std::string& source = found->second;
    if (source.find("{{{") != source.npos || source.find("{{&") != source.npos)
        throw std::invalid_argument(
            fmt::format("{}: {{{{{{ and {{{{& are not allowed, values are always escaped", file));
    mustache alone(source);  // so that what is wrong is told with the right file
    if (!alone.is_valid()) throw std::invalid_argument(fmt::format("{}: {}", file, alone.error_message()));
    return source;
}

// The layout with the letter and the words of one language in it, parsed. `part` is txt or html.
mustache parse(const Templates& templates, std::string_view name, const char* part,
               const service::Texts& texts, const std::string& locale) {
    constexpr std::string_view place = "{{letter}}\n";
    const std::string layout = fmt::format("letter.layout.{}", part);
    std::string source = source_of(templates, layout);
    const auto at_place = source.find(place);
    if (at_place == source.npos)
        throw std::invalid_argument(fmt::format("{} lacks a line {{{{letter}}}}", layout));
    source.replace(at_place, place.size(), source_of(templates, fmt::format("letter.{}.{}", name, part)));

    const bool html = std::string_view(part) == "html";
    std::string text;
    constexpr std::string_view opening = "{{text.";
    for (std::size_t at = 0;;) {
        const auto tag = source.find(opening, at);
        text += source.substr(at, tag - at);
        if (tag == source.npos) break;
        const auto end = source.find("}}", tag);
        const std::string& words = text_of(
            texts, locale, std::string_view(source).substr(tag + opening.size(), end - tag - opening.size()));
        text += with_holes(html ? html_escape(words) : words);
        at = end + 2;
    }
    mustache parsed(text);
    if (!parsed.is_valid())
        throw std::invalid_argument(
            fmt::format("letter.{}.{} in {}: {}", name, part, locale, parsed.error_message()));
    if (!html) parsed.set_custom_escape(as_it_is);
    return parsed;
}

void require_plain(std::string_view what, std::string_view value, bool several_lines = false) {
    const bool clean = std::none_of(value.begin(), value.end(), [several_lines](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && !(several_lines && c == '\n')) || c == 0x7F;
    });
    if (!clean) throw std::invalid_argument(fmt::format("the {} has a control character", what));
}

}  // namespace

struct LetterRenderer::Sheet {
    mustache text, html;
    std::string subject, subject_of_many;
};

LetterRenderer::LetterRenderer(const Templates& templates, const service::Texts& texts,
                               const Stationery& stationery)
    : templates_(templates), texts_(texts), stationery_(stationery), site_(host_of(stationery.public_url)) {}

LetterRenderer::~LetterRenderer() = default;

LetterRenderer::Sheet& LetterRenderer::sheet(const std::string& name, const std::string& locale) {
    auto& sheet = sheets_[{name, locale}];
    if (!sheet) {
        const std::string subject = fmt::format("{}_subject", name);
        sheet = std::make_unique<Sheet>(Sheet{
            parse(templates_, name, "txt", texts_, locale), parse(templates_, name, "html", texts_, locale),
            text_of(texts_, locale, subject), texts_.text(locale, fmt::format("letter.{}_many", subject))});
    }
    return *sheet;
}

Letter LetterRenderer::render(const service::LeasedLetter& leased, service::TimeMs date_ms) {
    const service::Letter& row = leased.letter;
    const std::string& locale = row.locale;
    Sheet& words = sheet(name_of(leased), locale);
    const bool of_newsletters =
        row.kind != LetterKind::preference_link && row.kind != LetterKind::address_change;
    if (of_newsletters && leased.newsletters.empty())
        throw std::invalid_argument("the letter names no newsletter");
    const auto link = [this](const char* page, const std::string& token) {
        require_plain("link", token);
        return fmt::format("{}/{}?t={}", stationery_.public_url, page, token);
    };

    data newsletters{data::type::list};
    for (const auto& named : leased.newsletters) {
        require_plain("newsletter's name", named.name);
        require_plain("newsletter's text", named.text, true);
        data one;
        one.set("name", named.name);
        one.set("message", named.text);
        one.set("signup_link", fmt::format("{}/newsletters/{}", stationery_.public_url, named.slug));
        one.set("unsubscribe_link", named.unsubscribe_token.empty()
                                        ? data(false)
                                        : data(link("unsubscribe", named.unsubscribe_token)));
        one.set("paused", named.paused_until.has_value());
        one.set("paused_until", texts_.date(locale, named.paused_until.value_or(0)));
        newsletters.push_back(one);
    }
    const service::LeasedLetter::Named first =
        leased.newsletters.empty() ? service::LeasedLetter::Named{} : leased.newsletters.front();

    Letter letter;
    const bool many = leased.newsletters.size() > 1 && !words.subject_of_many.empty();
    letter.subject = service::fill(many ? words.subject_of_many : words.subject,
                                   {{"newsletter", first.name}, {"site", site_}, {"code", leased.code}});
    const service::TimeMs asked_at = leased.asked_at ? leased.asked_at : row.created_at;
    data values;
    values.set("language", locale);
    values.set("dir", texts_.text(locale, "language.dir"));
    values.set("subject", letter.subject);
    values.set("site", site_);
    values.set("asked_at", texts_.date_and_time(locale, asked_at));
    values.set("expires_at",
               texts_.date_and_time(locale, row.expires_at.value_or(date_ms + 72 * service::hour_ms)));
    values.set("code", leased.code);
    values.set("resumes", std::any_of(leased.newsletters.begin(), leased.newsletters.end(),
                                      [](const auto& named) { return named.paused_until.has_value(); }));
    values.set("confirm_link", link("confirm", leased.confirm_token));
    values.set("not_me_link", link("not-me", leased.confirm_token));
    values.set("undo_link", link("undo", leased.undo_token));
    values.set("preferences_link", link("preferences", leased.preferences_token));
    values.set("preferences_page", stationery_.public_url + "/preferences");
    values.set("old_end", leased.change_part == ChangePart::ask_old);
    values.set("old_address", leased.old_address);
    values.set("new_address", leased.new_address);
    values.set("imprint", stationery_.imprint.empty() ? data(false) : data(stationery_.imprint));
    values.set("newsletter", first.name);
    values.set("newsletters", newsletters);
    letter.text = words.text.render(values);
    letter.html = words.html.render(values);

    letter.from = leased.from.empty() ? stationery_.from : parse_mailbox(leased.from);
    if (!leased.reply_to.empty()) letter.reply_to = parse_mailbox(leased.reply_to);
    letter.to = leased.person.envelope;
    letter.message_id = fmt::format("<{}>", row.message_id);
    letter.date_ms = date_ms;
    letter.language = locale;
    if (can_be_left(row.kind)) {
        // Leaving the first ends the link to all that this letter names, as long as nothing is confirmed.
        if (!first.unsubscribe_token.empty()) {
            letter.unsubscribe = link("unsubscribe", first.unsubscribe_token);
            letter.one_click = true;
        } else if (!leased.confirm_token.empty()) {
            letter.unsubscribe = link("not-me", leased.confirm_token);
        }
    }
    letter.feedback_id =
        fmt::format("{}:{}:tx:zgoda", service::word(row.kind), of_newsletters ? first.slug : "all");
    return letter;
}

std::optional<std::string> template_problem(const Templates& templates, const service::Texts& texts) {
    try {
        for (const auto& locale : texts.locales())
            for (const std::string_view name : names)
                for (const char* part : {"txt", "html"}) parse(templates, name, part, texts, locale);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return std::nullopt;
}

Mailbox parse_mailbox(std::string_view text) {
    const auto open = text.rfind('<');
    if (open == text.npos || !text.ends_with('>')) return {"", trimmed(text)};
    std::string name = trimmed(text.substr(0, open));
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') {
        name = name.substr(1, name.size() - 2);
        for (std::size_t i = 0; i < name.size(); ++i)
            if (name[i] == '\\') name.erase(i, 1);
    }
    return {name, trimmed(text.substr(open + 1, text.size() - open - 2))};
}

}  // namespace zgoda::mailer
