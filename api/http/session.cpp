#include "api/http/session.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <limits>
#include <stdexcept>

#include "api/http/framing.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using boost::system::error_code;

namespace {

using Parser = bhttp::request_parser<bhttp::string_body>;

// Bounds what no limit of Beast counts: chunk extensions and trailers (1.81).
constexpr std::size_t buffer_limit = 16'384;
constexpr std::size_t read_size = 2'048;
constexpr std::size_t linger_limit = 64 * 1024;

auto awaiting(error_code& error) {
    return asio::redirect_error(asio::use_awaitable, error);
}

Method method_of(bhttp::verb verb) {
    switch (verb) {
        case bhttp::verb::get:
            return Method::get;
        case bhttp::verb::head:
            return Method::head;
        case bhttp::verb::post:
            return Method::post;
        case bhttp::verb::put:
            return Method::put;
        case bhttp::verb::patch:
            return Method::patch;
        case bhttp::verb::delete_:
            return Method::del;
        case bhttp::verb::options:
            return Method::options;
        default:
            return Method::other;
    }
}

/// Path and query of an origin-form or absolute-form target; false for an encoding that is no path.
bool read_target(std::string_view target, Request& request) {
    if (target != "*" && !target.starts_with('/')) {
        const std::size_t path = target.find_first_of("/?", target.find("://") + 3);
        target = path == std::string_view::npos ? std::string_view() : target.substr(path);
    }
    const std::size_t mark = target.find('?');
    auto path = percent_decode(target.substr(0, mark), false);
    if (!path) return false;
    request.path = path->empty() ? "/" : std::move(*path);
    if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
    return std::none_of(request.path.begin(), request.path.end(),
                        [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; });
}

/// Called between header and body: chunked trailers land in the same `fields` later.
void read_fields(const bhttp::fields& fields, Request& request) {
    for (const auto& field : fields) {
        const std::string_view value(field.value().data(), field.value().size());
        switch (field.name()) {
            case bhttp::field::host:
                request.host = value;
                break;
            case bhttp::field::origin:
                request.origin = value;
                break;
            case bhttp::field::authorization:
                request.authorization = value;
                break;
            case bhttp::field::content_type:
                request.content_type = value;
                break;
            case bhttp::field::accept:
                request.accept = value;
                break;
            case bhttp::field::accept_language:
                request.accept_language = value;
                break;
            case bhttp::field::user_agent:
                request.user_agent = value.substr(0, 256);
                break;
            case bhttp::field::if_none_match:
                request.if_none_match = value;
                break;
            case bhttp::field::access_control_request_method:
                request.access_control_request_method = value;
                break;
            case bhttp::field::unknown:
                if (equal_ignoring_case({field.name_string().data(), field.name_string().size()},
                                        "Sec-Fetch-Site"))
                    request.sec_fetch_site = value;
                else if (equal_ignoring_case({field.name_string().data(), field.name_string().size()},
                                             "Sec-Fetch-Mode"))
                    request.sec_fetch_mode = value;
                else if (equal_ignoring_case({field.name_string().data(), field.name_string().size()},
                                             "X-Forwarded-For"))
                    request.x_forwarded_for +=
                        (request.x_forwarded_for.empty() ? "" : ", ") + std::string(value);
                break;
            default:
                break;
        }
    }
}

/// The value of a field in a header section that was refused before any parser saw it; "" if there is none.
std::string_view field_of(std::string_view head, std::string_view name) {
    while (!head.empty()) {
        const std::string_view line = head.substr(0, head.find("\r\n"));
        head.remove_prefix(std::min(head.size(), line.size() + 2));
        const std::size_t colon = line.find(':');
        if (equal_ignoring_case(line.substr(0, colon), name) && colon != line.npos)
            return trimmed(line.substr(colon + 1));
    }
    return {};
}

std::string_view without_port(std::string_view host) {
    const std::size_t colon = host.rfind(':');
    return colon == std::string_view::npos || host.ends_with(']') ? host : host.substr(0, colon);
}

/// A line break in a value would let text from a request write header fields of ours.
void check_fields(const Response& response) {
    const auto breaks = [](char c) { return c == '\r' || c == '\n' || c == '\0'; };
    bool broken = std::any_of(response.content_type.begin(), response.content_type.end(), breaks);
    for (const auto& [name, value] : response.headers)
        broken |= std::any_of(value.begin(), value.end(), breaks);
    if (broken) throw std::logic_error("a field of the reply has a line break");
}

std::string head_of(const Response& response, std::string_view date, bool chunks, bool close) {
    const std::string status = std::to_string(response.status);
    std::string head;
    head.reserve(512);
    head.append("HTTP/1.1 ").append(status).append(" ").append(reason_of(response.status)).append("\r\n");
    head.append(date);
    if (!response.content_type.empty())
        head.append("Content-Type: ").append(response.content_type).append("\r\n");
    for (const auto& [name, value] : response.headers)
        head.append(name).append(": ").append(value).append("\r\n");
    if (response.pieces)
        head.append(chunks ? "Transfer-Encoding: chunked\r\n" : "");
    else if (response.status != 204 && response.status != 304)
        head.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
    if (close) head.append("Connection: close\r\n");
    head.append("\r\n");
    return head;
}

}  // namespace

