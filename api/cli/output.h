// Where a verb writes its result: stdout, or a file that appears whole or not at all.
//
// The file is written beside its final name (0600, ".NAME.XXXXXX"), brought to disk, and renamed by finish().
// Without finish() nothing of it is left, unless the process is killed: then only the temporary file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace zgoda::cli {

class Output {
 public:
    explicit Output(const std::string& file);  // "" and "-": stdout
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
