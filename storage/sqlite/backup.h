// Backups of the database: made while others write, checked, and put back.
//
// A backup is one SQLite file. It holds everything but the key file, the settings and the withdrawals
// journal, which stay on this machine for exactly that reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "storage/sqlite/sqlite_store.h"

namespace zgoda::storage {

// What a database file holds, counted by reading it.
struct Contents {
    int version = 0;  // of its schema
    std::uintmax_t bytes = 0;
    std::int64_t people = 0, subscriptions = 0, letters = 0, events = 0;
    service::LedgerHead head;
};

// Copies the database to `to` (0600), from one snapshot, so that it is as consistent as after a commit;
// signups go on meanwhile, and no lock is held. The copy is checked as by inspect(), must count the same as
// its source, and appears under its name whole or not at all. `progress` hears pages done and in all.
// Refused if `to` is there already (unless `replace`), and always if it is the database itself.
std::variant<Contents, OpenProblem> back_up(const SqliteOptions&, const std::filesystem::path& to,
                                            bool replace,
                                            const std::function<void(int done, int total)>& progress = {});

// Reads a file that nobody writes to: is it a whole database of ours, one that this program knows? Changes
// nothing, makes no file beside it. The file must stay as it is meanwhile.
std::variant<Contents, OpenProblem> inspect(const std::filesystem::path&, const SqliteOptions&);

// A backup on its way into the place of the database. While this lives nobody can open the database, and
// what is not put in place is gone when it ends.
class Restore {
 public:
    virtual ~Restore() = default;

    // The copy, brought up to this program's schema, with ids that start far behind every id that was ever
    // given out here: an old link must never open something new. To be opened, changed and closed before
    // put_in_place().
    virtual const SqliteOptions& copy() const = 0;

    // Puts the copy where the database was. The old one is kept beside it, under the name that is returned
    // (nullopt: there was none). A crash leaves either the old one or the new one.
    virtual std::variant<std::optional<std::filesystem::path>, OpenProblem> put_in_place() = 0;
};

// Refused while any program has the database open (Kind::in_use). A `rehearsal` only has copy(), and leaves
// the database to others.
std::variant<std::unique_ptr<Restore>, OpenProblem> begin_restore(const SqliteOptions&,
                                                                  const std::filesystem::path& backup,
                                                                  bool rehearsal);

}  // namespace zgoda::storage
