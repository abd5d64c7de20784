#include "service/stats.h"

#include <algorithm>
#include <boost/json.hpp>
#include <unordered_map>

namespace zgoda::service {
namespace {

using boost::json::object;

object parsed(const std::string& text) {
    boost::json::error_code error;
    boost::json::value value = boost::json::parse(text, error);
    return error || !value.is_object() ? object() : std::move(value.as_object());
}

std::string text_in(const object& members, const char* key) {
    const auto* value = members.if_contains(key);
    if (value == nullptr || !value->is_string()) return {};
    return {value->as_string().data(), value->as_string().size()};
}

// A letter that came back and ended nothing (service/bounces.h) has been sent all the same.
bool ended_nothing(const object& details) {
    return details.contains("why");
}

std::vector<std::pair<Id, std::string>> newsletters_in(const object& details) {
    std::vector<std::pair<Id, std::string>> out;
    const auto* list = details.if_contains("newsletters");
    if (list == nullptr || !list->is_array()) return out;
    for (const auto& one : list->as_array()) {
        const auto* id = one.is_object() ? one.as_object().if_contains("id") : nullptr;
        if (id != nullptr && id->is_int64())
            out.emplace_back(id->as_int64(), text_in(one.as_object(), "slug"));
    }
    return out;
}

// The page, if it is one of ours; a form may name any.
std::string page_of(const std::string& source, const std::vector<std::string>& origins) {
    if (source.empty()) return {};
    for (const std::string& origin : origins) {
        if (source.starts_with(origin) && (source.size() == origin.size() || source[origin.size()] == '/'))
            return source;
    }
    return "other";
}

// The number of the last event before this time. Events come nearly in the order of their times, which are
// drawn a moment before they are written.
std::int64_t last_before(Store& store, TimeMs time) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    look(store, [&](Reader& reader) {
        low = 0;
        high = reader.ledger_head().seq;
        while (low < high) {
            const std::int64_t middle = low + (high - low) / 2;
            const auto event = reader.events(middle, 1);
            if (event.empty() || event.front().at >= time)
                high = middle;
            else
                low = middle + 1;
        }
    });
    return low;
}

class Counting {
 public:
    Counting(const StatsQuery& query, const Newsletters& newsletters)
        : query_(query), newsletters_(newsletters) {}

    void tell(const Event& event) {
        switch (event.kind) {
            case EventKind::signup_requested:
                sign_up(event);
                return;
            case EventKind::letter_sent:
                if (text_in(parsed(event.details), "kind") == word(LetterKind::confirmation))
                    mark_all(event.person, letter);
                return;
            case EventKind::letter_refused: {
                const object details = parsed(event.details);
                if (text_in(details, "kind") == word(LetterKind::confirmation) && !ended_nothing(details))
                    mark_all(event.person, bounced);
                return;
            }
            case EventKind::bounced:
                mark_all(event.person, bounced);
                return;
            case EventKind::confirmed:
                mark(event, confirmed);
                return;
            case EventKind::withdrawn:
            case EventKind::complained:
                mark(event, left);
                return;
            case EventKind::withdrawal_undone:
                for (const auto& [id, slug] : newsletters_in(parsed(event.details))) {
                    const auto found = signups_.find({event.person, id});
                    if (found != signups_.end()) found->second.what &= static_cast<std::uint8_t>(~left);
                }
                return;
            default:
                return;
        }
    }

    Stats result() const {
        Stats stats;
        for (const auto& [who, signup] : signups_) {
            Funnel& row = stats.rows[rows_[signup.row]];
            for (Funnel* one : {&stats.all, &row}) {
                ++one->signups;
                one->letters += (signup.what & letter) != 0;
                one->confirmed += (signup.what & confirmed) != 0;
                one->bounced += (signup.what & bounced) != 0;
                one->left += (signup.what & left) != 0 && (signup.what & confirmed) != 0;
            }
        }
        return stats;
    }

 private:
    enum What : std::uint8_t { letter = 1, confirmed = 2, bounced = 4, left = 8 };
    struct Signup {
        std::uint32_t row = 0;
        std::uint8_t what = 0;
    };
    struct Who {
        Id person = 0;
        Id newsletter = 0;
        friend bool operator==(const Who&, const Who&) = default;
    };
    struct Hash {
        std::size_t operator()(const Who& who) const {
            return static_cast<std::size_t>(who.person) * 1'000'003 ^
                   static_cast<std::size_t>(who.newsletter);
        }
    };

