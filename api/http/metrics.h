// What the server counts, for Prometheus. Labels come from closed sets: never an address, a domain, a source
// or a form.
//
// Thread-safe. Outlives everything that counts in it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "api/http/options.h"
#include "service/store.h"

namespace zgoda::http {

enum class SignupResult {
    accepted,
    invalid,    // 422
    malformed,  // 400, 415
    origin_not_allowed,
    no_open_newsletter,
    over_limit,
    unavailable,  // 503: perhaps stored, perhaps not
};

class Metrics {
 public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    void count(SignupResult result);

    /// Made to be a listener's on_exchange.
    void count(const Exchange& exchange);

    /// How long a signup waited for its commit.
    void committed(std::chrono::steady_clock::duration took);

    /// The funnel is counted from the ledger, so that mailers and administrators in other processes count
    /// too: what follows this event, or the first one. Call it before follow(), or not at all.
    void follow_after(std::int64_t event);
    /// Counts what the ledger has grown by, each event once, however many call this at a time. After a long
    /// import it takes several calls to catch up.
    void follow(service::Reader& reader);

    /// What is known at the moment of the scrape.
    struct Gauges {
        service::OutboxCounts outbox;
        service::MailerNote mailer;
        std::int64_t queue_depth = 0;
        std::int64_t connections = 0;
    };

    /// The Prometheus text format, version 0.0.4.
    std::string text(const Gauges& gauges, service::TimeMs now);

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace zgoda::http
