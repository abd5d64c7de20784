// What the settings make of the mailer's parts.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "api/cli/log.h"
#include "config/problem.h"
#include "config/settings.h"
#include "mailer/courier.h"
#include "mailer/dispatcher.h"
#include "mailer/render.h"

namespace zgoda::cli {

mailer::Stationery stationery_of(const config::Settings&);

// The templates of the settings, fit for letters in every language.
std::variant<mailer::Templates, config::Problem> letter_templates(const config::Settings&,
                                                                  const service::Texts&);

// Makes a courier each time it is called, from any thread: the relay's, or the Maildir's. `on_reply` hears
// the relay's lines; may be empty. The Problem is about mail.password_file.
using NewCourier = std::function<std::unique_ptr<mailer::Courier>()>;
std::variant<NewCourier, config::Problem> courier_of(const config::Settings&,
                                                     std::function<void(std::string_view)> on_reply = {});

// How fast and over how many connections; trouble goes to the log.
mailer::DispatchOptions dispatch_options(const config::Settings&, const Log&);

// For Dispatcher::follow(): a line in the log for each run that did something.
std::function<void(const mailer::Summary&)> log_runs(const Log&);

// "smtp://relay.example.org:587" or "maildir:/var/lib/zgoda/letters".
std::string describe_route(const config::Settings&);

}  // namespace zgoda::cli
