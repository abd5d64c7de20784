#include "service/newsletter.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/sending.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/desk.h"
#include "service/desk_json.h"
#include "service/embed_script.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

using service::Newsletter;
using service::printable;

Exit not_found(const std::string& slug) {
    return fail(Exit::not_found,
                fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all", printable(slug)));
}

std::vector<service::desk::SettingChange> in_locale(const std::vector<SettingChange>& changes,
                                                    const std::string& locale) {
    std::vector<service::desk::SettingChange> out;
    for (const SettingChange& change : changes) out.push_back({change.key, locale, change.value});
    return out;
}

Exit told(const service::desk::NewsletterOutcome& outcome, const std::string& slug) {
    using Kind = service::desk::NewsletterOutcome::Kind;
    switch (outcome.kind) {
        case Kind::done:
            return Exit::done;
        case Kind::unknown:
            return not_found(slug);
        case Kind::taken:
            return fail(Exit::failed, outcome.problem);
        case Kind::refused:
            break;
    }
    return fail(Exit::usage, outcome.problem);
}

Exit change(service::Store& store, const std::string& slug, const service::desk::NewsletterChange& wanted,
            const service::NewsletterRules& rules) {
    service::desk::NewsletterOutcome outcome;
    const std::string who = admin_name();
    const service::TimeMs now = clock_now();
    service::run(store, [&](service::Transaction& tx) {
        outcome = service::desk::change_newsletter(tx, who, slug, wanted, rules, now);
    });
    return told(outcome, slug);
}

// A TOML basic string.
std::string toml_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (c == '\n')
            out += "\\n";
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
            out += fmt::format("\\u{:04X}", c);
        else
            out += c;
    }
    return out + "\"";
}

std::string toml_of(const Newsletter& newsletter) {
    std::string text = fmt::format("slug = {}\nopen = {}\n", toml_string(newsletter.slug), newsletter.open);
    std::string aliases;
    for (const std::string& alias : newsletter.aliases)
        aliases += (aliases.empty() ? "" : ", ") + toml_string(alias);
    text += fmt::format("aliases = [{}]\n", aliases);

    std::map<std::string, std::string> tables;  // by language; the first one, "", is the top of the document
    for (const auto& [key_and_locale, value] : newsletter.settings) {
        const auto& [key, locale] = key_and_locale;
        const std::string name = key.rfind("texts.", 0) == 0 ? "texts." + toml_string(key.substr(6)) : key;
        tables[locale] += fmt::format("{} = {}\n", name, toml_string(value));
    }
    for (const auto& [locale, lines] : tables) {
        if (!locale.empty()) text += fmt::format("\n[in.{}]\n", toml_string(locale));
        text += lines;
    }
    return text;
}

}  // namespace

Exit newsletter_add(const NewsletterAdd& options, const service::NewsletterRules& rules,
                    service::Store& store) {
    service::desk::NewsletterOutcome outcome;
    const auto settings = in_locale(options.settings, options.locale);
    const std::string who = admin_name();
    const service::TimeMs now = clock_now();
    service::run(store, [&](service::Transaction& tx) {
        outcome = service::desk::add_newsletter(tx, who, options.slug, settings, rules, now);
    });
    if (outcome.kind == service::desk::NewsletterOutcome::Kind::taken)
        outcome.problem += fmt::format("; `zgoda newsletter edit {}` changes it", options.slug);
    return told(outcome, options.slug);
}

Exit newsletter_edit(const NewsletterEdit& options, const service::NewsletterRules& rules,
                     service::Store& store) {
    return change(store, options.slug, {"", {}, in_locale(options.settings, options.locale)}, rules);
}

Exit newsletter_list(const NewsletterList& options, service::Store& store) {
    std::shared_ptr<const service::Newsletters> all;
    service::look(store, [&](service::Reader& reader) { all = reader.newsletters(); });
    if (options.json) {
        boost::json::array list;
        for (const Newsletter& newsletter : all->all()) list.push_back(service::desk::json_of(newsletter));
        fmt::print("{}\n", boost::json::serialize(list));
        return Exit::done;
    }
    std::size_t width = 0;
    for (const Newsletter& newsletter : all->all()) width = std::max(width, newsletter.slug.size());
    for (const Newsletter& newsletter : all->all()) {
        fmt::print("{:<{}}  {:<6}  {}\n", newsletter.slug, width, newsletter.open ? "open" : "closed",
                   newsletter.name(newsletter.locale()));
    }
    return Exit::done;
}

Exit newsletter_show(const NewsletterShow& options, service::Store& store) {
    std::shared_ptr<const service::Newsletters> all;
    service::look(store, [&](service::Reader& reader) { all = reader.newsletters(); });
    const Newsletter* newsletter = all->find(options.slug);
    if (newsletter == nullptr) return not_found(options.slug);
    if (options.json) {
        fmt::print("{}\n", boost::json::serialize(service::desk::json_of(*newsletter)));
        return Exit::done;
    }
    if (options.toml) {
        fmt::print("{}", toml_of(*newsletter));
        return Exit::done;
    }
    fmt::print("{} ({})\n", newsletter->slug, newsletter->open ? "open" : "closed");
    for (const std::string& alias : newsletter->aliases) fmt::print("  also {}\n", alias);
    for (const auto& [key_and_locale, value] : newsletter->settings) {
        const auto& [key, locale] = key_and_locale;
        fmt::print("  {}: {}\n", locale.empty() ? key : fmt::format("{} in {}", key, locale),
                   printable(value));
    }
    return Exit::done;
}

Exit newsletter_rename(const NewsletterRename& options, service::Store& store) {
    return change(store, options.old_slug, {options.new_slug, {}, {}}, {});
}

Exit newsletter_open(const NewsletterOpen& options, service::Store& store) {
    return change(store, options.slug, {"", options.open, {}}, {});
}

Exit newsletter_embed(const NewsletterEmbed& options, const config::Settings& settings,
                      const service::Texts& texts, service::Store& store) {
    const auto templates = letter_templates(settings, texts);
    if (const auto* problem = std::get_if<config::Problem>(&templates))
        return fail(Exit::usage, problem->sentence);
    std::shared_ptr<const service::Newsletters> all;
    service::look(store, [&](service::Reader& reader) { all = reader.newsletters(); });
    const Newsletter* newsletter = all->find(options.slug);
    if (newsletter == nullptr) return not_found(options.slug);
    const service::EmbedScript script =
        service::embed_script(std::get<mailer::Templates>(templates).at("embed.js"), texts);
    fmt::print("{}", service::embed_snippet(script, *newsletter, settings.server.public_url));
    if (settings.server.allowed_origins.empty())
        fmt::print(stderr, "zgoda: no site may use it yet: name its origin in server.allowed_origins\n");
    return Exit::done;
}

}  // namespace zgoda::cli
