#include "mailer/refusal.h"

#include <doctest/doctest.h>

#include <string>

using zgoda::mailer::says_mailbox_unknown;

TEST_SUITE("refusal") {
    TEST_CASE("only what says that the mailbox does not exist says that it does not exist") {
        struct Row {
            bool unknown;
            const char* reply;
        };
        const Row rows[] = {
            {true,
             "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown in virtual mailbox "
             "table"},
            {true,
             "550 5.1.1 The email account that you tried to reach does not exist. 5.1.1 Please try again"},
            {true, "550 5.1.1"},
            {true, "550 No such user here"},
            {true, "554 5.1.2 <ada@nowhere.example>: bad destination system"},
            {true, "556 5.1.10 Recipient address has null MX"},
            {true, "550 5.1.1 <spam@quota.example>: User unknown"},
            {true, "550 5.1.1 user unknown, ask your corporate office"},
            {true, "551 5.7.17 mailbox owner has changed"},
            {false, "552 5.2.2 Mailbox full"},
            {false, "550 5.2.1 The account is disabled, no such mailbox"},
            {false, "554 5.7.1 <ada@example.org>: Relay access denied"},
            {false, "550 5.7.1 blocked: user unknown or listed by our reputation service"},
            {false, "554 5.7.1 Message rejected as spam"},
            {false, "550 5.7.26 unauthenticated email is not accepted due to DMARC policy"},
            {false, "550 5.1.10 rejected by policy"},
            {false, "550 mailbox unavailable"},
            {false, "550 5.1.0 rejected"},
            {false, "450 4.1.1 user unknown"},
            {false, ""},
        };
        for (const Row& row : rows) {
            const std::string reply = row.reply;
            CAPTURE(reply);
            CHECK(says_mailbox_unknown(reply) == row.unknown);
        }
    }
}
