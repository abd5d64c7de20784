#include "mailer/pipelined_courier.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace zgoda::mailer {
namespace {

using Step = Dialogue::Step;
using Veto = Dialogue::Veto;

constexpr std::size_t longest_line = 65'536;  // of the server

// The letter as it goes onto the wire: a dot more at lines that begin with one (RFC 5321 4.5.2).
std::string with_dots(std::string_view message) {
    std::string out;
    out.reserve(message.size() + 1024);
    if (message.starts_with('.')) out += '.';
    for (std::size_t from = 0; from < message.size();) {
        const std::size_t dot = message.find("\r\n.", from);
        if (dot == message.npos) {
            out += message.substr(from);
            break;
        }
        out += message.substr(from, dot + 3 - from);
        out += '.';
        from = dot + 3;
    }
    if (!out.ends_with("\r\n")) out += "\r\n";
    out += ".\r\n";
    return out;
}

}  // namespace

std::optional<Outcome> PipelinedCourier::deliver(const Parcel& parcel, const Parcel* next) {
    letter_ends_by_ = Steady::now() + options_.total_timeout;
    const bool worn = options_.letters_per_connection > 0 && carried_ >= options_.letters_per_connection;
    if (curl_ && (worn || Steady::now() > last_used_ + options_.longest_idle)) close();
    if (options_.letters_per_connection > 0 && carried_ + 1 >= options_.letters_per_connection)
        next = nullptr;

    CURLcode result = attempt(parcel, next);
    if (dialogue_.is_stale(result)) {
        drop();
        result = attempt(parcel, next);
    }
    if (result == CURLE_OK && !dialogue_.offers_pipelining) {
        close();
        return std::nullopt;
    }
    ++carried_;
    last_used_ = Steady::now();
    Outcome outcome = judge(dialogue_, result, error_, tls_failures_);
    if (!in_step_ && announced_.empty()) drop();
    return outcome;
}

CURLcode PipelinedCourier::attempt(const Parcel& parcel, const Parcel* next) {
    if (!announced_.empty() && announced_ != commands_for(parcel)) drop();  // what was announced will not go
    dialogue_.begin(Step::mail);
    error_[0] = '\0';
    if (!curl_)
        if (const CURLcode result = connect(); result != CURLE_OK || !dialogue_.offers_pipelining)
            return result;
    if (needs_smtputf8(parcel.envelope) && !dialogue_.has_smtputf8()) {
        dialogue_.veto = Veto::smtputf8_missing;
        return CURLE_WRITE_ERROR;
    }
    in_step_ = false;
    const CURLcode result = introduce(parcel);
    return result == CURLE_OK ? hand_over(parcel, next) : result;
}

CURLcode PipelinedCourier::connect() {
    dialogue_.connected();
    curl_ = open_smtp(dialogue_, error_);
    if (!curl_) return CURLE_FAILED_INIT;
    if (!set_token(curl_, options_, error_)) return CURLE_LOGIN_DENIED;
    curl_easy_setopt(curl_, CURLOPT_CONNECT_ONLY, 1L);
    if (const CURLcode result = curl_easy_perform(curl_); result != CURLE_OK) return result;
    if (curl_easy_getinfo(curl_, CURLINFO_ACTIVESOCKET, &socket_) != CURLE_OK || socket_ == CURL_SOCKET_BAD)
        return CURLE_FAILED_INIT;
    dialogue_.begin(Step::mail);
    dialogue_.fresh = true;
    in_step_ = true;
    return CURLE_OK;
}

std::string PipelinedCourier::commands_for(const Parcel& parcel) const {
    const Envelope& envelope = parcel.envelope;
    std::string out = fmt::format("MAIL FROM:<{}>", envelope.sender);
    if (dialogue_.offers_size) out += fmt::format(" SIZE={}", parcel.message.size());
    if (needs_smtputf8(envelope)) out += " SMTPUTF8";
    return out + fmt::format("\r\nRCPT TO:<{}>\r\nDATA\r\n", envelope.recipient);
}

// Until the server waits for the body. All three replies are read, whatever the first says.
CURLcode PipelinedCourier::introduce(const Parcel& parcel) {
    int replies = 3;
    if (announced_.empty()) {
        std::string octets = commands_for(parcel);
        if (reset_needed_) {
            octets.insert(0, "RSET\r\n");
            dialogue_.step = Step::reset;
            ++replies;
        }
        if (const CURLcode result = send(octets); result != CURLE_OK) return result;
    }
    announced_.clear();
    for (; replies > 0; --replies) {
        if (const CURLcode result = await_reply(); result != CURLE_OK) return result;
        if (dialogue_.over && dialogue_.code == 421) return CURLE_WEIRD_SERVER_REPLY;
    }
    reset_needed_ = dialogue_.over;
    if (!dialogue_.over) return CURLE_OK;
    in_step_ = dialogue_.last_code != 354;  // else the server waits for a body that nobody is to get
    return CURLE_WEIRD_SERVER_REPLY;
}