std::string_view DateLine::now() {
    const std::time_t second = std::time(nullptr);
    if (second != second_) {
        second_ = second;
        line_ = fmt::format("Date: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", fmt::gmtime(second));
    }
    return line_;
}

Session::Session(Socket socket, std::string peer, Surroundings& around)
    : socket_(std::move(socket)),
      peer_(std::move(peer)),
      peer_is_trusted_(around.options.trusted_proxies.trusts(peer_)),
      around_(around),
      buffer_(buffer_limit),
      end_of_life_(Clock::now() + around.options.deadlines.life) {}

void Session::check_deadline(Clock::time_point now) {
    if (now < deadline_) return;
    expired_ = true;
    error_code ignored;
    socket_.cancel(ignored);
}

void Session::drain() {
    draining_ = true;
    error_code ignored;
    if (waiting_) socket_.cancel(ignored);
}

void Session::abandon() {
    draining_ = true;
    error_code ignored;
    socket_.close(ignored);
}

void Session::start_phase(std::chrono::milliseconds allowed) {
    expired_ = false;
    deadline_ = Clock::now() + allowed;
}

std::string_view Session::buffered() const {
    return {static_cast<const char*>(buffer_.data().data()), buffer_.size()};
}

asio::awaitable<void> Session::run() {
    for (int served = 1;; ++served) {
        const bool arrived = co_await wait_for_request();
        if (!arrived) break;
        const bool last = served >= around_.options.requests_per_connection;
        const bool goes_on = co_await exchange(last);
        if (!goes_on) break;
    }
    error_code ignored;
    socket_.close(ignored);
}

asio::awaitable<bool> Session::wait_for_request() {
    if (buffer_.size() > 0) co_return true;  // pipelined
    buffer_.shrink_to_fit();                 // thousands of idle connections hold no buffer
    start_phase(around_.options.deadlines.idle);
    deadline_ = std::min(deadline_, end_of_life_);
    error_code error;
    if (!draining_) {
        waiting_ = true;
        co_await socket_.async_wait(Socket::wait_read, awaiting(error));
        waiting_ = false;
    }
    // A request that reached us before the order to stop is still answered.
    if (draining_) co_return socket_.available(error) > 0;
    co_return !error && !expired_;
}

asio::awaitable<bool> Session::exchange(bool last) {
    Request request;
    Refusal refusal{};
    const Arrival arrival = co_await read_request(request, refusal);
    if (arrival == Arrival::gone) co_return false;

    const auto started = Clock::now();
    const bool refused = arrival == Arrival::refused;
    Response response;
    if (refused) {
        response = problem(refusal.status, refusal.why);
        if (around_.options.on_refusal) around_.options.on_refusal(request, response);
    } else {
        Response answered = co_await answer(request);
        response = std::move(answered);
    }

    const bool close = refused || last || draining_ || !keep_alive_ || started >= end_of_life_;
    const bool written = co_await write(response, request.method == Method::head, close);
    if (around_.options.on_exchange) {
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started);
        around_.options.on_exchange({request.route, request.method, response.status, took});
    }
    if (written && close) co_await linger();
    co_return written && !close;
}

