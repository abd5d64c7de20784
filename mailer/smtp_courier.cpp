// SMTP by libcurl, which knows the protocol but not what its results mean for a letter. That is in judge().
//
// What has to be known of libcurl 7.88: it keeps a connection after a timeout that followed the final dot,
// and reads the late reply as the next letter's; it notices a relay's "421 idle" only when it reuses the
// connection; it goes on without authentication where the server offers none, and without SMTPUTF8 too;
// RESPONSE_CODE may be that of an earlier command; closing a handle waits for the reply to QUIT. So: the
// replies are followed here line by line, and a handle is kept only after a clean result.

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistr.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "mailer/courier.h"
#include "mailer/refusal.h"

namespace zgoda::mailer {
namespace {

using Kind = Outcome::Kind;
using Scope = Outcome::Scope;

// Which command the next reply of the server belongs to.
enum class Step { greeting, ehlo, starttls, auth, mail, rcpt, data, dot, done };

enum class Veto { none, auth_missing, smtputf8_missing };

bool is_ascii(std::string_view s) {
    return std::none_of(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7F; });
}

// Servers may write anything; logs and terminals must not have to bear it.
std::string printable(std::string_view s) {
    std::string out(s.substr(0, 500));
    const auto* octets = reinterpret_cast<const std::uint8_t*>(out.data());
    while (const auto* bad = u8_check(octets, out.size())) out[static_cast<std::size_t>(bad - octets)] = '?';
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    return out;
}

// What the server says during one letter. A kept connection carries `step == mail` and its capabilities on.
struct Dialogue {
    bool credentials = false;
    bool starttls = false;
    bool needs_smtputf8 = false;
    std::string_view message;
    std::size_t sent = 0;      // octets of the message that libcurl has taken
    bool handed_over = false;  // all of them

    Step step = Step::greeting;
    bool fresh = true;     // this letter opened a connection
    bool has_tls = false;  // after the reply to STARTTLS
    bool offers_auth = false, offers_smtputf8 = false, offers_8bitmime = false;
    Veto veto = Veto::none;
    int code = 0;          // of the last reply to the last step, 0 while there is none
    bool complete = true;  // the reply in `text` has ended
    bool over = false;     // this letter has its answer; what comes now is the answer to libcurl's QUIT
    std::string text;      // the last reply, its lines joined

    void connected() {
        step = Step::greeting;
        fresh = true;
        has_tls = offers_auth = offers_smtputf8 = offers_8bitmime = false;
    }

    // By RFC 4954, in its code or its enhanced code.
    bool wants_authentication() const {
        for (const std::string_view enhanced : {" 5.7.8 ", " 5.7.9 ", " 5.7.11 "})
            if (code >= 500 && text.compare(3, enhanced.size(), enhanced) == 0) return true;
        return code == 530 || code == 534 || code == 535 || code == 538;
    }

    void hear(std::string_view line);

