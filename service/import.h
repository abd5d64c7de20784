// Bringing people in from a file.
//
// An import cannot hurt. It sends no letter. It never lifts an unsubscribe, a bounce, a complaint or a
// suppression, and never brings back who was erased; a confirmation made here beats an older leave in a file.
// What a file says of a person is merged so that the order of files does not matter: the quieter status wins,
// the earlier time, the longer name; what she did or typed here herself is only added to.
//
// A batch is one run over one file. Its rows are committed in units, together with the batch's position and
// a journal of how everything was before: so a run that was killed goes on where it was, and a batch can be
// taken back (service/import_undo.h).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "service/import_formats.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

// Whether an import takes her as still there: pending, confirmed or paused.
bool is_live(SubscriptionStatus);

// What becomes of somebody whom the file shows no confirmation of.
enum class Unproven { refuse, pending, confirmed };

// 'COLUMN=value:slug,value:slug': values of a column as newsletters. One without a slug ("VIP:") stands for
// none, said aloud. A value with a comma stands in quotes, which are written twice inside:
// 'TAGS="Big, Fat":weekly'.
struct LabelMap {
    std::string column;
    struct Value {
        std::string value;
        std::string slug;  // "": left out
    };
    std::vector<Value> values;
};
std::optional<LabelMap> parse_label_map(std::string_view);
std::string map_value(std::string_view value);  // as parse_label_map() reads it

// What was asked for, resolved against the newsletters as they are.
struct ImportPlan {
    std::vector<Id> newsletters;  // for every row: --newsletter
    struct Label {
        std::string value;
        Id newsletter = 0;  // 0: left out
    };
    std::vector<std::vector<Label>> labels;  // beside ImportFormatOptions::label_columns
    Unproven unproven = Unproven::refuse;
    std::string basis;  // "": none, as our own format may
    // Of `unsubscribe import`: nobody is brought in; `everything`: she leaves all that she has.
    bool leaves_only = false;
    bool everything = false;
    std::string reason;
};

// A row, judged as far as that needs no database.
struct PreparedRow {
    std::size_t part = 1;  // of an archive
    std::int64_t line = 0;
    std::string refused;  // why, or ""
    ImportRow row;
    EmailAddress address;
    std::vector<Suppression> keys;  // the hashes under which she may be suppressed
    std::vector<Id> newsletters;
    bool restore = false;   // of our own format: every column comes back
    bool unproven = false;  // taken although the file shows no confirmation
};
// A value without a newsletter is a problem of the whole file.
std::variant<PreparedRow, InputProblem> prepare(ImportRow, std::int64_t line, ImportFormat, const ImportPlan&,
                                                const std::vector<LabelMap>&, const Newsletters&,
                                                const Rules&);

// The keyed hashes, which cost more than all the rest and are needed only by import_rows().
void find_keys(PreparedRow&, const Rules&);

struct RowVerdict {
    std::size_t part = 1;
    std::int64_t line = 0;
    enum class Kind { imported, merged, unchanged, refused } kind = Kind::unchanged;
    std::string why;  // of a refusal; one of few words
    Id person = 0;    // who was here already; 0: nobody
};
std::string_view word(RowVerdict::Kind);

// Begins a batch or, if one with this digest was cut short, goes on with it: its position says how many rows
// are done. `name` "": named by its number. Keeps the basis as the wording of each newsletter.
struct ImportStart {
    enum class Kind { begun, resumed, name_taken } kind = Kind::begun;
    ImportBatch batch;
};
ImportStart start_import(Transaction&, std::string_view name, const Digest&, std::string_view format,
                         const ImportPlan&, TimeMs now);

// Somebody else has gone on with this batch, or has taken it back.
class ImportInterrupted : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The unit of work: decides on rows `first`+1 and on of the batch. Throws ImportInterrupted if the batch is
// not at `first`.
std::vector<RowVerdict> import_rows(Transaction&, Id batch, std::int64_t first, std::span<const PreparedRow>,
                                    const ImportPlan&, const Rules&, const Moment&);
ImportBatch finish_import(Transaction&, Id batch, TimeMs now);

// By name, or by number.
std::optional<ImportBatch> find_import(Reader&, std::string_view);
// By its id, where it has to be there: throws ImportInterrupted if it is not.
ImportBatch existing_import(Reader&, Id);

}  // namespace zgoda::service
