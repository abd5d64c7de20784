#include "service/import_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

namespace zgoda::service {
namespace {

constexpr std::string_view format_words[] = {"zgoda",   "mailchimp",  "ghost",   "listmonk", "substack",
                                             "beehiiv", "buttondown", "phplist", "generic"};

// All columns of an export of ours. A table that has only some of them is not one: nothing vouches for it.
constexpr std::string_view own_columns[] = {"email",  "name",         "newsletter",   "status",
                                            "locale", "signed up at", "confirmed at", "unsubscribed at",
                                            "source", "form",         "fields"};

std::string spelled(std::string_view column) {
    std::string name(column);
    std::replace(name.begin(), name.end(), ' ', '_');
    return name;
}

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    return out;
}

// The ' that keeps spreadsheets from running a cell. phpList's guard has a space behind it.
std::string_view unguarded(std::string_view cell, ImportFormat format) {
    constexpr std::string_view runs = "=+-@\t\r'";
    if (cell.size() < 2 || cell[0] != '\'') return cell;
    if (format == ImportFormat::phplist && cell[1] == ' ' && cell.size() > 2 &&
        runs.find(cell[2]) != runs.npos) {
        return cell.substr(2);
    }
    if (cell[1] == '\'' && format != ImportFormat::zgoda) return cell;
    return runs.find(cell[1]) == runs.npos ? cell : cell.substr(1);
}

bool is_true(std::string_view text) {
    return text == "true" || text == "1" || text == "yes" || text == "y";
}

// The members of a JSON object as they are, or nothing.
std::string object_or_nothing(std::string_view text) {
    boost::json::error_code error;
    const auto value = boost::json::parse(boost::json::string_view(text.data(), text.size()), error);
    if (error || !value.is_object() || value.get_object().empty()) return {};
    return std::string(text);
}

}  // namespace

std::string_view word(ImportFormat format) {
    return format_words[static_cast<std::size_t>(format)];
}

std::optional<ImportFormat> parse_import_format(std::string_view text) {
    const auto found = std::find(std::begin(format_words), std::end(format_words), text);
    if (found == std::end(format_words)) return std::nullopt;
    return static_cast<ImportFormat>(found - std::begin(format_words));
}

std::optional<TimeMs> parse_any_time(std::string_view text) {
    if (const auto exact = parse_rfc3339(text)) return exact;
    // "2024-01-02 03:04[:05[.123456]]", then nothing, "UTC", "+0000", "+00:00", or Go's "+0000 UTC".
    const std::size_t day = text.find_first_of(" T");
    if (day != 10) return std::nullopt;
    std::string_view rest = text.substr(11);
    const std::size_t end = std::min(rest.find_first_not_of("0123456789:."), rest.size());
    std::string clock(rest.substr(0, end));
    if (clock.size() == 5) clock += ":00";
    rest = trim(rest.substr(end));
    std::string zone(rest.substr(0, rest.find(' ')));
    if (zone.empty() || zone == "UTC" || zone == "GMT") zone = "Z";
    if (zone.size() == 5 && (zone[0] == '+' || zone[0] == '-')) zone.insert(3, ":");
    return parse_rfc3339(fmt::format("{}T{}{}", text.substr(0, 10), clock, zone));
}

std::string json_of_python(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i];
        if (c == '\'' || c == '"') {
            out += '"';
            for (++i; i < text.size() && text[i] != c; ++i) {
                if (text[i] == '"') {
                    out += "\\\"";
                } else if (text[i] == '\\' && i + 1 < text.size()) {
                    const char escaped = text[++i];
                    if (escaped == '\'') {
                        out += '\'';
                    } else if (escaped == 'x' && i + 2 < text.size()) {
                        out += fmt::format("\\u00{}", text.substr(i + 1, 2));
                        i += 2;
                    } else {
                        out += {'\\', escaped};
                    }
                } else {
                    out += text[i];
                }
            }
            if (i == text.size()) return {};
            out += '"';
            ++i;
        } else if (text.substr(i).starts_with("None")) {
            out += "null";
            i += 4;
        } else if (text.substr(i).starts_with("True")) {
            out += "true";
            i += 4;
        } else if (text.substr(i).starts_with("False")) {
            out += "false";
            i += 5;
        } else {
            out += c;
            ++i;
        }
    }
    boost::json::error_code error;
    const auto value = boost::json::parse(out, error);
    return error ? std::string() : boost::json::serialize(value);
}