asio::awaitable<Session::Arrival> Session::read_head(std::size_t& size, Refusal& refusal) {
    start_phase(around_.options.deadlines.header);
    std::size_t searched = 0;
    for (;;) {
        size = head_size(buffered(), searched);
        if (size > 0) co_return Arrival::complete;
        if (const auto unfinished = check_unfinished(buffered(), around_.options.limits)) {
            refusal = *unfinished;
            co_return Arrival::refused;
        }
        searched = buffer_.size();
        error_code error;
        const std::size_t room = std::min(read_size, buffer_limit - buffer_.size());
        const std::size_t read = co_await socket_.async_read_some(buffer_.prepare(room), awaiting(error));
        buffer_.commit(read);
        if (expired_) {
            refusal = {408, "The header did not arrive in time."};
            co_return Arrival::refused;
        }
        if (error) co_return Arrival::gone;
    }
}

asio::awaitable<Session::Arrival> Session::read_request(Request& request, Refusal& refusal) {
    const auto& options = around_.options;
    std::size_t size = 0;
    const Arrival head = co_await read_head(size, refusal);
    if (head != Arrival::complete) co_return head;
    if (const auto verdict = check_head(buffered().substr(0, size), options.limits)) {
        request.origin = field_of(buffered().substr(0, size), "Origin");
        refusal = *verdict;
        co_return Arrival::refused;
    }

    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(size) + 1);
    parser.body_limit(options.limits.body);
    error_code error;
    const std::size_t used = parser.put(asio::buffer(buffer_.data(), size), error);
    if (error || !parser.is_header_done()) {
        refusal = {400, "The header is malformed."};
        co_return Arrival::refused;
    }
    buffer_.consume(used);
    request.method = method_of(parser.get().method());
    read_fields(parser.get(), request);
    chunks_ = parser.get().version() == 11;
    keep_alive_ = parser.keep_alive() && chunks_;
    const std::string_view target(parser.get().target().data(), parser.get().target().size());
    if (!read_target(target, request)) {
        refusal = {400, "The path is malformed."};
        co_return Arrival::refused;
    }
    if (const auto verdict = settle_client(request)) {
        refusal = *verdict;
        co_return Arrival::refused;
    }
    if (parser.is_done()) co_return Arrival::complete;

    start_phase(options.deadlines.body);
    if (parser.get().count(bhttp::field::expect) > 0 && parser.get().version() == 11 && buffer_.size() == 0) {
        constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(socket_, asio::buffer(go_on), awaiting(error));
    }
    // Never parser.get(): the overload for a message ignores body_limit (Beast issue 1588).
    if (!error) co_await bhttp::async_read(socket_, buffer_, parser, awaiting(error));
    if (expired_) {
        refusal = {408, "The body did not arrive in time."};
        co_return Arrival::refused;
    }
    if (error == bhttp::error::body_limit) {
        refusal = {413, "The body is too large."};
        co_return Arrival::refused;
    }
    if (error == bhttp::error::end_of_stream || error == bhttp::error::partial_message)
        co_return Arrival::gone;
    if (error.category() == bhttp::make_error_code(bhttp::error::bad_chunk).category()) {
        refusal = {400, "The body is malformed."};
        co_return Arrival::refused;
    }
    if (error) co_return Arrival::gone;
    request.body = std::move(parser.get().body());
    co_return Arrival::complete;
}

