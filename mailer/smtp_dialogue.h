#pragma once

// What an SMTP server says during one letter, and what it means for the letter (RFC 5321, 2034, 4954, 6531).
// Both SMTP couriers follow the server with it, so they cannot differ in their verdicts. The connection
// itself (TCP, TLS, EHLO, STARTTLS, AUTH) is libcurl's in both.

#include <curl/curl.h>

#include <string>
#include <string_view>

#include "mailer/courier.h"

namespace zgoda::mailer {

struct Dialogue {
    // Which command the next reply of the server belongs to.
    enum class Step { greeting, ehlo, starttls, auth, reset, mail, rcpt, data, dot, done };
    // Why we said no before MAIL.
    enum class Veto { none, auth_missing, smtputf8_missing };

    explicit Dialogue(const SmtpOptions& o) : options(&o) {}

    void connected();  // a new connection: nothing that the last one offered holds
    void begin(Step);  // a letter, with what has been learnt of the connection
    // One line of the server. True if it ends a reply; a line that is none is passed over.
    bool hear(std::string_view line);

    bool has_smtputf8() const { return offers_smtputf8 && offers_8bitmime; }
    // The connection had been given up by the server when we came back to it with this letter.
    bool is_stale(CURLcode) const;

    const SmtpOptions* options;
    bool needs_smtputf8 = false;  // of this letter, where the connection is made for it

    Step step = Step::greeting;
    bool fresh = true;     // this letter opened the connection
    bool has_tls = false;  // after the reply to STARTTLS
    bool offers_auth = false, offers_smtputf8 = false, offers_8bitmime = false, offers_size = false,
         offers_pipelining = false;
    Veto veto = Veto::none;
    bool handed_over = false;  // the server has all of the letter
    int code = 0;              // of the reply that decides so far, 0 while there is none
    std::string text;          // that reply, its lines joined
    bool over = false;         // this letter has its answer; what comes now does not change it
    int last_code = 0;         // of the last line, whether or not it decides

 private:
    friend Outcome judge(const Dialogue&, CURLcode, const char*, int&);
    bool wants_authentication() const;
    void forget_capabilities();
    void answered();
    void read_capability(std::string_view line);

    bool complete_ = true;  // the reply in `text` has ended
};

// A handle with all that the connection needs, which hears the server into `dialogue`; nullptr if there is no
// memory. `dialogue` and `error` (CURL_ERROR_SIZE) must outlive it.
CURL* open_smtp(Dialogue& dialogue, char* error);

// Gives libcurl what the token file holds now. False, with the reason in `error`, if it cannot be read.
bool set_token(CURL*, const SmtpOptions&, char* error);

// What became of the letter, from how the attempt ended and what the server had said by then.
// `tls_failures` counts handshakes that failed one after the other.
Outcome judge(const Dialogue&, CURLcode, const char* error, int& tls_failures);

// Servers may write anything; logs and terminals must not have to bear it. The first 500 octets, as
// service::printable shows them.
std::string printable(std::string_view);

bool needs_smtputf8(const Envelope&);

}  // namespace zgoda::mailer