std::vector<std::string> split_labels(std::string_view cell, ImportFormat format) {
    std::vector<std::string> out;
    const auto take = [&out](std::string_view value) {
        value = trim(value);
        if (!value.empty()) out.emplace_back(value);
    };
    cell = trim(cell);
    if (cell.starts_with('[')) {
        boost::json::error_code error;
        const auto value = boost::json::parse(boost::json::string_view(cell.data(), cell.size()), error);
        if (!error && value.is_array()) {
            for (const auto& one : value.get_array()) {
                take(one.is_string() ? std::string_view(one.get_string().data(), one.get_string().size())
                                     : std::string_view(boost::json::serialize(one)));
            }
            return out;
        }
    }
    const bool semicolons = format == ImportFormat::buttondown || format == ImportFormat::phplist ||
                            (format == ImportFormat::generic && cell.find(';') != cell.npos);
    if (format == ImportFormat::phplist && cell == "No Lists") return out;
    std::string value;
    bool quoted = false;
    for (std::size_t i = 0; i < cell.size(); ++i) {
        const char c = cell[i];
        if (c == '"') {
            quoted = !quoted;
        } else if (c == '\\' && i + 1 < cell.size() && cell[i + 1] == ',') {
            value += cell[++i];
        } else if (!quoted && c == (semicolons ? ';' : ',')) {
            take(value);
            value.clear();
        } else {
            value += c;
        }
    }
    take(value);
    return out;
}