std::optional<Refusal> Session::settle_client(Request& request) {
    const auto& options = around_.options;
    request.client = client_address(options.trusted_proxies, peer_, request.x_forwarded_for);
    if (!request.x_forwarded_for.empty() && !peer_is_trusted_ &&
        !around_.warned_of_forwarding.exchange(true)) {
        if (options.on_trouble)
            options.on_trouble(
                "X-Forwarded-For came from a peer that is not in trusted_proxies and was ignored");
        if (options.on_untrusted_proxy) options.on_untrusted_proxy(peer_);
    }

    if (options.hosts.empty() || peer_ == "unix") return std::nullopt;
    for (const std::string& host : options.hosts)
        if (equal_ignoring_case(without_port(request.host), host)) return std::nullopt;
    return Refusal{421, "This server is not the one that the Host field names."};
}

asio::awaitable<Response> Session::answer(Request& request) {
    std::string trouble;
    try {
        Response response = co_await around_.handler(request);
        check_fields(response);
        co_return response;
    } catch (const std::exception& error) {
        trouble = error.what();
    }
    if (around_.options.on_trouble)
        around_.options.on_trouble(
            fmt::format("{} {} failed: {}", name_of(request.method), request.route, trouble));
    co_return problem(500, "Internal error.");
}

asio::awaitable<bool> Session::write(const Response& response, bool head_only, bool close) {
    start_phase(around_.options.deadlines.write);
    const std::string head = head_of(response, around_.date.now(), chunks_, close);
    const bool bodiless = head_only || response.status == 204 || response.status == 304 || response.pieces;
    const std::array<asio::const_buffer, 2> bytes{
        asio::buffer(head), bodiless ? asio::const_buffer() : asio::buffer(response.body)};
    error_code error;
    co_await asio::async_write(socket_, bytes, awaiting(error));
    if (error || expired_) co_return false;
    if (head_only || !response.pieces) co_return true;
    const bool whole = co_await write_pieces(response);
    if (!whole && !chunks_) {
        // Without chunks only a reset tells a reply that was cut off from one that ended.
        socket_.set_option(asio::socket_base::linger(true, 0), error);
        socket_.close(error);
    }
    co_return whole;
}

// Each piece has the time of a whole reply; what a slow client leaves waiting is one piece.
asio::awaitable<bool> Session::write_pieces(const Response& response) {
    if (!response.body.empty()) {
        const bool written = co_await write_piece(response.body);
        if (!written) co_return false;
    }
    std::string trouble = "the rest of the reply could not be had";
    for (;;) {
        std::optional<std::string> piece;
        try {
            auto next = co_await response.pieces();
            piece = std::move(next);
        } catch (const std::exception& error) {
            trouble = error.what();
        }
        if (!piece) break;
        const bool last = piece->empty();
        const bool written = co_await write_piece(*piece);
        if (!written || last) co_return written;
    }
    if (around_.options.on_trouble) around_.options.on_trouble("a reply was cut off: " + trouble);
    co_return false;
}

// RFC 9112, 7.1; an empty one is the end.
asio::awaitable<bool> Session::write_piece(std::string_view piece) {
    if (!chunks_ && piece.empty()) co_return true;
    start_phase(around_.options.deadlines.write);
    const std::string size = chunks_ ? fmt::format("{:x}\r\n", piece.size()) : std::string();
    const std::array<asio::const_buffer, 3> bytes{asio::buffer(size),
                                                  asio::buffer(piece.data(), piece.size()),
                                                  chunks_ ? asio::buffer("\r\n", 2) : asio::const_buffer()};
    error_code error;
    co_await asio::async_write(socket_, bytes, awaiting(error));
    co_return !error && !expired_;
}

// Closing with unread bytes in the socket sends a reset, which can overtake the reply.
asio::awaitable<void> Session::linger() {
    error_code error;
    socket_.shutdown(Socket::shutdown_send, error);
    start_phase(around_.options.deadlines.linger);
    buffer_.clear();
    std::size_t dropped = 0;
    while (!error && dropped < linger_limit) {
        const auto scrap = buffer_.prepare(read_size);
        const std::size_t read = co_await socket_.async_read_some(scrap, awaiting(error));
        dropped += read;
    }
}

}  // namespace zgoda::http
