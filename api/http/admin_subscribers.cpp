#include "api/http/admin_subscribers.h"

#include <boost/json.hpp>
#include <charconv>
#include <memory>

#include "service/desk_json.h"
#include "service/story.h"

namespace zgoda::http {

namespace asio = boost::asio;
namespace json = boost::json;
using service::Id;

namespace {

constexpr std::size_t scanned_at_once = 5'000;    // people in one read of a search
constexpr std::size_t scanned_at_most = 100'000;  // in one answer; `next` goes on

Response unknown_person() {
    return admin_problem(404, "not_found", "There is no subscriber of this id.");
}

// 0 for what is none: nobody has it.
Id id_in(const Request& request) {
    const std::string& text = request.path_parameter;
    Id id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    return error == std::errc() && end == text.data() + text.size() ? id : 0;
}

json::object person_json(service::Reader& reader, const service::Person& person,
                         const service::Newsletters& newsletters) {
    json::array subscriptions;
    for (const service::Subscription& one : reader.subscriptions_of(person.id))
        subscriptions.push_back(service::desk::json_of(one, newsletters));
    json::object out = service::desk::json_of(person);
    out["subscriptions"] = std::move(subscriptions);
    return out;
}

// A newsletter that a body names, as far as there is one.
struct Named {
    std::optional<Id> id;
    bool unknown = false;
};

Named newsletter_named(const std::string& slug, service::Reader& reader) {
    if (slug.empty()) return {};
    const auto all = reader.newsletters();
    const service::Newsletter* one = all->find(slug);
    if (one == nullptr) return {std::nullopt, true};
    return {one->id, false};
}

Response unknown_newsletter() {
    return admin_invalid({{"/newsletter", "newsletter_unknown", "There is no newsletter of this slug."}});
}

// What a search found, and where it goes on.
struct Found {
    json::array people;
    Id after = 0;
    bool more = false;
    std::size_t scanned = 0;
};

Response page_of(Found found) {
    json::value next = nullptr;
    if (found.more) next = json::value(cursor_of(std::to_string(found.after)));
    return admin_answer(200, {{"subscribers", std::move(found.people)}, {"next", std::move(next)}});
}

}  // namespace

asio::awaitable<Response> list_subscribers(Request& request, const Desk& desk, const std::string&) {
    Parameters parameters(request, {"limit", "cursor"});
    const std::size_t limit = parameters.limit();
    const Id after = parameters.after();
    if (parameters.problem()) co_return *parameters.problem();
    const auto found = std::make_shared<Found>();
    service::Store::Query query = [found, after, limit](service::Reader& reader) {
        *found = {};
        const auto newsletters = reader.newsletters();
        for (const service::Person& person : reader.people(after, limit + 1)) {
            found->more = found->people.size() == limit;
            if (found->more) break;
            found->people.push_back(person_json(reader, person, *newsletters));
            found->after = person.id;
        }
    };
    auto trouble = co_await see(desk, std::move(query));
    if (trouble) co_return std::move(*trouble);
    co_return page_of(std::move(*found));
}

// By address: one person or nobody. By pattern: as `zgoda subscriber find`, a part of all people at a time.
asio::awaitable<Response> search_subscribers(Request& request, const Desk& desk, const std::string&) {
    Body body(request);
    const std::string email = body.text("email", false);
    const std::string pattern = body.text("pattern", false);
    const auto limit = static_cast<std::size_t>(body.number("limit", 100, 1000));
    const std::string cursor = body.text("cursor", false);
    if (email.empty() == pattern.empty())
        body.refuse("/email", "required", "Give one of `email` and `pattern`.");
    if (pattern.size() > 254) body.refuse("/pattern", "too_long", "This is longer than any address.");
    Id after = 0;
    if (!cursor.empty()) {
        const auto bytes = service::from_base64url(cursor, 64);
        const std::string text = bytes ? std::string(bytes->begin(), bytes->end()) : std::string();
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), after);
        if (text.empty() || error != std::errc() || end != text.data() + text.size())
            body.refuse("/cursor", "wrong", "This is not one that an answer gave as `next`.");
    }
    if (auto problem = body.problem()) co_return std::move(*problem);

    if (!email.empty()) {
        const auto address = service::check_address(email, desk.rules.address);
        if (!std::holds_alternative<service::EmailAddress>(address)) co_return page_of({});
        const auto found = std::make_shared<Found>();
        service::Store::Query query =
            [found, key = std::get<service::EmailAddress>(address).addr_key](service::Reader& reader) {
                *found = {};
                const auto newsletters = reader.newsletters();
                const auto person = reader.person_by_key(key);
                if (person) found->people.push_back(person_json(reader, *person, *newsletters));
            };
        auto trouble = co_await see(desk, std::move(query));
        if (trouble) co_return std::move(*trouble);
        co_return page_of(std::move(*found));
    }

    const service::desk::Pattern wanted(pattern);
    Found all;
    all.after = after;
    all.more = true;
    while (all.more && all.people.size() < limit && all.scanned < scanned_at_most) {
        const auto found = std::make_shared<Found>();
        const std::size_t room = limit - all.people.size();
        service::Store::Query query = [found, wanted, room, from = all.after](service::Reader& reader) {
            *found = {};
            found->after = from;
            const auto newsletters = reader.newsletters();
            const auto people = reader.people(from, scanned_at_once);
            found->more = people.size() == scanned_at_once;
            found->scanned = people.size();
            for (const service::Person& person : people) {
                if (found->people.size() == room) {
                    found->more = true;
                    break;
                }
                if (wanted.fits(person)) found->people.push_back(person_json(reader, person, *newsletters));
                found->after = person.id;
            }
        };
        auto trouble = co_await see(desk, std::move(query));
        if (trouble) co_return std::move(*trouble);
        for (json::value& one : found->people) all.people.push_back(std::move(one));
        all.after = found->after;
        all.more = found->more;
        all.scanned += found->scanned;
    }
    co_return page_of(std::move(all));
}