std::variant<ImportColumns, ImportColumns::Problem> ImportColumns::of(const std::vector<std::string>& header,
                                                                      std::span<const std::string_view> first,
                                                                      const ImportFormatOptions& options) {
    using F = ImportFormat;
    ImportColumns result;
    result.header_ = header;
    result.columns_.resize(header.size());
    result.labels_ = options.label_columns.size();
    result.raw_ = options.raw;

    std::vector<std::string> names;
    for (const std::string& one : header) {
        std::string name = lower(trim(one));
        std::replace(name.begin(), name.end(), '_', ' ');
        std::replace(name.begin(), name.end(), '-', ' ');
        names.push_back(std::move(name));
    }
    const auto has = [&](std::string_view name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };

    F format = F::generic;
    if (options.format) {
        format = *options.format;
    } else if (std::all_of(std::begin(own_columns), std::end(own_columns), has)) {
        format = F::zgoda;
    } else if (has("optin time") && (has("leid") || has("euid") || has("member rating"))) {
        format = F::mailchimp;
    } else if (has("email") && has("subscribed to emails")) {
        format = F::ghost;
    } else if (has("email") && has("uuid") && has("status")) {
        format = F::listmonk;
    } else if (has("email") && has("expiry") && (has("active subscription") || has("email disabled"))) {
        format = F::substack;
    } else if (has("email") && has("tier") && has("status") && has("stripe customer id")) {
        format = F::beehiiv;
    } else if (has("email") && has("subscriber type") && has("creation date")) {
        format = F::buttondown;
    } else if (has("email") && has("is this subscriber confirmed")) {
        format = F::phplist;
    }
    result.format_ = format;
    if (format == F::zgoda) {
        for (const std::string_view name : own_columns) {
            if (has(name)) continue;
            return Problem{{1, 0,
                            fmt::format("an export of zgoda's has a column \"{}\" too; with --format generic "
                                        "this is a table like any other",
                                        spelled(name))},
                           name == "email"};
        }
    }

    struct Rule {
        std::string_view name;
        Part part;
    };
    static const std::vector<Rule> rules[] = {
        // zgoda
        {{"email", address},
         {"name", name_part},
         {"newsletter", newsletter_part},
         {"status", status_part},
         {"locale", locale_part},
         {"signed up at", signed_up_at},
         {"confirmed at", confirmed_at},
         {"unsubscribed at", unsubscribed_at},
         {"source", source_part},
         {"form", form_part},
         {"fields", fields_part},
         {"unsubscribe url", nothing}},
        // mailchimp
        {{"email address", address},
         {"first name", first_name},
         {"last name", last_name},
         {"optin time", signed_up_at},
         {"optin ip", signup_ip},
         {"confirm time", confirmed_at},
         {"confirm ip", confirm_ip},
         {"unsub time", unsubscribed_at},
         {"clean time", clean_at},
         {"member rating", nothing},
         {"latitude", nothing},
         {"longitude", nothing},
         {"gmtoff", nothing},
         {"dstoff", nothing},
         {"timezone", nothing},
         {"cc", nothing},
         {"region", nothing},
         {"last changed", nothing},
         {"leid", nothing},
         {"euid", nothing},
         {"unsub campaign id", nothing},
         {"unsub campaign title", nothing},
         {"clean campaign title", nothing},
         {"clean campaign id", nothing},
         {"unsubscribe url", nothing}},
        // ghost
        {{"email", address},
         {"name", name_part},
         {"subscribed to emails", subscribed_flag},
         {"created at", signed_up_at},
         {"deleted at", deleted_at},
         {"id", nothing},
         {"complimentary plan", nothing},
         {"stripe customer id", nothing},
         {"gift id", nothing},
         {"import tier", nothing}},
        // listmonk
        {{"email", address},
         {"name", name_part},
         {"attributes", json_part},
         {"status", status_part},
         {"created at", signed_up_at},
         {"uuid", nothing},
         {"updated at", nothing}},
        // substack
        {{"email", address},
         {"created at", signed_up_at},
         {"email disabled", disabled_flag},
         {"active subscription", nothing},
         {"expiry", nothing},
         {"plan", nothing},
         {"type", nothing},
         {"first payment at", nothing},
         {"prefer digests", nothing},
         {"stripe connected customer id", nothing}},
        // beehiiv
        {{"email", address},
         {"first name", first_name},
         {"last name", last_name},
         {"status", status_part},
         {"created at", signed_up_at},
         {"unsubscribed at", unsubscribed_at},
         {"stripe customer id", nothing},
         {"tier", nothing}},
        // buttondown
        {{"email", address},
         {"subscriber type", status_part},
         {"creation date", created_at},
         {"subscription date", confirmed_at},
         {"unsubscription date", unsubscribed_at},
         {"ip address", signup_ip},
         {"referrer url", source_part},
         {"metadata", python_part},
         {"id", nothing},
         {"secondary id", nothing}},
        // phplist
        {{"email", address},
         {"is this subscriber confirmed", confirmed_flag},
         {"did this subscriber manually confirm", manual_flag},
         {"is this subscriber blacklisted", blacklisted_flag},
         {"entered", signed_up_at},
         {"id", nothing},
         {"number of bounces", nothing},
         {"last modified", nothing},
         {"unique id", nothing},
         {"send this subscriber html emails", nothing},
         {"foreign key", nothing}},
        // generic
        {{"email", address},
         {"email address", address},
         {"e mail", address},
         {"e mail address", address},
         {"mail", address},
         {"subscriber", address},
         {"address", address},
         {"name", name_part},
         {"full name", name_part},
         {"first name", first_name},
         {"firstname", first_name},
         {"last name", last_name},
         {"lastname", last_name},
         {"status", status_part},
         {"locale", locale_part},
         {"language", locale_part},
         {"signed up at", signed_up_at},
         {"subscribed at", signed_up_at},
         {"subscription date", signed_up_at},
         {"optin time", signed_up_at},
         {"date added", signed_up_at},
         {"created at", created_at},
         {"created", created_at},
         {"confirmed at", confirmed_at},
         {"confirm time", confirmed_at},
         {"unsubscribed at", unsubscribed_at},
         {"unsub time", unsubscribed_at},
         {"ip", signup_ip},
         {"ip address", signup_ip},
         {"optin ip", signup_ip},
         {"confirm ip", confirm_ip},
         {"source", source_part},
         {"form", form_part},
         {"newsletter", newsletter_part}},
    };
    std::optional<std::size_t> addresses;
    for (std::size_t i = 0; i < names.size(); ++i) {
        Part part = field;
        for (const Rule& rule : rules[static_cast<std::size_t>(format)]) {
            if (rule.name == names[i]) part = rule.part;
        }
        if (format == F::beehiiv && names[i].ends_with(" tier")) part = nothing;
        if (part == address) {
            if (addresses) part = field;
            if (!addresses) addresses = i;
        }
        for (std::size_t j = 0; j < options.label_columns.size(); ++j) {
            if (lower(trim(options.label_columns[j])) != lower(trim(header[i]))) continue;
            result.columns_[i].label = j;
            if (part == field || (part == newsletter_part && format != F::zgoda)) part = nothing;
        }
        result.names_newsletters_ |= part == newsletter_part;
        if (format == F::zgoda && part == field) {
            return Problem{{1, static_cast<std::int64_t>(i + 1),
                            fmt::format("\"{}\" is no column of zgoda's export; with --format generic it "
                                        "becomes a field",
                                        header[i])},
                           false};
        }
        result.columns_[i].part = part;
    }
    if (has("clean time") && format == F::mailchimp)
        result.file_status_ = SubscriptionStatus::bounced;
    else if (has("unsub time") && format == F::mailchimp)
        result.file_status_ = SubscriptionStatus::unsubscribed;

    if (!addresses && format == F::mailchimp) {
        // The owner's own label: the first of those columns that holds an address.
        for (std::size_t i = 0; i < header.size() && !addresses; ++i) {
            if (result.columns_[i].part != field) continue;
            if (names[i].find("mail") != std::string::npos ||
                (i < first.size() && first[i].find('@') != std::string_view::npos)) {
                addresses = i;
                result.columns_[i].part = address;
            }
        }
        if (!addresses && first.empty()) {  // and there is nobody in it
            addresses = 0;
            result.columns_[0].part = address;
        }
    }
    if (!addresses) {
        std::string all;
        for (std::size_t i = 0; i < std::min<std::size_t>(header.size(), 8); ++i)
            all += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", header[i].substr(0, 40));
        return Problem{{1, 0,
                        fmt::format("no column is called \"email\" (there is {}{}); name the one with the "
                                    "addresses so",
                                    all, header.size() > 8 ? " and more" : "")},
                       true};
    }
    for (std::size_t j = 0; j < options.label_columns.size(); ++j) {
        const bool there = std::any_of(result.columns_.begin(), result.columns_.end(),
                                       [j](const Column& one) { return one.label == j; });
        if (!there && result.file_status_ == SubscriptionStatus::confirmed) {
            return Problem{
                {1, 0, fmt::format("there is no column \"{}\", which --map names", options.label_columns[j])},
                false};
        }
    }
    return result;
}

