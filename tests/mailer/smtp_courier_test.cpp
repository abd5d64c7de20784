#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

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
    return make_smtp_courier(options_for(server))->deliver({to, message});
}

void wait_a_moment() {
    std::this_thread::sleep_for(100ms);
}

// Every promise holds in both gaits: with a server that offers PIPELINING, and with one that does not, where
// each courier learns so by a connection of its own.
template <bool with_pipelining>
struct Gait {
    static constexpr int probes = with_pipelining ? 0 : 1;

    static ScriptedSmtp::Script script(ScriptedSmtp::Script script) {
        std::string& ehlo =
            script
                .try_emplace(
                    "EHLO",
                    "250-scripted.test\n250-SIZE 1000000\n250-8BITMIME\n250-SMTPUTF8\n250 AUTH PLAIN LOGIN")
                .first->second;
        if (with_pipelining && ehlo.starts_with("250-")) ehlo.insert(ehlo.find('\n') + 1, "250-PIPELINING\n");
        return script;
    }
    struct Server : ScriptedSmtp {
        Server(std::initializer_list<Script::value_type> script = {}) : ScriptedSmtp(Gait::script(script)) {}
        explicit Server(const Script& script) : ScriptedSmtp(Gait::script(script)) {}
    };
};
using Pipelined = Gait<true>;
using Plain = Gait<false>;

Parcel letter_to(const std::string& name) {
    return {{"news@example.org", name + "@example.com", false}, "Subject: " + name + "\r\n\r\nhello\r\n"};
}
const Parcel ada = letter_to("ada"), ben = letter_to("ben"), eve = letter_to("eve");

struct Row {
    const char* why;
    ScriptedSmtp::Script script;
    Kind kind;
    Scope scope;
    const char* reply;  // how it begins
    bool mailbox_unknown = false;
};

template <typename G>
void check(const Row& row) {
    const std::string why = row.why;
    CAPTURE(why);
    const typename G::Server server(row.script);
    const Outcome outcome = deliver(server);
    CAPTURE(outcome.reply);
    CHECK(outcome.kind == row.kind);
    CHECK(outcome.scope == row.scope);
    CHECK(outcome.mailbox_unknown == row.mailbox_unknown);
    CHECK(outcome.reply.starts_with(row.reply));
}

}  // namespace

TEST_SUITE("smtp courier: a look whether letters could go") {
    Outcome look_at(const ScriptedSmtp& server, bool log_in = false) {
        SmtpOptions options = options_for(server);
        if (log_in) options.username = "news", options.password = "secret";
        return make_smtp_courier(options)->check();
    }

    TEST_CASE("connects, and sends nothing") {
        const ScriptedSmtp server;
        CHECK(look_at(server).kind == Kind::delivered);
        CHECK(server.count("EHLO") == 1);
        CHECK(server.count("MAIL") == 0);
        CHECK(server.mails().empty());
    }

    TEST_CASE("logs in, and says when that is refused or not offered") {
        const ScriptedSmtp good{{"EHLO", "250-relay\n250 AUTH PLAIN LOGIN"}, {"AUTH", "235 2.7.0 welcome"}};
        CHECK(look_at(good, true).kind == Kind::delivered);
        CHECK(good.count("AUTH") == 1);
        const ScriptedSmtp bad{{"EHLO", "250-relay\n250 AUTH PLAIN"}, {"AUTH", "535 5.7.8 wrong password"}};
        const Outcome refused = look_at(bad, true);
        CHECK(refused.kind == Kind::try_later);
        CHECK(refused.scope == Scope::config);
        CHECK(refused.reply.find("535") != std::string::npos);
        const ScriptedSmtp bare{{"EHLO", "250 relay"}};
        CHECK(look_at(bare, true).scope == Scope::config);
    }

    TEST_CASE("says who cannot be reached, or takes nothing now") {
        SmtpOptions options;
        {
            const ScriptedSmtp gone;
            options = options_for(gone);
        }
        CHECK(make_smtp_courier(options)->check().scope == Scope::relay);
        const ScriptedSmtp busy{{"CONNECT", "421 4.3.2 later"}};
        CHECK(look_at(busy).kind == Kind::try_later);
    }

    TEST_CASE("letters go afterwards") {
        const ScriptedSmtp server;
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(courier->check().kind == Kind::delivered);
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(server.mails().size() == 2);
    }
}

