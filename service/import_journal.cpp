#include "service/import_journal.h"

#include <algorithm>
#include <boost/json.hpp>
#include <span>

#include "service/keyring.h"
#include "service/words.h"

namespace zgoda::service {

namespace json = boost::json;

namespace {

json::value json_time(const std::optional<TimeMs>& time) {
    return time ? json::value(*time) : json::value(nullptr);
}

std::optional<TimeMs> time_of(const json::value& value) {
    return value.is_null() ? std::nullopt : std::optional<TimeMs>(value.as_int64());
}

std::string text_of(const json::value& value) {
    return {value.as_string().data(), value.as_string().size()};
}

template <class Record>
std::string mark_of(const Record& record) {
    const Digest digest = sha256(json::serialize(image(record)));
    return to_hex(std::span(digest).first(8));
}

bool any_change_in(const json::array& all) {
    return std::any_of(all.begin(), all.end(),
                       [](const json::value& one) { return one.as_object().contains("now"); });
}

}  // namespace

json::array image(const Person& p) {
    return {p.address, p.name, p.locale, p.created_at, json_time(p.proven_at)};
}

json::array image(const Subscription& s) {
    return {s.newsletter,
            word(s.status),
            s.signed_up_at,
            json_time(s.confirmed_at),
            json_time(s.unsubscribed_at),
            json_time(s.paused_until),
            s.source,
            s.form,
            s.fields};
}

void restore(Person& p, const json::array& was) {
    p.name = text_of(was[1]);
    p.locale = text_of(was[2]);
    p.proven_at = time_of(was[4]);
}

void restore(Subscription& s, const json::array& was) {
    s.status = parse_subscription_status(text_of(was[1])).value();
    s.signed_up_at = was[2].as_int64();
    s.confirmed_at = time_of(was[3]);
    s.unsubscribed_at = time_of(was[4]);
    s.paused_until = time_of(was[5]);
    s.source = text_of(was[6]);
    s.form = text_of(was[7]);
    s.fields = text_of(was[8]);
}

std::string mark(const Person& person) {
    return mark_of(person);
}
std::string mark(const Subscription& subscription) {
    return mark_of(subscription);
}

void ImportChanges::made(std::string_view what, Id id, const std::string& now) {
    all_.push_back({{"what", what}, {"id", id}, {"made", true}, {"now", now}});
}

void ImportChanges::changed(std::string_view what, Id id, const json::array& was, const std::string& now) {
    all_.push_back({{"what", what}, {"id", id}, {"was", was}, {"now", now}});
}

void ImportChanges::same(std::string_view what, Id id) {
    all_.push_back({{"what", what}, {"id", id}});
}

bool ImportChanges::any_change() const {
    return any_change_in(all_);
}

std::string ImportChanges::text() const {
    return json::serialize(all_);
}

bool has_change(const ImportEntry& entry) {
    return any_change_in(json::parse(entry.changes).as_array());
}

Id suppression_id(SuppressionReason reason) {
    return static_cast<Id>(reason);
}

bool made_suppression(const ImportEntry& entry, SuppressionReason reason) {
    const json::value all = json::parse(entry.changes);
    return std::any_of(all.get_array().begin(), all.get_array().end(), [&](const json::value& one) {
        const json::object& change = one.as_object();
        return change.at("what") == "suppression" && change.contains("made") &&
               change.at("id").as_int64() == suppression_id(reason);
    });
}

bool hand_on(const json::object& change, ImportEntry& later) {
    json::value all = json::parse(later.changes);
    const bool says_so =
        std::any_of(all.get_array().begin(), all.get_array().end(), [&](const json::value& one) {
            const json::object& other = one.as_object();
            return other.at("what") == change.at("what") && other.at("id") == change.at("id") &&
                   !other.contains("now");
        });
    if (!says_so) return false;
    all.get_array().insert(all.get_array().begin(), json::value(change));
    later.changes = json::serialize(all);
    return true;
}

}  // namespace zgoda::service
