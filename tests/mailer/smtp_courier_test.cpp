#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>

#include "mailer/courier.h"
#include "scripted_smtp.h"

using namespace zgoda::mailer;
using zgoda::test::ScriptedSmtp;
using Kind = Outcome::Kind;
using Scope = Outcome::Scope;
using namespace std::chrono_literals;

namespace {

const Envelope envelope{"news@example.org", "ada@example.com", false};
const std::string message = "Subject: hello\r\n\r\n.a line with a dot\r\nthe end\r\n";

SmtpOptions options_for(const ScriptedSmtp& server) {
    SmtpOptions options;
    options.host = "127.0.0.1";
    options.port = server.port();
    options.tls = SmtpOptions::Tls::none;
    options.helo_name = "mail.example.org";
    options.connect_timeout = 2s;
    options.reply_timeout = 1s;
    options.total_timeout = 5s;
    return options;
}

Outcome deliver(const ScriptedSmtp& server, const Envelope& to = envelope) {
    return make_smtp_courier(options_for(server))->deliver(to, message);
}

void wait_a_moment() {
    std::this_thread::sleep_for(100ms);
}

struct Row {
    const char* why;
    ScriptedSmtp::Script script;
    Kind kind;
    Scope scope;
    const char* reply;  // how it begins
    bool mailbox_unknown = false;
};

void check(const Row& row) {
    const std::string why = row.why;
    CAPTURE(why);
    const ScriptedSmtp server(row.script);
    const Outcome outcome = deliver(server);
    CAPTURE(outcome.reply);
    CHECK(outcome.kind == row.kind);
    CHECK(outcome.scope == row.scope);
    CHECK(outcome.mailbox_unknown == row.mailbox_unknown);
    CHECK(outcome.reply.starts_with(row.reply));
}

}  // namespace

