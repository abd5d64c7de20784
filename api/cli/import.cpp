#include "service/import.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <future>
#include <set>
#include <thread>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/import_file.h"
#include "api/cli/import_report.h"
#include "api/cli/startup.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/import_undo.h"
#include "service/printable.h"
#include "storage/sqlite/backup.h"
#include "storage/sqlite/lock_file.h"

namespace zgoda::cli {
namespace {

namespace fs = std::filesystem;
using service::ImportBatch;
using service::printable;
using Clock = std::chrono::steady_clock;

// A unit of work takes about so long: nobody waits for the lock for longer. While others write too, it is
// shorter, because their signups wait for each unit.
constexpr auto unit_time = std::chrono::milliseconds(8);
constexpr auto shared_unit_time = std::chrono::milliseconds(1);
constexpr std::size_t smallest_unit = 20, largest_unit = 1000;

// How many rows the next unit gets, from how long the last one took and had to wait.
std::size_t next_size(std::size_t size, Clock::duration took, Clock::duration waited) {
    const bool shared = waited > std::chrono::microseconds(500);
    const double share = std::chrono::duration<double>(shared ? shared_unit_time : unit_time).count() /
                         std::max(1e-4, std::chrono::duration<double>(took).count());
    const double next = static_cast<double>(size) * std::clamp(share, 0.5, 1.5);
    return std::clamp(static_cast<std::size_t>(next), smallest_unit, largest_unit);
}

// A copy of the database in a folder of its own, where a dry run does what the import would do. Being the
// same program on the same data, it cannot say anything else. What an earlier one that was killed left behind
// goes.
class Copy {
 public:
    Copy(const config::Settings& settings, const Log& log)
        : options_(sqlite_options(settings, Opener::command, log)) {
        const fs::path original = fs::absolute(options_.file);
        folder_ = original.string() + ".dry-run";
        lock_.emplace(original.string() + ".dry-run.lock");
        if (!lock_->try_lock()) {
            problem_ = "another dry run is at work; try again when it is through";
            return;
        }
        fs::remove_all(folder_);
        fs::create_directory(folder_);
        fs::permissions(folder_, fs::perms::owner_all);
        made_ = true;
        const storage::SqliteOptions from = options_;
        options_.file = folder_ / original.filename();
        options_.withdrawals_journal.clear();
        const auto copied = storage::back_up(from, options_.file, false);
        if (const auto* problem = std::get_if<storage::OpenProblem>(&copied)) {
            problem_ = problem->sentence;
            return;
        }
        auto opened = storage::open_sqlite(options_);
        if (const auto* problem = std::get_if<storage::OpenProblem>(&opened))
            problem_ = problem->sentence;
        else
            store_ = std::get<std::unique_ptr<storage::SqliteStore>>(std::move(opened));
    }
    ~Copy() {
        store_.reset();
        std::error_code ignored;
        if (made_) fs::remove_all(folder_, ignored);
    }
    Copy(const Copy&) = delete;
    Copy& operator=(const Copy&) = delete;

    service::Store& store() { return *store_; }
    const std::optional<std::string>& problem() const { return problem_; }

 private:
    storage::SqliteOptions options_;
    fs::path folder_;
    std::optional<storage::LockFile> lock_;
    std::unique_ptr<storage::SqliteStore> store_;
    std::optional<std::string> problem_;
    bool made_ = false;
};

// What one run of an import does, whichever verb asked for it.
struct Job {
    std::string verb;  // for the record
    std::string batch;
    service::ImportFormatOptions format;
    std::vector<service::LabelMap> maps;
    service::ImportPlan plan;
    bool dry_run = false;
    bool json = false;
    std::string report;
};

// One unit at work, while the next one is read.
class Unit {
 public:
    Unit(service::Store& store, service::Id batch, std::int64_t first, std::vector<service::PreparedRow> rows,
         const Job& job, const service::Rules& rules, ImportReport* report)
        : rows_(std::move(rows)), moment_{clock_now(), service::random_seed()} {
        work_ = [this, batch, first, &job, &rules, report](service::Transaction& tx) {
            const auto start = Clock::now();
            waited_ = start - submitted_;
            verdicts_ = service::import_rows(tx, batch, first, rows_, job.plan, rules, moment_);
            took_ = Clock::now() - start;
            if (report != nullptr) report->write(first, verdicts_);
        };
        submit(store);
    }
    Unit(const Unit&) = delete;
    Unit& operator=(const Unit&) = delete;
    ~Unit() {
        if (outcome_.valid()) outcome_.wait();
    }

