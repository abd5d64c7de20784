// What `zgoda doctor` makes of what it sees. The whole verb is looked at in tests/end_to_end.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "api/cli/doctor.h"
#include "tests/api/cli_fixture.h"

using namespace zgoda;
using namespace zgoda::cli;
using Grade = Finding::Grade;

namespace {

constexpr std::uintmax_t mib = 1024 * 1024;
constexpr service::TimeMs now = 1'800'000'000'000;

bool says(const Finding& one, const char* text) {
    return one.what.find(text) != std::string::npos || one.to_do.find(text) != std::string::npos;
}

}  // namespace

TEST_SUITE("doctor") {
    TEST_CASE("the disk: enough, little, full, or not to be seen") {
        const auto grade = [](std::uintmax_t free) {
            return check_disk("/data", DiskSpace{free * mib, 100'000 * mib}).grade;
        };
        CHECK(grade(1024) == Grade::ok);
        CHECK(grade(1023) == Grade::warning);
        CHECK(grade(64) == Grade::warning);
        CHECK(grade(63) == Grade::failure);
        CHECK(check_disk("/data", std::nullopt).grade == Grade::failure);
        CHECK(says(check_disk("/data", DiskSpace{100 * mib, 1000 * mib}), "100 MiB of 1000 MiB"));
    }

    TEST_CASE("the clock: behind the ledger is wrong, without a time service is doubtful") {
        CHECK(check_clock(now, now - 1, true).grade == Grade::ok);
        CHECK(check_clock(now, std::nullopt, true).grade == Grade::ok);
        CHECK(check_clock(now, now + service::minute_ms, true).grade == Grade::ok);
        CHECK(check_clock(now, now + service::hour_ms, true).grade == Grade::failure);
        CHECK(check_clock(now, now - 1, false).grade == Grade::warning);
    }

    TEST_CASE("permissions: what others may read or write, each with its remedy") {
        const tests::TemporaryFolder folder;
        config::Settings settings;
        settings.storage.url.file = folder.path / "zgoda.db";
        settings.storage.withdrawals_journal = folder.path / "withdrawals.log";
        settings.mail.url = config::Maildir{folder.path / "letters"};
        settings.file = folder.path / "zgoda.toml";
        settings.mail.password_file.clear();
        for (const auto& file :
             {settings.storage.url.file, settings.storage.withdrawals_journal, settings.file}) {
            std::ofstream(file) << "x";
            chmod(file.c_str(), 0600);
        }
        REQUIRE(check_permissions(settings).size() == 1);
        CHECK(check_permissions(settings)[0].grade == Grade::ok);
        chmod(settings.storage.url.file.c_str(), 0640);
        chmod(settings.storage.withdrawals_journal.c_str(), 0602);
        chmod(settings.file.c_str(), 0664);
        const auto found = check_permissions(settings);
        REQUIRE(found.size() == 3);
        for (const Finding& one : found) CHECK(one.grade == Grade::failure);
        CHECK(says(found[0], "may be read by others (mode 640)"));
        CHECK(says(found[0], "chmod 600"));
        CHECK(says(found[1], "may be written by others"));
        CHECK(says(found[2], "zgoda.toml"));
        chmod(folder.path.c_str(), 0777);
        CHECK(says(check_permissions(settings)[0], "chmod go-w"));
        settings.mail.password_file = folder.path / "missing";
        CHECK(check_permissions(settings).size() == 5);
    }

    TEST_CASE("the relay, in its own words") {
        using mailer::Outcome;
        CHECK(check_relay("smtp://relay:587", {Outcome::Kind::delivered, {}, {}, false}).grade == Grade::ok);
        const Finding wrong = check_relay(
            "smtp://relay:587", {Outcome::Kind::try_later, Outcome::Scope::config, "535 no", false});
        CHECK(wrong.grade == Grade::failure);
        CHECK(says(wrong, "535 no"));
        CHECK(says(wrong, "[mail]"));
        CHECK(check_relay("smtp://relay:587", {Outcome::Kind::try_later, Outcome::Scope::relay, "", false})
                  .grade == Grade::failure);
    }

    TEST_CASE("the mailer: letters that lie, letters that are held, and a mailer that nobody started") {
        const service::OutboxCounts none;
        const service::OutboxCounts lying{1, 1, now - service::hour_ms};
        const service::OutboxCounts fresh{1, 1, now - service::second_ms};
        const service::MailerNote ran{now - service::second_ms, 0}, long_ago{now - service::hour_ms, 0},
            never{};
        CHECK(check_mailer(ran, none, false, now).grade == Grade::ok);
        CHECK(check_mailer(long_ago, none, false, now).grade == Grade::ok);
        CHECK(check_mailer(long_ago, fresh, false, now).grade == Grade::ok);
        CHECK(check_mailer(long_ago, lying, false, now).grade == Grade::failure);
        CHECK(check_mailer(never, lying, false, now).grade == Grade::failure);
        CHECK(check_mailer(ran, lying, false, now).grade == Grade::ok);
        CHECK(check_mailer(never, none, false, now).grade == Grade::warning);
        CHECK(check_mailer(ran, none, true, now).grade == Grade::warning);
    }

    TEST_CASE("X-Forwarded-For from somebody untrusted is a failure") {
        CHECK(check_proxies(std::nullopt, {"loopback", "unix"}).grade == Grade::ok);
        const Finding one = check_proxies(service::ProxyNote{"10.0.0.0/24", now}, {"loopback"});
        CHECK(one.grade == Grade::failure);
        CHECK(says(one, "10.0.0.0/24"));
        CHECK(says(one, "server.trusted_proxies"));
    }

    TEST_CASE("SQLite by its version") {
        CHECK(says(check_sqlite("3.40.1"), "3.40.1, whose WAL-reset bug"));
        CHECK_FALSE(says(check_sqlite("3.51.3"), "bug"));
        CHECK_FALSE(says(check_sqlite("3.52.0"), "bug"));
        CHECK(says(check_sqlite("3.51.2"), "bug"));
    }
}
