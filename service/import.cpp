#include "service/import.h"

#include <fmt/format.h>
#include <unistr.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <map>

#include "service/journal.h"
#include "service/ledger.h"
#include "service/pending.h"
#include "service/withdrawal.h"

namespace zgoda::service {
namespace {

namespace json = boost::json;
using Status = SubscriptionStatus;

constexpr std::size_t max_name = 200;  // characters
constexpr std::size_t max_form = 200;
constexpr std::size_t max_source = 2000;
constexpr std::size_t max_fields = std::size_t{64} * 1024;

// --- judging a row without a database ---

bool has_control(std::string_view text, bool line_breaks) {
    return std::any_of(text.begin(), text.end(), [line_breaks](char c) {
        if (line_breaks && (c == '\n' || c == '\r' || c == '\t')) return false;
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
}

std::size_t characters(std::string_view text) {
    return u8_mbsnlen(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

bool is_tag(std::string_view text) {
    return text.size() <= 35 && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
           });
}

bool is_ip(std::string_view text) {
    return text.size() <= 45 && text.find_first_not_of("0123456789abcdefABCDEF:.") == text.npos;
}

void add_once(std::vector<Id>& ids, Id id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

std::string why_not(const ImportRow& row, bool restore) {
    if (row.no_person) return "deletion_request";
    if (has_control(row.name, true) || has_control(row.source, false) || has_control(row.form, false))
        return "control_char";
    if (characters(row.name) > max_name) return "name_too_long";
    if (row.source.size() > max_source || row.form.size() > max_form || row.fields.size() > max_fields)
        return "too_long";
    if (restore && !is_tag(row.locale)) return "bad_locale";
    return {};
}

// --- how loud a status is: of two, the quieter one wins ---

int quietness(Status status) {
    switch (status) {
        case Status::pending:
            return 0;
        case Status::confirmed:
            return 1;
        case Status::paused:
            return 2;
        case Status::undeliverable:
            return 3;
        case Status::unsubscribed:
            return 4;
        case Status::bounced:
            return 5;
        case Status::complained:
            return 6;
    }
    return 0;
}

bool is_over(Status status) {
    return quietness(status) >= quietness(Status::unsubscribed);
}
bool is_live(Status status) {
    return quietness(status) <= quietness(Status::paused);
}

// --- images of records, to know whether somebody changed them since, and to bring them back ---

json::value json_time(const std::optional<TimeMs>& time) {
    return time ? json::value(*time) : json::value(nullptr);
}

std::optional<TimeMs> time_of(const json::value& value) {
    return value.is_null() ? std::nullopt : std::optional<TimeMs>(value.as_int64());
}

std::string text_of(const json::value& value) {
    return {value.as_string().data(), value.as_string().size()};
}

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

template <class Record>
std::string mark(const Record& record) {
    const Digest digest = sha256(json::serialize(image(record)));
    return to_hex(std::span(digest).first(8));
}

// The changes of a row, as its entry keeps them. Each is {"what":"subscription","id":7}, and then: with
// "made", it was not there before; with "was", how it was; with "now", the mark of what it became. With none
// of these, the row said the same as what was there.
class Changes {
 public:
    void made(std::string_view what, Id id, const std::string& now) {
        all_.push_back({{"what", what}, {"id", id}, {"made", true}, {"now", now}});
    }
    void changed(std::string_view what, Id id, const json::array& was, const std::string& now) {
        all_.push_back({{"what", what}, {"id", id}, {"was", was}, {"now", now}});
    }
    void same(std::string_view what, Id id) { all_.push_back({{"what", what}, {"id", id}}); }

    bool empty() const { return all_.empty(); }
    bool any_change() const {
        return std::any_of(all_.begin(), all_.end(),
                           [](const json::value& one) { return one.as_object().contains("now"); });
    }
    std::string text() const { return json::serialize(all_); }

 private:
    json::array all_;
};

Id suppression_id(SuppressionReason reason) {
    return static_cast<Id>(reason);
}

// --- what the ledger knows of her ---

struct Known {
    bool here = false;                  // she signed up or confirmed here herself
    std::map<Id, TimeMs> confirmed_at;  // newsletters that she confirmed here, when last

    std::optional<TimeMs> last_confirmation() const {
        std::optional<TimeMs> last;
        for (const auto& [newsletter, at] : confirmed_at) last = std::max(last.value_or(at), at);
        return last;
    }
};

Known known_of(Reader& reader, Id person) {
    Known known;
    for (const Event& event : reader.events_of(person)) {
        if (event.kind == EventKind::signup_requested) known.here = true;
        if (event.kind != EventKind::confirmed && event.kind != EventKind::withdrawal_undone) continue;
        known.here = true;
        json::error_code error;
        const json::value details = json::parse(event.details, error);
        const json::value* newsletters =
            error || !details.is_object() ? nullptr : details.get_object().if_contains("newsletters");
        if (newsletters == nullptr || !newsletters->is_array()) continue;
        for (const json::value& one : newsletters->get_array()) {
            const json::value* id = one.is_object() ? one.get_object().if_contains("id") : nullptr;
            if (id != nullptr && id->is_int64()) known.confirmed_at[id->get_int64()] = event.at;
        }
    }
    return known;
}

// --- merging, so that it does not matter who comes first ---

// Of two texts that files gave: the longer one, or of equals the first in the alphabet.
void merge_text(std::string& current, const std::string& other, bool hers) {
    if (other.empty()) return;
    const bool better = other.size() > current.size() || (other.size() == current.size() && other < current);
    if (current.empty() || (!hers && better)) current = other;
}

void merge_time(std::optional<TimeMs>& current, const std::optional<TimeMs>& other, bool hers) {
    if (other && (!current || (!hers && *other < *current))) current = other;
}

void merge_fields(std::string& current, const std::string& other) {
    if (other.empty() || other == current) return;
    if (current.empty()) {
        current = other;
        return;
    }
    json::object all = json::parse(current).as_object();
    const json::value added = json::parse(other);
    bool more = false;
    for (const auto& [key, value] : added.get_object()) {
        if (all.contains(key)) continue;
        all[key] = value;
        more = true;
    }
    if (more) current = json::serialize(all);
}

Subscription merged(const Subscription& current, const Subscription& other, const Known& known,
                    TimeMs left_at) {
    const auto confirmed = known.confirmed_at.find(current.newsletter);
    if (confirmed != known.confirmed_at.end() &&
        (current.status == Status::confirmed || current.status == Status::paused) &&
        (!is_over(other.status) || left_at < confirmed->second)) {
        return current;  // her own word, given here, is the newer one
    }
    Subscription result = current;
    if (quietness(other.status) > quietness(current.status)) {
        result.status = other.status;
        result.paused_until = other.paused_until;
        // Of somebody who came back by herself, the older date is of another leave.
        if (known.here && is_over(other.status) && !is_over(current.status))
            result.unsubscribed_at = other.unsubscribed_at;
    }
    merge_time(result.confirmed_at, other.confirmed_at, known.here);
    merge_time(result.unsubscribed_at, other.unsubscribed_at, known.here);
    if (!known.here && other.signed_up_at < result.signed_up_at) result.signed_up_at = other.signed_up_at;
    merge_text(result.source, other.source, known.here);
    merge_text(result.form, other.form, known.here);
    merge_fields(result.fields, other.fields);
    return result;
}

// --- one row ---

class RowWork {
 public:
    RowWork(Transaction& tx, Id batch, const ImportPlan& plan, const Rules& rules, TimeMs now, Nonces& nonces)
        : tx_(tx),
          batch_(batch),
          plan_(plan),
          rules_(rules),
          now_(now),
          nonces_(nonces),
          newsletters_(tx.newsletters()) {}

    RowVerdict decide(const PreparedRow& prepared, std::int64_t number) {
        RowVerdict verdict;
        verdict.part = prepared.part;
        verdict.line = prepared.line;
        const auto refuse = [&verdict](std::string why) {
            verdict.kind = RowVerdict::Kind::refused;
            verdict.why = std::move(why);
            return verdict;
        };
        if (!prepared.refused.empty()) return refuse(prepared.refused);
        const ImportRow& row = prepared.row;

        std::optional<Person> person = tx_.person_by_key(prepared.address.addr_key);
        const bool known_before = person.has_value();
        if (person) verdict.person = person->id;
        std::vector<Suppression> suppressions;
        for (const Suppression& key : prepared.keys) {
            for (const Suppression& one : tx_.suppressions(key.key)) suppressions.push_back(one);
        }
        for (const Suppression& one : suppressions) {
            if (one.reason == SuppressionReason::erased && !plan_.leaves_only) return refuse("erased");
        }
        if (!person && plan_.leaves_only) return refuse("not_here");
        Known known;
        std::vector<Subscription> subscriptions;
        if (person) {
            known = known_of(tx_, person->id);
            subscriptions = tx_.subscriptions_of(person->id);
        }
        if (is_live(row.status) && !suppressions.empty() && adds(prepared, subscriptions)) {
            for (const Suppression& one : suppressions) {
                if (!prepared.restore || !person || !made_by_this_batch(person->id, one.reason))
                    return refuse(fmt::format("suppressed_{}", word(one.reason)));
            }
        }
        changes_ = {};
        touched_.clear();
        const TimeMs left_at = row.unsubscribed_at.value_or(now_);
        bool made = false, changed = false, ended = false;

        if (!person) {
            person = new_person(prepared);
        } else if (improve(*person, row, known)) {
            changed = true;
        }
        std::vector<Id> wanted = prepared.newsletters;
        const bool dead_address = !prepared.restore && (row.status == Status::bounced ||
                                                        row.status == Status::complained || plan_.everything);
        if (dead_address) {
            for (const Subscription& one : subscriptions) {
                if (plan_.everything || is_live(one.status)) add_once(wanted, one.newsletter);
            }
        }
        std::optional<Status> stays;
        for (const Id newsletter : wanted) {
            const Subscription incoming = subscription_of(prepared, person->id, newsletter, left_at);
            const Subscription* current = find_subscription(subscriptions, newsletter);
            if (current == nullptr) {
                if (plan_.leaves_only) continue;
                Subscription fresh = incoming;
                fresh.id = tx_.new_id();
                tx_.add(fresh);
                changes_.made("subscription", fresh.id, mark(fresh));
                touched_.push_back(fresh);
                made = true;
                continue;
            }
            const Subscription next = merged(*current, incoming, known, left_at);
            json::array was = image(*current);
            if (image(next) == was) {
                if (is_live(row.status) == is_live(current->status))
                    changes_.same("subscription", current->id);
                else if (is_live(row.status))
                    stays = current->status;
                continue;
            }
            tx_.update(next);
            changes_.changed("subscription", next.id, was, mark(next));
            touched_.push_back(next);
            changed = true;
            if (is_live(current->status) && !is_live(next.status)) {
                journal_leaving(tx_, *person, newsletter, rules_, now_);
                ended = true;
            }
        }
        std::optional<SuppressionReason> suppressed_now;
        if (const auto reason = suppression_by(row, plan_);
            reason && known.last_confirmation().value_or(left_at) <= left_at) {
            const bool there = std::any_of(suppressions.begin(), suppressions.end(),
                                           [&](const Suppression& one) { return one.reason == *reason; });
            if (there) {
                changes_.same("suppression", suppression_id(*reason));
            } else {
                Suppression one = prepared.keys.front();
                one.reason = *reason;
                one.at = row.unsubscribed_at.value_or(now_);
                keep_suppression(tx_, one);
                changes_.made("suppression", suppression_id(*reason), to_hex(one.key));
                suppressed_now = reason;
                changed = changed || known_before;
            }
        }
        if (ended) {
            ++person->generation;
            tx_.update(*person);
        }
        if (known_before && (changed || made)) cancel_idle_letters(tx_, person->id);

        if (!made && !changed && stays) return refuse(std::string(word(*stays)));
        if (!changes_.empty()) tx_.add(ImportEntry{batch_, number, person->id, changes_.text()});
        if (changes_.any_change()) write_event(prepared, *person, suppressed_now, ended);
        if (changed) {
            verdict.kind = RowVerdict::Kind::merged;
        } else if (made) {
            verdict.kind = RowVerdict::Kind::imported;
        }
        return verdict;
    }

 private:
    static std::optional<SuppressionReason> suppression_by(const ImportRow& row, const ImportPlan& plan) {
        if (plan.leaves_only) return std::nullopt;
        if (row.status == Status::complained) return SuppressionReason::complaint;
        if (row.status == Status::bounced) return SuppressionReason::hard_bounce;
        if (row.unwelcome) return SuppressionReason::admin;
        return std::nullopt;
    }

    // Whether the row says anything louder than what she has.
    static bool adds(const PreparedRow& prepared, const std::vector<Subscription>& subscriptions) {
        return std::any_of(prepared.newsletters.begin(), prepared.newsletters.end(), [&](Id newsletter) {
            const Subscription* one = find_subscription(subscriptions, newsletter);
            return one == nullptr || quietness(one->status) < quietness(prepared.row.status);
        });
    }

    // Our own export may hold a complaint about one newsletter and another one that goes on: the row that
    // says so does not shut the door on the rest of its own file.
    bool made_by_this_batch(Id person, SuppressionReason reason) {
        for (const ImportEntry& entry : tx_.import_entries_of(person)) {
            if (entry.batch != batch_) continue;
            const json::value all = json::parse(entry.changes);
            for (const json::value& one : all.get_array()) {
                const json::object& change = one.as_object();
                if (change.at("what") == "suppression" && change.contains("made") &&
                    change.at("id").as_int64() == suppression_id(reason)) {
                    return true;
                }
            }
        }
        return false;
    }

    Person new_person(const PreparedRow& prepared) {
        Person person;
        person.id = tx_.new_id();
        person.addr_key = prepared.address.addr_key;
        person.abuse_key = prepared.address.abuse_key;
        person.address = prepared.address.address;
        person.envelope = prepared.address.envelope;
        person.needs_smtputf8 = prepared.address.needs_smtputf8;
        person.name = prepared.row.name;
        person.locale = prepared.row.locale;
        if (person.locale.empty() && !prepared.restore && !prepared.newsletters.empty()) {
            const Newsletter* first = newsletters_->find(prepared.newsletters.front());
            if (first != nullptr) person.locale = first->locale();
        }
        person.created_at = now_;
        if (prepared.row.proven) person.proven_at = prepared.row.confirmed_at;
        tx_.add(person);
        changes_.made("person", person.id, mark(person));
        return person;
    }

    // Name, language and proof, where the file knows more. True: it did.
    bool improve(Person& person, const ImportRow& row, const Known& known) {
        json::array was = image(person);
        merge_text(person.name, row.name, known.here);
        if (person.locale.empty()) person.locale = row.locale;
        if (row.proven && !plan_.leaves_only) merge_time(person.proven_at, row.confirmed_at, known.here);
        if (plan_.leaves_only || image(person) == was) {
            if (!plan_.leaves_only) changes_.same("person", person.id);
            return false;
        }
        tx_.update(person);
        changes_.changed("person", person.id, was, mark(person));
        return true;
    }

    Subscription subscription_of(const PreparedRow& prepared, Id person, Id newsletter,
                                 TimeMs left_at) const {
        const ImportRow& row = prepared.row;
        Subscription one;
        one.person = person;
        one.newsletter = newsletter;
        one.status = row.status;
        one.signed_up_at = row.signed_up_at.value_or(row.confirmed_at.value_or(now_));
        one.confirmed_at = row.confirmed_at;
        one.unsubscribed_at = row.unsubscribed_at;
        if (!prepared.restore && is_over(row.status)) one.unsubscribed_at = left_at;
        if (row.status == Status::paused) one.paused_until = now_ + 30 * day_ms;  // no file says how long
        one.source = row.source;
        one.form = row.form;
        one.fields = row.fields;
        return one;
    }

    void write_event(const PreparedRow& prepared, const Person& person,
                     const std::optional<SuppressionReason>& suppressed, bool ended) {
        const ImportRow& row = prepared.row;
        std::string list;
        for (const Subscription& one : touched_) {
            const Newsletter* newsletter = newsletters_->find(one.newsletter);
            list +=
                fmt::format(R"({}{{"id":{},"slug":{},"status":"{}","wording":{}}})", list.empty() ? "" : ",",
                            one.newsletter, json_string(newsletter == nullptr ? "" : newsletter->slug),
                            word(one.status), wording_id(one.newsletter));
        }
        EventDraft event;
        event.kind = plan_.leaves_only && ended ? EventKind::withdrawn : EventKind::imported;
        event.person = person.id;
        event.details = fmt::format(
            R"({{"batch":{},"newsletters":[{}]{}{}}})", batch_, list,
            suppressed ? fmt::format(R"(,"suppressed":"{}")", word(*suppressed)) : "",
            plan_.leaves_only ? fmt::format(R"(,"method":"import","reason":{})", json_string(plan_.reason))
                              : "");
        const auto time = [](std::string_view name, const std::optional<TimeMs>& at) {
            return at ? fmt::format(R"(,"{}":"{}")", name, rfc3339(*at)) : std::string();
        };
        event.identity = fmt::format(
            R"({{"address":{},"name":{},"fields":{},"source":{},"form":{}{}{}{}}})",
            json_string(person.address), json_string(row.name), row.fields.empty() ? "{}" : row.fields,
            json_string(row.source), json_string(row.form), time("signed_up_at", row.signed_up_at),
            time("confirmed_at", row.confirmed_at), time("unsubscribed_at", row.unsubscribed_at));
        if (!row.signup_ip.empty() || !row.confirm_ip.empty()) {
            event.evidence = fmt::format(R"({{"ip":{},"user_agent":"","signup_ip":{},"confirm_ip":{}}})",
                                         json_string(row.confirm_ip.empty() ? row.signup_ip : row.confirm_ip),
                                         json_string(row.signup_ip), json_string(row.confirm_ip));
        }
        record(tx_, rules_.keys, std::move(event), now_, nonces_);
    }

    const std::string& wording_id(Id newsletter) {
        std::string& id = wordings_[newsletter];
        if (id.empty()) {
            id = plan_.basis.empty()
                     ? "null"
                     : fmt::format("\"{}\"", make_wording(newsletter, "", plan_.basis, "").id);
        }
        return id;
    }

    Transaction& tx_;
    const Id batch_;
    const ImportPlan& plan_;
    const Rules& rules_;
    const TimeMs now_;
    Nonces& nonces_;
    const std::shared_ptr<const Newsletters> newsletters_;
    std::map<Id, std::string> wordings_;
    Changes changes_;
    std::vector<Subscription> touched_;
};

ImportBatch existing(Reader& reader, Id id) {
    auto batch = reader.import_batch(id);
    if (!batch) throw ImportInterrupted(fmt::format("the import {} is not there any more", id));
    return std::move(*batch);
}

}  // namespace

std::string_view word(RowVerdict::Kind kind) {
    constexpr std::string_view words[] = {"imported", "merged", "unchanged", "refused"};
    return words[static_cast<std::size_t>(kind)];
}

std::optional<LabelMap> parse_label_map(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == text.npos || equals == 0) return std::nullopt;
    LabelMap map;
    map.column = text.substr(0, equals);
    std::string_view rest = text.substr(equals + 1);
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view one = rest.substr(0, comma);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        const std::size_t colon = one.rfind(':');  // a value may hold colons, a slug can't
        if (colon == one.npos || colon == 0) return std::nullopt;
        map.values.push_back({std::string(one.substr(0, colon)), std::string(one.substr(colon + 1))});
    }
    if (map.values.empty()) return std::nullopt;
    return map;
}

std::variant<PreparedRow, InputProblem> prepare(ImportRow row, std::int64_t line, ImportFormat format,
                                                const ImportPlan& plan, const std::vector<LabelMap>& maps,
                                                const Newsletters& newsletters, const Rules& rules) {
    PreparedRow out;
    out.line = line;
    out.restore = format == ImportFormat::zgoda && !plan.leaves_only;
    if (out.restore) {
        const Newsletter* one = newsletters.find(row.newsletter);
        if (one == nullptr) {
            return InputProblem{line, 0,
                                fmt::format("there is no newsletter \"{}\"; `zgoda newsletter add` makes one",
                                            row.newsletter.substr(0, 64))};
        }
        out.newsletters = {one->id};
    } else if (!plan.leaves_only) {
        if (!is_tag(row.locale)) row.locale.clear();
    }
    if (!is_ip(row.signup_ip)) row.signup_ip.clear();
    if (!is_ip(row.confirm_ip)) row.confirm_ip.clear();
    out.refused = why_not(row, out.restore);
    auto address = check_address(row.address, rules.address);
    if (const auto* problem = std::get_if<AddressProblem>(&address)) {
        if (out.refused.empty()) out.refused = fmt::format("address_{}", code(*problem));
    } else {
        out.address = std::get<EmailAddress>(std::move(address));
    }
    if (plan.leaves_only) {
        row.status = Status::unsubscribed;
        row.unwelcome = false;
    }
    if (!out.restore) {
        for (const Id id : plan.newsletters) add_once(out.newsletters, id);
        for (std::size_t i = 0; i < plan.labels.size() && !plan.leaves_only; ++i) {
            if (!is_live(row.status)) {  // she left the whole audience
                for (const ImportPlan::Label& label : plan.labels[i]) {
                    if (label.newsletter != 0) add_once(out.newsletters, label.newsletter);
                }
                continue;
            }
            for (const std::string& value : row.labels[i]) {
                const auto label =
                    std::find_if(plan.labels[i].begin(), plan.labels[i].end(),
                                 [&](const ImportPlan::Label& one) { return one.value == value; });
                if (label == plan.labels[i].end()) {
                    return InputProblem{
                        line, 0,
                        fmt::format("no newsletter is given for \"{0}\" ({1}); add \"{0}:SLUG\" to --map "
                                    "'{1}=...', or \"{0}:\" to leave it out",
                                    value.substr(0, 80), maps[i].column)};
                }
                if (label->newsletter != 0) add_once(out.newsletters, label->newsletter);
            }
        }
        const bool shown = row.proven && row.status != Status::pending;
        if (is_live(row.status) && !shown && out.refused.empty()) {
            if (plan.unproven == Unproven::refuse) out.refused = "unproven";
            // Whom the file itself calls unconfirmed nobody here can call confirmed.
            if (plan.unproven == Unproven::pending) row.status = Status::pending;
        }
        if (out.newsletters.empty() && !plan.everything && out.refused.empty()) out.refused = "no_newsletter";
    }
    out.row = std::move(row);
    return out;
}

void find_keys(PreparedRow& row, const Rules& rules) {
    if (row.refused.empty()) row.keys = suppression_keys(rules.keys, row.address.addr_key);
}

ImportStart start_import(Transaction& tx, std::string_view name, const Digest& digest,
                         std::string_view format, const ImportPlan& plan, TimeMs now) {
    ImportStart start;
    for (ImportBatch& one : tx.import_batches()) {
        const bool same = one.state == ImportState::running && one.digest == digest;
        if (same && (name.empty() || name == one.name)) {
            start.kind = ImportStart::Kind::resumed;
            start.batch = std::move(one);
            return start;
        }
        if (one.name == name) start.kind = ImportStart::Kind::name_taken;
    }
    if (start.kind == ImportStart::Kind::name_taken) return start;
    start.batch.id = tx.new_id();
    start.batch.name = name.empty() ? fmt::format("{}", start.batch.id) : std::string(name);
    start.batch.digest = digest;
    start.batch.format = format;
    start.batch.basis = plan.leaves_only ? plan.reason : plan.basis;
    start.batch.started_at = start.batch.changed_at = now;
    tx.add(start.batch);
    if (!plan.basis.empty()) {
        const auto newsletters = tx.newsletters();
        for (const Newsletter& one : newsletters->all()) tx.keep(make_wording(one.id, "", plan.basis, ""));
    }
    return start;
}

std::vector<RowVerdict> import_rows(Transaction& tx, Id id, std::int64_t first,
                                    std::span<const PreparedRow> rows, const ImportPlan& plan,
                                    const Rules& rules, const Moment& moment) {
    ImportBatch batch = existing(tx, id);
    if (batch.state != ImportState::running || batch.position != first) {
        throw ImportInterrupted(fmt::format("the import {} is {} at row {} by somebody else", batch.name,
                                            word(batch.state), batch.position));
    }
    Nonces nonces(moment.seed);
    RowWork work(tx, id, plan, rules, moment.now, nonces);
    std::vector<RowVerdict> verdicts;
    for (const PreparedRow& row : rows) {
        verdicts.push_back(work.decide(row, ++batch.position));
        if (!verdicts.back().why.empty()) ++batch.whys[verdicts.back().why];
        switch (verdicts.back().kind) {
            case RowVerdict::Kind::imported:
                ++batch.imported;
                break;
            case RowVerdict::Kind::merged:
                ++batch.merged;
                break;
            case RowVerdict::Kind::unchanged:
                ++batch.unchanged;
                break;
            case RowVerdict::Kind::refused:
                ++batch.refused;
                break;
        }
    }
    batch.changed_at = moment.now;
    tx.update(batch);
    return verdicts;
}

ImportBatch finish_import(Transaction& tx, Id id, TimeMs now) {
    ImportBatch batch = existing(tx, id);
    if (batch.state != ImportState::running)
        throw ImportInterrupted(fmt::format("the import {} is {}", batch.name, word(batch.state)));
    batch.state = ImportState::done;
    batch.changed_at = now;
    tx.update(batch);
    return batch;
}

std::optional<ImportBatch> find_import(Reader& reader, std::string_view text) {
    for (ImportBatch& one : reader.import_batches()) {
        if (one.name == text) return std::move(one);
    }
    Id id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return reader.import_batch(id);
}

UndoStart start_undo(Transaction& tx, Id id, TimeMs now) {
    ImportBatch batch = existing(tx, id);
    if (batch.state == ImportState::undone) return UndoStart::undone_before;
    if (batch.state != ImportState::undoing) {
        if (batch.changed_at + import_undo_life < now) return UndoStart::too_old;
        batch.state = ImportState::undoing;
        batch.changed_at = now;
        tx.update(batch);
    }
    return UndoStart::begun;
}

namespace {

// Does this event close the door for this reason?
bool gives(const Event& event, SuppressionReason reason) {
    switch (event.kind) {
        case EventKind::suppressed:
            return event.details.find(fmt::format(R"("reason":"{}")", word(reason))) != std::string::npos;
        case EventKind::bounced:
            return reason == SuppressionReason::hard_bounce;
        case EventKind::complained:
            return reason == SuppressionReason::complaint;
        case EventKind::declined:
            return reason == SuppressionReason::not_me;
        default:
            return false;
    }
}

class UndoWork {
 public:
    UndoWork(Transaction& tx, ImportBatch& batch, const Rules& rules, TimeMs now, Nonces& nonces)
        : tx_(tx), batch_(batch), rules_(rules), now_(now), nonces_(nonces), newsletters_(tx.newsletters()) {}