    // Waits for the commit. Throws as service::run() does, but waits with a store that is only busy.
    const std::vector<service::RowVerdict>& verdicts(service::Store& store) {
        for (;;) {
            const service::CommitResult result = outcome_.get();
            switch (result.commit) {
                case service::Commit::done:
                    return verdicts_;
                case service::Commit::busy:
                case service::Commit::too_late:
                    std::this_thread::sleep_for(std::chrono::milliseconds(50));
                    submit(store);
                    continue;
                case service::Commit::failed:
                    std::rethrow_exception(result.error);
                case service::Commit::disk_full:
                    throw std::runtime_error(
                        "the disk is full; make room and call the same import again, it goes on where it "
                        "was");
                case service::Commit::broken:
                    throw service::StorageError("the database is broken");
            }
        }
    }
    Clock::duration took() const { return took_; }
    Clock::duration waited() const { return waited_; }
    std::size_t size() const { return rows_.size(); }

 private:
    void submit(service::Store& store) {
        auto promise = std::make_shared<std::promise<service::CommitResult>>();
        outcome_ = promise->get_future();
        submitted_ = Clock::now();
        store.submit(work_,
                     [promise](service::CommitResult result) { promise->set_value(std::move(result)); });
    }

    std::vector<service::PreparedRow> rows_;
    service::Moment moment_;
    service::Store::Work work_;
    std::vector<service::RowVerdict> verdicts_;
    Clock::time_point submitted_;
    Clock::duration took_{}, waited_{};
    std::future<service::CommitResult> outcome_;
};

std::string counts_of(const ImportBatch& batch) {
    return fmt::format("imported {}, merged {}, unchanged {}, refused {}", batch.imported, batch.merged,
                       batch.unchanged, batch.refused);
}

class Run {
 public:
    Run(ImportFile& file, const Job& job, const service::Rules& rules, service::Store& store)
        : file_(file), job_(job), rules_(rules), store_(store) {
        service::look(store, [this](service::Reader& reader) { newsletters_ = reader.newsletters(); });
    }

    // Reads the whole file once, to find what is wrong with it before anything is changed. Says how many rows
    // there are.
    std::optional<std::string> check() {
        return read_rows(
            file_, job_.format, job_.plan.leaves_only,
            [this](FileRow& row) -> std::optional<service::InputProblem> {
                if (total_ == 0 || row.part != part_) {
                    part_ = row.part;
                    format_ = row.format;
                    parts_.push_back(part_);
                    if (const auto problem = ask_plan(row.format, row.names_newsletters)) {
                        wrong_usage_ = true;
                        return service::InputProblem{1, 0, *problem};
                    }
                }
                ++total_;
                auto prepared = prepare(row);
                if (auto* problem = std::get_if<service::InputProblem>(&prepared)) return std::move(*problem);
                return std::nullopt;
            },
            [](const std::string& title) {
                fmt::print(stderr, "left out, no addresses in it: {}\n", title);
            });
    }

    // Whether check() found that the command line does not go with the file, rather than a fault of the file.
    bool wrong_usage() const { return wrong_usage_; }

