// Rows for people's spreadsheets and programs: RFC 4180 CSV (UTF-8, CRLF) and NDJSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

// "email,name,newsletter,status,locale,signed_up_at,confirmed_at,unsubscribed_at,source,form,fields" and,
// with links,
// ",unsubscribe_url"; with its CRLF.
std::string csv_header(bool links);

// Appends one row. A cell that a spreadsheet would run (first character = + - @ TAB CR), and one that starts
// with ', gets a leading ' that import takes off again; `raw` leaves cells as they are. `url` only with
// links.
void append_csv(std::string& out, const ExportRow&, bool raw, const std::string* url);
void append_ndjson(std::string& out, const ExportRow&, const std::string* url);

// Mailchimp's columns, in its order; which file it is, its columns say: of the subscribed, the unsubscribed,
// or the cleaned, whose mail bounced. What Mailchimp alone knows stays empty; the newsletter stands in TAGS.
std::string mailchimp_header(SubscriptionStatus, bool links);
void append_mailchimp(std::string& out, const ExportRow&, bool raw, const std::string* url);

struct ExportShape {
    enum class Format { csv, ndjson, mailchimp } format = Format::csv;
    SubscriptionStatus mailchimp_file = SubscriptionStatus::confirmed;  // see mailchimp_header()
    bool raw = false;
    std::string public_url;  // of the unsubscribe links; "": none
};

// What stands before the first row; "" for NDJSON.
std::string export_header(const ExportShape&);

// Appends up to `limit` rows, those after the subscription `after`, which becomes the last one appended. How
// many.
std::size_t append_rows(std::string& out, Reader&, const ExportFilter&, const ExportShape&, Id& after,
                        std::size_t limit, const Rules&);

// The record of an act: who took which people along. `rows`: how many, where that is known when it is
// written.
void audit_export(Transaction&, const std::string& who, const ExportFilter&, const ExportShape&,
                  std::optional<std::int64_t> rows, TimeMs now);

}  // namespace zgoda::service
