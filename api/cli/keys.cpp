#include <fmt/format.h>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "config/key_file.h"

namespace zgoda::cli {

Exit keys_rotate(const KeysRotate&, const config::Settings& settings, service::Store& store) {
    const service::TimeMs now = clock_now();
    const auto added = config::add_key(settings.secrets.key_file, now);
    if (const auto* problem = std::get_if<config::Problem>(&added))
        return fail(Exit::usage, problem->sentence);
    const int id = std::get<int>(added);
    const std::string who = admin_name();
    service::run(store, [&](service::Transaction& tx) {
        service::audit(tx, who, "keys rotate", fmt::format(R"({{"key":{}}})", id), now);
    });
    fmt::print("key {} signs from now on\n", id);
    fmt::print(stderr,
               "Reload the service and every `zgoda mail --follow` now (systemctl reload zgoda), and make a "
               "new copy "
               "of {}: backups from now on need it.\n",
               settings.secrets.key_file.string());
    return Exit::done;
}

}  // namespace zgoda::cli