    // Does it. Returns a sentence if the file is not as it was a moment ago.
    std::optional<std::string> go(const service::Digest& digest) {
        const service::TimeMs now = clock_now();
        service::ImportStart start;
        const std::string who = admin_name();
        service::run(store_, [&](service::Transaction& tx) {
            start = service::start_import(tx, job_.batch, digest, word(format_), job_.plan, now);
            if (start.kind != service::ImportStart::Kind::begun) return;
            service::audit(tx, who, job_.verb, fmt::format(R"({{"batch":{}}})", start.batch.id), now);
        });
        if (start.kind == service::ImportStart::Kind::name_taken)
            return fmt::format("there is a batch {} already; `zgoda import list` shows all", job_.batch);
        batch_ = start.batch;
        done_ = batch_.position;
        if (start.kind == service::ImportStart::Kind::resumed) {
            fmt::print(stderr, "going on with batch {}, which was cut short after row {}\n", batch_.name,
                       batch_.position);
        }
        std::optional<ImportReport> report;
        if (!job_.report.empty()) {
            report.emplace(job_.report, job_.dry_run ? "dry-run" : batch_.name, batch_.position);
            if (report->problem()) return report->problem();
            if (report->first_row() > 1) {
                fmt::print(stderr,
                           "the report begins with row {}: those before were done without this --report\n",
                           report->first_row());
            }
        }
        Progress progress(job_.verb, total_);
        std::int64_t number = 0;
        std::size_t size = 100;
        std::vector<service::PreparedRow> rows;
        std::unique_ptr<Unit> unit;
        const auto finish_unit = [&] {
            if (!unit) return;
            const auto& verdicts = unit->verdicts(store_);
            size = next_size(unit->size(), unit->took(), unit->waited());
            done_ += static_cast<std::int64_t>(verdicts.size());
            unit.reset();
            progress.at(done_);
        };
        const auto next_unit = [&] {
            finish_unit();
            if (rows.empty()) return;
            unit = std::make_unique<Unit>(store_, batch_.id, done_, std::move(rows), job_, rules_,
                                          report ? &*report : nullptr);
            rows = {};
        };
        auto problem = read_rows(file_, job_.format, job_.plan.leaves_only,
                                 [&](FileRow& row) -> std::optional<service::InputProblem> {
                                     if (++number <= batch_.position) return std::nullopt;
                                     auto prepared = prepare(row);
                                     if (auto* wrong = std::get_if<service::InputProblem>(&prepared))
                                         return std::move(*wrong);
                                     rows.push_back(std::get<service::PreparedRow>(std::move(prepared)));
                                     rows.back().part = row.part + 1;
                                     service::find_keys(rows.back(), rules_);
                                     if (rows.size() >= size) next_unit();
                                     return std::nullopt;
                                 });
        if (problem) {
            finish_unit();
            return fmt::format(
                "{}. The file has changed meanwhile; `zgoda import undo {}` takes back what was "
                "done",
                *problem, batch_.name);
        }
        next_unit();
        finish_unit();
        service::run(store_, [&](service::Transaction& tx) {
            batch_ = service::finish_import(tx, batch_.id, clock_now());
        });
        if (report) report->finish();
        if (report && file_.is_archive()) {
            for (const std::size_t part : parts_)
                fmt::print(stderr, "part {} in the report: {}\n", part + 1, file_.title(part));
        }
        return report ? report->problem() : std::nullopt;
    }

    void tell() const {
        if (job_.json) {
            boost::json::object whys;
            for (const auto& [why, count] : batch_.whys) whys[why] = count;
            boost::json::object all{{"rows", total_},
                                    {"imported", batch_.imported},
                                    {"merged", batch_.merged},
                                    {"unchanged", batch_.unchanged},
                                    {"refused", batch_.refused},
                                    {"why", std::move(whys)},
                                    {"format", service::word(format_)},
                                    {"dry_run", job_.dry_run}};
            if (!job_.dry_run) all["batch"] = batch_.name;
            fmt::print("{}\n", boost::json::serialize(all));
            return;
        }
        std::string whys;
        for (const auto& [why, count] : batch_.whys)
            whys += fmt::format("{}{} {}", whys.empty() ? "" : ", ", why, count);
        fmt::print("{}{}{} of {} rows ({})\n", job_.dry_run ? "dry run: " : "", counts_of(batch_),
                   whys.empty() ? "" : " (" + whys + ")", total_, service::word(format_));
        if (job_.dry_run)
            fmt::print("nothing was written\n");
        else
            fmt::print("batch {}; `zgoda import undo {}` takes it back for 30 days\n", batch_.name,
                       batch_.name);
    }

