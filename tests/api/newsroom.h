// A newsroom whose public listener is asked in-process, without a socket: one call is one request.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "api/http/public_api.h"
#include "config/locales.h"
#include "tests/service/world.h"

namespace zgoda::http {

inline const std::string json_type = "application/json";
inline const std::string form_type = "application/x-www-form-urlencoded";
inline const std::string browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

inline Response run(boost::asio::io_context& loop, const Handler& handler, Request request) {
    Response response;
    std::exception_ptr thrown;
    boost::asio::co_spawn(loop, handler(request), [&](std::exception_ptr error, Response answer) {
        thrown = error;
        response = std::move(answer);
    });
    loop.restart();
    loop.run();
    if (thrown) std::rethrow_exception(thrown);
    return response;
}

inline std::string field(const Response& response, std::string_view name) {
    std::string all;
    for (const auto& [key, value] : response.headers)
        if (equal_ignoring_case(key, name)) all += (all.empty() ? "" : ", ") + value;
    return all;
}

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != text.npos;
}

/// The value of the hidden field of a page's form.
inline std::string hidden(const Response& page, const std::string& name) {
    const std::string before = "name=\"" + name + "\" value=\"";
    const std::size_t at = page.body.find(before);
    if (at == std::string::npos) return "";
    const std::size_t begin = at + before.size();
    return page.body.substr(begin, page.body.find('"', begin) - begin);
}

/// As a browser would send it.
inline std::string urlencoded(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::string body;
    const auto escape = [&body](const std::string& text) {
        constexpr const char* digits = "0123456789ABCDEF";
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            if (std::isalnum(byte))
                body += c;
            else
                (((body += '%') += digits[byte >> 4]) += digits[byte & 15]);
        }
    };
    for (const auto& [name, value] : fields) {
        if (!body.empty()) body += '&';
        escape(name);
        body += '=';
        escape(value);
    }
    return body;
}

struct Newsroom : service::World {
    boost::asio::io_context loop;
    Metrics metrics;
    std::vector<std::string> troubles;
    Handler handler;

    explicit Newsroom(std::vector<service::Rate> per_ip = {}, service::Store* other_store = nullptr) {
        texts = config::load_texts();
        PublicOptions options{other_store ? *other_store : store,
                              rules,
                              metrics,
                              std::get<config::Templates>(config::load_templates("")),
                              "https://letters.example/",
                              {"https://news.example"},
                              std::move(per_ip),
                              "12 Khreshchatyk St, Kyiv"};
        options.now = [this] { return now; };
        options.on_trouble = [this](std::string_view what) { troubles.emplace_back(what); };
        handler = public_api(std::move(options));
    }

    Response ask(Request request) { return run(loop, handler, std::move(request)); }

    /// `target` may have a query.
    static Request request_for(Method method, const std::string& target, std::string accept) {
        Request request;
        request.method = method;
        request.path = target.substr(0, target.find('?'));
        if (request.path.size() < target.size()) request.query = target.substr(request.path.size() + 1);
        request.accept = std::move(accept);
        request.client = service::kyiv;
        request.user_agent = "Tests/1.0";
        return request;
    }

    Response get(const std::string& target, std::string accept = browser) {
        return ask(request_for(Method::get, target, std::move(accept)));
    }

    Response post(const std::string& target, const std::string& type, std::string body,
                  std::string accept = "*/*", std::string origin = "") {
        Request request = request_for(Method::post, target, std::move(accept));
        request.content_type = type;
        request.body = std::move(body);
        request.origin = std::move(origin);
        return ask(std::move(request));
    }

    /// What a form that a browser shows sends, as soon as a person can have read its page and filled it in.
    Response submit_form(const std::string& target,
                         const std::vector<std::pair<std::string, std::string>>& fields) {
        now += 10 * service::second_ms;
        return post(target, form_type, urlencoded(fields), browser);
    }

    Response sign_up_json(const std::string& body) { return post("/v1/subscriptions", json_type, body); }
};

}  // namespace zgoda::http