CURLcode PipelinedCourier::hand_over(const Parcel& parcel, const Parcel* next) {
    if (Steady::now() >= letter_ends_by_) return CURLE_OPERATION_TIMEDOUT;
    if (parcel.may_go && !parcel.may_go()) return CURLE_ABORTED_BY_CALLBACK;
    std::string octets = with_dots(parcel.message);
    const std::size_t letter_ends = octets.size();
    std::string announcement;
    if (next && (dialogue_.has_smtputf8() || !needs_smtputf8(next->envelope)))
        announcement = commands_for(*next);
    const CURLcode sent = send(octets += announcement, letter_ends);
    if (!dialogue_.handed_over) {
        if (sent != CURLE_SEND_ERROR) return sent;
        await_reply();  // it may have said why it hung up
        if (dialogue_.code < 400) dialogue_.step = Step::dot;
        return sent;
    }
    if (const CURLcode result = await_reply(); result != CURLE_OK) return result;
    const bool good = dialogue_.step == Step::done && dialogue_.code != 421;
    if (good && sent == CURLE_OK) {
        announced_ = std::move(announcement);
        in_step_ = announced_.empty();
    }
    return dialogue_.code >= 200 && dialogue_.code < 300 ? CURLE_OK : CURLE_WEIRD_SERVER_REPLY;
}

CURLcode PipelinedCourier::send(std::string_view octets, std::size_t letter_ends) {
    reply_by_ = Steady::now() + options_.reply_timeout;
    for (std::size_t sent = 0; sent < octets.size();) {
        std::size_t n = 0;
        CURLcode result = curl_easy_send(curl_, octets.data() + sent, octets.size() - sent, &n);
        if (result == CURLE_AGAIN) {
            result = await_socket(POLLOUT);
        } else {
            sent += n;
            if (letter_ends > 0 && sent >= letter_ends) dialogue_.handed_over = true;
            reply_by_ = Steady::now() + options_.reply_timeout;
        }
        if (result != CURLE_OK) return result;
    }
    return CURLE_OK;
}

CURLcode PipelinedCourier::await_reply() {
    reply_by_ = Steady::now() + options_.reply_timeout;
    for (;;) {
        for (std::size_t end; (end = heard_.find('\n', read_)) != heard_.npos;) {
            const std::string_view line = std::string_view(heard_).substr(read_, end + 1 - read_);
            read_ = end + 1;
            if (dialogue_.hear(line)) return CURLE_OK;
        }
        heard_.erase(0, read_);
        read_ = 0;
        if (heard_.size() > longest_line) return CURLE_WEIRD_SERVER_REPLY;

        // After a write there is nothing to read yet; but TLS may hold what the socket no longer shows.
        if (!more_)
            if (const CURLcode result = await_socket(POLLIN); result != CURLE_OK) return result;
        char buffer[4096];
        std::size_t n = 0;
        const CURLcode result = curl_easy_recv(curl_, buffer, sizeof buffer, &n);
        more_ = result == CURLE_OK && n == sizeof buffer;
        if (result == CURLE_AGAIN) continue;
        if (result != CURLE_OK) return result;
        if (n == 0) return CURLE_RECV_ERROR;
        heard_.append(buffer, n);
    }
}

CURLcode PipelinedCourier::await_socket(short events) {
    for (;;) {
        const auto left = std::min(reply_by_, letter_ends_by_) - Steady::now();
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        if (ms <= 0) return CURLE_OPERATION_TIMEDOUT;
        pollfd fd{socket_, events, 0};
        const int ready = ::poll(&fd, 1, static_cast<int>(std::min<std::int64_t>(ms, 60'000)));
        if (ready > 0) return CURLE_OK;
        if (ready < 0 && errno != EINTR) return CURLE_RECV_ERROR;
    }
}

// Says QUIT, and does not wait for the reply.
void PipelinedCourier::close() {
    if (curl_ && in_step_ && announced_.empty()) {
        std::size_t n = 0;
        curl_easy_send(curl_, "QUIT\r\n", 6, &n);
    }
    drop();
}

void PipelinedCourier::drop() {
    if (curl_) curl_easy_cleanup(curl_);  // which says nothing more on a connection of CURLOPT_CONNECT_ONLY
    curl_ = nullptr;
    socket_ = CURL_SOCKET_BAD;
    announced_.clear();
    reset_needed_ = in_step_ = more_ = false;
    carried_ = 0;
    heard_.clear();
    read_ = 0;
}

}  // namespace zgoda::mailer
