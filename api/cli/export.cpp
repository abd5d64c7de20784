#include "service/export.h"

#include <fmt/format.h>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/output.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/printable.h"

namespace zgoda::cli {

namespace {

// Also of an export that was cut short. On a full disk an export must still be
// possible: it is how the data gets out.
void record(const service::ExportFilter& filter, const service::ExportShape& shape, std::int64_t rows,
            service::Store& store) {
    const service::TimeMs now = clock_now();
    const std::string who = admin_name();
    try {
        service::run(store, [&](service::Transaction& tx) {
            service::audit_export(tx, who, filter, shape, rows, now);
        });
    } catch (const service::StorageError& error) {
        fmt::print(stderr, "zgoda: this export is not in `zgoda audit`: {}\n", error.what());
    }
}

}  // namespace

// Pages by subscription id, each page a short read of its own, so that the database's log can shrink
// meanwhile.
Exit export_subscribers(const Export& options, const std::string& public_url, const service::Rules& rules,
                        service::Store& store) {
    constexpr std::size_t page = 10'000;
    // Not among rows on a terminal.
    const bool bar = Progress::wanted() && !(options.output.empty() && is_decorated(stdout));

    service::ExportFilter filter;
    filter.status = options.status;
    filter.changed_since = options.changed_since;
    filter.locale = options.locale;
    bool found = true;
    std::int64_t total = 0;
    service::look(store, [&](service::Reader& reader) {
        if (!options.newsletter.empty()) {
            const auto newsletters = reader.newsletters();
            const service::Newsletter* newsletter = newsletters->find(options.newsletter);
            found = newsletter != nullptr;
            if (!found) return;
            filter.newsletter = newsletter->id;
        }
        if (bar) total = reader.count_export_rows(filter);
    });
    if (!found) {
        return fail(Exit::not_found,
                    fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all",
                                service::printable(options.newsletter)));
    }

    Output output(options.output);
    service::ExportShape shape;
    using Format = service::ExportShape::Format;
    shape.format = options.mailchimp ? Format::mailchimp : options.ndjson ? Format::ndjson : Format::csv;
    if (options.mailchimp) shape.mailchimp_file = *options.status;
    shape.raw = options.raw;
    if (options.links) shape.public_url = public_url;
    std::string text = service::export_header(shape);
    Progress progress("export", total);
    service::Id after = 0;
    std::int64_t done = 0;
    for (std::size_t count = page; count == page && !output.problem();) {
        service::look(store, [&](service::Reader& reader) {
            count = service::append_rows(text, reader, filter, shape, after, page, rules);
        });
        output.write(text);
        text.clear();
        done += static_cast<std::int64_t>(count);
        if (bar) progress.at(done);
    }
    output.write(text);
    output.finish();
    record(filter, shape, done, store);
    return output.problem() ? fail(Exit::failed, *output.problem()) : Exit::done;
}

}  // namespace zgoda::cli
