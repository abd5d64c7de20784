#include "mailer/bounce.h"

#include <doctest/doctest.h>
#include <toml++/toml.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "mailer/bounce_mail.h"

using namespace zgoda::mailer;

namespace {

// The lists of config/bounce_rules.toml.
std::map<std::string, std::vector<std::string>> installed_lists() {
    std::map<std::string, std::vector<std::string>> lists;
    for (const auto& [section, entries] : toml::parse_file(ZGODA_SOURCE_DIR "/config/bounce_rules.toml")) {
        for (const auto& [key, list] : *entries.as_table()) {
            auto& expressions = lists[std::string(section.str()) + "." + std::string(key.str())];
            for (const auto& one : *list.as_array()) expressions.push_back(one.value_or(std::string()));
        }
    }
    return lists;
}

const BounceRules& rules() {
    static const BounceRules installed(installed_lists());
    return installed;
}

const std::string samples = ZGODA_SOURCE_DIR "/tests/mailer/bounces/";

std::string content(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string with_line_ends(const std::string& text, const std::string& line_end) {
    std::string out;
    for (const char c : text) out += c == '\n' ? line_end : std::string(1, c);
    return out;
}

// "1 5.1.1 550 hard; 2 ..."
std::string told(const std::string& mail) {
    std::string out;
    int number = 0;
    for (const BouncedRecipient& one : classify_bounce(mail, rules()).recipients) {
        out += (out.empty() ? "" : "; ") + std::to_string(++number) + " " + one.status + " " + one.reply +
               " " + std::string(name_of(one.verdict));
    }
    return out;
}

// File to what is to be told of it.
std::vector<std::pair<std::string, std::string>> expected() {
    std::vector<std::pair<std::string, std::string>> files;
    std::istringstream table(content(samples + "expected.tsv"));
    std::string line;
    std::getline(table, line);
    while (std::getline(table, line)) {
        std::istringstream cells(line);
        std::string file, number, status, reply, verdict;
        std::getline(cells, file, '\t');
        std::getline(cells, number, '\t');
        std::getline(cells, status, '\t');
        std::getline(cells, reply, '\t');
        std::getline(cells, verdict, '\t');
        if (files.empty() || files.back().first != file) files.emplace_back(file, "");
        std::string& all = files.back().second;
        all += (all.empty() ? "" : "; ") + number + " " + status + " " + reply + " " + verdict;
    }
    return files;
}

// A status notification about ada@example.com.
std::string notification(const std::string& status, const std::string& diagnostic,
                         const std::string& action = "failed") {
    return "From: MAILER-DAEMON@mx.example.net\nContent-Type: multipart/report; boundary=b\n\n"
           "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
           "Final-Recipient: rfc822; ada@example.com\nAction: " +
           action + "\nStatus: " + status + "\nDiagnostic-Code: smtp; " + diagnostic + "\n\n--b--\n";
}

BounceVerdict verdict_of(const std::string& mail) {
    return classify_bounce(mail, rules()).recipients.at(0).verdict;
}

}  // namespace

TEST_SUITE("bounce") {
    TEST_CASE("what servers all over the world say is understood") {
        std::istringstream table(content(samples + "sayings.tsv"));
        std::string line, verdict, status, reply;
        std::getline(table, line);
        int sayings = 0;
        for (; std::getline(table, line); ++sayings) {
            CAPTURE(line);
            std::istringstream cells(line);
            std::getline(cells, verdict, '\t');
            std::getline(cells, status, '\t');
            std::getline(cells, reply);
            CHECK(name_of(verdict_of(notification(status, reply))) == verdict);
        }
        CHECK(sayings > 500);
    }

    TEST_CASE("every kind of returned mail gets its verdicts, whatever ends its lines") {
        const auto files = expected();
        REQUIRE(files.size() >= 50);
        for (const auto& one : files) {
            const std::string &file = one.first, &wanted = one.second;
            CAPTURE(file);
            const std::string mail = content(samples + file);
            CHECK(told(mail) == wanted);
            CHECK(told(with_line_ends(mail, "\r\n")) == wanted);
            CHECK(told(with_line_ends(mail, "\r")) == wanted);
        }
    }

    TEST_CASE("the status decides when no words do") {
        struct Row {
            const char* status;
            BounceVerdict verdict;
        };
        const Row rows[] = {
            {"5.1.1", BounceVerdict::hard},     {"5.1.2", BounceVerdict::hard},
            {"5.1.3", BounceVerdict::hard},     {"5.1.6", BounceVerdict::hard},
            {"5.1.10", BounceVerdict::hard},    {"5.2.4", BounceVerdict::hard},
            {"5.7.17", BounceVerdict::hard},    {"5.1.0", BounceVerdict::soft},
            {"5.1.8", BounceVerdict::policy},   {"5.2.1", BounceVerdict::inactive},
            {"5.2.2", BounceVerdict::quota},    {"5.3.0", BounceVerdict::soft},
            {"5.3.4", BounceVerdict::policy},   {"5.4.4", BounceVerdict::soft},
            {"5.4.7", BounceVerdict::soft},     {"5.6.7", BounceVerdict::policy},
            {"5.7.1", BounceVerdict::policy},   {"5.7.13", BounceVerdict::inactive},
            {"5.7.515", BounceVerdict::policy}, {"5.0.0", BounceVerdict::soft},
            {"4.1.1", BounceVerdict::soft},     {"4.7.1", BounceVerdict::soft},
            {"4.2.2", BounceVerdict::quota},    {"4.4.7", BounceVerdict::soft},
        };
        for (const Row& row : rows) {
            const std::string status = row.status;
            CAPTURE(status);
            CHECK(name_of(verdict_of(notification(status, ""))) == name_of(row.verdict));
        }
    }

    TEST_CASE("the server's own code and class count more than the reporter's") {
        CHECK(told(notification("5.0.0", "550 5.1.1 <ada@example.com>")) == "1 5.1.1 550 hard");
        CHECK(told(notification("5.1.1", "550 5.7.1 no")) == "1 5.7.1 550 policy");
        CHECK(told(notification("5.1.1", "451 no luck at all")) == "1 5.1.1 451 soft");
    }

    TEST_CASE("a delay is never hard, and what was delivered is none") {
        CHECK(verdict_of(notification("5.1.1", "550 5.1.1 user unknown", "delayed")) == BounceVerdict::soft);
        CHECK(verdict_of(notification("5.1.1", "550 5.1.1 user unknown", "delivered")) ==
              BounceVerdict::none);
        CHECK(verdict_of(notification("5.1.1", "550 5.1.1 user unknown", "failed (bad mailbox)")) ==
              BounceVerdict::hard);
    }

    TEST_CASE("addresses, times and versions are no codes") {
        const auto mail = [](const std::string& words) {
            return "Return-Path: <>\nFrom: mailer-daemon@example.net\nSubject: Undelivered mail\n\n"
                   "Could not be delivered: " +
                   words + "\n";
        };
        CHECK(told(mail("by 10.5.1.1 (5.1.1.9), v4.2.1")) == "1   soft");
        CHECK(told(mail("room 550 1234")) == "1   soft");
        CHECK(told(mail("it said (550 5.1.1)")) == "1 5.1.1 550 hard");
    }

    TEST_CASE("what is complained about is told") {
        const Bounce bounce = classify_bounce(content(samples + "complaint-of-two.eml"), rules());
        CHECK(bounce.kind == Bounce::Kind::complaint);
        CHECK(bounce.feedback_type == "opt-out");
        REQUIRE(bounce.recipients.size() == 2);
        CHECK(bounce.recipients[1].address == "bob@example.com");
    }

    TEST_CASE("what was refused for good in unknown words may be hard") {
        const auto perhaps = [](const std::string& mail) {
            return classify_bounce(mail, rules()).recipients.at(0).perhaps_hard;
        };
        CHECK(perhaps(notification("5.0.0", "550 go away now")));
        CHECK(perhaps(notification("5.4.4", "")));
        CHECK_FALSE(perhaps(notification("5.0.0", "550 go away now", "delayed")));
        CHECK_FALSE(perhaps(notification("5.0.0", "554 go away now")));
        CHECK_FALSE(perhaps(notification("4.0.0", "450 go away now")));
        CHECK_FALSE(perhaps(notification("5.1.1", "550 user unknown")));
    }

    TEST_CASE("the addresses that may name the letter are told, those of an enclosed copy too") {
        const Bounce bounce = classify_bounce(
            "Delivered-To: b1@bounces.example.org\nTo: <news@example.org>\nContent-Type: message/rfc822\n\n"
            "Return-Path: <b2@bounces.example.org>\nTo: ada@example.com\n\nHello\n",
            rules());
        CHECK(bounce.return_paths == std::vector<std::string>{"b1@bounces.example.org", "news@example.org",
                                                              "b2@bounces.example.org"});
    }

    TEST_CASE("a mail is taken apart within limits") {
        const std::string daemon = "From: mailer-daemon@example.net\n";
        const std::string report =
            "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.com\nStatus: "
            "5.1.1\n";

        SUBCASE("nothing but what is there") {
            CHECK(told("") == "1   none");
            CHECK(told(std::string(5000, '\0')) == "1   none");
            CHECK(told("\n\n\n") == "1   none");
            CHECK(told("Content-Type: multipart/report\n\n--\n") == "1   none");
        }
        SUBCASE("headers of more than 64 KiB are no mail") {
            CHECK(told(daemon + "X-Long: " + std::string(60000, 'x') + "\n" + report) == "1 5.1.1  hard");
            CHECK(told(daemon + "X-Long: " + std::string(66000, 'x') + "\n" + report) == "1   none");
        }
        SUBCASE("what lies deeper than ten levels is not seen") {
            const auto nested = [&](int levels) {
                std::string mail = daemon;
                for (int i = 0; i < levels; ++i) {
                    const std::string boundary = "b" + std::to_string(i);
                    mail +=
                        "Content-Type: multipart/mixed; boundary=" + boundary + "\n\n--" + boundary + "\n";
                }
                return mail + report;
            };
            CHECK(told(nested(10)) == "1 5.1.1  hard");
            CHECK(told(nested(11)) == "1   none");
            CHECK(told(nested(5000)) == "1   none");
        }
        SUBCASE("nor what comes after fifty parts") {
            const auto after = [&](int parts) {
                std::string mail = daemon + "Content-Type: multipart/mixed; boundary=b\n\n";
                for (int i = 0; i < parts; ++i) mail += "--b\n\nx\n";
                return mail + "--b\n" + report + "--b--\n";
            };
            CHECK(told(after(40)) == "1 5.1.1  hard");
            CHECK(told(after(60)) == "1   none");
            CHECK(told(after(100000)) == "1   none");
        }
        SUBCASE("nor what comes after 1 MiB") {
            const auto after = [&](std::size_t bytes) {
                return daemon + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" +
                       std::string(bytes, 'x') + "\n--b\n" + report + "--b--\n";
            };
            CHECK(told(after(longest_bounce - 1000)) == "1 5.1.1  hard");
            CHECK(told(after(longest_bounce)) == "1   none");
        }
        SUBCASE("nor more than fifty recipients") {
            std::string mail = daemon + "Content-Type: message/delivery-status\n\n";
            for (int i = 0; i < 60; ++i) mail += "Final-Recipient: rfc822; a@example.com\nStatus: 5.1.1\n\n";
            CHECK(classify_bounce(mail, rules()).recipients.size() == 50);
        }
        SUBCASE("a mail of mails ends") {
            std::string mail;
            for (int i = 0; i < 10000; ++i) mail += "From: mailer-daemon@x\nContent-Type: message/rfc822\n\n";
            CHECK(told(mail) == "1   none");
        }
    }

    TEST_CASE("encodings and charsets are undone") {
        const ReturnedMail mail = read_returned_mail(
            "Subject: =?koi8-u?B?8NLJ18bU?=\nContent-Type: text/html; charset=windows-1251\n"
            "Content-Transfer-Encoding: "
            "quoted-printable\n\n<p>=EF=F0=E8=E2=B3=F2</p><script>x</script>&lt;a&gt;");
        CHECK(field(mail.headers, "subject").starts_with("При"));
        CHECK(mail.text == "\nпривіт\n<a>\n");
    }

    TEST_CASE("a broken rule stops the start") {
        CHECK_THROWS_AS(Words({"fine", "(not"}), std::invalid_argument);
        auto lists = installed_lists();
        lists["says.nothing"] = {"x"};
        CHECK_THROWS_AS((BounceRules(lists)), std::invalid_argument);
        lists.erase("says.nothing");
        CHECK_NOTHROW((BounceRules(lists)));
        lists.erase("says.quota");
        CHECK_THROWS_AS((BounceRules(lists)), std::invalid_argument);
    }
}
