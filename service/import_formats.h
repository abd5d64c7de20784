// What a row of an import file says, whoever wrote the file.
//
// Each format is known by its columns; zgoda's own, Mailchimp's three, Ghost, listmonk, Substack, beehiiv,
// Buttondown and phpList. Any other table needs a column of addresses that is called so in English. What no
// rule knows is kept as a field of the subscription, under its column's name. Arithmetic: nothing here asks a
// database, and nothing decides about a person.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "service/table_reader.h"
#include "service/time.h"
#include "service/words.h"

namespace zgoda::service {

enum class ImportFormat {
    zgoda,
    mailchimp,
    ghost,
    listmonk,
    substack,
    beehiiv,
    buttondown,
    phplist,
    generic,
};
std::string_view word(ImportFormat);
std::optional<ImportFormat> parse_import_format(std::string_view);

struct ImportRow {
    std::string address;
    std::string name;
    std::string locale;
    std::string newsletter;                        // slug, where the file names it
    std::int64_t newsletter_column = 0;            // in which cell; 0: it does not
    std::vector<std::vector<std::string>> labels;  // values in the columns of --map, in their order
    SubscriptionStatus status = SubscriptionStatus::confirmed;
    bool proven = false;     // the file shows that she confirmed
    bool unwelcome = false;  // blocked or blacklisted there
    bool no_person = false;  // Substack's own mark in place of somebody who was deleted
    std::optional<TimeMs> signed_up_at, confirmed_at, unsubscribed_at;
    std::string signup_ip, confirm_ip;
    std::string source, form;
    std::string fields;  // JSON object, or ""
};

struct ImportFormatOptions {
    std::optional<ImportFormat> format;      // nullopt: found out
    std::vector<std::string> label_columns;  // of --map
    bool raw = false;                        // leaves the ' that guards a cell from spreadsheets
};

// Turns the cells of one file into rows. Immutable; any thread.
class ImportColumns {
 public:
    // From the header and the first row (empty if there is none), which shows where the addresses stand in a
    // file of Mailchimp's whose labels are translated. `no_addresses` tells a file that is no list of people
    // from one with another mistake.
    struct Problem {
        InputProblem problem;
        bool no_addresses = false;
    };
    static std::variant<ImportColumns, Problem> of(const std::vector<std::string>& header,
                                                   std::span<const std::string_view> first,
                                                   const ImportFormatOptions&);

    ImportFormat format() const { return format_; }
    // Whether each row names its newsletter: always in our own format, and in any other table with a column
    // called newsletter, unless --map says what its values mean.
    bool names_newsletters() const { return names_newsletters_; }
    // A status or time that cannot be is a problem of the whole file. `line` is for the problem's sake.
    std::optional<InputProblem> read(std::span<const std::string_view> cells, std::int64_t line,
                                     ImportRow&) const;
    const std::string& name(std::size_t column) const { return header_[column]; }

 private:
    enum Part : std::uint8_t {
        nothing,
        field,
        address,
        name_part,
        first_name,
        last_name,
        locale_part,
        newsletter_part,
        status_part,
        signed_up_at,
        confirmed_at,
        unsubscribed_at,
        created_at,  // stands in for signed_up_at
        clean_at,
        signup_ip,
        confirm_ip,
        source_part,
        form_part,
        fields_part,
        python_part,
        json_part,
        subscribed_flag,
        disabled_flag,
        confirmed_flag,
        manual_flag,
        blacklisted_flag,
        deleted_at,
    };
    struct Column {
        Part part = nothing;
        std::optional<std::size_t> label;  // which of label_columns
    };

    std::optional<InputProblem> read_status(std::string_view text, std::int64_t line, std::int64_t column,
                                            ImportRow&) const;

    ImportFormat format_ = ImportFormat::generic;
    std::vector<std::string> header_;
    std::vector<Column> columns_;
    std::size_t labels_ = 0;
    bool raw_ = false;
    bool names_newsletters_ = false;
    SubscriptionStatus file_status_ = SubscriptionStatus::confirmed;
};

// A point in time as any of these services writes it; without a zone it is UTC. nullopt: it is none.
std::optional<TimeMs> parse_any_time(std::string_view);

// A Python literal, as Buttondown's metadata, as JSON; "" if it is none.
std::string json_of_python(std::string_view);

// The values of one cell: a quoted list, a JSON array, or separated by ; or , ("\," is no separator).
std::vector<std::string> split_labels(std::string_view cell, ImportFormat);

}  // namespace zgoda::service
