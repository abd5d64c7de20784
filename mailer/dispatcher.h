#pragma once

// Which letter, when, and again? The dispatcher leases what is due from the outbox, has each letter rendered
// and delivered by one of its couriers, and records what became of it.
//
// Promises. A lease is on disk before its letter goes. A result is on its way to the disk as soon as the
// server has answered, in one commit with those of other couriers; a courier hands over the body of a letter
// only when all results but the last one before it are on disk. So a process that dies leaves at most two
// letters a connection that were sent and are not known to be, the one under way and the one before: they go
// out again, with the same Message-ID. So does the letter under way on a connection when a process is stopped
// past its lease before it hears the server's receipt; no message begins after the lease. A result that
// cannot be committed ends the run: nothing more is sent, and the commit is tried until it succeeds. What was
// leased and not tried is given back at the end of a run; if the process dies it is due again all the same.
//
// A courier's thread renders the next letter before it delivers this one, so that its envelope can go along;
// it does so only while every courier has a letter to do, and no limit holds the next one back.
//
// Trouble of the relay is not the letters' fault: they keep their attempts and are due again at once; the
// circuit (circuit.h) decides when.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mailer/circuit.h"
#include "mailer/courier.h"
#include "mailer/pace.h"
#include "mailer/render.h"
#include "service/outbox.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::mailer {

struct DispatchOptions {
    int connections = 4;           // couriers, each with a thread and a connection of its own
    double rate_per_second = 0;    // letters, of all couriers together; 0: as fast as the relay takes them
    double domain_per_minute = 0;  // letters to one recipient domain; the others overtake them; 0: no limit
    std::size_t most_held = 2000;  // kept back by limits of domains; beyond, only confirmations are leased
    std::int64_t limit = 0;        // letters of one run; 0: all
    service::DurationMs max_time = 0;  // of one run, after which no letter is begun any more; 0: none
    std::string return_path;           // envelope sender; "": the letter's own
    std::string bounce_domain;         // each letter has an envelope sender of its own here; "": return_path

    // All are called from the dispatcher's threads, one at a time. None is told an address.
    std::function<void(std::string_view sentence)> on_trouble;
    std::function<void(std::int64_t done)> on_progress;  // letters of this run so far
    std::function<void(service::LetterKind, Outcome::Kind)> on_result;
    std::function<service::TimeMs()> clock;  // empty: the system's
};

struct Summary {
    std::int64_t sent = 0;
    std::int64_t later = 0;
    std::int64_t refused = 0;
    std::int64_t waiting = 0;  // in the outbox afterwards
    std::string
        relay_trouble;  // why the run ended early or nothing got through: the relay, or our settings; or ""
};

class Dispatcher {
 public:
    using NewCourier = std::function<std::unique_ptr<Courier>()>;

    // Keeps references to store, rules, templates and stationery. Does nothing yet.
    Dispatcher(service::Store&, const service::Rules&, const Templates&, const Stationery&, NewCourier,
               DispatchOptions);
    ~Dispatcher();

    // Sends what is due. Told to stop, it ends when the letters under way are recorded. An idle run only
    // reads, but for a note every few minutes that mailers run. Throws service::StorageError when the
    // database is broken.
    Summary run(const std::stop_token&);

    // Runs again and again, looking every second, until it is told to stop. `on_run` hears each summary of a
    // run that did something.
    void follow(const std::stop_token&, const std::function<void(const Summary&)>& on_run = {});

 private:
    struct Worker;
    struct Round;
    struct Draft;
    struct Done;

    bool something_waits();
    void work(Worker&, Round&);
    std::optional<Draft> take(Worker&, Round&, bool ahead);
    Draft prepare(Worker&, service::LeasedLetter) const;
    void lease(Round&, int lowest_rank);
    bool may_begin(Worker&, Round&);
    void carry(Worker&, const Draft&, const Draft* next, Round&);
    bool still_ours(const service::LeasedLetter&);
    bool lease_holds(service::TimeMs leased_at) const;
    void settle(Worker&, const service::Letter&, const Outcome&, Round&);
    void record(Worker&, service::Id letter, service::Result, Round&);
    void submit_result(const std::shared_ptr<const Done>&, Round&);
    void see_to_the_end(Round&);
    void put_back(Round&);
    void count(service::LetterKind, Outcome::Kind, Round&);
    void trouble(const std::string& sentence);

    service::Store& store_;
    const service::Rules& rules_;
    const Templates& templates_;
    const Stationery& stationery_;
    NewCourier new_courier_;
    DispatchOptions options_;
    std::unique_ptr<service::MailerPresence> presence_;  // from the first lease on
    std::vector<std::unique_ptr<Worker>> workers_;       // connections are kept between runs
    Circuit circuit_;                                    // guarded by the round's mutex
    Pace pace_;                                          // guarded by it too
    std::mutex telling_;                                 // held during the callbacks of the options
};

// What a run would do now, without doing it: every letter (at most 1,000) that it would lease is built, none
// is sent or changed. `sent` counts those, `refused` those that could not be built.
Summary rehearse(service::Store&, const service::Rules&, const Templates&, const Stationery&,
                 std::int64_t limit, service::TimeMs now);

}  // namespace zgoda::mailer
