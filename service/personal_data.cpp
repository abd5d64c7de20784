#include "service/personal_data.h"

#include <algorithm>
#include <boost/json.hpp>

namespace zgoda::service {
namespace {

namespace json = boost::json;

json::value text(std::string_view value) {
    return json::string(value.data(), value.size());
}

json::value time(std::optional<TimeMs> at) {
    return at ? text(rfc3339(*at)) : json::value(nullptr);
}

// What is stored as JSON stands in the document as what it is.
json::value parsed(const std::string& stored) {
    json::error_code error;
    json::value value = json::parse(stored, error);
    return error ? json::value(nullptr) : value;
}

std::string slug_of(const Newsletters& newsletters, Id id) {
    const Newsletter* one = newsletters.find(id);
    return one == nullptr ? std::to_string(id) : one->slug;
}

json::array budget(Reader& reader, const std::string& key) {
    json::array list;
    for (const BudgetEntry& entry : reader.budget(key)) list.push_back(json::object{{"at", time(entry.at)}});
    return list;
}

json::object person_data(const Person& person) {
    return {{"id", person.id},
            {"address", text(person.address)},
            {"envelope", text(person.envelope)},
            {"addr_key", text(person.addr_key)},
            {"abuse_key", text(person.abuse_key)},
            {"name", text(person.name)},
            {"locale", text(person.locale)},
            {"created_at", time(person.created_at)},
            {"proven_at", time(person.proven_at)}};
}

json::object subscription_data(const Subscription& one, const Newsletters& newsletters) {
    return {{"newsletter", text(slug_of(newsletters, one.newsletter))},
            {"status", text(word(one.status))},
            {"signed_up_at", time(one.signed_up_at)},
            {"confirmed_at", time(one.confirmed_at)},
            {"unsubscribed_at", time(one.unsubscribed_at)},
            {"paused_until", time(one.paused_until)},
            {"source", text(one.source)},
            {"form", text(one.form)},
            {"fields", parsed(one.fields)}};
}

json::object request_data(Reader& reader, const Request& one, const Newsletters& newsletters) {
    json::array wishes;
    for (const Wish& wish : one.wishes) {
        const auto wording = reader.wording(wish.wording);
        wishes.push_back(json::object{{"newsletter", text(slug_of(newsletters, wish.newsletter))},
                                      {"wording", wording ? text(wording->text) : json::value(nullptr)}});
    }
    return {{"asked_at", time(one.asked_at)},
            {"state", text(word(one.state))},
            {"newsletters", std::move(wishes)},
            {"locale", text(one.locale)},
            {"name", text(one.name)},
            {"fields", parsed(one.fields)},
            {"source", text(one.source)},
            {"form", text(one.form)},
            {"ip", text(one.ip)},
            {"network", text(one.network)},
            {"user_agent", text(one.user_agent)},
            {"browser_secret_sha256", text(one.browser)}};
}

json::object letter_data(Reader& reader, const Letter& one, const Newsletters& newsletters) {
    json::array named;
    for (const Id id : one.newsletters) named.push_back(text(slug_of(newsletters, id)));
    return {{"kind", text(word(one.kind))},
            {"state", text(word(one.state))},
            {"message_id", text(one.message_id)},
            {"newsletters", std::move(named)},
            {"locale", text(one.locale)},
            {"created_at", time(one.created_at)},
            {"sent_at", time(one.sent_at)},
            {"expires_at", time(one.expires_at)},
            {"caused_by_network", text(one.network)},
            {"reply", text(one.reply)},
            {"wrong_codes", reader.wrong_codes(one.id)}};
}

json::object event_data(const Event& one) {
    return {{"at", time(one.at)},
            {"kind", text(word(one.kind))},
            {"details", parsed(one.details)},
            {"identity", parsed(one.identity)},
            {"evidence", parsed(one.evidence)},
            {"hash", text(to_hex(one.hash))}};
}

// The letter that an event is about; 0: none.
Id letter_of(const Event& one) {
    const json::value details = parsed(one.details);
    const json::object* object = details.if_object();
    const json::value* letter = object == nullptr ? nullptr : object->if_contains("letter");
    return letter != nullptr && letter->is_int64() ? letter->as_int64() : 0;
}

json::object bounce_data(const BounceScore& one) {
    return {{"points", one.points},
            {"last_point_at", one.scored_at == 0 ? json::value(nullptr) : time(one.scored_at)},
            {"refused_at", one.struck_at == 0 ? json::value(nullptr) : time(one.struck_at)}};
}

json::object change_data(const AddressChange& one) {
    return {{"old_address", text(one.from.address)},
            {"new_address", text(one.to.address)},
            {"asked_at", time(one.asked_at)},
            {"done_at", time(one.done_at)},
            {"ended_at", time(one.ended_at)}};
}

}  // namespace

std::string personal_data(Reader& reader, const Person& person, const Rules& rules, TimeMs now) {
    const auto newsletters = reader.newsletters();
    json::array subscriptions;
    for (const auto& one : reader.subscriptions_of(person.id))
        subscriptions.push_back(subscription_data(one, *newsletters));
    json::array requests;
    for (const auto& one : reader.requests_of(person.id))
        requests.push_back(request_data(reader, one, *newsletters));
    json::array changes;
    std::vector<Id> to_others;  // letters to the new end of a change: not hers before the change is done
    for (const auto& one : reader.address_changes_of(person.id)) {
        changes.push_back(change_data(one));
        if (!one.done_at && one.to.letter) to_others.push_back(*one.to.letter);
    }
    const auto is_hers = [&](Id letter) {
        return std::find(to_others.begin(), to_others.end(), letter) == to_others.end();
    };
    json::array letters;
    for (const auto& one : reader.letters_of(person.id)) {
        if (is_hers(one.id)) letters.push_back(letter_data(reader, one, *newsletters));
    }
    json::array events;
    for (const auto& one : reader.events_of(person.id)) {
        if (is_hers(letter_of(one))) events.push_back(event_data(one));
    }
    json::array suppressions;
    for (const auto& key : suppression_keys(rules.keys, person.addr_key)) {
        for (const auto& one : reader.suppressions(key.key))
            suppressions.push_back(json::object{{"reason", text(word(one.reason))}, {"at", time(one.at)}});
    }
    return json::serialize(
        json::object{{"generated_at", time(now)},
                     {"person", person_data(person)},
                     {"subscriptions", std::move(subscriptions)},
                     {"requests", std::move(requests)},
                     {"letters", std::move(letters)},
                     {"events", std::move(events)},
                     {"suppressions", std::move(suppressions)},
                     {"mail_budget", budget(reader, person.abuse_key)},
                     {"preference_links", budget(reader, "preferences:" + person.abuse_key)},
                     {"address_changes", std::move(changes)},
                     {"returned_mail", bounce_data(reader.bounce_score(person.id))}});
}

}  // namespace zgoda::service
