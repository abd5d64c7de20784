// What tests of the command line share: a newsroom in memory, and what a verb says.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <variant>

#include "api/cli/verbs.h"
#include "config/locales.h"
#include "service/confirmation.h"
#include "service/keyring.h"
#include "service/signup.h"
#include "tests/support/memory_store.h"

namespace zgoda::tests {

// What is written to a descriptor while it lives; text() ends it.
class Captured {
 public:
    explicit Captured(std::FILE* stream) : stream_(stream), file_(std::tmpfile()) {
        std::fflush(stream_);
        before_ = dup(fileno(stream_));
        dup2(fileno(file_), fileno(stream_));
    }
    ~Captured() { end(); }
    Captured(const Captured&) = delete;
    Captured& operator=(const Captured&) = delete;

    std::string text() {
        end();
        return text_;
    }

 private:
    void end() {
        if (file_ == nullptr) return;
        std::fflush(stream_);
        dup2(before_, fileno(stream_));
        close(before_);
        std::rewind(file_);
        for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) text_ += static_cast<char>(c);
        std::fclose(file_);
        file_ = nullptr;
    }

    std::FILE* stream_;
    std::FILE* file_;
    int before_ = -1;
    std::string text_;
};

struct Said {
    cli::Exit exit;
    std::string out, err;
};

template <class Verb>
Said said_by(Verb verb) {
    Captured out(stdout), err(stderr);
    const cli::Exit exit = verb();
    return {exit, out.text(), err.text()};
}

struct TemporaryFolder {
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "zgoda-cli-XXXXXX").string();
        path = mkdtemp(name.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    std::filesystem::path path;
};

struct Newsroom {
    MemoryStore store;
    service::Keyring keys{{service::MasterKey{1, {1, 2, 3}, 0}}};
    service::Texts texts = config::load_texts();
    service::Rules rules{keys, texts, {}, "localhost", {}};
    service::NewsletterRules newsletter_rules{{}, {"en", "uk"}, {"subscribe"}};
    service::Moment moment{1'800'000'000'000, {}};

    explicit Newsroom(std::initializer_list<const char*> slugs = {}) {
        for (const char* slug : slugs) {
            cli::newsletter_add({slug, "", {{"name", slug}}}, newsletter_rules, store);
        }
    }

    void sign_up(const std::string& address, const std::string& slug, const std::string& name = "") {
        service::SignupForm form;
        form.email = address;
        form.newsletters = {slug};
        form.name = name;
        form.client.ip = "203.0.113.7";
        const auto signup = std::get<service::Signup>(service::check_signup(form, rules));
        service::run(store, [&](service::Transaction& tx) { service::subscribe(tx, signup, rules, moment); });
        moment.seed[0]++;
    }

    // As if she had pressed the button.
    void confirm_all() {
        for (auto& [id, subscription] : store.tables.subscriptions) {
            subscription.status = service::SubscriptionStatus::confirmed;
            subscription.confirmed_at = moment.now;
        }
    }
};

}  // namespace zgoda::tests
