#include "api/cli/own_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "api/cli/output.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

namespace fs = std::filesystem;

struct Target {
    std::string file;
    std::string input;  // of the same verb; "": none
    bool backup;
};

std::vector<Target> outputs_of(const Verb& verb) {
    if (const auto* one = std::get_if<Export>(&verb)) return {{one->output, "", false}};
    if (const auto* one = std::get_if<LetterPreview>(&verb)) return {{one->output, "", false}};
    if (const auto* one = std::get_if<Import>(&verb)) return {{one->report, one->file, false}};
    if (const auto* one = std::get_if<UnsubscribeImport>(&verb)) return {{one->report, one->file, false}};
    if (const auto* one = std::get_if<Backup>(&verb))
        return {{one->file, "", true}, {one->file + ".head", "", true}};
    return {};
}

// The name that is left when all links are followed, as far as there is such a file.
fs::path resolved(const fs::path& file) {
    std::error_code error;
    const fs::path path = fs::weakly_canonical(fs::absolute(file), error);
    return error ? fs::absolute(file).lexically_normal() : path;
}

bool same_file(const fs::path& a, const fs::path& b) {
    std::error_code error;
    return fs::equivalent(a, b, error) || resolved(a) == resolved(b);
}

// The database, and what stands beside it only while it is at work.
bool is_database(const fs::path& file, const fs::path& database) {
    for (const char* ending : {"", "-wal", "-shm", "-journal", ".lock", ".turn", ".users"})
        if (same_file(file, database.string() + ending)) return true;
    const fs::path path = resolved(file), original = resolved(database);
    const std::string name = path.filename().string();
    return path.parent_path() == original.parent_path() &&
           name.starts_with(original.filename().string() + ".") && name.ends_with(".lock");
}

// What this file is to zgoda; nullptr: nothing.
const char* own_file(const fs::path& file, const config::Settings& settings) {
    if (is_database(file, settings.storage.url.file)) return "the database or a part of it (storage.url)";
    struct Own {
        const fs::path& file;
        const char* what;
    };
    const Own own[] = {
        {settings.secrets.key_file, "the key file (secrets.key_file)"},
        {settings.storage.withdrawals_journal, "the withdrawals journal (storage.withdrawals_journal)"},
        {settings.mail.password_file, "the relay's password (mail.password_file)"},
        {settings.mail.token_file, "the relay's token (mail.token_file)"},
        {settings.file, "the settings file"}};
    for (const Own& one : own)
        if (!one.file.empty() && same_file(file, one.file)) return one.what;
    return nullptr;
}

}  // namespace

std::optional<std::string> output_problem(const Verb& verb, const config::Settings& settings) {
    for (const Target& one : outputs_of(verb)) {
        if (one.file.empty() || (one.file == "-" && !one.backup)) continue;
        const std::string name = service::printable(one.file);
        if (const char* what = own_file(one.file, settings))
            return fmt::format("cannot write {}: it is {}; take another name", name, what);
        if (!one.input.empty() && same_file(one.file, one.input == "-" ? "/dev/stdin" : one.input))
            return fmt::format("cannot write {}: it is the file that is to be read; take another name", name);
        if (const auto problem = one.backup ? no_place_for_file(one.file) : std::nullopt)
            return *problem + "; take another name";
    }
    return std::nullopt;
}

}  // namespace zgoda::cli
