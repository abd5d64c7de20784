#include "api/http/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string_view>
#include <utility>

#include "service/stats.h"

namespace zgoda::http {

namespace {

constexpr std::array letter_kinds{
    service::LetterKind::confirmation,    service::LetterKind::already_subscribed,
    service::LetterKind::preference_link, service::LetterKind::address_change,
    service::LetterKind::welcome,         service::LetterKind::goodbye};

constexpr std::array signup_results{"accepted",           "invalid",    "malformed",  "origin_not_allowed",
                                    "no_open_newsletter", "over_limit", "unavailable"};

prometheus::Gauge& gauge(prometheus::Registry& registry, const std::string& name, const std::string& help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

struct Metrics::Impl {
    prometheus::Registry registry;

    prometheus::Family<prometheus::Counter>& signups =
        prometheus::BuildCounter()
            .Name("zgoda_signups_total")
            .Help("Posts to /v1/subscriptions by what came of them")
            .Register(registry);
    std::array<prometheus::Counter*, signup_results.size()> signup{};

    prometheus::Family<prometheus::Counter>& responses = prometheus::BuildCounter()
                                                             .Name("zgoda_http_responses_total")
                                                             .Help("Answers by route and class of status")
                                                             .Register(registry);
    prometheus::Family<prometheus::Counter>& funnel =
        prometheus::BuildCounter()
            .Name("zgoda_funnel_total")
            .Help("What readers did since this process started: asked, confirmed, bounced, left")
            .Register(registry);
    prometheus::Counter& asked = funnel.Add({{"step", "signup"}});
    prometheus::Counter& confirmed = funnel.Add({{"step", "confirmed"}});
    prometheus::Counter& bounced = funnel.Add({{"step", "bounced"}});
    prometheus::Counter& left = funnel.Add({{"step", "left"}});

    prometheus::Family<prometheus::Counter>& letters =
        prometheus::BuildCounter()
            .Name("zgoda_letters_total")
            .Help(
                "Letters by kind, and whether the relay accepted or refused them, since this process started")
            .Register(registry);
    std::array<prometheus::Counter*, letter_kinds.size()> accepted{}, refused{};

    std::mutex following;
    std::int64_t counted = 0;  // events of the ledger

    void count(const service::FunnelStep& step) {
        using Kind = service::FunnelStep::Kind;
        const auto letter = static_cast<std::size_t>(step.letter);
        switch (step.kind) {
            case Kind::signup:
                return asked.Increment();
            case Kind::letter_accepted:
                return accepted[letter]->Increment();
            case Kind::letter_refused:
                return refused[letter]->Increment();
            case Kind::confirmed:
                return confirmed.Increment();
            case Kind::bounced:
                return bounced.Increment();
            case Kind::left:
                return left.Increment();
        }
    }

    // Routes are string literals of the tables, so their address names them.
    std::shared_mutex mutex;
    std::map<std::pair<const char*, int>, prometheus::Counter*> response;

    prometheus::Histogram& commit =
        prometheus::BuildHistogram()
            .Name("zgoda_commit_seconds")
            .Help("Time from handing a signup to the store to knowing its outcome")
            .Register(registry)
            .Add({}, prometheus::Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                             0.25, 0.5, 1, 2});

    prometheus::Gauge& due = gauge(registry, "zgoda_outbox_due", "Letters that should go now");
    prometheus::Gauge& waiting = gauge(registry, "zgoda_outbox_waiting", "Letters still to be sent");
    prometheus::Gauge& oldest =
        gauge(registry, "zgoda_outbox_oldest_due_seconds", "How long the oldest due letter waits");
    prometheus::Gauge& mailer =
        gauge(registry, "zgoda_mailer_last_run_timestamp_seconds", "When a mailer last ran");
    prometheus::Gauge& trouble = gauge(registry, "zgoda_relay_trouble",
                                       "1 while the relay takes no letters, as the last run found it");

    prometheus::Family<prometheus::Counter>& results =
        prometheus::BuildCounter()
            .Name("zgoda_letter_results_total")
            .Help("Attempts at letters by result; not those that were the relay's trouble alone")
            .Register(registry);
    prometheus::Counter& delivered = results.Add({{"result", "delivered"}});
    prometheus::Counter& later = results.Add({{"result", "later"}});
    prometheus::Counter& turned_down = results.Add({{"result", "refused"}});
    prometheus::Counter& uncertain = results.Add({{"result", "uncertain"}});
    std::mutex catching_up;  // held while they catch up with what mailers have noted

    prometheus::Gauge& queue = gauge(registry, "zgoda_store_queue", "Units of work that wait for the store");
    prometheus::Gauge& connections = gauge(registry, "zgoda_http_connections", "Open connections");
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {
    for (std::size_t i = 0; i < signup_results.size(); ++i)
        impl_->signup[i] = &impl_->signups.Add({{"outcome", signup_results[i]}});
    for (const service::LetterKind kind : letter_kinds) {
        const auto i = static_cast<std::size_t>(kind);
        const std::string name(word(kind));
        impl_->accepted[i] = &impl_->letters.Add({{"kind", name}, {"outcome", "accepted"}});
        impl_->refused[i] = &impl_->letters.Add({{"kind", name}, {"outcome", "refused"}});
    }
}

Metrics::~Metrics() = default;

void Metrics::count(SignupResult result) {
    impl_->signup[static_cast<std::size_t>(result)]->Increment();
}

void Metrics::count(const Exchange& exchange) {
    const std::pair key{exchange.route.data(), exchange.status / 100};
    {
        const std::shared_lock lock(impl_->mutex);
        const auto found = impl_->response.find(key);
        if (found != impl_->response.end()) return found->second->Increment();
    }
    const std::unique_lock lock(impl_->mutex);
    const std::string route = exchange.route.empty() ? "none" : std::string(exchange.route);
    prometheus::Counter& counter =
        impl_->responses.Add({{"route", route}, {"class", std::to_string(key.second) + "xx"}});
    impl_->response.emplace(key, &counter);
    counter.Increment();
}

void Metrics::follow_after(std::int64_t event) {
    impl_->counted = event;
}

void Metrics::follow(service::Reader& reader) {
    constexpr std::size_t page = 1000;
    constexpr int pages = 50;
    const std::lock_guard lock(impl_->following);
    for (int round = 0; round < pages; ++round) {
        const auto events = reader.events(impl_->counted, page);
        for (const service::Event& event : events) {
            if (const auto step = service::funnel_step(event)) impl_->count(*step);
            impl_->counted = event.seq;
        }
        if (events.size() < page) return;
    }
}

void Metrics::committed(std::chrono::steady_clock::duration took) {
    impl_->commit.Observe(std::chrono::duration<double>(took).count());
}

std::string Metrics::text(const Gauges& now_is, service::TimeMs now) {
    const auto seconds = [](service::TimeMs ms) { return static_cast<double>(ms) / 1000; };
    impl_->due.Set(static_cast<double>(now_is.outbox.due));
    impl_->waiting.Set(static_cast<double>(now_is.outbox.waiting));
    impl_->oldest.Set(now_is.outbox.oldest_due ? seconds(now - *now_is.outbox.oldest_due) : 0);
    impl_->mailer.Set(seconds(now_is.mailer.last_run_at));
    impl_->trouble.Set(now_is.mailer.relay_trouble.empty() ? 0 : 1);
    {
        const std::lock_guard lock(impl_->catching_up);
        const auto reach = [](prometheus::Counter& counter, std::int64_t total) {
            const double more = static_cast<double>(total) - counter.Value();
            if (more > 0) counter.Increment(more);
        };
        reach(impl_->delivered, now_is.mailer.delivered);
        reach(impl_->later, now_is.mailer.later);
        reach(impl_->turned_down, now_is.mailer.refused);
        reach(impl_->uncertain, now_is.mailer.uncertain);
    }
    impl_->queue.Set(static_cast<double>(now_is.queue_depth));
    impl_->connections.Set(static_cast<double>(now_is.connections));
    return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace zgoda::http