std::optional<InputProblem> ImportColumns::read_status(std::string_view text, std::int64_t line,
                                                       std::int64_t column, ImportRow& row) const {
    using S = SubscriptionStatus;
    if (format_ == ImportFormat::zgoda) {
        const auto status = parse_subscription_status(text);
        if (!status) return InputProblem{line, column, fmt::format("\"{}\" is no status", text)};
        row.status = *status;
        return std::nullopt;
    }
    struct Word {
        std::string_view word;
        S status;
    };
    static constexpr Word words[] = {
        {"", S::confirmed},
        {"active", S::confirmed},
        {"subscribed", S::confirmed},
        {"confirmed", S::confirmed},
        {"enabled", S::confirmed},
        {"regular", S::confirmed},
        {"premium", S::confirmed},
        {"gifted", S::confirmed},
        {"trialed", S::confirmed},
        {"churning", S::confirmed},
        {"churned", S::confirmed},
        {"past_due", S::confirmed},
        {"paused", S::paused},
        {"unpaid", S::confirmed},
        {"pending", S::pending},
        {"unconfirmed", S::pending},
        {"unactivated", S::pending},
        {"validating", S::pending},
        {"upcoming", S::pending},
        {"needs_attention", S::pending},
        {"inactive", S::unsubscribed},
        {"disabled", S::unsubscribed},
        {"unsubscribed", S::unsubscribed},
        {"removed", S::unsubscribed},
        {"cancelled", S::unsubscribed},
        {"canceled", S::unsubscribed},
        {"left", S::unsubscribed},
        {"deleted", S::unsubscribed},
        {"bounced", S::bounced},
        {"cleaned", S::bounced},
        {"invalid", S::bounced},
        {"undeliverable", S::bounced},
        {"complained", S::complained},
        {"spam", S::complained},
        {"blocked", S::unsubscribed},
        {"blocklisted", S::unsubscribed},
        {"blacklisted", S::unsubscribed},
        {"suppressed", S::unsubscribed},
    };
    const std::string wanted = lower(trim(text));
    for (const Word& one : words) {
        if (one.word != wanted) continue;
        row.status = one.status;
        // Buttondown's "paused" is about paying.
        if (one.status == S::paused && format_ == ImportFormat::buttondown) row.status = S::confirmed;
        row.unwelcome = wanted.starts_with("bl") || wanted == "suppressed";
        return std::nullopt;
    }
    return InputProblem{line, column,
                        fmt::format("\"{}\" is no status that zgoda knows", text.substr(0, 60))};
}

