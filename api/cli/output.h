// Where a verb writes its result: stdout, or a file that appears whole or not at all.
//
// The file is written beside its final name (0600, ".NAME.XXXXXX"), brought to disk, and renamed by finish().
// Without finish() nothing of it is left, unless the process is killed: then only the temporary file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace zgoda::cli {

// A sentence, if what stands at `file` can't be replaced by a file: a folder, a pipe, a device, or a link
// that leads to nothing with a name.
std::optional<std::string> no_place_for_file(const std::string& file);

class Output {
 public:
    explicit Output(const std::string& file);  // "" and "-", or a name of what stdout is: stdout
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    ~Output();

    // After trouble nothing more is written; problem() says what it was, in one sentence.
    void write(std::string_view);
    void finish();
    const std::optional<std::string>& problem() const { return problem_; }

 private:
    void fail(std::string_view what);

    int file_ = -1;
    std::string name_;       // "": stdout
    std::string temporary_;  // "" when there is none (any more)
    std::optional<std::string> problem_;
};

}  // namespace zgoda::cli