    void take_back(const ImportEntry& entry) {
        tx_.remove(entry);
        person_ = tx_.person(entry.person);
        if (!person_) return;  // erased or undone meanwhile
        later_.clear();
        for (ImportEntry& one : tx_.import_entries_of(entry.person)) {
            if (one.batch > entry.batch) later_.push_back(std::move(one));
        }
        list_.clear();
        const json::value all = json::parse(entry.changes);
        bool restored = false, removed = false, unsuppressed = false;
        for (auto one = all.get_array().rbegin(); one != all.get_array().rend(); ++one) {
            const json::object& change = one->as_object();
            if (!change.contains("now")) continue;
            if (leave_to_later(change)) {
                ++batch_.kept;
                continue;
            }
            const json::string& what = change.at("what").as_string();
            bool done = false;
            if (what == "subscription")
                done = restore_subscription(change);
            else if (what == "suppression")
                done = unsuppressed = remove_suppression(change);
            else
                done = change.contains("made") ? remove_person(change) : restore_person(change);
            removed |= done && what == "person" && change.contains("made");
            restored |= done;
            ++(done ? batch_.restored : batch_.kept);
        }
        if (!restored) return;
        EventDraft event;
        event.kind = EventKind::import_undone;
        event.person = entry.person;
        event.details =
            fmt::format(R"({{"batch":{},"newsletters":[{}]{}{}}})", batch_.id, list_,
                        unsuppressed ? R"(,"unsuppressed":true)" : "", removed ? R"(,"removed":true)" : "");
        if (!removed) event.identity = fmt::format(R"({{"address":{}}})", json_string(person_->address));
        record(tx_, rules_.keys, std::move(event), now_, nonces_);
        if (!removed) cancel_idle_letters(tx_, entry.person);
    }