 private:
    std::variant<service::PreparedRow, service::InputProblem> prepare(FileRow& row) const {
        return service::prepare(std::move(row.row), row.line, row.format, job_.plan, job_.maps, *newsletters_,
                                rules_);
    }

    // What the command line must say, and may not say, about a file of this kind.
    std::optional<std::string> ask_plan(service::ImportFormat format, bool names_newsletters) const {
        if (job_.plan.leaves_only) return std::nullopt;
        const bool targets = !job_.plan.newsletters.empty() || !job_.plan.labels.empty();
        if (format == service::ImportFormat::zgoda) {
            if (targets)
                return "this is an export of zgoda's, whose rows name their newsletters; leave --newsletter "
                       "and --map away";
            return std::nullopt;
        }
        const std::string kind = format == service::ImportFormat::generic
                                     ? "this table does"
                                     : fmt::format("this is a file of {}'s, which does", word(format));
        if (names_newsletters && targets)
            return "this table has a column called newsletter, whose slugs count; leave --newsletter "
                   "and --map away, or say with --map 'newsletter=value:slug' what stands in it";
        if (!targets && !names_newsletters)
            return kind +
                   " not name our newsletters; say which with --newsletter SLUG, or with --map "
                   "'COLUMN=value:slug'";
        if (job_.plan.basis.empty())
            return kind +
                   " not say what its people agreed to; say on which basis they are here with --basis "
                   "TEXT";
        return std::nullopt;
    }