 private:
    void answered();
    void read_capability(std::string_view line);
};

void Dialogue::read_capability(std::string_view line) {
    const auto begins = [line](std::string_view keyword) {
        return line.size() >= keyword.size() &&
               ::strncasecmp(line.data(), keyword.data(), keyword.size()) == 0;
    };
    if (begins("AUTH ") || begins("AUTH=")) offers_auth = true;
    if (begins("SMTPUTF8")) offers_smtputf8 = true;
    if (begins("8BITMIME")) offers_8bitmime = true;
}

void Dialogue::hear(std::string_view line) {
    if (over) return;
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    const auto digit = [line](std::size_t i) { return line[i] >= '0' && line[i] <= '9'; };
    if (line.size() < 3 || !digit(0) || !digit(1) || !digit(2)) return;
    const int value = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (complete) {
        text.assign(line.substr(0, 3));
        if (step == Step::ehlo) offers_auth = offers_smtputf8 = offers_8bitmime = false;
    }
    complete = line.size() == 3 || line[3] == ' ';
    const std::string_view words = line.substr(std::min<std::size_t>(4, line.size()));
    if (step == Step::ehlo && value == 250) read_capability(words);
    if (text.size() < 8192 && !words.empty()) (text += ' ') += words;
    code = value;
    if (complete) answered();
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
            if (starttls && !has_tls) {
                step = Step::starttls;
                break;
            }
            if (needs_smtputf8 && !(offers_smtputf8 && offers_8bitmime)) veto = Veto::smtputf8_missing;
            if (credentials && !offers_auth) veto = Veto::auth_missing;
            step = credentials ? Step::auth : Step::mail;
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

class SmtpCourier : public Courier {
 public:
    explicit SmtpCourier(SmtpOptions options) : options_(std::move(options)) {
        static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
        if (!ready) throw std::runtime_error("libcurl cannot be initialised");
        const bool v6 = options_.host.find(':') != std::string::npos && !options_.host.starts_with('[');
        url_ = fmt::format("{}://{}{}{}:{}/{}", options_.tls == SmtpOptions::Tls::implicit ? "smtps" : "smtp",
                           v6 ? "[" : "", options_.host, v6 ? "]" : "", options_.port, options_.helo_name);
    }
    ~SmtpCourier() override { drop(); }
    SmtpCourier(const SmtpCourier&) = delete;
    SmtpCourier& operator=(const SmtpCourier&) = delete;

    Outcome deliver(const Envelope& envelope, std::string_view message) override {
        if (!is_safe_address(envelope.sender) || !is_safe_address(envelope.recipient) ||
            !is_ascii(envelope.sender))
            return {Kind::refused, Scope::letter, "the envelope has an address that is not safe to send",
                    false};

        CURLcode result = attempt(envelope, message);
        if (stale(result)) {
            drop();
            result = attempt(envelope, message);
        }
        Outcome outcome = judge(result);
        outcome.reply = printable(outcome.reply);
        const bool answered = dialogue_.code >= 400 && dialogue_.code < 600 && dialogue_.code != 421;
        const bool clean = result == CURLE_OK ||
                           ((result == CURLE_SEND_ERROR || result == CURLE_WEIRD_SERVER_REPLY) && answered);
        if (!clean || outcome.kind == Kind::uncertain) drop();
        return outcome;
    }

 private:
    CURLcode attempt(const Envelope& envelope, std::string_view message) {
        if (!curl_ && !open()) return CURLE_FAILED_INIT;
        // On a kept connection the next reply is to MAIL; on_socket() says when libcurl makes a new one.
        dialogue_.step = Step::mail;
        dialogue_.fresh = false;
        dialogue_.veto = Veto::none;
        dialogue_.code = 0;
        dialogue_.complete = true;
        dialogue_.text.clear();
        dialogue_.message = message;
        dialogue_.sent = 0;
        dialogue_.handed_over = dialogue_.over = false;
        dialogue_.needs_smtputf8 = envelope.needs_smtputf8 || !is_ascii(envelope.recipient);
        if (live_ && dialogue_.needs_smtputf8 && !(dialogue_.offers_smtputf8 && dialogue_.offers_8bitmime)) {
            dialogue_.veto = Veto::smtputf8_missing;
            return CURLE_WRITE_ERROR;
        }

        curl_slist* recipients = curl_slist_append(nullptr, envelope.recipient.c_str());
        if (!recipients) return CURLE_OUT_OF_MEMORY;
        curl_easy_setopt(curl_, CURLOPT_MAIL_FROM, envelope.sender.c_str());
        curl_easy_setopt(curl_, CURLOPT_MAIL_RCPT, recipients);
        curl_easy_setopt(curl_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(message.size()));
        error_[0] = '\0';
        const CURLcode result = curl_easy_perform(curl_);
        curl_easy_setopt(curl_, CURLOPT_MAIL_RCPT, nullptr);
        curl_slist_free_all(recipients);
        dialogue_.message = {};
        live_ = result == CURLE_OK;
        return result;
    }

    bool open() {
        curl_ = curl_easy_init();
        if (!curl_) return false;
        dialogue_ = Dialogue{};
        dialogue_.credentials = !options_.username.empty();
        dialogue_.starttls = options_.tls == SmtpOptions::Tls::starttls;
        live_ = false;
        curl_easy_setopt(curl_, CURLOPT_URL, url_.c_str());
        curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        curl_easy_setopt(curl_, CURLOPT_PROXY, "");
        curl_easy_setopt(curl_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
        curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
        const bool tls = options_.tls != SmtpOptions::Tls::none;
        curl_easy_setopt(curl_, CURLOPT_USE_SSL, static_cast<long>(tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
        curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYPEER, 1L);
        curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYHOST, 2L);
        if (!options_.ca_file.empty()) curl_easy_setopt(curl_, CURLOPT_CAINFO, options_.ca_file.c_str());
        if (dialogue_.credentials) {
            curl_easy_setopt(curl_, CURLOPT_USERNAME, options_.username.c_str());
            curl_easy_setopt(curl_, CURLOPT_PASSWORD, options_.password.c_str());
            curl_easy_setopt(curl_, CURLOPT_SASL_IR, 1L);
        }
        curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT, static_cast<long>(options_.connect_timeout.count()));
        curl_easy_setopt(curl_, CURLOPT_SERVER_RESPONSE_TIMEOUT,
                         static_cast<long>(options_.reply_timeout.count()));
        curl_easy_setopt(curl_, CURLOPT_TIMEOUT, static_cast<long>(options_.total_timeout.count()));
        curl_easy_setopt(curl_, CURLOPT_MAXAGE_CONN, 25L);  // below the idle limits of relays
        curl_easy_setopt(curl_, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl_, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl_, CURLOPT_READDATA, &dialogue_);
        curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(curl_, CURLOPT_HEADERDATA, this);
        curl_easy_setopt(curl_, CURLOPT_SOCKOPTFUNCTION, on_socket);
        curl_easy_setopt(curl_, CURLOPT_SOCKOPTDATA, &dialogue_);
        curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, error_);
        return true;
    }

    // Closes without waiting for the reply to QUIT, however long the server would take.
    void drop() {
        if (!curl_) return;
        curl_socket_t fd = CURL_SOCKET_BAD;
        if (curl_easy_getinfo(curl_, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
            ::shutdown(fd, SHUT_RD);
        curl_easy_cleanup(curl_);
        curl_ = nullptr;
        live_ = false;
    }

    // A kept connection that the relay had closed or was closing when we came back to it.
    bool stale(CURLcode result) const {
        const bool lost = (result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR) && dialogue_.code < 400;
        return result != CURLE_OK && !dialogue_.fresh && dialogue_.veto == Veto::none &&
               !dialogue_.handed_over && (dialogue_.code == 421 || lost);
    }

    Outcome judge(CURLcode result);

    static std::size_t on_read(char* to, std::size_t size, std::size_t n, void* data) {
        auto& dialogue = *static_cast<Dialogue*>(data);
        const std::string_view rest = dialogue.message.substr(dialogue.sent, size * n);
        std::memcpy(to, rest.data(), rest.size());
        dialogue.sent += rest.size();
        dialogue.handed_over = dialogue.sent == dialogue.message.size();
        return rest.size();
    }

    static std::size_t on_header(char* data, std::size_t size, std::size_t n, void* courier) {
        auto& self = *static_cast<SmtpCourier*>(courier);
        const std::string_view line(data, size * n);
        if (self.options_.on_reply) self.options_.on_reply(printable(line));
        self.dialogue_.hear(line);
        return self.dialogue_.veto == Veto::none ? line.size() : 0;
    }

    static int on_socket(void* dialogue, curl_socket_t, curlsocktype) {
        static_cast<Dialogue*>(dialogue)->connected();
        return CURL_SOCKOPT_OK;
    }

    SmtpOptions options_;
    std::string url_;
    CURL* curl_ = nullptr;
    bool live_ = false;  // the handle has a connection that ended its last letter cleanly
    int tls_failures_ = 0;
    char error_[CURL_ERROR_SIZE] = {};
    Dialogue dialogue_;
};

// The first rule that fits decides. What is not clearly final is try_later.
Outcome SmtpCourier::judge(CURLcode result) {
    const Dialogue& d = dialogue_;
    const std::string why =
        d.code >= 400 ? d.text : fmt::format("{}: {}", curl_easy_strerror(result), error_);
    const auto is = [result](std::initializer_list<CURLcode> codes) {
        return std::find(codes.begin(), codes.end(), result) != codes.end();
    };

    if (result != CURLE_SSL_CONNECT_ERROR) tls_failures_ = 0;
    if (result == CURLE_OK) return {Kind::delivered, Scope::letter, d.text, false};
    if (d.step == Step::done && d.code >= 200 && d.code < 300)
        return {Kind::delivered, Scope::letter, d.text, false};
    if (d.step == Step::dot && d.handed_over) return {Kind::uncertain, Scope::letter, why, false};

    if (d.veto == Veto::auth_missing)
        return {Kind::try_later, Scope::config, "the server offers no authentication, but a username is set",
                false};
    if (result == CURLE_LOGIN_DENIED || d.wants_authentication())
        return {Kind::try_later, Scope::config, why, false};
    if (result == CURLE_SSL_CONNECT_ERROR && ++tls_failures_ >= 3)
        return {Kind::try_later, Scope::config, why, false};
    if (is({CURLE_PEER_FAILED_VERIFICATION, CURLE_USE_SSL_FAILED, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_ENGINE_INITFAILED, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR}))
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

}  // namespace

std::unique_ptr<Courier> make_smtp_courier(SmtpOptions options) {
    return std::make_unique<SmtpCourier>(std::move(options));
}

}  // namespace zgoda::mailer
