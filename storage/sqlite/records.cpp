#include "storage/sqlite/records.h"

#include <algorithm>
#include <stdexcept>

#include "storage/sqlite/rows.h"

namespace zgoda::storage {

using namespace service;

std::shared_ptr<const Newsletters> NewslettersCache::find(std::int64_t version) const {
    const std::lock_guard lock(mutex_);
    return version == version_ ? newsletters_ : nullptr;
}

void NewslettersCache::keep(std::int64_t version, std::shared_ptr<const Newsletters> newsletters) {
    const std::lock_guard lock(mutex_);
    if (version <= version_) return;
    version_ = version;
    newsletters_ = std::move(newsletters);
}

// --- the bracket ----------------------------------------------------------------------------------------

void Records::begin_view() {
    state_ = {};
    sequence_loaded_ = false;
    withdrawals_.clear();
    erased_ = false;
}

void Records::begin_unit() {
    before_unit_ = state_;
    before_unit_.withdrawals_size = withdrawals_.size();
}

void Records::undo_unit() {
    state_ = before_unit_;
    withdrawals_.resize(before_unit_.withdrawals_size);
}

void Records::end_unit() {
    db();
}

void Records::end_group() {
    if (sequence_loaded_ && (last_id_ != stored_id_ || state_.newsletters_changed)) {
        db().run("UPDATE sequence SET last_id = ?1, newsletters = ?2", last_id_,
                 newsletters_version_ + (state_.newsletters_changed ? 1 : 0));
    }
    if (state_.seal) {
        const LedgerHead head = state_.seal(state_.head->seq, state_.head->hash);
        db().run("UPDATE ledger_head SET seq = ?1, hash = ?2, key_id = ?3, seal = ?4", head.seq, head.hash,
                 head.key_id, head.seal);
    }
}

void Records::load_sequence() {
    if (sequence_loaded_) return;
    auto row = db_.query("SELECT last_id, newsletters FROM sequence");
    if (!row.step()) throw StorageError("the database has lost its sequence of ids");
    stored_id_ = row.integer(0);
    last_id_ = std::max(last_id_, stored_id_);
    newsletters_version_ = row.integer(1);
    sequence_loaded_ = true;
}

Id Records::new_id() {
    load_sequence();
    return ++last_id_;
}

void Records::must_have_changed(const char* what) {
    if (db().changes() == 0)
        throw std::logic_error(std::string("update of a ") + what + " that is not there");
}

// --- newsletters ----------------------------------------------------------------------------------------

std::shared_ptr<const Newsletters> Records::newsletters() {
    if (state_.newsletters) return state_.newsletters;
    load_sequence();
    // What this transaction changed nobody else may see before the commit.
    if (!state_.newsletters_changed) state_.newsletters = cache_.find(newsletters_version_);
    if (!state_.newsletters) {
        state_.newsletters = load_newsletters();
        if (!state_.newsletters_changed) cache_.keep(newsletters_version_, state_.newsletters);
    }
    return state_.newsletters;
}

std::shared_ptr<const Newsletters> Records::load_newsletters() {
    std::vector<Newsletter> list;
    auto row = db().query("SELECT id, slug, open FROM newsletter ORDER BY id");
    while (row.step()) {
        Newsletter& n = list.emplace_back();
        n.id = row.integer(0);
        n.slug = row.text(1);
        n.open = row.flag(2);
        auto alias = db().query("SELECT slug FROM newsletter_alias WHERE newsletter = ?1 ORDER BY id", n.id);
        while (alias.step()) n.aliases.push_back(alias.string(0));
        auto setting =
            db().query("SELECT key, locale, value FROM newsletter_setting WHERE newsletter = ?1", n.id);
        while (setting.step()) n.settings[{setting.string(0), setting.string(1)}] = setting.text(2);
    }
    return std::make_shared<const Newsletters>(std::move(list));
}

void Records::add(const Newsletter& n) {
    if (newsletters()->find(n.slug)) throw std::logic_error("the slug is taken");
    db().run("INSERT INTO newsletter (id, slug, open) VALUES (?1, ?2, ?3)", n.id, n.slug, n.open);
    write_names(n);
}

void Records::update(const Newsletter& n) {
    for (const Newsletter& other : newsletters()->all()) {
        if (other.id != n.id &&
            (other.slug == n.slug || std::count(other.aliases.begin(), other.aliases.end(), n.slug) != 0)) {
            throw std::logic_error("the slug is taken");
        }
    }
    db().run("UPDATE newsletter SET slug = ?2, open = ?3 WHERE id = ?1", n.id, n.slug, n.open);
    must_have_changed("newsletter");
    db().run("DELETE FROM newsletter_alias WHERE newsletter = ?1", n.id);
    db().run("DELETE FROM newsletter_setting WHERE newsletter = ?1", n.id);
    write_names(n);
}

void Records::write_names(const Newsletter& n) {
    for (const auto& alias : n.aliases) {
        db().run("INSERT INTO newsletter_alias (newsletter, slug) VALUES (?1, ?2)", n.id, alias);
    }
    for (const auto& [name, value] : n.settings) {
        db().run("INSERT INTO newsletter_setting (newsletter, key, locale, value) VALUES (?1, ?2, ?3, ?4)",
                 n.id, name.first, name.second, value);
    }
    state_.newsletters_changed = true;
    state_.newsletters.reset();
}

std::optional<Wording> Records::wording(std::string_view id) {
    auto row = db().query("SELECT newsletter, locale, text, privacy_url FROM wording WHERE id = ?1", id);
    if (!row.step()) return std::nullopt;
    return Wording{std::string(id), row.integer(0), row.string(1), row.string(2), row.string(3)};
}

void Records::keep(const Wording& w) {
    db().run(
        "INSERT INTO wording (id, newsletter, locale, text, privacy_url) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT DO NOTHING",
        w.id, w.newsletter, w.locale, w.text, w.privacy_url);
}

}  // namespace zgoda::storage