asio::awaitable<Response> show_subscriber(Request& request, const Desk& desk, const std::string&) {
    const Parameters parameters(request, {});
    if (parameters.problem()) co_return *parameters.problem();
    const auto found = std::make_shared<std::optional<json::object>>();
    service::Store::Query query = [found, id = id_in(request), now = desk.now(),
                                   &rules = desk.rules](service::Reader& reader) {
        found->reset();
        const auto person = reader.person(id);
        if (!person) return;
        const service::Story story = service::story(reader, person->addr_key, rules, now);
        json::object out = person_json(reader, *person, *reader.newsletters());
        json::array suppressions, lines;
        for (const service::Suppression& one : story.suppressions)
            suppressions.push_back(service::desk::json_in_record(one));
        for (const service::StoryLine& line : story.lines) lines.push_back(service::desk::json_of(line));
        out["suppressions"] = std::move(suppressions);
        out["story"] = std::move(lines);
        *found = std::move(out);
    };
    auto trouble = co_await see(desk, std::move(query));
    if (trouble) co_return std::move(*trouble);
    if (!*found) co_return unknown_person();
    co_return admin_answer(200, **found);
}

asio::awaitable<Response> unsubscribe_subscriber(Request& request, const Desk& desk, const std::string& who) {
    Body body(request);
    const std::string slug = body.text("newsletter", false);
    const bool all = body.flag("all");
    if (all != slug.empty())
        body.refuse("/newsletter", "required", "Give one of `newsletter` and `\"all\": true`.");
    if (auto problem = body.problem()) co_return std::move(*problem);
    struct Outcome {
        bool known = false;
        Named newsletter;
        int ended = 0;
    };
    const auto outcome = std::make_shared<Outcome>();
    service::Store::Work work = [outcome, slug, who, id = id_in(request), moment = moment_of(desk),
                                 &rules = desk.rules](service::Transaction& tx) {
        *outcome = {};
        const auto person = tx.person(id);
        outcome->known = person.has_value();
        outcome->newsletter = newsletter_named(slug, tx);
        if (!person || outcome->newsletter.unknown) return;
        outcome->ended = service::desk::unsubscribe(tx, who, *person, outcome->newsletter.id, rules, moment);
    };
    auto trouble = co_await act(desk, std::move(work));
    if (trouble) co_return std::move(*trouble);
    if (!outcome->known) co_return unknown_person();
    if (outcome->newsletter.unknown) co_return unknown_newsletter();
    co_return admin_answer(200, {{"ended", outcome->ended}});
}

asio::awaitable<Response> confirm_subscriber(Request& request, const Desk& desk, const std::string& who) {
    Body body(request);
    const std::string slug = body.text("newsletter", false);
    const std::string evidence = body.text("evidence", true);
    if (!evidence.empty()) {
        if (const auto problem = service::desk::evidence_problem(evidence))
            body.refuse("/evidence", "refused", *problem);
    }
    if (auto problem = body.problem()) co_return std::move(*problem);
    struct Outcome {
        bool known = false;
        Named newsletter;
        service::EvidencedOutcome evidenced;
        json::array slugs;
    };
    const auto outcome = std::make_shared<Outcome>();
    service::Store::Work work = [outcome, slug, who, evidence, id = id_in(request), moment = moment_of(desk),
                                 &rules = desk.rules](service::Transaction& tx) {
        *outcome = {};
        const auto person = tx.person(id);
        outcome->known = person.has_value();
        outcome->newsletter = newsletter_named(slug, tx);
        if (!person || outcome->newsletter.unknown) return;
        outcome->evidenced =
            service::desk::confirm(tx, who, *person, outcome->newsletter.id, evidence, rules, moment);
        const auto all = tx.newsletters();
        for (const Id one : outcome->evidenced.newsletters) outcome->slugs.emplace_back(all->find(one)->slug);
    };
    auto trouble = co_await act(desk, std::move(work));
    if (trouble) co_return std::move(*trouble);
    if (!outcome->known) co_return unknown_person();
    if (outcome->newsletter.unknown) co_return unknown_newsletter();
    switch (outcome->evidenced.kind) {
        case service::Evidenced::confirmed:
            co_return admin_answer(200, {{"confirmed", std::move(outcome->slugs)}});
        case service::Evidenced::nothing_pending:
            co_return admin_problem(409, "nothing_pending", "Nothing of hers waits for a confirmation.");
        case service::Evidenced::suppressed:
            break;
    }
    co_return admin_problem(409, "suppressed",
                            "She is suppressed; if she wants to come back, lift that first.");
}

asio::awaitable<Response> erase_subscriber(Request& request, const Desk& desk, const std::string& who) {
    const auto known = std::make_shared<bool>(false);
    service::Store::Work work = [known, who, id = id_in(request), moment = moment_of(desk),
                                 &rules = desk.rules](service::Transaction& tx) {
        const auto person = tx.person(id);
        *known = person.has_value();
        if (person) service::desk::erase(tx, who, *person, rules, moment);
    };
    auto trouble = co_await act(desk, std::move(work));
    if (trouble) co_return std::move(*trouble);
    if (!*known) co_return unknown_person();
    co_return Response{204, {}, {}, {{"Cache-Control", "no-store"}}};
}

}  // namespace zgoda::http
