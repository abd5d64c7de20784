#include "service/desk_json.h"

#include <boost/json.hpp>

#include "service/pending.h"

namespace zgoda::service::desk {
namespace {

namespace json = boost::json;

json::value time(const std::optional<TimeMs>& at) {
    if (!at) return nullptr;
    return json::value(rfc3339(*at));
}

json::object json_of(const Funnel& funnel) {
    return {{"signups", funnel.signups},
            {"letters", funnel.letters},
            {"confirmed", funnel.confirmed},
            {"bounced", funnel.bounced},
            {"left", funnel.left}};
}

json::value parsed(const std::string& text) {
    return text.empty() ? json::value(json::object()) : json::parse(text);
}

}  // namespace

json::object json_of(const Newsletter& newsletter) {
    json::object settings;
    for (const auto& [key_and_locale, value] : newsletter.settings) {
        const auto& [key, locale] = key_and_locale;
        if (!settings.contains(key)) settings[key] = json::object();
        settings[key].as_object()[locale] = value;
    }
    return {{"slug", newsletter.slug},
            {"open", newsletter.open},
            {"aliases", json::value_from(newsletter.aliases)},
            {"settings", std::move(settings)}};
}

json::object json_of(const Subscription& one, const Newsletters& newsletters) {
    const Newsletter* newsletter = newsletters.find(one.newsletter);
    return {{"newsletter", newsletter == nullptr ? "" : newsletter->slug},
            {"status", word(one.status)},
            {"signed_up_at", time(one.signed_up_at)},
            {"confirmed_at", time(one.confirmed_at)},
            {"unsubscribed_at", time(one.unsubscribed_at)},
            {"source", one.source},
            {"form", one.form},
            {"fields", parsed(one.fields)}};
}

json::object json_of(const Person& person) {
    return {{"id", person.id},
            {"address", person.address},
            {"envelope", person.envelope},
            {"name", person.name},
            {"locale", person.locale},
            {"created_at", time(person.created_at)},
            {"proven_at", time(person.proven_at)}};
}

json::object json_of(const Suppression& one) {
    return {
        {"key", to_hex(one.key)}, {"key_id", one.key_id}, {"reason", word(one.reason)}, {"at", time(one.at)}};
}

json::object json_in_record(const Suppression& one) {
    return {{"reason", word(one.reason)}, {"at", time(one.at)}, {"until", time(ends_at(one))}};
}

json::object json_of(const StoryLine& line) {
    return {{"at", time(line.at)}, {"text", line.text}};
}

json::object json_of(const AdminToken& token) {
    json::array scopes;
    for (const TokenScope scope : token.scopes) scopes.emplace_back(word(scope));
    return {{"id", token.id},
            {"name", token.name},
            {"scopes", std::move(scopes)},
            {"networks", json::value_from(token.networks)},
            {"created_at", time(token.created_at)},
            {"expires_at", time(token.expires_at)},
            {"revoked_at", time(token.revoked_at)},
            {"last_used_at", time(token.last_used_at)}};
}

json::object json_of(const Stats& stats, TimeMs since) {
    json::array rows;
    for (const auto& [name, funnel] : stats.rows) {
        json::object row = json_of(funnel);
        row["name"] = name;
        rows.push_back(std::move(row));
    }
    return {{"since", time(since)}, {"total", json_of(stats.all)}, {"rows", std::move(rows)}};
}

}  // namespace zgoda::service::desk