TEST_SUITE("smtp courier") {
    TEST_CASE("a letter arrives as it was built, and the server's receipt is kept") {
        const ScriptedSmtp server;
        const Outcome outcome = deliver(server);
        CHECK(outcome.kind == Kind::delivered);
        CHECK(outcome.reply == "250 2.0.0 queued as 1234");
        REQUIRE(server.mails().size() == 1);
        CHECK(server.mails()[0].from ==
              "MAIL FROM:<news@example.org> SIZE=" + std::to_string(message.size()));
        CHECK(server.mails()[0].to == "RCPT TO:<ada@example.com>");
        CHECK(server.mails()[0].data == message);
        CHECK(server.count("EHLO mail.example.org") == 1);
    }

    TEST_CASE("letters share one connection") {
        const ScriptedSmtp server;
        const auto courier = make_smtp_courier(options_for(server));
        for (int i = 0; i < 20; ++i) CHECK(courier->deliver(envelope, message).kind == Kind::delivered);
        CHECK(server.mails().size() == 20);
        CHECK(server.count("CONNECT") == 1);
        CHECK(server.count("EHLO") == 1);
    }

    TEST_CASE("refused for good is only what the server said about this letter with a 5xx") {
        const Row rows[] = {
            {"no such mailbox",
             {{"RCPT", "550 5.1.1 no such user"}},
             Kind::refused,
             Scope::letter,
             "550 5.1.1 no such user",
             true},
            {"in several lines",
             {{"RCPT", "550-5.1.1 The account\n550 5.1.1 does not exist"}},
             Kind::refused,
             Scope::letter,
             "550 5.1.1 The account 5.1.1 does not exist",
             true},
            {"policy", {{"RCPT", "554 5.7.1 blocked by policy"}}, Kind::refused, Scope::letter, "554 5.7.1"},
            {"at DATA",
             {{"DATA", "554 5.5.1 no valid recipients"}},
             Kind::refused,
             Scope::letter,
             "554 5.5.1"},
            {"its content", {{".", "554 5.7.1 looks like spam"}}, Kind::refused, Scope::letter, "554 5.7.1"},
            {"unknown after the dot",
             {{".", "550 5.1.1 user unknown"}},
             Kind::refused,
             Scope::letter,
             "550 5.1.1",
             true},
            {"its size", {{"MAIL", "552 5.3.4 too big"}}, Kind::refused, Scope::letter, "552 5.3.4"},
        };
        for (const Row& row : rows) check(row);
    }

    TEST_CASE("a 4xx about the letter, or a connection lost on the way, is tried later") {
        const Row rows[] = {
            {"MAIL", {{"MAIL", "451 4.3.0 later"}}, Kind::try_later, Scope::letter, "451 4.3.0"},
            {"greylisting", {{"RCPT", "450 4.2.0 greylisted"}}, Kind::try_later, Scope::letter, "450 4.2.0"},
            {"full, for now",
             {{"RCPT", "452 4.2.2 mailbox full"}},
             Kind::try_later,
             Scope::letter,
             "452 4.2.2"},
            {"DATA", {{"DATA", "451 4.3.0 later"}}, Kind::try_later, Scope::letter, "451 4.3.0"},
            {"after the dot",
             {{".", "452 4.3.1 out of storage"}},
             Kind::try_later,
             Scope::letter,
             "452 4.3.1"},
            {"drop at RCPT", {{"RCPT", "<drop>"}}, Kind::try_later, Scope::letter, ""},
            {"drop at DATA", {{"DATA", "<drop>"}}, Kind::try_later, Scope::letter, ""},
            {"silent at RCPT", {{"RCPT", "<silent>"}}, Kind::try_later, Scope::letter, "Timeout"},
            {"silent at DATA", {{"DATA", "<silent>"}}, Kind::try_later, Scope::letter, "Timeout"},
        };
        for (const Row& row : rows) check(row);
    }

    TEST_CASE("trouble before MAIL, and 421 at any time, is the relay's, not the letter's") {
        const Row rows[] = {
            {"busy",
             {{"CONNECT", "421 4.3.2 too many connections"}},
             Kind::try_later,
             Scope::relay,
             "421 4.3.2"},
            {"not you",
             {{"CONNECT", "554 5.7.1 no service for you"}},
             Kind::try_later,
             Scope::relay,
             "554 5.7.1"},
            {"hangs up", {{"CONNECT", "<drop>"}}, Kind::try_later, Scope::relay, ""},
            {"says nothing", {{"CONNECT", "<silent>"}}, Kind::try_later, Scope::relay, ""},
            {"no mail server",
             {{"CONNECT", "SSH-2.0-OpenSSH\n\nwhat? <silent>"}},
             Kind::try_later,
             Scope::relay,
             ""},
            {"hangs up at EHLO", {{"EHLO", "<drop>"}}, Kind::try_later, Scope::relay, ""},
            {"silent at EHLO", {{"EHLO", "<silent>"}}, Kind::try_later, Scope::relay, ""},
            {"refuses EHLO and HELO",
             {{"EHLO", "550 go away"}, {"HELO", "550 go away"}},
             Kind::try_later,
             Scope::relay,
             "550"},
            {"closing at MAIL", {{"MAIL", "421 4.3.0 closing<drop>"}}, Kind::try_later, Scope::relay, "421"},
            {"closing at RCPT", {{"RCPT", "421 4.3.0 closing<drop>"}}, Kind::try_later, Scope::relay, "421"},
            {"closing at DATA", {{"DATA", "421 4.3.0 closing<drop>"}}, Kind::try_later, Scope::relay, "421"},
            {"closing after the dot",
             {{".", "421 4.3.0 closing<drop>"}},
             Kind::try_later,
             Scope::relay,
             "421"},
        };
        for (const Row& row : rows) check(row);

        SmtpOptions nobody;
        nobody.host = "127.0.0.1";
        nobody.port = 1;
        nobody.tls = SmtpOptions::Tls::none;
        const Outcome outcome = make_smtp_courier(nobody)->deliver(envelope, message);
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::relay);
    }

    TEST_CASE("a connection lost after the final dot leaves the letter uncertain") {
        const Row rows[] = {
            {"drop", {{".", "<drop>"}}, Kind::uncertain, Scope::letter, ""},
            {"drop in the reply", {{".", "250-2.0.0 queued<drop>"}}, Kind::uncertain, Scope::letter, ""},
            {"too slow", {{".", "<silent>"}}, Kind::uncertain, Scope::letter, "Timeout"},
            {"garbage", {{".", "what?<drop>"}}, Kind::uncertain, Scope::letter, ""},
            {"half a code", {{".", "25<drop>"}}, Kind::uncertain, Scope::letter, ""},
            {"354 again", {{".", "354 go on<drop>"}}, Kind::uncertain, Scope::letter, ""},
        };
        for (const Row& row : rows) check(row);
    }

    TEST_CASE("any 2xx after the dot is delivered") {
        check({"251", {{".", "251 2.0.0 forwarded"}}, Kind::delivered, Scope::letter, "251 2.0.0 forwarded"});
        check({"252", {{".", "252 2.0.0 perhaps"}}, Kind::delivered, Scope::letter, "252 2.0.0 perhaps"});
        check(
            {"250 and gone", {{".", "250 2.0.0 ok<drop>"}}, Kind::delivered, Scope::letter, "250 2.0.0 ok"});
    }

    TEST_CASE("a sender that is refused is our settings' fault, whatever the letter") {
        check({"sender",
               {{"MAIL", "550 5.1.8 sender domain not found"}},
               Kind::try_later,
               Scope::config,
               "550 5.1.8"});
        check({"needs AUTH",
               {{"MAIL", "530 5.7.0 authentication required"}},
               Kind::try_later,
               Scope::config,
               "530 5.7.0"});
        check({"needs AUTH, at RCPT",
               {{"RCPT", "550 5.7.9 authenticate first"}},
               Kind::try_later,
               Scope::config,
               "550 5.7.9"});
    }

    TEST_CASE("what the server says to QUIT is never taken for its answer to the letter") {
        check({"QUIT",
               {{"RCPT", "550 5.1.1 no such user"}, {"QUIT", "250 fine"}},
               Kind::refused,
               Scope::letter,
               "550 5.1.1",
               true});
        check({"QUIT",
               {{"RCPT", "450 4.2.0 later"}, {"QUIT", "550 rude"}},
               Kind::try_later,
               Scope::letter,
               "450 4.2.0"});
    }

    TEST_CASE("after an uncertain letter the next one does not read its late reply") {
        const ScriptedSmtp server{{". 1", "<wait 1500>250 2.0.0 late"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(envelope, message).kind == Kind::uncertain);
        const Outcome outcome = courier->deliver(envelope, message);
        CHECK(outcome.kind == Kind::delivered);
        CHECK(outcome.reply == "250 2.0.0 queued as 1234");
        CHECK(server.count("MAIL") == 2);
        CHECK(server.count("CONNECT") == 2);
    }

    TEST_CASE("a connection that the relay gave up meanwhile costs no attempt") {
        const Row rows[] = {
            {"421 while idle",
             {{". 1", "250 ok<wait 20>421 4.4.2 idle for too long<drop>"}},
             Kind::delivered,
             Scope::letter,
             ""},
            {"421 while idle, not closed",
             {{". 1", "250 ok<wait 20>421 4.4.2 idle<silent>"}},
             Kind::delivered,
             Scope::letter,
             ""},
            {"closed while idle", {{". 1", "250 ok<wait 20><drop>"}}, Kind::delivered, Scope::letter, ""},
            {"421 at MAIL",
             {{"MAIL 2", "421 4.4.2 enough of you<drop>"}},
             Kind::delivered,
             Scope::letter,
             ""},
            {"closed at MAIL", {{"MAIL 2", "<drop>"}}, Kind::delivered, Scope::letter, ""},
        };
        for (const Row& row : rows) {
            const std::string why = row.why;
            CAPTURE(why);
            const ScriptedSmtp server(row.script);
            const auto courier = make_smtp_courier(options_for(server));
            CHECK(courier->deliver(envelope, message).kind == Kind::delivered);
            wait_a_moment();
            const Outcome outcome = courier->deliver(envelope, message);
            CAPTURE(outcome.reply);
            CHECK(outcome.kind == Kind::delivered);
            CHECK(server.mails().size() == 2);
            CHECK(server.count("CONNECT") == 2);
        }
    }

    TEST_CASE("a refusal on a kept connection is a refusal, not a stale connection") {
        const ScriptedSmtp server{{"RCPT 2", "450 4.2.0 greylisted"}, {"RCPT 3", "550 5.1.1 no such user"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(envelope, message).kind == Kind::delivered);
        CHECK(courier->deliver(envelope, message).kind == Kind::try_later);
        CHECK(courier->deliver(envelope, message).kind == Kind::refused);
        CHECK(courier->deliver(envelope, message).kind == Kind::delivered);
        CHECK(server.count("RCPT") == 4);
    }

    TEST_CASE("a letter lost after the dot on a kept connection is not sent again at once") {
        const ScriptedSmtp server{{". 2", "<drop>"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(envelope, message).kind == Kind::delivered);
        CHECK(courier->deliver(envelope, message).kind == Kind::uncertain);
        CHECK(server.count("DATA") == 2);
    }

    TEST_CASE("nothing is sent without the authentication that was asked for") {
        const auto with_name = [](const ScriptedSmtp& server) {
            SmtpOptions options = options_for(server);
            options.username = "zgoda";
            options.password = "secret";
            return make_smtp_courier(options)->deliver(envelope, message);
        };
        const ScriptedSmtp good;
        CHECK(with_name(good).kind == Kind::delivered);
        CHECK(good.count("AUTH PLAIN AHpnb2RhAHNlY3JldA==") == 1);

        const ScriptedSmtp none{{"EHLO", "250-scripted.test\n250 8BITMIME"}};
        CHECK(with_name(none).scope == Scope::config);
        CHECK(none.count("MAIL") == 0);

        const ScriptedSmtp old{{"EHLO", "502 what?"}};
        CHECK(with_name(old).scope == Scope::config);
        CHECK(old.count("MAIL") == 0);

        const ScriptedSmtp wrong{{"AUTH", "535 5.7.8 wrong password"}};
        const Outcome outcome = with_name(wrong);
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::config);
        CHECK(outcome.reply.starts_with("535 5.7.8"));

        const ScriptedSmtp busy{{"AUTH", "454 4.7.0 later"}};
        CHECK(with_name(busy).kind == Kind::try_later);
        CHECK(busy.count("MAIL") == 0);
    }

    TEST_CASE("a server that cannot do STARTTLS gets no letter and no password") {
        for (const char* ehlo : {"250-scripted.test\n250 AUTH PLAIN",
                                 "250-scripted.test\n250-STARTTLS\n250 AUTH PLAIN", "502 what?"}) {
            const ScriptedSmtp server{{"EHLO", ehlo}, {"STARTTLS", "454 4.7.0 not now"}};
            SmtpOptions options = options_for(server);
            options.tls = SmtpOptions::Tls::starttls;
            options.username = "zgoda";
            options.password = "secret";
            const Outcome outcome = make_smtp_courier(options)->deliver(envelope, message);
            CAPTURE(outcome.reply);
            CHECK(outcome.kind == Kind::try_later);
            CHECK(outcome.scope != Scope::letter);
            CHECK(server.count("MAIL") == 0);
            CHECK(server.count("AUTH") == 0);
        }
    }

    TEST_CASE("a recipient with letters outside ASCII needs a server with SMTPUTF8") {
        const Envelope oksana{"news@example.org", "Оксана@xn--80a1acny.xn--j1amh", true};
        const ScriptedSmtp able;
        CHECK(deliver(able, oksana).kind == Kind::delivered);
        CHECK(able.mails()[0].to == "RCPT TO:<Оксана@xn--80a1acny.xn--j1amh>");
        CHECK(able.mails()[0].from.find(" SMTPUTF8") != std::string::npos);

        const ScriptedSmtp unable{{"EHLO", "250-scripted.test\n250 8BITMIME"}};
        const auto courier = make_smtp_courier(options_for(unable));
        const auto refused = [&] {
            const Outcome outcome = courier->deliver(oksana, message);
            CHECK(outcome.kind == Kind::refused);
            CHECK_FALSE(outcome.mailbox_unknown);
        };
        refused();
        CHECK(courier->deliver(envelope, message).kind == Kind::delivered);
        refused();  // on a kept connection, without a new EHLO
        CHECK(courier->deliver(envelope, message).kind == Kind::delivered);
        CHECK(unable.count("MAIL") == 2);
    }

    TEST_CASE("an ASCII recipient never makes a letter an SMTPUTF8 letter") {
        const ScriptedSmtp server;
        deliver(server, {"news@example.org", "ada@xn--80a1acny.xn--j1amh", false});
        REQUIRE(server.mails().size() == 1);
        CHECK(server.mails()[0].from.find("SMTPUTF8") == std::string::npos);
    }

    TEST_CASE("nothing gets onto the wire by way of an address") {
        const ScriptedSmtp server;
        const auto courier = make_smtp_courier(options_for(server));
        for (const std::string evil :
             {"a@b.example>\r\nRCPT TO:<eve@c.example", "a@b.example\n", "a b@c.example", "<a@b.example>",
              "a@b@c.example", "\"a\"@b.example", "a@b.example,c@d.example", "ab.example", "@b.example", "a@",
              "", "a@тест.укр", "a\xC3@b.example", "a\\@b.example", "a@b.example;c", "\x01@b.example",
              "a\x7F@b.example"}) {
            CAPTURE(evil);
            CHECK(courier->deliver({"news@example.org", evil, false}, message).kind == Kind::refused);
            CHECK(courier->deliver({evil, "ada@example.com", false}, message).kind == Kind::refused);
        }
        CHECK(server.count("CONNECT") == 0);
    }

    TEST_CASE("what a server says is made printable and kept short") {
        const ScriptedSmtp server{{"RCPT", "550 \x1B[31mred\xFF\xC3 " + std::string(2000, 'x')}};
        const Outcome outcome = deliver(server);
        CHECK(outcome.reply.size() <= 500);
        CHECK(outcome.reply.starts_with("550  [31mred?? xxx"));
    }

    TEST_CASE("a courier that goes does not wait for the reply to QUIT") {
        const ScriptedSmtp server{{"QUIT", "<silent>"}};
        auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(envelope, message).kind == Kind::delivered);
        const auto before = std::chrono::steady_clock::now();
        courier.reset();
        CHECK(std::chrono::steady_clock::now() - before < 500ms);
        wait_a_moment();
        CHECK(server.count("QUIT") == 1);
    }

    TEST_CASE("the dialogue can be heard, without what we said") {
        const ScriptedSmtp server;
        SmtpOptions options = options_for(server);
        std::string heard;
        options.on_reply = [&heard](std::string_view line) { (heard += line) += "\n"; };
        options.username = "zgoda";
        options.password = "secret";
        make_smtp_courier(options)->deliver(envelope, message);
        CHECK(heard.find("235 2.7.0 welcome") != std::string::npos);
        CHECK(heard.find("250 2.0.0 queued as 1234") != std::string::npos);
        CHECK(heard.find("AHpnb2Rh") == std::string::npos);
    }
}
