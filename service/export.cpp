#include "service/export.h"

#include <boost/json.hpp>

#include "service/audit.h"
#include "service/withdrawal.h"

namespace zgoda::service {
namespace {

void append_cell(std::string& out, std::string_view cell, bool raw) {
    const bool guard =
        !raw && !cell.empty() && std::string_view("=+-@\t\r'").find(cell.front()) != std::string_view::npos;
    if (cell.find_first_of(",\"\r\n") == cell.npos) {
        if (guard) out.push_back('\'');
        out.append(cell);
        return;
    }
    out.push_back('"');
    if (guard) out.push_back('\'');
    for (const char c : cell) {
        if (c == '"') out.push_back('"');
        out.push_back(c);
    }
    out.push_back('"');
}

void append_json(std::string& out, std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    out.push_back('"');
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte < 0x20) {
            out.append("\\u00");
            out.push_back(digits[byte >> 4]);
            out.push_back(digits[byte & 15]);
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
}

void append_json_time(std::string& out, std::string_view name, const std::optional<TimeMs>& time) {
    out.append(name);
    if (!time) {
        out.append("null");
        return;
    }
    out.push_back('"');
    out.append(rfc3339(*time));
    out.push_back('"');
}

}  // namespace

std::string csv_header(bool links) {
    std::string header =
        "email,name,newsletter,status,locale,signed_up_at,confirmed_at,unsubscribed_at,source,form,fields";
    if (links) header += ",unsubscribe_url";
    return header + "\r\n";
}

void append_csv(std::string& out, const ExportRow& row, bool raw, const std::string* url) {
    append_cell(out, row.email, raw);
    out.push_back(',');
    append_cell(out, row.name, raw);
    out.push_back(',');
    out.append(row.newsletter);
    out.push_back(',');
    out.append(word(row.status));
    out.push_back(',');
    out.append(row.locale);
    out.push_back(',');
    out.append(rfc3339(row.signed_up_at));
    out.push_back(',');
    if (row.confirmed_at) out.append(rfc3339(*row.confirmed_at));
    out.push_back(',');
    if (row.unsubscribed_at) out.append(rfc3339(*row.unsubscribed_at));
    out.push_back(',');
    append_cell(out, row.source, raw);
    out.push_back(',');
    append_cell(out, row.form, raw);
    out.push_back(',');
    append_cell(out, row.fields, raw);
    if (url != nullptr) {
        out.push_back(',');
        append_cell(out, *url, raw);
    }
    out.append("\r\n");
}

void append_ndjson(std::string& out, const ExportRow& row, const std::string* url) {
    out.append("{\"email\":");
    append_json(out, row.email);
    out.append(",\"name\":");
    append_json(out, row.name);
    out.append(",\"newsletter\":");
    append_json(out, row.newsletter);
    out.append(",\"status\":");
    append_json(out, word(row.status));
    out.append(",\"locale\":");
    append_json(out, row.locale);
    append_json_time(out, ",\"signed_up_at\":", row.signed_up_at);
    append_json_time(out, ",\"confirmed_at\":", row.confirmed_at);
    append_json_time(out, ",\"unsubscribed_at\":", row.unsubscribed_at);
    out.append(",\"source\":");
    append_json(out, row.source);
    out.append(",\"form\":");
    append_json(out, row.form);
    out.append(",\"fields\":");
    out.append(row.fields.empty() ? std::string_view("{}") : row.fields);
    if (url != nullptr) {
        out.append(",\"unsubscribe_url\":");
        append_json(out, *url);
    }
    out.append("}\n");
}

std::string mailchimp_header(SubscriptionStatus status, bool links) {
    std::string header =
        "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,"
        "LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,";
    if (status == SubscriptionStatus::unsubscribed)
        header += "UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,UNSUB_REASON_OTHER,";
    else if (status == SubscriptionStatus::bounced)
        header += "CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,";
    else
        header += "LAST_CHANGED,";
    header += "LEID,EUID,NOTES,TAGS";
    if (links) header += ",UNSUBSCRIBE_URL";
    return header + "\r\n";
}

void append_mailchimp(std::string& out, const ExportRow& row, bool raw, const std::string* url) {
    // "2023-04-21 11:16:57", UTC.
    const auto time = [&out](const std::optional<TimeMs>& at) {
        if (!at) return;
        const std::string text = rfc3339(*at);
        out.append(text, 0, 10).append(" ").append(text, 11, 8);
    };
    append_cell(out, row.email, raw);
    out.push_back(',');
    append_cell(out, row.name, raw);
    out.append(",,,");
    time(row.signed_up_at);
    out.append(",,");
    time(row.confirmed_at);
    out.append(",,,,,,,,,");
    if (row.status == SubscriptionStatus::unsubscribed) {
        time(row.unsubscribed_at);
        out.append(",,,,,");
    } else if (row.status == SubscriptionStatus::bounced) {
        time(row.unsubscribed_at);
        out.append(",,,");
    } else {
        time(row.confirmed_at ? row.confirmed_at : row.signed_up_at);
        out.push_back(',');
    }
    out.append(",,,");  // LEID, EUID, NOTES
    out.append("\"\"\"").append(row.newsletter).append("\"\"\"");
    if (url != nullptr) {
        out.push_back(',');
        append_cell(out, *url, raw);
    }
    out.append("\r\n");
}

std::string export_header(const ExportShape& shape) {
    switch (shape.format) {
        case ExportShape::Format::csv:
            return csv_header(!shape.public_url.empty());
        case ExportShape::Format::mailchimp:
            return mailchimp_header(shape.mailchimp_file, !shape.public_url.empty());
        case ExportShape::Format::ndjson:
            break;
    }
    return {};
}

std::size_t append_rows(std::string& out, Reader& reader, const ExportFilter& filter,
                        const ExportShape& shape, Id& after, std::size_t limit, const Rules& rules) {
    std::string url;
    return reader.export_rows(filter, after, limit, [&](const ExportRow& row) {
        if (!shape.public_url.empty())
            url = shape.public_url +
                  "/unsubscribe?t=" + unsubscribe_token(row.subscription, rules, rules.keys.newest());
        const std::string* link = url.empty() ? nullptr : &url;
        if (shape.format == ExportShape::Format::mailchimp)
            append_mailchimp(out, row, shape.raw, link);
        else if (shape.format == ExportShape::Format::ndjson)
            append_ndjson(out, row, link);
        else
            append_csv(out, row, shape.raw, link);
        after = row.subscription;
    });
}

void audit_export(Transaction& tx, const std::string& who, const ExportFilter& filter,
                  const ExportShape& shape, std::optional<std::int64_t> rows, TimeMs now) {
    boost::json::object details;
    if (rows) details["rows"] = *rows;
    details["status"] = filter.status ? word(*filter.status) : "all";
    if (filter.newsletter) details["newsletter"] = *filter.newsletter;
    // What is no language may be anything, an address too; and nobody has it.
    if (!filter.locale.empty())
        details["locale"] = filter.locale.find('@') == filter.locale.npos ? filter.locale : "?";
    if (filter.changed_since) details["changed_since"] = rfc3339(*filter.changed_since);
    if (!shape.public_url.empty()) details["links"] = true;
    audit(tx, who, "export", boost::json::serialize(details), now);
}

}  // namespace zgoda::service