 private:
    // A later import said the same, so this is no longer ours alone to take back: it becomes that one's.
    bool leave_to_later(const json::object& change) {
        for (ImportEntry& entry : later_) {
            json::value all = json::parse(entry.changes);
            const bool says_so =
                std::any_of(all.get_array().begin(), all.get_array().end(), [&](const json::value& one) {
                    const json::object& other = one.as_object();
                    return other.at("what") == change.at("what") && other.at("id") == change.at("id") &&
                           !other.contains("now");
                });
            if (!says_so) continue;
            all.get_array().insert(all.get_array().begin(), json::value(change));
            entry.changes = json::serialize(all);
            tx_.update(entry);
            return true;
        }
        return false;
    }

    // When the person's row of this batch came in; nullopt: the ledger knows of none.
    std::optional<Event> imported() {
        const std::string batch = fmt::format(R"({{"batch":{},)", batch_.id);
        for (Event& event : tx_.events_of(person_->id)) {
            if (event.kind == EventKind::imported && event.details.find(batch) != std::string::npos)
                return std::move(event);
        }
        return std::nullopt;
    }

    // What she asked of a form here since: a request that waits for her, or was told that she has it already.
    std::optional<Request> asked_since(Id newsletter) {
        const auto came = imported();
        std::optional<Request> last;
        for (Request& request : tx_.requests_of(person_->id)) {
            const bool counts = request.state == RequestState::open || request.state == RequestState::already;
            const bool names = std::any_of(request.wishes.begin(), request.wishes.end(),
                                           [&](const Wish& wish) { return wish.newsletter == newsletter; });
            if (counts && names && came && request.asked_at >= came->at) last = std::move(request);
        }
        return last;
    }