TEST_SUITE("smtp courier") {
    TEST_CASE_TEMPLATE("a letter arrives as it was built, and the server's receipt is kept", G, Plain,
                       Pipelined) {
        const typename G::Server server;
        const Outcome outcome = deliver(server);
        CHECK(outcome.kind == Kind::delivered);
        CHECK(outcome.reply == "250 2.0.0 queued as 1234");
        REQUIRE(server.mails().size() == 1);
        CHECK(server.mails()[0].from ==
              "MAIL FROM:<news@example.org> SIZE=" + std::to_string(message.size()));
        CHECK(server.mails()[0].to == "RCPT TO:<ada@example.com>");
        CHECK(server.mails()[0].data == message);
        CHECK(server.count("EHLO mail.example.org") == 1 + G::probes);
    }

    TEST_CASE_TEMPLATE("letters share one connection", G, Plain, Pipelined) {
        const typename G::Server server;
        const auto courier = make_smtp_courier(options_for(server));
        for (int i = 0; i < 20; ++i) CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(server.mails().size() == 20);
        CHECK(server.count("CONNECT") == 1 + G::probes);
        CHECK(server.count("EHLO") == 1 + G::probes);
    }

    TEST_CASE_TEMPLATE("refused for good is only what the server said about this letter with a 5xx", G, Plain,
                       Pipelined) {
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
        for (const Row& row : rows) check<G>(row);
    }

    TEST_CASE_TEMPLATE("a 4xx about the letter, or a connection lost on the way, is tried later", G, Plain,
                       Pipelined) {
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
        for (const Row& row : rows) check<G>(row);
    }

    TEST_CASE_TEMPLATE("trouble before MAIL, and 421 at any time, is the relay's, not the letter's", G, Plain,
                       Pipelined) {
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
        for (const Row& row : rows) check<G>(row);

        SmtpOptions nobody;
        nobody.host = "127.0.0.1";
        nobody.port = 1;
        nobody.tls = SmtpOptions::Tls::none;
        const Outcome outcome = make_smtp_courier(nobody)->deliver({envelope, message});
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::relay);
    }

    TEST_CASE_TEMPLATE("a connection lost after the final dot leaves the letter uncertain", G, Plain,
                       Pipelined) {
        const Row rows[] = {
            {"drop", {{".", "<drop>"}}, Kind::uncertain, Scope::letter, ""},
            {"drop in the reply", {{".", "250-2.0.0 queued<drop>"}}, Kind::uncertain, Scope::letter, ""},
            {"too slow", {{".", "<silent>"}}, Kind::uncertain, Scope::letter, "Timeout"},
            {"garbage", {{".", "what?<drop>"}}, Kind::uncertain, Scope::letter, ""},
            {"half a code", {{".", "25<drop>"}}, Kind::uncertain, Scope::letter, ""},
            {"354 again", {{".", "354 go on<drop>"}}, Kind::uncertain, Scope::letter, ""},
        };
        for (const Row& row : rows) check<G>(row);
    }

    TEST_CASE_TEMPLATE("any 2xx after the dot is delivered", G, Plain, Pipelined) {
        check<G>(
            {"251", {{".", "251 2.0.0 forwarded"}}, Kind::delivered, Scope::letter, "251 2.0.0 forwarded"});
        check<G>({"252", {{".", "252 2.0.0 perhaps"}}, Kind::delivered, Scope::letter, "252 2.0.0 perhaps"});
        check<G>(
            {"250 and gone", {{".", "250 2.0.0 ok<drop>"}}, Kind::delivered, Scope::letter, "250 2.0.0 ok"});
    }

    TEST_CASE_TEMPLATE("a sender that is refused is our settings' fault, whatever the letter", G, Plain,
                       Pipelined) {
        check<G>({"sender",
                  {{"MAIL", "550 5.1.8 sender domain not found"}},
                  Kind::try_later,
                  Scope::config,
                  "550 5.1.8"});
        check<G>({"needs AUTH",
                  {{"MAIL", "530 5.7.0 authentication required"}},
                  Kind::try_later,
                  Scope::config,
                  "530 5.7.0"});
        check<G>({"needs AUTH, at RCPT",
                  {{"RCPT", "550 5.7.9 authenticate first"}},
                  Kind::try_later,
                  Scope::config,
                  "550 5.7.9"});
    }

    TEST_CASE_TEMPLATE("what the server says to QUIT is never taken for its answer to the letter", G, Plain,
                       Pipelined) {
        check<G>({"QUIT",
                  {{"RCPT", "550 5.1.1 no such user"}, {"QUIT", "250 fine"}},
                  Kind::refused,
                  Scope::letter,
                  "550 5.1.1",
                  true});
        check<G>({"QUIT",
                  {{"RCPT", "450 4.2.0 later"}, {"QUIT", "550 rude"}},
                  Kind::try_later,
                  Scope::letter,
                  "450 4.2.0"});
    }

    TEST_CASE_TEMPLATE("after an uncertain letter the next one does not read its late reply", G, Plain,
                       Pipelined) {
        const typename G::Server server{{". 1", "<wait 1500>250 2.0.0 late"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver({envelope, message}).kind == Kind::uncertain);
        const Outcome outcome = courier->deliver({envelope, message});
        CHECK(outcome.kind == Kind::delivered);
        CHECK(outcome.reply == "250 2.0.0 queued as 1234");
        CHECK(server.count("MAIL") == 2);
        CHECK(server.count("CONNECT") == 2 + G::probes);
    }

    TEST_CASE_TEMPLATE("a connection that the relay gave up meanwhile costs no attempt", G, Plain,
                       Pipelined) {
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
            const typename G::Server server(row.script);
            const auto courier = make_smtp_courier(options_for(server));
            CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
            wait_a_moment();
            const auto before = std::chrono::steady_clock::now();
            const Outcome outcome = courier->deliver({envelope, message});
            // libcurl says QUIT to a relay that is silent, and waits.
            if (G::probes == 0) CHECK(std::chrono::steady_clock::now() - before < 900ms);
            CAPTURE(outcome.reply);
            CHECK(outcome.kind == Kind::delivered);
            CHECK(server.mails().size() == 2);
            CHECK(server.count("CONNECT") == 2 + G::probes);
        }
    }

    TEST_CASE_TEMPLATE("a refusal on a kept connection is a refusal, not a stale connection", G, Plain,
                       Pipelined) {
        const typename G::Server server{{"RCPT 2", "450 4.2.0 greylisted"},
                                        {"RCPT 3", "550 5.1.1 no such user"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(courier->deliver({envelope, message}).kind == Kind::try_later);
        CHECK(courier->deliver({envelope, message}).kind == Kind::refused);
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(server.count("RCPT") == 4);
    }

    TEST_CASE_TEMPLATE("a letter lost after the dot on a kept connection is not sent again at once", G, Plain,
                       Pipelined) {
        const typename G::Server server{{". 2", "<drop>"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(courier->deliver({envelope, message}).kind == Kind::uncertain);
        CHECK(server.count("DATA") == 2);
    }

    TEST_CASE_TEMPLATE("nothing is sent without the authentication that was asked for", G, Plain, Pipelined) {
        const auto with_name = [](const ScriptedSmtp& server) {
            SmtpOptions options = options_for(server);
            options.username = "zgoda";
            options.password = "secret";
            return make_smtp_courier(options)->deliver({envelope, message});
        };
        const typename G::Server good;
        CHECK(with_name(good).kind == Kind::delivered);
        CHECK(good.count("AUTH PLAIN AHpnb2RhAHNlY3JldA==") == 1 + G::probes);

        const typename G::Server none{{"EHLO", "250-scripted.test\n250 8BITMIME"}};
        CHECK(with_name(none).scope == Scope::config);
        CHECK(none.count("MAIL") == 0);

        const typename G::Server old{{"EHLO", "502 what?"}};
        CHECK(with_name(old).scope == Scope::config);
        CHECK(old.count("MAIL") == 0);

        const typename G::Server wrong{{"AUTH", "535 5.7.8 wrong password"}};
        const Outcome outcome = with_name(wrong);
        CHECK(outcome.kind == Kind::try_later);
        CHECK(outcome.scope == Scope::config);
        CHECK(outcome.reply.starts_with("535 5.7.8"));

        const typename G::Server busy{{"AUTH", "454 4.7.0 later"}};
        CHECK(with_name(busy).kind == Kind::try_later);
        CHECK(busy.count("MAIL") == 0);
    }

    TEST_CASE_TEMPLATE("a server is authenticated to as it asks for, and by its best mechanism", G, Plain,
                       Pipelined) {
        struct Way {
            const char* offered;
            std::vector<std::string> said;  // by us, one after the other
            ScriptedSmtp::Script replies;
        };
        const std::string challenge = "334 PDE3LjQyQG1haWwudGVzdD4=";  // <17.42@mail.test>
        const std::vector<Way> ways{
            {"PLAIN LOGIN", {"AUTH PLAIN AHpnb2RhAHNlY3JldA=="}, {}},
            {"LOGIN",
             {"AUTH LOGIN emdvZGE=", "c2VjcmV0"},
             {{"AUTH 1", "334 UGFzc3dvcmQ6"}, {"AUTH 2", "235 ok"}}},
            {"CRAM-MD5 PLAIN LOGIN",  // HMAC-MD5 of the challenge, with "secret" (RFC 2195)
             {"AUTH CRAM-MD5", "emdvZGEg"},
             {{"AUTH 1", challenge}, {"AUTH 2", "235 ok"}}},
            {"DIGEST-MD5 LOGIN",
             {"AUTH DIGEST-MD5", "dXNlcm5hbWU9Inpnb2RhIi", ""},
             {{"AUTH 1",
               "334 cmVhbG09Im1haWwudGVzdCIsbm9uY2U9IjE3IixhbGdvcml0aG09bWQ1LXNlc3MscW9wPSJhdXRoIg=="},
              {"AUTH 2", "334 cnNwYXV0aD0w"},
              {"AUTH 3", "235 ok"}}},
            {"NTLM", {"AUTH NTLM TlRMTVNTUAABAAAA"}, {{"AUTH 1", "535 5.7.8 no"}}},
        };
        for (const Way& way : ways) {
            const std::string offered = way.offered;
            CAPTURE(offered);
            auto script = way.replies;
            script["EHLO"] = "250-scripted.test\n250 AUTH " + offered;
            const bool probed = G::probes == 1;  // there, all of it happens on a connection of its own before
            if (probed) {
                const auto replies = static_cast<int>(way.replies.size());
                for (const auto& [key, reply] : way.replies)
                    script["AUTH " + std::to_string(key.back() - '0' + replies)] = reply;
            }
            const typename G::Server server(script);
            SmtpOptions options = options_for(server);
            options.username = "zgoda";
            options.password = "secret";
            const Outcome outcome = make_smtp_courier(options)->deliver({envelope, message});
            CAPTURE(outcome.reply);
            const bool refused = offered == "NTLM";
            CHECK(outcome.kind == (refused ? Kind::try_later : Kind::delivered));
            if (refused) CHECK(outcome.scope == Scope::config);
            CHECK(server.count("MAIL") == (refused ? 0 : 1));
            std::vector<std::string> said;
            for (const std::string& line : server.commands()) {
                if (line == "CONNECT") said.clear();
                if (line.starts_with("MAIL")) break;
                if (!line.starts_with("EHLO") && line != "CONNECT" && line != "QUIT" && line != "*")
                    said.push_back(line);
            }
            REQUIRE(said.size() == way.said.size());
            for (std::size_t i = 0; i < said.size(); ++i) {
                CAPTURE(said[i]);
                CHECK(said[i].starts_with(way.said[i]));
            }
        }
    }

    TEST_CASE_TEMPLATE("whatever it was refused with, no mechanism ends in a letter without authentication",
                       G, Plain, Pipelined) {
        const std::string challenge = "334 PDE3LjQyQG1haWwudGVzdD4=";
        const std::string digest =
            "334 cmVhbG09Im1haWwudGVzdCIsbm9uY2U9IjE3IixhbGdvcml0aG09bWQ1LXNlc3MscW9wPSJhdXRoIg==";
        const std::vector<std::pair<const char*, std::string>> ways{{"PLAIN", "535 5.7.8 no"},
                                                                    {"LOGIN", "334 UGFzc3dvcmQ6"},
                                                                    {"CRAM-MD5 PLAIN", challenge},
                                                                    {"CRAM-MD5", "334 no-base64"},
                                                                    {"DIGEST-MD5 LOGIN", digest},
                                                                    {"DIGEST-MD5", "334 bm9uc2Vuc2U="},
                                                                    {"NTLM LOGIN", "334 bm9uc2Vuc2U="},
                                                                    {"EXTERNAL", "235 ok"},
                                                                    {"GSSAPI", "235 ok"},
                                                                    {"SCRAM-SHA-256", "235 ok"},
                                                                    {"", "235 ok"}};
        for (const auto& way : ways) {
            const std::string offered = way.first;
            CAPTURE(offered);
            const typename G::Server server{{"EHLO", "250-scripted.test\n250 AUTH " + offered},
                                            {"AUTH 1", way.second},
                                            {"AUTH", "535 5.7.8 no"}};
            SmtpOptions options = options_for(server);
            options.username = "zgoda";
            options.password = "secret";
            const Outcome outcome = make_smtp_courier(options)->deliver({envelope, message});
            CAPTURE(outcome.reply);
            CHECK(outcome.kind == Kind::try_later);
            CHECK(outcome.scope == Scope::config);
            CHECK(server.count("MAIL") == 0);
            CHECK(server.mails().empty());
        }
    }

    TEST_CASE_TEMPLATE("a password is used where Kerberos is offered too, which is for who has none", G,
                       Plain, Pipelined) {
        const typename G::Server server{{"EHLO", "250-scripted.test\n250 AUTH GSSAPI PLAIN"}};
        SmtpOptions options = options_for(server);
        options.username = "zgoda@example.org";
        options.password = "secret";
        CHECK(make_smtp_courier(options)->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(server.count("AUTH GSSAPI") == 0);

        const typename G::Server by_ticket{{"EHLO", "250-scripted.test\n250 AUTH GSSAPI"}, {"AUTH", "334 "}};
        options = options_for(by_ticket);
        options.username = "zgoda@example.org";
        const Outcome outcome = make_smtp_courier(options)->deliver({envelope, message});
        CAPTURE(outcome.reply);
        CHECK(outcome.scope == Scope::config);  // there is no ticket
        CHECK(by_ticket.count("MAIL") == 0);
    }

    TEST_CASE_TEMPLATE("a relay is reached by IPv6", G, Plain, Pipelined) {
        const auto server = [] {
            try {
                return std::make_unique<ScriptedSmtp>(G::script({}), true);
            } catch (const std::runtime_error&) {
                return std::unique_ptr<ScriptedSmtp>();
            }
        }();
        if (!server) {
            MESSAGE("skipped: this machine has no ::1");
            return;
        }
        SmtpOptions options = options_for(*server);
        options.host = "::1";
        CHECK(make_smtp_courier(options)->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(server->mails().size() == 1);
    }

    TEST_CASE_TEMPLATE("a server that cannot do STARTTLS gets no letter and no password", G, Plain,
                       Pipelined) {
        for (const char* ehlo : {"250-scripted.test\n250 AUTH PLAIN",
                                 "250-scripted.test\n250-STARTTLS\n250 AUTH PLAIN", "502 what?"}) {
            const typename G::Server server{{"EHLO", ehlo}, {"STARTTLS", "454 4.7.0 not now"}};
            SmtpOptions options = options_for(server);
            options.tls = SmtpOptions::Tls::starttls;
            options.username = "zgoda";
            options.password = "secret";
            const Outcome outcome = make_smtp_courier(options)->deliver({envelope, message});
            CAPTURE(outcome.reply);
            CHECK(outcome.kind == Kind::try_later);
            CHECK(outcome.scope != Scope::letter);
            CHECK(server.count("MAIL") == 0);
            CHECK(server.count("AUTH") == 0);
        }
    }

    TEST_CASE_TEMPLATE("a recipient with letters outside ASCII needs a server with SMTPUTF8", G, Plain,
                       Pipelined) {
        const Envelope oksana{"news@example.org", "Оксана@xn--80a1acny.xn--j1amh", true};
        const typename G::Server able;
        CHECK(deliver(able, oksana).kind == Kind::delivered);
        CHECK(able.mails()[0].to == "RCPT TO:<Оксана@xn--80a1acny.xn--j1amh>");
        CHECK(able.mails()[0].from.find(" SMTPUTF8") != std::string::npos);

        const typename G::Server unable{{"EHLO", "250-scripted.test\n250 8BITMIME"}};
        const auto courier = make_smtp_courier(options_for(unable));
        const auto refused = [&] {
            const Outcome outcome = courier->deliver({oksana, message});
            CHECK(outcome.kind == Kind::refused);
            CHECK_FALSE(outcome.mailbox_unknown);
        };
        refused();
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        refused();  // on a kept connection, without a new EHLO
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(unable.count("MAIL") == 2);
    }

    TEST_CASE_TEMPLATE("an ASCII recipient never makes a letter an SMTPUTF8 letter", G, Plain, Pipelined) {
        const typename G::Server server;
        deliver(server, {"news@example.org", "ada@xn--80a1acny.xn--j1amh", false});
        REQUIRE(server.mails().size() == 1);
        CHECK(server.mails()[0].from.find("SMTPUTF8") == std::string::npos);
    }

    TEST_CASE_TEMPLATE("nothing gets onto the wire by way of an address", G, Plain, Pipelined) {
        const typename G::Server server;
        const auto courier = make_smtp_courier(options_for(server));
        for (const std::string evil :
             {"a@b.example>\r\nRCPT TO:<eve@c.example", "a@b.example\n", "a b@c.example", "<a@b.example>",
              "a@b@c.example", "\"a\"@b.example", "a@b.example,c@d.example", "ab.example", "@b.example", "a@",
              "", "a@тест.укр", "a\xC3@b.example", "a\\@b.example", "a@b.example;c", "\x01@b.example",
              "a\x7F@b.example"}) {
            CAPTURE(evil);
            CHECK(courier->deliver({{"news@example.org", evil, false}, message}).kind == Kind::refused);
            CHECK(courier->deliver({{evil, "ada@example.com", false}, message}).kind == Kind::refused);
        }
        CHECK(server.count("CONNECT") == 0);
    }

    TEST_CASE_TEMPLATE("what a server says is kept short, and what is hidden in it is shown", G, Plain,
                       Pipelined) {
        const typename G::Server server{
            {"RCPT", "550 \x1B[31mred\xFF\xC3 \xE2\x80\xAEx\t" + std::string(2000, 'x')}};
        SmtpOptions options = options_for(server);
        std::string heard;
        options.on_reply = [&heard](std::string_view line) { (heard += line) += "\n"; };
        const Outcome outcome = make_smtp_courier(options)->deliver({envelope, message});
        CHECK(outcome.reply.size() <= 600);
        CHECK(outcome.reply.starts_with("550 \\u{1B}[31mred\\x{FF}\\x{C3} \\u{202E}x\\u{9}xxx"));
        CHECK(heard.find("550 \\u{1B}[31mred") != std::string::npos);
    }

    TEST_CASE_TEMPLATE("what a server says is not cut in the middle of a character", G, Plain, Pipelined) {
        const typename G::Server server{{"RCPT", "550 " + std::string(495, 'x') + "ї"}};
        CHECK(deliver(server).reply == "550 " + std::string(495, 'x'));
    }

    TEST_CASE_TEMPLATE("a courier that goes does not wait for the reply to QUIT", G, Plain, Pipelined) {
        const typename G::Server server{{"QUIT", "<silent>"}};
        auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        const auto before = std::chrono::steady_clock::now();
        courier.reset();
        CHECK(std::chrono::steady_clock::now() - before < 500ms);
        wait_a_moment();
        CHECK(server.count("QUIT") == 1 + G::probes);
    }

    TEST_CASE_TEMPLATE("the dialogue can be heard, without what we said", G, Plain, Pipelined) {
        const typename G::Server server;
        SmtpOptions options = options_for(server);
        std::string heard;
        options.on_reply = [&heard](std::string_view line) { (heard += line) += "\n"; };
        options.username = "zgoda";
        options.password = "secret";
        make_smtp_courier(options)->deliver({envelope, message});
        CHECK(heard.find("235 2.7.0 welcome") != std::string::npos);
        CHECK(heard.find("250 2.0.0 queued as 1234") != std::string::npos);
        CHECK(heard.find("AHpnb2Rh") == std::string::npos);
    }

    TEST_CASE_TEMPLATE("a connection carries no more letters than it may", G, Plain, Pipelined) {
        const typename G::Server server;
        SmtpOptions options = options_for(server);
        options.letters_per_connection = 2;
        auto courier = make_smtp_courier(options);
        const Parcel parcel{envelope, message};
        for (int i = 0; i < 4; ++i) CHECK(courier->deliver(parcel, &parcel).kind == Kind::delivered);
        CHECK(courier->deliver(parcel).kind == Kind::delivered);
        courier.reset();
        wait_a_moment();
        CHECK(server.mails().size() == 5);
        CHECK(server.count("CONNECT") == 3 + G::probes);
        CHECK(server.count("QUIT") == 3 + G::probes);
    }

    TEST_CASE_TEMPLATE("a letter whose time ran out on the way does not go", G, Plain, Pipelined) {
        const typename G::Server server{{"DATA", "<wait 1300>354 go ahead"}};
        SmtpOptions options = options_for(server);
        options.reply_timeout = 5s;
        options.total_timeout = 1s;
        const Outcome outcome = make_smtp_courier(options)->deliver({envelope, message});
        CHECK(outcome.kind == Kind::try_later);
        std::this_thread::sleep_for(500ms);
        CHECK(server.mails().empty());
    }

    TEST_CASE_TEMPLATE("a process that was stopped for long does not go on with its letter", G, Plain,
                       Pipelined) {
        const typename G::Server server{{"DATA", "<wait 300>354 go ahead"}};
        SmtpOptions options = options_for(server);
        options.reply_timeout = 5s;
        options.total_timeout = 1s;
        const pid_t mailer = ::fork();
        if (mailer == 0) {
            make_smtp_courier(options)->deliver({envelope, message});
            ::_exit(0);
        }
        for (int i = 0; i < 200 && server.count("DATA") == 0; ++i) std::this_thread::sleep_for(5ms);
        ::kill(mailer, SIGSTOP);
        std::this_thread::sleep_for(1200ms);
        ::kill(mailer, SIGCONT);
        ::waitpid(mailer, nullptr, 0);
        wait_a_moment();
        CHECK(server.count("DATA") == 1);
        CHECK(server.mails().empty());
    }

    TEST_CASE_TEMPLATE("a letter that may no longer go when the server waits for it does not", G, Plain,
                       Pipelined) {
        const typename G::Server server;
        const auto courier = make_smtp_courier(options_for(server));
        Parcel late = ada;
        late.may_go = [&] { return server.count("DATA") == 0; };
        CHECK(courier->deliver(late).kind == Kind::try_later);
        CHECK(server.count("DATA") == 1);
        CHECK(courier->deliver(ben).kind == Kind::delivered);
        REQUIRE(server.mails().size() == 1);
        CHECK(server.mails()[0].to.find("ben") != std::string::npos);
        CHECK(server.count("(cut) S") == 0);  // not a line of it
    }

    TEST_CASE_TEMPLATE("a connection that was idle for long is not used again", G, Plain, Pipelined) {
        const typename G::Server server;
        SmtpOptions options = options_for(server);
        options.longest_idle = 1s;
        const auto courier = make_smtp_courier(options);
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        std::this_thread::sleep_for(2100ms);
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        CHECK(server.count("CONNECT") == 2 + G::probes);
    }

    TEST_CASE_TEMPLATE("a server that says 421 after the dot is left at once", G, Plain, Pipelined) {
        const typename G::Server server{{". 1", "421 4.3.0 closing<silent>"}};
        const auto courier = make_smtp_courier(options_for(server));
        const Parcel parcel{envelope, message};
        const auto before = std::chrono::steady_clock::now();
        CHECK(courier->deliver(parcel, &parcel).scope == Scope::relay);
        CHECK(courier->deliver(parcel).kind == Kind::delivered);
        CHECK(std::chrono::steady_clock::now() - before < 900ms);
        CHECK(server.mails().size() == 1);
    }

    TEST_CASE_TEMPLATE("a server that speaks slowly is waited for", G, Plain, Pipelined) {
        check<G>({"octet by octet",
                  {{".", "<drip 15>250-2.0.0 well\n250 2.0.0 queued"}},
                  Kind::delivered,
                  Scope::letter,
                  "250 2.0.0 well 2.0.0 queued"});
    }

    TEST_CASE_TEMPLATE("what a long letter holds arrives, dots at the start of lines too", G, Plain,
                       Pipelined) {
        std::string text = "Subject: long\r\n\r\n";
        for (std::size_t i = 0; text.size() < 300'000; ++i)
            text += std::string(i % 7 == 0 ? 1 + i % 3 : 0, '.') + std::string(i % 71, 'x') + "\r\n";
        const typename G::Server server;
        const auto courier = make_smtp_courier(options_for(server));
        const Parcel parcel{envelope, text};
        CHECK(courier->deliver(parcel, &parcel).kind == Kind::delivered);
        CHECK(courier->deliver(parcel).kind == Kind::delivered);
        REQUIRE(server.mails().size() == 2);
        CHECK((server.mails()[0].data == text));
        CHECK((server.mails()[1].data == text));
    }

    TEST_CASE_TEMPLATE("a token is read for each connection, and no password is ever tried instead", G, Plain,
                       Pipelined) {
        const std::string file = "/tmp/zgoda-token-" + std::to_string(::getpid());
        const auto write = [&](const char* token) { std::ofstream(file) << token; };
        const auto options_with = [&](const ScriptedSmtp& server) {
            SmtpOptions options = options_for(server);
            options.username = "zgoda";
            options.token_file = file;
            return options;
        };
        write("first\n");
        const typename G::Server good{{"EHLO", "250-scripted.test\n250 AUTH PLAIN XOAUTH2"},
                                      {". 1", "250 ok<drop>"}};
        const auto courier = make_smtp_courier(options_with(good));
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        wait_a_moment();
        write("second\n");
        CHECK(courier->deliver({envelope, message}).kind == Kind::delivered);
        // "user=zgoda^Aauth=Bearer first^A^A", and second
        CHECK(good.count("AUTH XOAUTH2 dXNlcj16Z29kYQFhdXRoPUJlYXJlciBmaXJzdAEB") == 1 + G::probes);
        CHECK(good.count("AUTH XOAUTH2 dXNlcj16Z29kYQFhdXRoPUJlYXJlciBzZWNvbmQBAQ==") == 1);

        const typename G::Server passwords_only{{"EHLO", "250-scripted.test\n250 AUTH PLAIN LOGIN"}};
        CHECK(make_smtp_courier(options_with(passwords_only))->deliver({envelope, message}).scope ==
              Scope::config);
        CHECK(passwords_only.count("AUTH") == 0);
        CHECK(passwords_only.count("MAIL") == 0);

        write("third\n");
        // "n,a=zgoda,^Ahost=127.0.0.1^Aport=..." (RFC 7628)
        const typename G::Server standard{{"EHLO", "250-scripted.test\n250 AUTH OAUTHBEARER XOAUTH2"}};
        CHECK(make_smtp_courier(options_with(standard))->deliver({envelope, message}).kind ==
              Kind::delivered);
        CHECK(standard.count("AUTH OAUTHBEARER bixhPXpnb2RhLAFob3N0PTEyNy4wLjAuMQFwb3J0P") == 1 + G::probes);
        const typename G::Server stale{{"EHLO", "250-scripted.test\n250 AUTH OAUTHBEARER"},
                                       {"AUTH 1", "334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0="},
                                       {"AUTH 2", "535 5.7.8 the token has expired"}};
        CHECK(make_smtp_courier(options_with(stale))->deliver({envelope, message}).scope == Scope::config);
        CHECK(stale.count("MAIL") == 0);

        std::remove(file.c_str());
        const typename G::Server unasked{{"EHLO", "250-scripted.test\n250 AUTH XOAUTH2"}};
        const Outcome outcome = make_smtp_courier(options_with(unasked))->deliver({envelope, message});
        CHECK(outcome.scope == Scope::config);
        CHECK(outcome.reply.find("no token can be read from " + file) != std::string::npos);
        CHECK(unasked.count("MAIL") == 0);
    }
}

TEST_SUITE("smtp courier, pipelined") {
    TEST_CASE("a letter takes one round trip when the next is known, and two when it is not") {
        const Pipelined::Server server;
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(ada, &ben).kind == Kind::delivered);
        const int before = server.reads();
        for (int i = 0; i < 10; ++i) {
            CHECK(courier->deliver(ben, &ada).kind == Kind::delivered);
            CHECK(courier->deliver(ada, &ben).kind == Kind::delivered);
        }
        CHECK(server.reads() - before <= 21);
        CHECK(courier->deliver(ben).kind == Kind::delivered);
        const int between = server.reads();
        for (int i = 0; i < 10; ++i) CHECK(courier->deliver(ada).kind == Kind::delivered);
        CHECK(server.reads() - between <= 21);
        CHECK(server.mails().size() == 32);
        CHECK(server.count("CONNECT") == 1);
        CHECK(server.count("RSET") == 0);
    }

    TEST_CASE("a letter that was announced and does not go costs a connection, and nobody gets it") {
        const Pipelined::Server server;
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(ada, &ben).kind == Kind::delivered);
        CHECK(courier->deliver(eve).kind == Kind::delivered);
        REQUIRE(server.mails().size() == 2);
        CHECK(server.mails()[1].to == "RCPT TO:<eve@example.com>");
        CHECK(server.mails()[1].data == eve.message);
        CHECK(server.count("CONNECT") == 2);
    }

    TEST_CASE("an announced letter that is refused is refused when its turn comes, and the next one goes") {
        const Pipelined::Server server{{"RCPT 2", "550 5.1.1 no such user"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(ada, &ben).kind == Kind::delivered);
        CHECK(courier->deliver(ben, &eve).kind == Kind::refused);
        CHECK(courier->deliver(eve).kind == Kind::delivered);
        CHECK(server.mails().size() == 2);
        CHECK(server.count("CONNECT") == 1);
        CHECK(server.count("RSET") == 1);
    }

    TEST_CASE("a letter refused after the dot leaves the announced one as it is") {
        const Pipelined::Server server{{". 1", "554 5.7.1 looks like spam"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(ada, &ben).kind == Kind::refused);
        CHECK(courier->deliver(ben).kind == Kind::delivered);
        CHECK(server.mails().size() == 1);
        CHECK(server.count("CONNECT") == 1);
        CHECK(server.count("MAIL") == 2);
    }

    TEST_CASE("a server that wants a body for nobody gets none") {
        const Pipelined::Server server{{"RCPT 1", "550 5.1.1 no such user"}, {"DATA", "354 go ahead"}};
        const auto courier = make_smtp_courier(options_for(server));
        const auto before = std::chrono::steady_clock::now();
        CHECK(courier->deliver(ada, &ben).kind == Kind::refused);
        CHECK(courier->deliver(ben).kind == Kind::delivered);
        CHECK(std::chrono::steady_clock::now() - before < 900ms);  // and waited for nothing
        REQUIRE(server.mails().size() == 1);
        CHECK(server.mails()[0].data == ben.message);
        CHECK(server.count("CONNECT") == 2);
    }

    TEST_CASE("a server that hangs up within a letter is heard first") {
        const Pipelined::Server server{{"DATA", "354 go ahead\n552 5.3.4 too big<drop>"}};
        const Outcome outcome = make_smtp_courier(options_for(server))
                                    ->deliver({envelope, message + std::string(20'000'000, 'x')}, &ben);
        CHECK(outcome.kind == Kind::refused);
        CHECK(outcome.reply == "552 5.3.4 too big");
    }

    TEST_CASE("a connection lost behind a letter costs the announced one nothing") {
        for (const char* reply : {"250 ok<drop>", "250 ok\n421 4.7.0 enough of you<drop>"}) {
            const Pipelined::Server server{{". 1", reply}};
            const auto courier = make_smtp_courier(options_for(server));
            CHECK(courier->deliver(ada, &ben).kind == Kind::delivered);
            CHECK(courier->deliver(ben).kind == Kind::delivered);
            CHECK(server.mails().size() == 2);
            CHECK(server.count("CONNECT") == 2);
        }
    }

    TEST_CASE("an uncertain letter says nothing about the announced one") {
        const Pipelined::Server server{{". 1", "<drop>"}};
        const auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(ada, &ben).kind == Kind::uncertain);
        CHECK(courier->deliver(ben).kind == Kind::delivered);
        REQUIRE(server.mails().size() == 1);
        CHECK(server.mails()[0].data == ben.message);
    }

    TEST_CASE("a letter that the server cannot take is not announced to it") {
        const Pipelined::Server server{{"EHLO", "250-scripted.test\n250 8BITMIME"}};
        const auto courier = make_smtp_courier(options_for(server));
        Parcel oksana = letter_to("Оксана");
        oksana.envelope.needs_smtputf8 = true;
        CHECK(courier->deliver(ada, &oksana).kind == Kind::delivered);
        CHECK(courier->deliver(oksana, &ben).kind == Kind::refused);
        CHECK(courier->deliver(ben).kind == Kind::delivered);
        CHECK(server.count("MAIL") == 2);
        CHECK(server.count("CONNECT") == 1);
        Parcel evil = letter_to("a b");
        CHECK(courier->deliver(ben, &evil).kind == Kind::delivered);
        CHECK(courier->deliver(evil).kind == Kind::refused);
        CHECK(server.count("MAIL") == 3);
    }

    TEST_CASE("a courier that goes with a letter announced says no QUIT into its body") {
        const Pipelined::Server server;
        auto courier = make_smtp_courier(options_for(server));
        CHECK(courier->deliver(ada, &ben).kind == Kind::delivered);
        courier.reset();
        wait_a_moment();
        CHECK(server.mails().size() == 1);
        CHECK(server.count("(cut)") == 1);
        CHECK(server.count("(cut) QUIT") == 0);
    }
}
