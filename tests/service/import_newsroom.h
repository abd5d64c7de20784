// A newsroom that brings people in from files, and takes that back.
#pragma once

#include "service/import.h"
#include "service/import_undo.h"
#include "service/suppression.h"
#include "tests/service/world.h"

namespace zgoda::service {

struct Newsroom : World {
    ImportPlan plan;
    std::vector<LabelMap> maps;
    int batches = 0;

    Newsroom() {
        plan.newsletters = {id_of("weekly")};
        plan.basis = "Asked at the old place.";
    }

    static ImportRow row(const std::string& address,
                         SubscriptionStatus status = SubscriptionStatus::confirmed) {
        ImportRow one;
        one.address = address;
        one.status = status;
        one.proven = true;
        return one;
    }
    ImportRow own(const std::string& address, const std::string& slug, SubscriptionStatus status) {
        ImportRow one = row(address, status);
        one.newsletter = slug;
        one.signed_up_at = now - day_ms;
        return one;
    }

    Id begin(const std::string& name = "") {
        ImportStart start;
        Digest digest{};
        digest[0] = static_cast<std::uint8_t>(++batches);
        run(store, [&](Transaction& tx) { start = start_import(tx, name, digest, "generic", plan, now); });
        REQUIRE(start.kind == ImportStart::Kind::begun);
        return start.batch.id;
    }

    std::vector<RowVerdict> step(Id batch, std::int64_t first, std::vector<ImportRow> rows,
                                 ImportFormat format = ImportFormat::generic) {
        std::shared_ptr<const Newsletters> newsletters;
        look(store, [&](Reader& reader) { newsletters = reader.newsletters(); });
        std::vector<PreparedRow> prepared;
        for (ImportRow& one : rows) {
            one.labels.resize(maps.size());
            auto ready = prepare(std::move(one), first + 2 + static_cast<std::int64_t>(prepared.size()),
                                 format, plan, maps, *newsletters, rules);
            REQUIRE(std::holds_alternative<PreparedRow>(ready));
            prepared.push_back(std::get<PreparedRow>(std::move(ready)));
            find_keys(prepared.back(), rules);
        }
        std::vector<RowVerdict> verdicts;
        const Moment when = moment();
        run(store,
            [&](Transaction& tx) { verdicts = import_rows(tx, batch, first, prepared, plan, rules, when); });
        return verdicts;
    }

    // A whole file. Returns the verdicts, as words.
    std::string import(std::vector<ImportRow> rows, ImportFormat format = ImportFormat::generic,
                       Id* id = nullptr) {
        const Id batch = begin();
        if (id != nullptr) *id = batch;
        std::string out;
        for (const RowVerdict& one : step(batch, 0, std::move(rows), format)) {
            out += (out.empty() ? "" : ", ") + std::string(word(one.kind));
            if (!one.why.empty()) out += " (" + one.why + ")";
        }
        run(store, [&](Transaction& tx) { finish_import(tx, batch, now); });
        return out;
    }

    ImportBatch undo(Id batch, std::size_t rows = 2, std::set<Id>* changed_by = nullptr) {
        run(store, [&](Transaction& tx) { CHECK(start_undo(tx, batch, now) == UndoStart::begun); });
        UndoneRows after;
        do {
            const Moment when = moment();
            run(store, [&](Transaction& tx) { after = undo_rows(tx, batch, rows, rules, when); });
            if (changed_by != nullptr) changed_by->insert(after.changed_by.begin(), after.changed_by.end());
        } while (after.batch.state != ImportState::undone);
        return after.batch;
    }

    bool suppressed_as(const std::string& addr_key, SuppressionReason reason) {
        bool found = false;
        look(store, [&](Reader& reader) {
            for (const Suppression& key : suppression_keys(keys, addr_key))
                for (const Suppression& one : reader.suppressions(key.key)) found |= one.reason == reason;
        });
        return found;
    }

    // All that is kept of people, without what only counts (ids, generations).
    std::string state() {
        std::string out;
        for (const auto& [id, one] : store.tables.subscriptions) {
            const Person& who = store.tables.people.at(one.person);
            out += fmt_line(who, one);
        }
        std::vector<std::string> lines;
        for (std::size_t at = 0; at < out.size();) {
            const std::size_t end = out.find('\n', at);
            lines.push_back(out.substr(at, end - at));
            at = end + 1;
        }
        std::sort(lines.begin(), lines.end());
        out.clear();
        for (const std::string& line : lines) out += line + "\n";
        for (const auto& one : store.tables.suppressions) out += std::string(word(one.reason)) + " ";
        return out;
    }
    std::string fmt_line(const Person& who, const Subscription& one) {
        const auto time = [](std::optional<TimeMs> at) { return at ? rfc3339(*at) : std::string("-"); };
        return who.addr_key + " " + who.name + " " + std::to_string(one.newsletter) + " " +
               std::string(word(one.status)) + " " + rfc3339(one.signed_up_at) + " " +
               time(one.confirmed_at) + " " + time(one.unsubscribed_at) + " " + one.source + " " +
               one.fields + "\n";
    }
};

}  // namespace zgoda::service
