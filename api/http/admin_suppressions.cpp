#include "api/http/admin_suppressions.h"

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "service/audit.h"
#include "service/desk_json.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

// The last one of a page: its key and its reason.
std::string position_of(const service::Suppression& one) {
    std::string position(one.key.begin(), one.key.end());
    position += static_cast<char>(one.reason);
    return position;
}

struct Act {
    service::EmailAddress address;
    std::string reason;
};

// An address and a reason; what is wrong with them stands in the body's problems.
Act act_in(Body& body, const Desk& desk) {
    Act act;
    const std::string email = body.text("email", true);
    act.reason = body.text("reason", true);
    if (!email.empty()) {
        auto checked = service::check_address(email, desk.rules.address);
        if (const auto* problem = std::get_if<service::AddressProblem>(&checked)) {
            const std::string code(service::code(*problem));
            body.refuse("/email", code, desk.rules.texts.text("en", "problem." + code));
        } else {
            act.address = std::get<service::EmailAddress>(std::move(checked));
        }
    }
    if (!act.reason.empty()) {
        if (const auto problem = service::reason_problem(act.reason))
            body.refuse("/reason", "refused", *problem);
    }
    return act;
}

}  // namespace

asio::awaitable<Response> list_suppressions(Request& request, const Desk& desk, const std::string&) {
    Parameters parameters(request, {"limit", "cursor"});
    const std::size_t limit = parameters.limit();
    const std::string position = parameters.cursor();
    std::optional<service::Suppression> after;
    if (!position.empty()) {
        after.emplace();
        if (position.size() == after->key.size() + 1) {
            std::copy_n(position.begin(), after->key.size(), after->key.begin());
            after->reason = static_cast<service::SuppressionReason>(position.back());
        } else {
            parameters.refuse("cursor", "it is not one that this list gave as `next`");
        }
    }
    if (parameters.problem()) co_return *parameters.problem();
    const auto found = std::make_shared<std::vector<service::Suppression>>();
    service::Store::Query query = [found, after, limit](service::Reader& reader) {
        *found = reader.all_suppressions(after ? &*after : nullptr, limit + 1);
    };
    auto trouble = co_await see(desk, std::move(query));
    if (trouble) co_return std::move(*trouble);
    json::value next = nullptr;
    if (found->size() > limit) {
        found->pop_back();
        next = json::value(cursor_of(position_of(found->back())));
    }
    json::array list;
    for (const service::Suppression& one : *found) list.push_back(service::desk::json_of(one));
    co_return admin_answer(200, {{"suppressions", std::move(list)}, {"next", std::move(next)}});
}

asio::awaitable<Response> add_suppression(Request& request, const Desk& desk, const std::string& who) {
    Body body(request);
    const Act wanted = act_in(body, desk);
    if (auto problem = body.problem()) co_return std::move(*problem);
    const auto added = std::make_shared<bool>(false);
    service::Store::Work work = [added, wanted, who, moment = moment_of(desk),
                                 &rules = desk.rules](service::Transaction& tx) {
        *added = service::desk::suppress(tx, who, wanted.address, wanted.reason, rules, moment);
    };
    auto trouble = co_await act(desk, std::move(work));
    if (trouble) co_return std::move(*trouble);
    co_return admin_answer(*added ? 201 : 200, {{"added", *added}});
}

asio::awaitable<Response> remove_suppressions(Request& request, const Desk& desk, const std::string& who) {
    Body body(request);
    const Act wanted = act_in(body, desk);
    if (auto problem = body.problem()) co_return std::move(*problem);
    const auto lifted = std::make_shared<std::vector<service::SuppressionReason>>();
    service::Store::Work work = [lifted, wanted, who, moment = moment_of(desk),
                                 &rules = desk.rules](service::Transaction& tx) {
        *lifted = service::desk::lift_suppressions(tx, who, wanted.address, wanted.reason, rules, moment);
    };
    auto trouble = co_await act(desk, std::move(work));
    if (trouble) co_return std::move(*trouble);
    if (lifted->empty()) {
        co_return admin_problem(
            404, "not_suppressed",
            "There is nothing to lift: this address may have letters. (One that was erased is "
            "refused by imports only, and stays so.)");
    }
    json::array reasons;
    for (const service::SuppressionReason one : *lifted) reasons.emplace_back(service::word(one));
    co_return admin_answer(200, {{"lifted", std::move(reasons)}});
}

}  // namespace zgoda::http