    void sign_up(const Event& event) {
        const object details = parsed(event.details);
        if (text_in(details, "state") != "open" || event.at < query_.since) return;
        for (const auto& [id, slug] : newsletters_in(details)) {
            if (query_.newsletter && *query_.newsletter != id) continue;
            if (signups_.contains({event.person, id})) continue;
            signups_[{event.person, id}] = {row_of(event, details, id, slug), 0};
            newsletters_of_[event.person].push_back(id);
        }
    }

    std::uint32_t row_of(const Event& event, const object& details, Id id, const std::string& slug) {
        std::string name;
        switch (query_.by) {
            case StatsQuery::By::newsletter:
                // By its slug of today; the event has that of its day.
                name = newsletters_.find(id) == nullptr ? slug : newsletters_.find(id)->slug;
                break;
            case StatsQuery::By::form:
                name = text_in(parsed(event.identity), "form");
                break;
            case StatsQuery::By::source:
                name = page_of(text_in(parsed(event.identity), "source"), query_.origins);
                break;
            case StatsQuery::By::locale:
                name = text_in(details, "locale");
                break;
            case StatsQuery::By::day:
                name = rfc3339(event.at).substr(0, 10);
                break;
        }
        const auto [found, fresh] = numbers_.try_emplace(name, static_cast<std::uint32_t>(rows_.size()));
        if (fresh) rows_.push_back(name);
        return found->second;
    }

    // What the event says of the newsletters that it names.
    void mark(const Event& event, What what) {
        for (const auto& [id, slug] : newsletters_in(parsed(event.details))) {
            const auto found = signups_.find({event.person, id});
            if (found != signups_.end()) found->second.what |= what;
        }
    }

    // A letter asks for all that the person asked for so far.
    void mark_all(Id person, What what) {
        const auto hers = newsletters_of_.find(person);
        if (hers == newsletters_of_.end()) return;
        for (const Id id : hers->second) signups_.at({person, id}).what |= what;
    }

    const StatsQuery& query_;
    const Newsletters& newsletters_;
    std::unordered_map<Who, Signup, Hash> signups_;
    std::unordered_map<Id, std::vector<Id>> newsletters_of_;
    std::map<std::string, std::uint32_t> numbers_;
    std::vector<std::string> rows_;
};

}  // namespace

std::optional<FunnelStep> funnel_step(const Event& event) {
    using Kind = FunnelStep::Kind;
    const auto letter = [&event](Kind kind) -> std::optional<FunnelStep> {
        const auto which = parse_letter_kind(text_in(parsed(event.details), "kind"));
        if (!which) return std::nullopt;
        return FunnelStep{kind, *which};
    };
    switch (event.kind) {
        case EventKind::signup_requested:
            if (text_in(parsed(event.details), "state") != "open") return std::nullopt;
            return FunnelStep{Kind::signup};
        case EventKind::letter_sent:
            return letter(Kind::letter_accepted);
        case EventKind::letter_refused:
            if (ended_nothing(parsed(event.details))) return std::nullopt;
            return letter(Kind::letter_refused);
        case EventKind::confirmed:
            return FunnelStep{Kind::confirmed};
        case EventKind::bounced:
            return FunnelStep{Kind::bounced};
        case EventKind::withdrawn:
        case EventKind::complained:
            return FunnelStep{Kind::left};
        default:
            return std::nullopt;
    }
}

Stats funnel(Store& store, const StatsQuery& query) {
    constexpr std::size_t page = 5000;
    std::shared_ptr<const Newsletters> newsletters;
    look(store, [&](Reader& reader) { newsletters = reader.newsletters(); });
    Counting counting(query, *newsletters);
    std::int64_t seq = last_before(store, query.since - minute_ms);
    for (std::size_t seen = page; seen == page;) {
        std::vector<Event> events;
        look(store, [&](Reader& reader) { events = reader.events(seq, page); });
        for (const Event& event : events) counting.tell(event);
        seen = events.size();
        if (!events.empty()) seq = events.back().seq;
    }
    return counting.result();
}

}  // namespace zgoda::service