    ImportFile& file_;
    const Job& job_;
    const service::Rules& rules_;
    service::Store& store_;
    std::shared_ptr<const service::Newsletters> newsletters_;
    service::ImportFormat format_ = service::ImportFormat::generic;
    bool wrong_usage_ = false;
    std::size_t part_ = 0;
    std::vector<std::size_t> parts_;  // that hold people
    std::int64_t total_ = 0, done_ = 0;
    ImportBatch batch_;
};

// The newsletters that the command line names, or a sentence about the one that is not there.
std::optional<std::string> resolve(Job& job, const std::string& newsletter, service::Store& store) {
    std::shared_ptr<const service::Newsletters> all;
    service::look(store, [&all](service::Reader& reader) { all = reader.newsletters(); });
    const auto missing = [](const std::string& slug) {
        return fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all", printable(slug));
    };
    if (!newsletter.empty()) {
        const service::Newsletter* one = all->find(newsletter);
        if (one == nullptr) return missing(newsletter);
        job.plan.newsletters = {one->id};
    }
    for (const service::LabelMap& map : job.maps) {
        job.format.label_columns.push_back(map.column);
        auto& labels = job.plan.labels.emplace_back();
        for (const auto& [value, slug] : map.values) {
            const service::Newsletter* one = slug.empty() ? nullptr : all->find(slug);
            if (!slug.empty() && one == nullptr) return missing(slug);
            labels.push_back({value, one == nullptr ? 0 : one->id});
        }
    }
    return std::nullopt;
}

// All that the outcome depends on: the same file, asked for in the same way, is the same import.
service::Digest digest_of(ImportFile& file, const Job& job) {
    std::string all = service::to_hex(file.digest());
    for (const service::Id id : job.plan.newsletters) all += fmt::format("\n{}", id);
    for (const service::LabelMap& map : job.maps) {
        all += "\nmap " + map.column;
        for (const auto& [value, slug] : map.values) all += fmt::format("\n{}:{}", value, slug);
    }
    all += fmt::format("\n{}\n{}\n{}\n{}\n{}\n{}\n{}", job.format.format ? word(*job.format.format) : "auto",
                       job.format.raw, static_cast<int>(job.plan.unproven), job.plan.basis,
                       job.plan.leaves_only, job.plan.everything, job.plan.reason);
    return service::sha256(all);
}

Exit run_job(const std::string& name, Job& job, const config::Settings& settings, const service::Rules& rules,
             service::Store& store, const Log& log) {
    ImportFile file(name);
    if (file.problem()) return fail(file.missing() ? Exit::not_found : Exit::failed, *file.problem());
    std::optional<Copy> copy;
    if (job.dry_run) {
        copy.emplace(settings, log);
        if (copy->problem()) return fail(Exit::failed, *copy->problem());
    }
    Run run(file, job, rules, copy ? copy->store() : store);
    if (const auto problem = run.check())
        return fail(run.wrong_usage() ? Exit::usage : Exit::failed, *problem);
    const service::Digest digest = digest_of(file, job);
    if (file.problem()) return fail(Exit::failed, *file.problem());
    if (const auto problem = run.go(digest)) return fail(Exit::failed, *problem);
    run.tell();
    return Exit::done;
}

}  // namespace

Exit import_people(const Import& options, const config::Settings& settings, const service::Rules& rules,
                   service::Store& store, const Log& log) {
    Job job;
    job.verb = "import";
    job.batch = options.batch;
    job.format.format = options.format;
    job.format.raw = options.raw;
    job.maps = options.maps;
    job.plan.unproven = options.unproven;
    job.plan.basis = options.basis;
    job.dry_run = options.dry_run;
    job.json = options.json;
    job.report = options.report;
    if (const auto problem = resolve(job, options.newsletter, store)) return fail(Exit::not_found, *problem);
    return run_job(options.file, job, settings, rules, store, log);
}

Exit unsubscribe_import(const UnsubscribeImport& options, const config::Settings& settings,
                        const service::Rules& rules, service::Store& store, const Log& log) {
    Job job;
    job.verb = "unsubscribe import";
    job.batch = options.batch;
    job.plan.leaves_only = true;
    job.plan.everything = options.newsletter.empty();
    job.plan.reason = options.reason;
    job.dry_run = options.dry_run;
    job.json = options.json;
    job.report = options.report;
    if (const auto problem = service::reason_problem(options.reason)) return fail(Exit::usage, *problem);
    if (const auto problem = resolve(job, options.newsletter, store)) return fail(Exit::not_found, *problem);
    return run_job(options.file, job, settings, rules, store, log);
}

namespace {

Exit tell_undone(const ImportBatch& batch, const std::vector<std::string>& changed_by) {
    fmt::print("{}\n", boost::json::serialize(boost::json::object{
                           {"batch", batch.name},
                           {"restored", batch.restored},
                           {"kept", batch.kept},
                           {"changed_by", boost::json::array(changed_by.begin(), changed_by.end())}}));
    return Exit::done;
}

}  // namespace

Exit import_undo(const ImportUndo& options, const service::Rules& rules, service::Store& store) {
    std::optional<ImportBatch> batch;
    service::look(store,
                  [&](service::Reader& reader) { batch = service::find_import(reader, options.batch); });
    if (!batch) {
        return fail(Exit::not_found, fmt::format("there is no batch {}; `zgoda import list` shows all",
                                                 printable(options.batch)));
    }
    const service::TimeMs now = clock_now();
    const std::string who = admin_name();
    service::UndoStart start = service::UndoStart::begun;
    service::run(store, [&](service::Transaction& tx) {
        start = service::start_undo(tx, batch->id, now);
        if (start == service::UndoStart::begun)
            service::audit(tx, who, "import undo", fmt::format(R"({{"batch":{}}})", batch->id), now);
    });
    if (start == service::UndoStart::too_old) {
        return fail(Exit::failed, fmt::format("batch {} is older than 30 days: how it was before is not kept "
                                              "any longer",
                                              batch->name));
    }
    if (start == service::UndoStart::undone_before) {
        if (!options.json) {
            fmt::print("batch {} was taken back before; nothing to do\n", printable(batch->name));
            return Exit::done;
        }
        return tell_undone(*batch, {});
    }
    std::optional<Progress> progress(std::in_place, "import undo", batch->position);
    std::int64_t rows = 0;
    std::size_t size = 50;
    service::UndoneRows undone;
    std::set<service::Id> changed_by;
    do {
        const service::Moment moment{clock_now(), service::random_seed()};
        Clock::duration took{}, waited{};
        const auto submitted = Clock::now();
        service::run(store, [&](service::Transaction& tx) {
            const auto begun = Clock::now();
            waited = begun - submitted;
            undone = service::undo_rows(tx, batch->id, size, rules, moment);
            took = Clock::now() - begun;
        });
        batch = undone.batch;
        changed_by.merge(undone.changed_by);
        rows += static_cast<std::int64_t>(size);
        size = next_size(size, took, waited);
        progress->at(rows);
    } while (batch->state != service::ImportState::undone);
    progress.reset();                // before anything is said
    std::vector<std::string> later;  // the newest first: as they have to be taken back
    service::look(store, [&](service::Reader& reader) {
        later.clear();
        for (auto id = changed_by.rbegin(); id != changed_by.rend(); ++id)
            if (const auto one = reader.import_batch(*id)) later.push_back(one->name);
    });
    if (options.json) return tell_undone(*batch, later);
    fmt::print(
        "restored {} records of batch {}, kept {} that were changed, or said again by a later import, "
        "since\n",
        batch->restored, printable(batch->name), batch->kept);
    if (!later.empty()) {
        fmt::print(
            "of those, some were changed by {} {}: take {} back, then `zgoda import undo {}` again for what "
            "was kept\n",
            later.size() == 1 ? "batch" : "the batches", printable(fmt::format("{}", fmt::join(later, ", "))),
            later.size() == 1 ? "it" : "them, in this order,", printable(batch->name));
    }
    return Exit::done;
}

Exit import_list(const ImportList& options, service::Store& store) {
    std::vector<ImportBatch> batches;
    std::set<service::Id> kept;  // taken back, but for what may be tried again
    service::look(store, [&](service::Reader& reader) {
        batches = reader.import_batches();
        for (const ImportBatch& one : batches) {
            if (one.state == service::ImportState::undone && !reader.import_entries(one.id, 1).empty())
                kept.insert(one.id);
        }
    });
    boost::json::array all;
    const service::TimeMs now = clock_now();
    for (const ImportBatch& one : batches) {
        boost::json::object whys;
        for (const auto& [why, count] : one.whys) whys[why] = count;
        const bool undoable = (one.state != service::ImportState::undone || kept.contains(one.id)) &&
                              one.changed_at + service::import_undo_life >= now;
        if (options.json) {
            all.push_back({{"batch", one.name},
                           {"id", one.id},
                           {"state", word(one.state)},
                           {"format", one.format},
                           {"basis", one.basis},
                           {"started_at", service::rfc3339(one.started_at)},
                           {"rows", one.position},
                           {"imported", one.imported},
                           {"merged", one.merged},
                           {"unchanged", one.unchanged},
                           {"refused", one.refused},
                           {"why", std::move(whys)},
                           {"restored", one.restored},
                           {"kept", one.kept},
                           {"undo_until", undoable ? boost::json::value(service::rfc3339(
                                                         one.changed_at + service::import_undo_life))
                                                   : boost::json::value(nullptr)}});
            continue;
        }
        const std::string number = std::to_string(one.id);
        fmt::print("{}{}  {}  {}  {}, {}{}{}\n", printable(one.name),
                   one.name == number ? "" : " (" + number + ")", service::rfc3339(one.started_at),
                   word(one.state), one.format, counts_of(one),
                   one.state == service::ImportState::undone
                       ? fmt::format(", restored {}, kept {}", one.restored, one.kept)
                       : "",
                   one.basis.empty() ? "" : ", basis: " + printable(one.basis));
    }
    if (options.json) fmt::print("{}\n", boost::json::serialize(all));
    return Exit::done;
}

}  // namespace zgoda::cli
