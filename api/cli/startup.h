// What every start does: reads the settings, opens what they name, and says what to do when that is
// impossible.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "api/cli/verbs.h"
#include "config/problem.h"
#include "service/keyring.h"
#include "storage/sqlite/sqlite_store.h"

namespace zgoda::cli {

// The settings of this file ("": wherever they are looked for) and of the environment.
std::variant<config::Settings, config::Problem> read_settings(const std::string& config_file);

// Trouble of the running store goes to the log; a broken one ends the process with 70 within a second.
enum class Opener {
    service,
    command
};  // the service makes a missing database, and drops what waits for too long
storage::SqliteOptions sqlite_options(const config::Settings&, Opener, const Log&);

// The exit code for a database that cannot be used, after a sentence that says why and what to do.
// `command_line` is how this program was called, for the owner of the database to repeat.
Exit refuse(const storage::OpenProblem&, const config::Settings&, const std::string& command_line);

// The keys, made now if there are neither keys nor data. An Exit was explained on stderr.
std::variant<service::Keyring, Exit> open_keys(const config::Settings&, bool data_present);

bool database_exists(const config::Settings&);  // or stands where this user can't look

service::Rules rules_of(const config::Settings&, const service::Keyring&, const service::Texts&);
service::NewsletterRules newsletter_rules_of(const config::Settings&, const service::Texts&);

}  // namespace zgoda::cli