std::optional<InputProblem> ImportColumns::read(std::span<const std::string_view> cells, std::int64_t line,
                                                ImportRow& row) const {
    using F = ImportFormat;
    row = {};
    row.labels.resize(labels_);
    row.status = file_status_;
    std::string_view first, last;
    std::optional<TimeMs> created;
    std::optional<bool> confirmed, manually;
    bool left = false, says_status = false;
    boost::json::object fields;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const Column& column = columns_[i];
        if (column.part == nothing && !column.label) continue;
        std::string_view cell = raw_ ? cells[i] : unguarded(cells[i], format_);
        if (column.label) row.labels[*column.label] = split_labels(cell, format_);
        // Ours comes back as it went; what others wrote may be padded.
        if (format_ != F::zgoda) cell = trim(cell);
        const auto number = static_cast<std::int64_t>(i + 1);
        const auto take_time = [&](std::optional<TimeMs>& into) -> std::optional<InputProblem> {
            if (cell.empty() || cell.starts_with("0000-00-00")) return std::nullopt;
            into = format_ == F::zgoda ? parse_rfc3339(cell) : parse_any_time(cell);
            if (into) return std::nullopt;
            return InputProblem{line, number,
                                fmt::format("\"{}\" ({}) is no date; it should look like "
                                            "2024-01-31T12:00:00Z",
                                            cell.substr(0, 60), header_[i])};
        };
        std::optional<InputProblem> problem;
        switch (column.part) {
            case nothing:
                break;
            case field:
                if (!cell.empty()) fields[header_[i]] = boost::json::string_view(cell.data(), cell.size());
                break;
            case address:
                row.address = cell;
                break;
            case name_part:
                row.name = cell;
                break;
            case first_name:
                first = cell;
                break;
            case last_name:
                last = cell;
                break;
            case locale_part:
                row.locale = cell;
                break;
            case newsletter_part:
                row.newsletter = cell;
                row.newsletter_column = number;
                break;
            case status_part:
                problem = read_status(cell, line, number, row);
                says_status = !cell.empty();
                break;
            case signed_up_at:
                problem = take_time(row.signed_up_at);
                break;
            case created_at:
                problem = take_time(created);
                break;
            case confirmed_at:
                problem = take_time(row.confirmed_at);
                break;
            case unsubscribed_at:
                problem = take_time(row.unsubscribed_at);
                left = row.unsubscribed_at.has_value();
                break;
            case clean_at:
                problem = take_time(row.unsubscribed_at);
                break;
            case deleted_at:
                problem = take_time(row.unsubscribed_at);
                left |= row.unsubscribed_at.has_value();
                break;
            case signup_ip:
                row.signup_ip = cell;
                break;
            case confirm_ip:
                row.confirm_ip = cell;
                break;
            case source_part:
                row.source = cell;
                break;
            case form_part:
                row.form = cell;
                break;
            case fields_part:
                row.fields = object_or_nothing(cell);
                if (row.fields.empty() && !cell.empty() && trim(cell) != "{}")
                    problem = InputProblem{line, number, "the fields are no JSON object"};
                break;
            case python_part:
            case json_part: {
                const std::string json =
                    object_or_nothing(column.part == json_part ? std::string(cell) : json_of_python(cell));
                if (!json.empty()) {
                    const boost::json::value all = boost::json::parse(json);
                    for (const auto& [key, value] : all.get_object()) fields[key] = value;
                } else if (!cell.empty() && cell != "{}") {
                    fields[header_[i]] = boost::json::string_view(cell.data(), cell.size());
                }
                break;
            }
            case subscribed_flag:
                left |= lower(cell) == "false";
                break;
            case disabled_flag:
                left |= is_true(lower(cell));
                break;
            case confirmed_flag:
                confirmed = is_true(lower(cell));
                break;
            case manual_flag:
                manually = is_true(lower(cell));
                break;
            case blacklisted_flag:
                left |= is_true(lower(cell));
                break;
        }
        if (problem) return problem;
    }
    if (format_ == F::zgoda) {
        row.proven = true;
        return std::nullopt;
    }
    if (!first.empty() || !last.empty())
        row.name = fmt::format("{}{}{}", first, first.empty() || last.empty() ? "" : " ", last);
    if (!row.signed_up_at) row.signed_up_at = created ? created : row.confirmed_at;
    if (!fields.empty()) row.fields = boost::json::serialize(fields);
    using S = SubscriptionStatus;
    // A table that has left dates but says somebody is active means somebody who came back.
    const bool came_back = says_status && format_ == F::generic && row.status == S::confirmed;
    if (left && !came_back && row.status < S::unsubscribed) row.status = S::unsubscribed;
    if (confirmed && !*confirmed && row.status == S::confirmed) row.status = S::pending;
    row.proven = row.confirmed_at.has_value() || manually.value_or(confirmed.value_or(false));
    row.no_person = format_ == F::substack && row.address.ends_with("@deletion-request.substack.com");
    return std::nullopt;
}

}  // namespace zgoda::service
