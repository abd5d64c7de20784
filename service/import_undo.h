// Taking an import back.
//
// A batch is taken back row by row, the last first, from the journal that it kept (service/import_journal.h),
// in units of work as it came: an undo that was killed goes on where it was. Every record goes back to how it
// was before. One that somebody has changed since stays, and counts as `kept` in the batch; if that was a
// later import, the undo may be asked for again when that one is taken back. Whoever asked a
// form for the same meanwhile keeps what she asked for, as if there had been no import, or what she was told
// that she has. The ledger gets an event of its own. All that within 30 days; then the journal is cleared.
//
// `zgoda import undo` starts and runs it, `zgoda import list` tells until when, `zgoda purge` clears.
#pragma once

#include <set>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

constexpr DurationMs import_undo_life = 30 * day_ms;

enum class UndoStart { begun, undone_before, too_old };
// `begun` also if it was begun before and cut short, or kept what a later import had changed. From here on
// import_rows() refuses to go on with the batch. Throws ImportInterrupted, as undo_rows() does, if there is
// no such batch.
UndoStart start_undo(Transaction&, Id batch, TimeMs now);
// The unit of work: takes back up to `rows` rows, the last first; call it until the batch is `undone`. What
// somebody changed since stays as it is, and what a later import says as well becomes that one's to take
// back.
struct UndoneRows {
    ImportBatch batch;
    std::set<Id> changed_by;  // the later imports that have changed some of what these rows keep
};
UndoneRows undo_rows(Transaction&, Id batch, std::size_t rows, const Rules&, const Moment&);

// Clears the journal of batches that can't be undone any more, up to `limit` rows; false: there is nothing
// left to clear.
bool forget_old_imports(Transaction&, std::size_t limit, TimeMs now);

}  // namespace zgoda::service
