// Letters one command at a time, by libcurl: for relays that do not offer PIPELINING. libcurl knows the
// protocol but not what its results mean for a letter; that is in judge(). It may keep a connection that is
// out of step (smtp_dialogue.cpp), and waits for the reply to QUIT when it closes one: so a handle is kept
// only after a clean result, and closed our way.

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "mailer/courier.h"
#include "mailer/pipelined_courier.h"
#include "mailer/smtp_dialogue.h"

namespace zgoda::mailer {
namespace {

using Step = Dialogue::Step;
using Veto = Dialogue::Veto;

class PlainCourier {
 public:
    explicit PlainCourier(const SmtpOptions& options) : options_(options), dialogue_(options) {}
    ~PlainCourier() { drop(); }
    PlainCourier(const PlainCourier&) = delete;
    PlainCourier& operator=(const PlainCourier&) = delete;

    Outcome deliver(const Parcel& parcel) {
        if (options_.letters_per_connection > 0 && carried_ >= options_.letters_per_connection) drop();
        CURLcode result = attempt(parcel);
        if (dialogue_.is_stale(result)) {
            drop();
            result = attempt(parcel);
        }
        Outcome outcome = judge(dialogue_, result, error_, tls_failures_);
        const bool answered = dialogue_.code >= 400 && dialogue_.code < 600 && dialogue_.code != 421;
        const bool clean = result == CURLE_OK ||
                           ((result == CURLE_SEND_ERROR || result == CURLE_WEIRD_SERVER_REPLY) && answered);
        if (!clean || outcome.kind == Outcome::Kind::uncertain) drop();
        return outcome;
    }

 private:
    CURLcode attempt(const Parcel& parcel) {
        if (!curl_ && !open()) return CURLE_FAILED_INIT;
        // On a kept connection the next reply is to MAIL; libcurl says when it makes a new one.
        dialogue_.begin(Step::mail);
        dialogue_.needs_smtputf8 = needs_smtputf8(parcel.envelope);
        parcel_ = &parcel;
        sent_ = 0;
        error_[0] = '\0';
        if (live_ && dialogue_.needs_smtputf8 && !dialogue_.has_smtputf8()) {
            dialogue_.veto = Veto::smtputf8_missing;
            return CURLE_WRITE_ERROR;
        }
        if (!set_token(curl_, options_, error_)) return CURLE_LOGIN_DENIED;

        curl_slist* recipients = curl_slist_append(nullptr, parcel.envelope.recipient.c_str());
        if (!recipients) return CURLE_OUT_OF_MEMORY;
        curl_easy_setopt(curl_, CURLOPT_MAIL_FROM, parcel.envelope.sender.c_str());
        curl_easy_setopt(curl_, CURLOPT_MAIL_RCPT, recipients);
        curl_easy_setopt(curl_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(parcel.message.size()));
        const CURLcode result = curl_easy_perform(curl_);
        curl_easy_setopt(curl_, CURLOPT_MAIL_RCPT, nullptr);
        curl_slist_free_all(recipients);
        live_ = result == CURLE_OK;
        carried_ = dialogue_.fresh ? 1 : carried_ + 1;
        return result;
    }

    bool open() {
        dialogue_.connected();
        curl_ = open_smtp(dialogue_, error_);
        if (!curl_) return false;
        live_ = false;
        curl_easy_setopt(curl_, CURLOPT_MAXAGE_CONN, static_cast<long>(options_.longest_idle.count()));
        curl_easy_setopt(curl_, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl_, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl_, CURLOPT_READDATA, this);
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
        carried_ = 0;
    }

    static std::size_t on_read(char* to, std::size_t size, std::size_t n, void* courier) {
        auto& self = *static_cast<PlainCourier*>(courier);
        const Parcel& parcel = *self.parcel_;
        if (self.sent_ == 0 && parcel.may_go && !parcel.may_go()) return CURL_READFUNC_ABORT;
        const std::string_view rest = std::string_view(parcel.message).substr(self.sent_, size * n);
        std::memcpy(to, rest.data(), rest.size());
        self.sent_ += rest.size();
        self.dialogue_.handed_over = self.sent_ == parcel.message.size();
        return rest.size();
    }

    const SmtpOptions& options_;
    CURL* curl_ = nullptr;
    bool live_ = false;  // the handle has a connection that ended its last letter cleanly
    int carried_ = 0;    // letters over this connection
    int tls_failures_ = 0;
    char error_[CURL_ERROR_SIZE] = {};
    Dialogue dialogue_;
    const Parcel* parcel_ = nullptr;  // in deliver()
    std::size_t sent_ = 0;            // octets of its message that libcurl has taken
};

class SmtpCourier : public Courier {
 public:
    explicit SmtpCourier(SmtpOptions options)
        : options_(std::move(options)), pipelined_(std::in_place, options_) {}

    Outcome deliver(const Parcel& parcel, const Parcel* next) override {
        if (!is_safe_envelope(parcel.envelope))
            return {Outcome::Kind::refused, Outcome::Scope::letter,
                    "the envelope has an address that is not safe to send", false};
        if (next && !is_safe_envelope(next->envelope)) next = nullptr;
        std::optional<Outcome> outcome;
        if (pipelined_) outcome = pipelined_->deliver(parcel, next);
        if (!outcome) {
            pipelined_.reset();
            if (!plain_) plain_.emplace(options_);
            outcome = plain_->deliver(parcel);
        }
        outcome->reply = printable(outcome->reply);
        return *std::move(outcome);
    }

    Outcome check() override {
        Dialogue dialogue(options_);
        char error[CURL_ERROR_SIZE] = {};
        CURL* curl = open_smtp(dialogue, error);
        if (!curl) return {Outcome::Kind::try_later, Outcome::Scope::relay, "libcurl cannot be used", false};
        CURLcode result = CURLE_LOGIN_DENIED;
        if (set_token(curl, options_, error)) {
            curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
            result = curl_easy_perform(curl);
        }
        std::size_t sent = 0;
        if (result == CURLE_OK) curl_easy_send(curl, "QUIT\r\n", 6, &sent);
        curl_easy_cleanup(curl);
        int tls_failures = 2;  // a person waits for the answer: the first one tells
        Outcome outcome = judge(dialogue, result, error, tls_failures);
        outcome.reply = printable(outcome.reply);
        return outcome;
    }

 private:
    static bool is_safe_envelope(const Envelope& envelope) {
        return is_safe_address(envelope.sender) && is_safe_address(envelope.recipient) &&
               std::all_of(envelope.sender.begin(), envelope.sender.end(),
                           [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    }

    const SmtpOptions options_;
    std::optional<PipelinedCourier> pipelined_;  // until the server is known not to offer it
    std::optional<PlainCourier> plain_;
};

}  // namespace

std::unique_ptr<Courier> make_smtp_courier(SmtpOptions options) {
    return std::make_unique<SmtpCourier>(std::move(options));
}

}  // namespace zgoda::mailer
