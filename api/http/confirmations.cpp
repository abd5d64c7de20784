#include "api/http/confirmations.h"

#include <boost/json.hpp>
#include <memory>

#include "api/http/form.h"
#include "api/http/store_awaitable.h"
#include "service/code.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;
using Kind = service::CodeOutcome::Kind;

namespace {

struct Try {
    std::string ticket;
    std::string code;
};

std::optional<Try> parse_try(const Request& request) {
    Try typed;
    bool has_ticket = false;
    bool has_code = false;
    if (const auto form = parse_form(request.content_type, request.body)) {
        for (const FormField& field : *form) {
            if (field.name == "ticket") typed.ticket = field.value, has_ticket = true;
            if (field.name == "code") typed.code = field.value, has_code = true;
        }
    } else {
        json::parse_options options;
        options.max_depth = 4;
        json::error_code error;
        const json::value value = json::parse(request.body, error, {}, options);
        if (error || !value.is_object()) return std::nullopt;
        const auto take = [&value](json::string_view name, std::string& text) {
            const json::value* member = value.get_object().if_contains(name);
            if (member == nullptr || !member->is_string()) return false;
            text.assign(member->get_string().data(), member->get_string().size());
            return true;
        };
        has_ticket = take("ticket", typed.ticket);
        has_code = take("code", typed.code);
    }
    if (!has_ticket || !has_code) return std::nullopt;
    return typed;
}

Response too_many(const Request& request, const Site& site, service::DurationMs retry_after) {
    Response response = refuse(request, site, 429, "too_many_codes");
    const auto seconds = (retry_after + service::second_ms - 1) / service::second_ms;
    response.headers.emplace_back("Retry-After", std::to_string(seconds));
    return response;
}

}  // namespace

asio::awaitable<Response> try_code(Request& request, const Site& site, const Origins& origins,
                                   WrongCodes& wrong_codes) {
    if (!origins.admits(request)) co_return refuse(request, site, 403, "origin_not_allowed");
    const std::string type = media_type(request.content_type);
    if (type != "application/json" && type != "application/x-www-form-urlencoded" &&
        type != "multipart/form-data") {
        Response response = refuse(request, site, 415, "unsupported_type");
        response.headers.emplace_back(
            "Accept-Post", "application/json, application/x-www-form-urlencoded, multipart/form-data");
        co_return response;
    }
    const auto typed = parse_try(request);
    if (!typed) co_return refuse(request, site, 400, "bad_request");
    const service::Moment moment{site.now(), service::random_seed()};
    const auto ticket = service::unseal(typed->ticket, moment.now, site.rules.keys);
    if (!ticket) co_return refuse(request, site, 404, "unknown_ticket");

    // Counted before it is compared, and given back unless it was wrong.
    const std::string network = network_of(request);
    const auto of_network = wrong_codes.of_network.take(network, steady_now());
    if (!of_network.allowed) co_return too_many(request, site, of_network.retry_after);
    const auto in_all = wrong_codes.in_all.take("", steady_now());
    if (!in_all.allowed) {
        wrong_codes.of_network.give_back(network);
        co_return too_many(request, site, in_all.retry_after);
    }
    const auto outcome = std::make_shared<service::CodeOutcome>();
    service::Store::Work work = [outcome, moment, ticket = *ticket, code = typed->code,
                                 client = client_of(request),
                                 &rules = site.rules](service::Transaction& transaction) {
        *outcome = service::try_code(transaction, ticket, code, client, rules, moment);
    };
    const auto result = co_await submit(site.store, std::move(work));
    if (result.commit != service::Commit::done || outcome->kind != Kind::wrong) {
        wrong_codes.of_network.give_back(network);
        wrong_codes.in_all.give_back("");
    }
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);

    switch (outcome->kind) {
        case Kind::confirmed:
            co_return Response{200,
                               "application/json",
                               R"({"status":"confirmed"})",
                               {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
        case Kind::wrong: {
            const std::string& detail = site.text(reader_language(request, site), "problem.code_wrong");
            const std::string more =
                R"(,"code":"code_wrong","tries_left":)" + std::to_string(outcome->tries_left);
            co_return problem_json(422, "code_wrong", detail, more);
        }
        case Kind::too_many:
            co_return too_many(request, site, outcome->retry_after);
        case Kind::dead:
            break;
    }
    co_return refuse(request, site, 410, "code_dead");
}

}  // namespace zgoda::http