    bool restore_subscription(const json::object& change) {
        auto current = tx_.subscription(change.at("id").as_int64());
        if (!current || std::string_view(change.at("now").as_string()) != mark(*current)) return false;
        const bool made = change.contains("made");
        Subscription before = *current;
        if (!made) restore(before, change.at("was").as_array());
        const auto asked = asked_since(current->newsletter);
        const bool was_live = !made && is_live(before.status);
        if (asked && asked->state == RequestState::already && !was_live) return false;
        list_ += (list_.empty() ? "" : ",") + newsletter_json(*newsletters_, current->newsletter);
        if (made && asked) {  // as if she alone had asked
            before = Subscription();
            before.id = current->id;
            before.person = current->person;
            before.newsletter = current->newsletter;
            before.signed_up_at = asked->asked_at;
            before.source = asked->source;
            before.form = asked->form;
        } else if (made) {
            tx_.remove(*current);
            return true;
        }
        tx_.update(before);
        if (was_live && !is_live(current->status))
            journal_return(tx_, *person_, current->newsletter, rules_, now_);
        return true;
    }

    bool restore_person(const json::object& change) {
        if (std::string_view(change.at("now").as_string()) != mark(*person_)) return false;
        restore(*person_, change.at("was").as_array());
        tx_.update(*person_);
        return true;
    }

