#pragma once

// Letters over one connection, a round trip each (RFC 2920): MAIL, RCPT and DATA go in one write; where the
// next letter is known, its three go in the same write as the body of this one. libcurl makes the connection,
// with STARTTLS and AUTH, and carries the octets; the commands are ours.
//
// No body leaves before all three of its commands were answered well, nor once `total_timeout` has passed
// since deliver() began: a process that was stopped meanwhile does not go on with a letter that may have
// become another mailer's.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "mailer/courier.h"
#include "mailer/smtp_dialogue.h"

namespace zgoda::mailer {

class PipelinedCourier {
 public:
    explicit PipelinedCourier(const SmtpOptions& options) : options_(options), dialogue_(options) {}
    ~PipelinedCourier() { close(); }
    PipelinedCourier(const PipelinedCourier&) = delete;
    PipelinedCourier& operator=(const PipelinedCourier&) = delete;

    // As Courier::deliver(), for safe envelopes. nullopt, and nothing was sent, if the server does not offer
    // PIPELINING.
    std::optional<Outcome> deliver(const Parcel&, const Parcel* next);

 private:
    using Steady = std::chrono::steady_clock;

    CURLcode attempt(const Parcel&, const Parcel* next);
    CURLcode connect();
    CURLcode introduce(const Parcel&);
    CURLcode hand_over(const Parcel&, const Parcel* next);
    CURLcode send(std::string_view octets, std::size_t letter_ends = 0);
    CURLcode await_reply();
    CURLcode await_socket(short events);
    std::string commands_for(const Parcel&) const;
    void close();
    void drop();

    const SmtpOptions& options_;
    CURL* curl_ = nullptr;
    curl_socket_t socket_ = CURL_SOCKET_BAD;
    char error_[CURL_ERROR_SIZE] = {};
    int tls_failures_ = 0;
    Dialogue dialogue_;
    std::string announced_;      // the commands of the next letter, sent and not answered yet
    bool reset_needed_ = false;  // the server is still in the transaction of a letter that it refused
    bool in_step_ = false;       // nothing is owed by the server, so QUIT may be said
    int carried_ = 0;            // letters over this connection
    std::string heard_;          // octets of the server
    std::size_t read_ = 0;       // those of them that were looked at
    bool more_ = false;          // the last read filled its buffer
    Steady::time_point last_used_, letter_ends_by_, reply_by_;
};

}  // namespace zgoda::mailer
