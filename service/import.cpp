#include "service/import.h"

#include <fmt/format.h>
#include <unistr.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <map>

#include "service/import_journal.h"
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

// As it has to be typed between the single quotes of a shell.
std::string in_shell_quotes(std::string_view text) {
    std::string out;
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out;
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
            if (entry.batch == batch_ && made_suppression(entry, reason)) return true;
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
            R"({{"batch":{},"newsletters":[{}]{}{}{}}})", batch_, list,
            !prepared.unproven                      ? ""
            : plan_.unproven == Unproven::confirmed ? R"(,"without_proof":"confirmed")"
                                                    : R"(,"without_proof":"pending")",
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
    ImportChanges changes_;
    std::vector<Subscription> touched_;
};

}  // namespace

bool is_live(SubscriptionStatus status) {
    return quietness(status) <= quietness(Status::paused);
}

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
        std::string value;
        if (rest.front() == '"') {
            std::size_t at = 1;
            for (; at < rest.size() && (rest[at] != '"' || rest.substr(at, 2) == "\"\""); ++at)
                value += rest[rest[at] == '"' ? ++at : at];
            if (at >= rest.size() || rest.substr(at, 2) != "\":") return std::nullopt;
            rest.remove_prefix(at + 1);
        } else {
            // A value may hold colons, a slug can't.
            const std::size_t colon = rest.substr(0, rest.find(',')).rfind(':');
            if (colon == rest.npos) return std::nullopt;
            value = rest.substr(0, colon);
            rest.remove_prefix(colon);
        }
        const std::string_view slug = rest.substr(1, std::min(rest.find(','), rest.size()) - 1);
        rest.remove_prefix(std::min(slug.size() + 2, rest.size()));
        if (value.empty()) return std::nullopt;
        map.values.push_back({std::move(value), std::string(slug)});
    }
    if (map.values.empty()) return std::nullopt;
    return map;
}

std::string map_value(std::string_view value) {
    if (value.find_first_of(",\"") == value.npos) return std::string(value);
    std::string out = "\"";
    for (const char c : value) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    return out + "\"";
}

std::variant<PreparedRow, InputProblem> prepare(ImportRow row, std::int64_t line, ImportFormat format,
                                                const ImportPlan& plan, const std::vector<LabelMap>& maps,
                                                const Newsletters& newsletters, const Rules& rules) {
    PreparedRow out;
    out.line = line;
    out.restore = format == ImportFormat::zgoda && !plan.leaves_only;
    if (out.restore || (row.newsletter_column > 0 && !plan.leaves_only)) {
        const Newsletter* one = newsletters.find(row.newsletter);
        if (one == nullptr) {
            return InputProblem{line, row.newsletter_column,
                                fmt::format("there is no newsletter \"{}\"; `zgoda newsletter add` makes one",
                                            row.newsletter.substr(0, 64))};
        }
        out.newsletters = {one->id};
    }
    if (!out.restore && !plan.leaves_only && !is_tag(row.locale)) row.locale.clear();
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
                        fmt::format("no newsletter is given for \"{0}\" ({1}); add {2}:SLUG to --map "
                                    "'{1}=...', or {2}: to leave it out",
                                    value.substr(0, 80), maps[i].column, in_shell_quotes(map_value(value)))};
                }
                if (label->newsletter != 0) add_once(out.newsletters, label->newsletter);
            }
        }
        const bool shown = row.proven && row.status != Status::pending;
        if (is_live(row.status) && !shown && out.refused.empty()) {
            if (plan.unproven == Unproven::refuse) out.refused = "unproven";
            out.unproven = plan.unproven != Unproven::refuse;
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
    ImportBatch batch = existing_import(tx, id);
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
    ImportBatch batch = existing_import(tx, id);
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

ImportBatch existing_import(Reader& reader, Id id) {
    auto batch = reader.import_batch(id);
    if (!batch) throw ImportInterrupted(fmt::format("the import {} is not there any more", id));
    return std::move(*batch);
}

}  // namespace zgoda::service
