#include "api/http/admin_export.h"

#include <chrono>
#include <memory>

#include "api/http/store_awaitable.h"
#include "service/export.h"

namespace zgoda::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t page = 1'000;           // rows: some 150 KB
constexpr std::chrono::seconds patience{30};  // a page of few rows among many is looked for long

struct Export {
    const Desk& desk;
    service::ExportFilter filter;
    service::ExportShape shape;
    service::Id after = 0;
    bool ended = false;
};

struct Page {
    std::string text;
    service::Id after = 0;
    std::size_t rows = 0;
};

asio::awaitable<std::optional<std::string>> next_piece(std::shared_ptr<Export> state) {
    if (state->ended) co_return std::string();
    const auto found = std::make_shared<Page>();
    service::Store::Query query = [found, filter = state->filter, shape = state->shape, after = state->after,
                                   &rules = state->desk.rules](service::Reader& reader) {
        *found = {{}, after, 0};
        found->rows = service::append_rows(found->text, reader, filter, shape, found->after, page, rules);
    };
    const auto result = co_await read_patiently(state->desk.store, std::move(query), patience);
    if (result.commit != service::Commit::done) co_return std::nullopt;
    state->after = found->after;
    state->ended = found->rows < page;
    co_return std::move(found->text);
}

// Nothing: the word is none.
std::optional<service::ExportShape::Format> format_of(const std::string& word) {
    if (word.empty() || word == "csv") return service::ExportShape::Format::csv;
    if (word == "ndjson") return service::ExportShape::Format::ndjson;
    return std::nullopt;
}

}  // namespace

asio::awaitable<Response> export_subscribers(Request& request, const Desk& desk, const std::string& who) {
    Parameters parameters(request,
                          {"newsletter", "status", "changed_since", "locale", "format", "links", "raw"});
    const auto state = std::make_shared<Export>(Export{desk, {}, {}});
    const std::string status = parameters.text("status");
    state->filter.status = service::SubscriptionStatus::confirmed;
    if (!status.empty()) state->filter.status = service::parse_subscription_status(status);
    if (!status.empty() && status != "all" && !state->filter.status) {
        parameters.refuse("status",
                          "it is pending, confirmed, paused, unsubscribed, undeliverable, bounced, "
                          "complained or all");
    }
    state->filter.changed_since = parameters.time("changed_since");
    state->filter.locale = parameters.text("locale");
    const auto format = format_of(parameters.text("format"));
    if (!format) parameters.refuse("format", "it is csv or ndjson");
    state->shape.raw = parameters.flag("raw");
    if (parameters.flag("links")) state->shape.public_url = desk.public_url;
    if (parameters.problem()) co_return *parameters.problem();
    state->shape.format = *format;

    const std::string slug = parameters.text("newsletter");
    if (!slug.empty()) {
        const auto all = std::make_shared<std::shared_ptr<const service::Newsletters>>();
        service::Store::Query query = [all](service::Reader& reader) { *all = reader.newsletters(); };
        auto trouble = co_await see(desk, std::move(query));
        if (trouble) co_return std::move(*trouble);
        const service::Newsletter* newsletter = (*all)->find(slug);
        if (newsletter == nullptr) co_return admin_problem(404, "not_found", "There is no such newsletter.");
        state->filter.newsletter = newsletter->id;
    }
    if (request.method != Method::head) {  // before the first row is out
        service::Store::Work work = [who, filter = state->filter, shape = state->shape,
                                     now = desk.now()](service::Transaction& tx) {
            service::audit_export(tx, who, filter, shape, std::nullopt, now);
        };
        auto trouble = co_await act(desk, std::move(work));
        if (trouble) co_return std::move(*trouble);
    }
    const bool csv = *format == service::ExportShape::Format::csv;
    Response response;
    response.content_type = csv ? "text/csv; charset=utf-8; header=present" : "application/x-ndjson";
    response.body = service::export_header(state->shape);
    response.headers = {{"Content-Disposition", csv ? "attachment; filename=\"subscribers.csv\""
                                                    : "attachment; filename=\"subscribers.ndjson\""},
                        {"Cache-Control", "no-store"},
                        {"X-Content-Type-Options", "nosniff"}};
    response.pieces = [state] { return next_piece(state); };
    co_return response;
}

}  // namespace zgoda::http