    bool remove_person(const json::object& change) {
        const Id id = person_->id;
        if (std::string_view(change.at("now").as_string()) != mark(*person_) ||
            !tx_.subscriptions_of(id).empty() || !tx_.requests_of(id).empty() ||
            !tx_.letters_of(id).empty() || !tx_.address_changes_of(id).empty()) {
            return false;
        }
        tx_.erase_person(id);
        return true;
    }

    // Not if somebody has given the same reason since.
    bool remove_suppression(const json::object& change) {
        const auto reason = static_cast<SuppressionReason>(change.at("id").as_int64());
        const auto came = imported();
        for (const Event& event : tx_.events_of(person_->id)) {
            if (came && event.seq > came->seq && gives(event, reason)) return false;
        }
        const auto key = from_hex(std::string_view(change.at("now").as_string()));
        Suppression wanted;
        if (!key || key->size() != wanted.key.size()) return false;
        std::copy(key->begin(), key->end(), wanted.key.begin());
        for (const Suppression& one : tx_.suppressions(wanted.key)) {
            if (one.reason != reason) continue;
            lift_suppression(tx_, one, now_);
            return true;
        }
        return false;
    }

    Transaction& tx_;
    ImportBatch& batch_;
    const Rules& rules_;
    const TimeMs now_;
    Nonces& nonces_;
    const std::shared_ptr<const Newsletters> newsletters_;
    std::optional<Person> person_;
    std::vector<ImportEntry> later_;
    std::string list_;
};

}  // namespace

ImportBatch undo_rows(Transaction& tx, Id id, std::size_t rows, const Rules& rules, const Moment& moment) {
    ImportBatch batch = existing(tx, id);
    if (batch.state != ImportState::undoing) return batch;
    Nonces nonces(moment.seed);
    UndoWork work(tx, batch, rules, moment.now, nonces);
    const std::vector<ImportEntry> entries = tx.import_entries(id, rows);
    for (const ImportEntry& entry : entries) work.take_back(entry);
    if (entries.size() < rows) batch.state = ImportState::undone;
    batch.changed_at = moment.now;
    tx.update(batch);
    return batch;
}

bool forget_old_imports(Transaction& tx, std::size_t limit, TimeMs now) {
    for (const ImportBatch& batch : tx.import_batches()) {
        if (batch.changed_at + import_undo_life >= now) continue;
        if (tx.forget_import_entries(batch.id, limit) > 0) return true;
    }
    return false;
}

}  // namespace zgoda::service
