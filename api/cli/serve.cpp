#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include "api/cli/address.h"
#include "api/cli/sending.h"
#include "api/cli/signals.h"
#include "api/cli/startup.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "api/http/pages.h"
#include "api/http/private_api.h"
#include "api/http/public_api.h"
#include "api/http/server.h"
#include "config/builtin.h"
#include "config/key_file.h"
#include "config/locales.h"
#include "service/client.h"

namespace zgoda::cli {
namespace {

constexpr std::chrono::seconds drain_time{9};  // the whole end takes 10 s at most

// Where a listener can be reached, its port as the system gave it.
std::string url_of(const std::string& listen, const http::Server& server) {
    if (listen.starts_with("unix:")) return listen;
    return fmt::format("http://{}:{}", listen.substr(0, listen.rfind(':')), server.port());
}

http::Options listener(const std::string& listen, const config::Settings& settings, http::Metrics& metrics,
                       const Log& log) {
    http::Options options;
    options.listen = listen;
    options.deadlines.drain = drain_time;
    options.trusted_proxies = http::TrustedProxies(settings.server.trusted_proxies);
    options.on_exchange = [&metrics, log](const http::Exchange& exchange) {
        metrics.count(exchange);
        log.debug("request", [&] {
            return boost::json::object{{"route", exchange.route},
                                       {"method", http::name_of(exchange.method)},
                                       {"status", exchange.status},
                                       {"us", exchange.took.count()}};
        });
    };
    options.on_trouble = [log](std::string_view sentence) { log.warn("http_trouble", {{"why", sentence}}); };
    return options;
}

// What stands between this process and a new start with the settings as they are now. nullopt: nothing.
std::optional<std::string> restart_problem(const config::Settings& current) {
    const auto read = read_settings(current.file.string());
    if (const auto* problem = std::get_if<config::Problem>(&read)) return problem->sentence;
    const auto& settings = std::get<config::Settings>(read);
    const service::Texts texts = config::load_texts();
    const auto templates = letter_templates(settings, texts);
    if (const auto* problem = std::get_if<config::Problem>(&templates)) return problem->sentence;
    const auto courier = courier_of(settings);
    if (const auto* problem = std::get_if<config::Problem>(&courier)) return problem->sentence;
    const auto keys = config::load_keys(settings.secrets.key_file, true, clock_now());
    if (const auto* problem = std::get_if<config::Problem>(&keys)) return problem->sentence;
    try {
        http::Pages(std::get<mailer::Templates>(templates), texts, settings.mail.imprint);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return std::nullopt;
}

// The mailer of --with-mailer, on a thread of its own.
class Mailer {
 public:
    Mailer(mailer::Dispatcher& dispatcher, const Log& log) {
        std::promise<void> ended;
        ended_ = ended.get_future();
        thread_ = std::jthread([&dispatcher, log, ended = std::move(ended)](std::stop_token stop) mutable {
            while (!stop.stop_requested()) {
                try {
                    dispatcher.follow(stop, log_runs(log));
                } catch (const std::exception& error) {
                    log.error("mailer_failed", {{"why", error.what()}});
                    std::this_thread::sleep_for(std::chrono::seconds(1));
                }
            }
            ended.set_value();
        });
    }

    void ask_to_stop() { thread_.request_stop(); }
    void wait() const { ended_.wait(); }
    bool ended_by(std::chrono::steady_clock::time_point deadline) const {
        return ended_.wait_until(deadline) == std::future_status::ready;
    }

 private:
    std::future<void> ended_;
    std::jthread thread_;
};

void allow_many_connections() {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 16'384);
    setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

Exit serve(const Serve& options, const config::Settings& settings, const service::Rules& rules,
           std::unique_ptr<storage::SqliteStore> opened, const Log& log, const Signals& signals) {
    auto loaded = letter_templates(settings, rules.texts);
    if (const auto* problem = std::get_if<config::Problem>(&loaded))
        return fail(Exit::usage, problem->sentence);
    const auto& templates = std::get<mailer::Templates>(loaded);
    const auto courier = courier_of(settings);
    if (const auto* problem = std::get_if<config::Problem>(&courier))
        return fail(Exit::usage, problem->sentence);
    for (const std::string& warning : settings.warnings) log.warn("settings", {{"why", warning}});
    allow_many_connections();

    // In order of dependence: what stands below uses what stands above, and is gone before it.
    http::Metrics metrics;
    http::Network network(settings.server.threads);
    const std::unique_ptr<storage::SqliteStore> store =
        std::move(opened);  // its last answers go to the network

    http::PublicOptions public_options{*store,
                                       rules,
                                       metrics,
                                       templates,
                                       settings.server.public_url,
                                       settings.server.allowed_origins,
                                       settings.limits.per_ip,
                                       settings.mail.imprint};
    public_options.on_trouble = [log](std::string_view what) {
        log.error("request_failed", {{"why", what}});
    };
    http::Options public_listener = listener(settings.server.listen, settings, metrics, log);
    public_listener.on_refusal =
        http::public_refusals(settings.server.public_url, settings.server.allowed_origins);
    public_listener.on_untrusted_proxy = [&store = *store](const std::string& peer) {
        const service::ProxyNote note{service::client_network(peer), clock_now()};
        store.submit([note](service::Transaction& tx) { tx.note_proxy(note); }, [](service::CommitResult) {});
    };
    std::int64_t last_event = 0;
    service::run(*store, [&last_event](service::Transaction& tx) {
        last_event = tx.ledger_head().seq;
        if (tx.proxy_note()) tx.note_proxy(std::nullopt);  // of other settings, perhaps
    });
    metrics.follow_after(last_event);
    http::Server public_server(network, std::move(public_listener),
                               http::public_api(std::move(public_options)));

    http::PrivateOptions private_options{*store, rules, metrics, settings.storage.url.file.parent_path()};
    private_options.queue_depth = [&store = *store] {
        return static_cast<std::int64_t>(store.stats().queue_depth);
    };
    private_options.connections = [&public_server] {
        return static_cast<std::int64_t>(public_server.connections());
    };
    private_options.newsletter_rules = newsletter_rules_of(settings, rules.texts);
    private_options.public_url = settings.server.public_url;
    private_options.origins = settings.server.allowed_origins;
    private_options.origins.push_back(settings.server.public_url);
    private_options.openapi = config::builtin_openapi().at("openapi.json");
    http::Options private_listener = listener(settings.server.private_listen, settings, metrics, log);
    private_listener.limits.body = 1024 * 1024;
    private_listener.max_connections = 256;  // each may bring a body of that size
    private_listener.hosts = http::private_hosts(settings.server.private_listen);
    http::Server private_server(network, std::move(private_listener),
                                http::private_api(std::move(private_options)));

    const mailer::Stationery stationery = stationery_of(settings);
    mailer::Dispatcher dispatcher(*store, rules, templates, stationery, std::get<NewCourier>(courier),
                                  dispatch_options(settings, log));
    std::optional<Mailer> mailer;
    if (options.with_mailer) mailer.emplace(dispatcher, log);

    log.info("started", {{"public", url_of(settings.server.listen, public_server)},
                         {"private", url_of(settings.server.private_listen, private_server)},
                         {"public_url", settings.server.public_url},
                         {"settings", settings.file.empty() ? "defaults" : settings.file.string()},
                         {"database", settings.storage.url.file.string()},
                         {"letters", describe_route(settings)},
                         {"with_mailer", options.with_mailer},
                         {"threads", network.size()},
                         {"version", ZGODA_VERSION}});

    Exit exit = Exit::failed;  // not yet
    while (exit == Exit::failed) {
        const int signal = signals.wait();
        if (signal == SIGTERM || signal == SIGINT) exit = Exit::done;
        if (signal != SIGHUP) continue;
        if (const auto problem = restart_problem(settings))
            log.error("not_reloaded", {{"why", *problem}});
        else
            exit = Exit::reload;
    }
    log.info(exit == Exit::reload ? "reloading" : "stopping");
    if (exit == Exit::done) signals.release();  // a second one does not wait
    if (mailer) mailer->ask_to_stop();
    if (mailer && exit == Exit::reload) mailer->wait();  // for its letters, while readers are still served
    const auto deadline = std::chrono::steady_clock::now() + drain_time;
    std::thread other([&private_server] { private_server.drain(); });
    public_server.drain();
    other.join();
    if (mailer && !mailer->ended_by(deadline)) {
        // A relay is slow to answer. Without us its letter is due again at once, with the same Message-ID.
        log.warn("a letter was still under way");
        service::run(*store, [](service::Transaction&) {});
        _exit(0);
    }
    return exit;
}

}  // namespace zgoda::cli
