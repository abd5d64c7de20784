#include "api/cli/sending.h"

#include <fmt/format.h>

#include "config/locales.h"
#include "config/secret_file.h"

namespace zgoda::cli {

mailer::Stationery stationery_of(const config::Settings& settings) {
    return {settings.server.public_url,
            {settings.mail.from.name, settings.mail.from.address},
            settings.mail.imprint};
}

std::variant<mailer::Templates, config::Problem> letter_templates(const config::Settings& settings,
                                                                  const service::Texts& texts) {
    auto loaded = config::load_templates(settings.mail.templates);
    if (auto* problem = std::get_if<config::Problem>(&loaded)) return std::move(*problem);
    mailer::Templates templates = std::get<config::Templates>(std::move(loaded));
    if (const auto problem = mailer::template_problem(templates, texts)) {
        return config::Problem{
            fmt::format("mail.templates {}: {}", settings.mail.templates.string(), *problem)};
    }
    return templates;
}

std::variant<NewCourier, config::Problem> courier_of(const config::Settings& settings,
                                                     std::function<void(std::string_view)> on_reply) {
    if (const auto* maildir = std::get_if<config::Maildir>(&settings.mail.url)) {
        return NewCourier(
            [folder = maildir->folder.string()] { return mailer::make_maildir_courier(folder); });
    }
    const auto& relay = std::get<config::Relay>(settings.mail.url);
    auto password = config::load_password(settings.mail.password_file);
    if (auto* problem = std::get_if<config::Problem>(&password)) return std::move(*problem);

    if (!settings.mail.token_file.empty()) {
        auto token = config::read_secret_file(settings.mail.token_file, "mail.token_file");
        if (auto* problem = std::get_if<config::Problem>(&token)) return std::move(*problem);
    }

    mailer::SmtpOptions options;
    options.host = relay.host;
    options.port = relay.port;
    options.tls = settings.mail.tls == config::Tls::none ? mailer::SmtpOptions::Tls::none
                  : relay.implicit_tls                   ? mailer::SmtpOptions::Tls::implicit
                                                         : mailer::SmtpOptions::Tls::starttls;
    options.username = settings.mail.username;
    options.password = std::get<std::string>(std::move(password));
    options.token_file = settings.mail.token_file.string();
    options.letters_per_connection = settings.mail.letters_per_connection;
    options.on_reply = std::move(on_reply);
    return NewCourier([options] { return mailer::make_smtp_courier(options); });
}

mailer::DispatchOptions dispatch_options(const config::Settings& settings, const Log& log) {
    mailer::DispatchOptions options;
    options.connections = settings.mail.connections;
    options.rate_per_second = settings.mail.rate_per_second;
    options.bounce_domain = settings.mail.bounce_domain;
    options.domain_per_minute = settings.mail.domain_per_minute;
    options.on_trouble = [log](std::string_view sentence) { log.warn("mail_trouble", {{"why", sentence}}); };
    return options;
}

std::function<void(const mailer::Summary&)> log_runs(const Log& log) {
    return [log](const mailer::Summary& run) {
        log.info(
            "mailed",
            {{"sent", run.sent}, {"later", run.later}, {"refused", run.refused}, {"waiting", run.waiting}});
    };
}

std::string describe_route(const config::Settings& settings) {
    if (const auto* maildir = std::get_if<config::Maildir>(&settings.mail.url)) {
        return "maildir:" + maildir->folder.string();
    }
    const auto& relay = std::get<config::Relay>(settings.mail.url);
    const bool bare_ipv6 = relay.host.find(':') != std::string::npos;
    return fmt::format("{}://{}{}{}:{}", relay.implicit_tls ? "smtps" : "smtp", bare_ipv6 ? "[" : "",
                       relay.host, bare_ipv6 ? "]" : "", relay.port);
}

}  // namespace zgoda::cli
