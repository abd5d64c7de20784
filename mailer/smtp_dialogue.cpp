// What has to be known of libcurl 7.88: it keeps a connection after a timeout that followed the final dot,
// and reads the late reply as the next letter's; it notices a relay's "421 idle" only when it reuses the
// connection; it goes on without authentication where the server offers none, and without SMTPUTF8 too;
// RESPONSE_CODE may be that of an earlier command. So the replies are followed here line by line.

#include "mailer/smtp_dialogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "mailer/refusal.h"
#include "service/printable.h"

namespace zgoda::mailer {
namespace {

using Kind = Outcome::Kind;
using Scope = Outcome::Scope;

std::size_t on_header(char* data, std::size_t size, std::size_t n, void* to) {
    auto& dialogue = *static_cast<Dialogue*>(to);
    dialogue.hear({data, size * n});
    return dialogue.veto == Dialogue::Veto::none ? size * n : 0;
}

int on_socket(void* dialogue, curl_socket_t, curlsocktype) {
    static_cast<Dialogue*>(dialogue)->connected();
    return CURL_SOCKOPT_OK;
}

std::string url_of(const SmtpOptions& options) {
    const bool v6 = options.host.find(':') != std::string::npos && !options.host.starts_with('[');
    return fmt::format("{}://{}{}{}:{}/{}", options.tls == SmtpOptions::Tls::implicit ? "smtps" : "smtp",
                       v6 ? "[" : "", options.host, v6 ? "]" : "", options.port, options.helo_name);
}

// Which of a certificate's faults it was, from libcurl's words; "" if they name none of the common ones.
std::string_view fault_of_certificate(std::string_view error) {
    const auto says = [error](std::string_view words) { return error.find(words) != error.npos; };
    if (says("host name") || says("does not match"))
        return "the relay's certificate is for another host name than mail.url: ";
    if (says("expired")) return "the relay's certificate has expired: ";
    if (says("not yet valid")) return "the relay's certificate is not valid yet: ";
    if (says("self-signed certificate") && !says("in certificate chain"))
        return "the relay's certificate is self-signed, and not among those that this machine trusts: ";
    if (says("issuer certificate") || says("in certificate chain"))
        return "the relay's certificate is of an authority that this machine does not know: ";
    return "";
}

}  // namespace

void Dialogue::connected() {
    step = Step::greeting;
    fresh = true;
    has_tls = false;
    forget_capabilities();
}

void Dialogue::forget_capabilities() {
    offers_auth = offers_smtputf8 = offers_8bitmime = offers_size = offers_pipelining = false;
}

void Dialogue::begin(Step first) {
    step = first;
    fresh = false;
    veto = Veto::none;
    code = last_code = 0;
    complete_ = true;
    text.clear();
    handed_over = over = false;
}

bool Dialogue::is_stale(CURLcode result) const {
    const bool lost = (result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR) && code < 400;
    return result != CURLE_OK && !fresh && veto == Veto::none && !handed_over &&
           (code == 421 || lost || step == Step::reset);
}

// By RFC 4954, in its code or its enhanced code.
bool Dialogue::wants_authentication() const {
    for (const std::string_view enhanced : {" 5.7.8 ", " 5.7.9 ", " 5.7.11 "})
        if (code >= 500 && text.compare(3, enhanced.size(), enhanced) == 0) return true;
    return code == 530 || code == 534 || code == 535 || code == 538;
}

void Dialogue::read_capability(std::string_view line) {
    const auto begins = [line](std::string_view keyword) {
        return line.size() >= keyword.size() &&
               ::strncasecmp(line.data(), keyword.data(), keyword.size()) == 0;
    };
    if (begins("AUTH ") || begins("AUTH=")) offers_auth = true;
    if (begins("SMTPUTF8")) offers_smtputf8 = true;
    if (begins("8BITMIME")) offers_8bitmime = true;
    if (begins("SIZE")) offers_size = true;
    if (begins("PIPELINING")) offers_pipelining = true;
}

bool Dialogue::hear(std::string_view line) {
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    if (options->on_reply) options->on_reply(printable(line));
    const auto digit = [line](std::size_t i) { return line[i] >= '0' && line[i] <= '9'; };
    if (line.size() < 3 || !digit(0) || !digit(1) || !digit(2)) return false;
    const bool ends = line.size() == 3 || line[3] == ' ';
    last_code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (over) return ends;
    if (complete_) {
        text.assign(line.substr(0, 3));
        if (step == Step::ehlo) forget_capabilities();
    }
    complete_ = ends;
    const std::string_view words = line.substr(std::min<std::size_t>(4, line.size()));
    if (step == Step::ehlo && last_code == 250) read_capability(words);
    if (text.size() < 8192 && !words.empty()) (text += ' ') += words;
    code = last_code;
    if (ends) answered();
    return ends;
}

void Dialogue::answered() {
    const bool positive = code >= 200 && code < 300;
    const auto advance = [this](bool well, Step next) {
        if (well)
            step = next;
        else
            over = true;
    };
    switch (step) {
        case Step::ehlo:
            if (!positive) break;  // libcurl tries HELO
            if (options->tls == SmtpOptions::Tls::starttls && !has_tls) {
                step = Step::starttls;
                break;
            }
            if (needs_smtputf8 && !has_smtputf8()) veto = Veto::smtputf8_missing;
            if (!options->username.empty() && !offers_auth) veto = Veto::auth_missing;
            step = options->username.empty() ? Step::mail : Step::auth;
            break;
        case Step::auth:
            if (positive) step = Step::mail;  // else libcurl goes on, with the next mechanism perhaps
            break;
        case Step::starttls:
            has_tls = positive;
            [[fallthrough]];
        case Step::greeting:
            advance(positive, Step::ehlo);
            break;
        case Step::reset:
            advance(positive, Step::mail);
            break;
        case Step::mail:
            advance(positive, Step::rcpt);
            break;
        case Step::rcpt:
            advance(positive, Step::data);
            break;
        case Step::data:
            advance(code == 354, Step::dot);
            break;
        case Step::dot:
            if (positive || code >= 400) step = Step::done;
            over = true;
            break;
        case Step::done:
            break;
    }
}

std::string printable(std::string_view s) {
    constexpr std::size_t longest = 500;
    if (s.size() > longest) {
        std::size_t end = longest;
        while (end > 0 && (static_cast<unsigned char>(s[end]) & 0xC0) == 0x80) --end;  // no half characters
        s = s.substr(0, end);
    }
    return service::printable(s);
}

bool needs_smtputf8(const Envelope& envelope) {
    return envelope.needs_smtputf8 ||
           std::any_of(envelope.recipient.begin(), envelope.recipient.end(),
                       [](char c) { return static_cast<unsigned char>(c) > 0x7F; });
}

CURL* open_smtp(Dialogue& dialogue, char* error) {
    static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!ready) throw std::runtime_error("libcurl cannot be initialised");
    CURL* curl = curl_easy_init();
    if (!curl) return nullptr;
    const SmtpOptions& options = *dialogue.options;
    curl_easy_setopt(curl, CURLOPT_URL, url_of(options).c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    const bool tls = options.tls != SmtpOptions::Tls::none;
    curl_easy_setopt(curl, CURLOPT_USE_SSL, static_cast<long>(tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (!options.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.c_str());
    if (!options.username.empty()) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, options.username.c_str());
        if (!options.token_file.empty()) {  // never with another mechanism, which would try an empty password
            curl_easy_setopt(curl, CURLOPT_LOGIN_OPTIONS, "AUTH=XOAUTH2;AUTH=OAUTHBEARER");
        } else if (!options.password.empty()) {  // where Kerberos is offered, libcurl would try nothing else
            curl_easy_setopt(curl, CURLOPT_PASSWORD, options.password.c_str());
            curl_easy_setopt(curl, CURLOPT_LOGIN_OPTIONS,
                             "AUTH=SCRAM-SHA-256;AUTH=SCRAM-SHA-1;AUTH=DIGEST-MD5;AUTH=CRAM-MD5;AUTH=NTLM;"
                             "AUTH=PLAIN;AUTH=LOGIN");
        }
        curl_easy_setopt(curl, CURLOPT_SASL_IR, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, static_cast<long>(options.reply_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, static_cast<long>(options.total_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &dialogue);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, &dialogue);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    return curl;
}

bool set_token(CURL* curl, const SmtpOptions& options, char* error) {
    if (options.token_file.empty()) return true;
    std::ifstream file(options.token_file);
    std::string token;
    if (std::getline(file, token) && token.ends_with('\r')) token.pop_back();
    if (token.empty()) {
        fmt::format_to_n(error, CURL_ERROR_SIZE - 1, "no token can be read from {}{}", options.token_file,
                         '\0');
        return false;
    }
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, token.c_str());
    return true;
}

// The first rule that fits decides. What is not clearly final is try_later.
Outcome judge(const Dialogue& d, CURLcode result, const char* error, int& tls_failures) {
    using Step = Dialogue::Step;
    using Veto = Dialogue::Veto;
    if (result != CURLE_SSL_CONNECT_ERROR) tls_failures = 0;
    if (result == CURLE_OK) return {Kind::delivered, Scope::letter, d.text, false};
    if (d.step == Step::done && d.code >= 200 && d.code < 300)
        return {Kind::delivered, Scope::letter, d.text, false};

    const std::string why = d.code >= 400 ? d.text : fmt::format("{}: {}", curl_easy_strerror(result), error);
    const auto is = [result](std::initializer_list<CURLcode> codes) {
        return std::find(codes.begin(), codes.end(), result) != codes.end();
    };

    if (d.step == Step::dot && d.handed_over) return {Kind::uncertain, Scope::letter, why, false};

    if (d.veto == Veto::auth_missing)
        return {Kind::try_later, Scope::config, "the server offers no authentication, but a username is set",
                false};
    if (result == CURLE_LOGIN_DENIED || d.wants_authentication())
        return {Kind::try_later, Scope::config, why, false};
    if (result == CURLE_SSL_CONNECT_ERROR && ++tls_failures >= 3)
        return {Kind::try_later, Scope::config, why, false};
    if (result == CURLE_PEER_FAILED_VERIFICATION)
        return {Kind::try_later, Scope::config, fmt::format("{}{}", fault_of_certificate(error), why), false};
    if (is({CURLE_USE_SSL_FAILED, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_ENGINE_INITFAILED,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_AUTH_ERROR}))
        return {Kind::try_later, Scope::config, why, false};
    if (d.veto == Veto::smtputf8_missing)
        return {Kind::refused, Scope::letter,
                "the server cannot send to addresses with letters outside ASCII (no SMTPUTF8)", false};
    if (is({CURLE_FAILED_INIT, CURLE_OUT_OF_MEMORY})) return {Kind::try_later, Scope::relay, why, false};
    if (is({CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_FUNCTION_ARGUMENT,
            CURLE_NOT_BUILT_IN}))
        return {Kind::try_later, Scope::config, why, false};
    // Until MAIL, nothing was about this letter.
    if (d.step < Step::mail || d.code == 421) return {Kind::try_later, Scope::relay, why, false};
    if (is({CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY}))
        return {Kind::try_later, Scope::relay, why, false};

    if (d.code < 500 || d.code > 599) return {Kind::try_later, Scope::letter, why, false};
    // MAIL names only the sender; 552 there means that the letter is too big.
    if (d.step == Step::mail && d.code != 552) return {Kind::try_later, Scope::config, why, false};
    return {Kind::refused, Scope::letter, why, says_mailbox_unknown(d.text)};
}

}  // namespace zgoda::mailer
