#include "service/newsletter.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/sending.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/embed_script.h"
#include "service/story.h"

namespace zgoda::cli {
namespace {

using service::Newsletter;
using service::printable;

Exit not_found(const std::string& slug) {
    return fail(Exit::not_found,
                fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all", printable(slug)));
}

std::optional<std::string> apply(Newsletter& newsletter, const std::string& locale,
                                 const std::vector<SettingChange>& changes,
                                 const service::NewsletterRules& rules) {
    for (const SettingChange& change : changes) {
        if (auto problem = service::set_newsletter(newsletter, change.key, locale, change.value, rules))
            return problem;
    }
    return std::nullopt;
}

// For the record of acts.
std::string act_details(const Newsletter& newsletter) {
    return boost::json::serialize(
        boost::json::object{{"newsletter", newsletter.id}, {"slug", newsletter.slug}});
}

// Changes one newsletter in a unit of work. If `change` says in a sentence why it cannot, nothing is changed,
// and that is a `refusal`.
Exit change_newsletter(
    service::Store& store, const std::string& slug, Exit refusal, const std::string& what,
    const std::function<std::optional<std::string>(Newsletter&, const service::Newsletters&)>& change) {
    bool found = false;
    std::optional<std::string> problem;
    const std::string who = admin_name();
    const service::TimeMs now = clock_now();
    service::run(store, [&](service::Transaction& tx) {
        const auto all = tx.newsletters();
        const Newsletter* existing = all->find(slug);
        found = existing != nullptr;
        if (!found) return;
        Newsletter changed = *existing;
        problem = change(changed, *all);
        if (problem) return;
        tx.update(changed);
        service::audit(tx, who, what, act_details(changed), now);
    });
    if (!found) return not_found(slug);
    return problem ? fail(refusal, *problem) : Exit::done;
}

boost::json::object json_of(const Newsletter& newsletter) {
    boost::json::object settings;
    for (const auto& [key_and_locale, value] : newsletter.settings) {
        const auto& [key, locale] = key_and_locale;
        if (!settings.contains(key)) settings[key] = boost::json::object();
        settings[key].as_object()[locale] = value;
    }
    return {{"slug", newsletter.slug},
            {"open", newsletter.open},
            {"aliases", boost::json::value_from(newsletter.aliases)},
            {"settings", std::move(settings)}};
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
    if (const auto problem = service::slug_problem(options.slug)) return fail(Exit::usage, *problem);
    Newsletter newsletter;
    newsletter.slug = options.slug;
    if (const auto problem = apply(newsletter, options.locale, options.settings, rules))
        return fail(Exit::usage, *problem);

    bool taken = false;
    const std::string who = admin_name();
    const service::TimeMs now = clock_now();
    service::run(store, [&](service::Transaction& tx) {
        taken = tx.newsletters()->find(options.slug) != nullptr;
        if (taken) return;
        newsletter.id = tx.new_id();
        tx.add(newsletter);
        service::audit(tx, who, "newsletter add", act_details(newsletter), now);
    });
    if (!taken) return Exit::done;
    return fail(Exit::failed,
                fmt::format("there is a newsletter {0} already; `zgoda newsletter edit {0}` changes it",
                            options.slug));
}

Exit newsletter_edit(const NewsletterEdit& options, const service::NewsletterRules& rules,
                     service::Store& store) {
    std::string what = "newsletter edit";
    for (const SettingChange& change : options.settings) what += " " + change.key;
    return change_newsletter(store, options.slug, Exit::usage, what,
                             [&](Newsletter& newsletter, const service::Newsletters&) {
                                 return apply(newsletter, options.locale, options.settings, rules);
                             });
}

Exit newsletter_list(const NewsletterList& options, service::Store& store) {
    std::shared_ptr<const service::Newsletters> all;
    service::look(store, [&](service::Reader& reader) { all = reader.newsletters(); });
    if (options.json) {
        boost::json::array list;
        for (const Newsletter& newsletter : all->all()) list.push_back(json_of(newsletter));
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
        fmt::print("{}\n", boost::json::serialize(json_of(*newsletter)));
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
    if (const auto problem = service::slug_problem(options.new_slug)) return fail(Exit::usage, *problem);
    return change_newsletter(
        store, options.old_slug, Exit::failed, "newsletter rename",
        [&](Newsletter& newsletter, const service::Newsletters& all) -> std::optional<std::string> {
            const Newsletter* owner = all.find(options.new_slug);
            if (owner != nullptr && owner->id != newsletter.id) {
                return fmt::format("{} belongs to the newsletter {} already; take another slug",
                                   options.new_slug, owner->slug);
            }
            if (newsletter.slug == options.new_slug) return std::nullopt;
            std::erase(newsletter.aliases, options.new_slug);
            newsletter.aliases.push_back(newsletter.slug);
            newsletter.slug = options.new_slug;
            return std::nullopt;
        });
}

Exit newsletter_open(const NewsletterOpen& options, service::Store& store) {
    return change_newsletter(store, options.slug, Exit::usage,
                             options.open ? "newsletter open" : "newsletter close",
                             [&](Newsletter& newsletter, const service::Newsletters&) {
                                 newsletter.open = options.open;
                                 return std::optional<std::string>();
                             });
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
