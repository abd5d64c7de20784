#include "service/import_undo.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "service/import.h"
#include "service/import_journal.h"
#include "service/journal.h"
#include "service/ledger.h"
#include "service/pending.h"
#include "service/withdrawal.h"

namespace zgoda::service {
namespace {

namespace json = boost::json;

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

// What a later import has changed stays in the journal, to be tried again by the next undo of its batch. It
// steps back behind all the other rows, by as many as the batch has: so the number of a row says how often it
// was tried, and an undo that was killed knows which are still to come.
std::int64_t pass_of(const ImportEntry& entry, const ImportBatch& batch) {
    return (batch.position - entry.row) / std::max<std::int64_t>(batch.position, 1);
}

class UndoWork {
 public:
    UndoWork(Transaction& tx, UndoneRows& undone, const Rules& rules, TimeMs now, Nonces& nonces)
        : tx_(tx),
          undone_(undone),
          batch_(undone.batch),
          rules_(rules),
          now_(now),
          nonces_(nonces),
          newsletters_(tx.newsletters()) {}

    void take_back(const ImportEntry& entry) {
        tx_.remove(entry);
        const json::value all = json::parse(entry.changes);
        if (pass_of(entry, batch_) > 0)  // this is the next try
            batch_.kept -= static_cast<std::int64_t>(all.get_array().size());
        person_ = tx_.person(entry.person);
        if (!person_) return;  // erased or undone meanwhile
        later_.clear();
        for (ImportEntry& one : tx_.import_entries_of(entry.person)) {
            if (one.batch > entry.batch) later_.push_back(std::move(one));
        }
        const bool again = changed_later();
        list_.clear();
        json::array kept;
        bool restored = false, removed = false, unsuppressed = false;
        for (auto one = all.get_array().rbegin(); one != all.get_array().rend(); ++one) {
            const json::object& change = one->as_object();
            if (!change.contains("now")) continue;
            if (!again && leave_to_later(change)) {
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
            if (!done) kept.push_back(change);
        }
        if (!kept.empty() && again) {
            for (const ImportEntry& one : later_)
                if (has_change(one)) undone_.changed_by.insert(one.batch);
            std::reverse(kept.begin(), kept.end());
            tx_.add(
                ImportEntry{entry.batch, entry.row - batch_.position, entry.person, json::serialize(kept)});
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
            if (!hand_on(change, entry)) continue;
            tx_.update(entry);
            return true;
        }
        return false;
    }

    // Whether a later import has changed her, so that it has to be taken back before this one can be.
    bool changed_later() const { return std::any_of(later_.begin(), later_.end(), has_change); }

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
    UndoneRows& undone_;
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

UndoStart start_undo(Transaction& tx, Id id, TimeMs now) {
    ImportBatch batch = existing_import(tx, id);
    if (batch.state == ImportState::undone && tx.import_entries(id, 1).empty())
        return UndoStart::undone_before;
    if (batch.state != ImportState::undoing) {
        if (batch.changed_at + import_undo_life < now) return UndoStart::too_old;
        batch.state = ImportState::undoing;
        batch.changed_at = now;
        tx.update(batch);
    }
    return UndoStart::begun;
}

UndoneRows undo_rows(Transaction& tx, Id id, std::size_t rows, const Rules& rules, const Moment& moment) {
    UndoneRows undone{existing_import(tx, id), {}};
    ImportBatch& batch = undone.batch;
    if (batch.state != ImportState::undoing) return undone;
    Nonces nonces(moment.seed);
    UndoWork work(tx, undone, rules, moment.now, nonces);
    const std::vector<ImportEntry> entries = tx.import_entries(id, rows + 1);
    std::size_t done = 0;
    while (done < std::min(rows, entries.size()) &&
           pass_of(entries[done], batch) == pass_of(entries.front(), batch)) {
        work.take_back(entries[done++]);
    }
    if (done == entries.size() || pass_of(entries[done], batch) != pass_of(entries.front(), batch))
        batch.state = ImportState::undone;
    batch.changed_at = moment.now;
    tx.update(batch);
    return undone;
}

bool forget_old_imports(Transaction& tx, std::size_t limit, TimeMs now) {
    for (const ImportBatch& batch : tx.import_batches()) {
        if (batch.changed_at + import_undo_life >= now) continue;
        if (tx.forget_import_entries(batch.id, limit) > 0) return true;
    }
    return false;
}

}  // namespace zgoda::service
