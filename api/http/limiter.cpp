#include "api/http/limiter.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "api/http/client_address.h"

namespace zgoda::http {

namespace {

service::DurationMs seconds_up(service::DurationMs span) {
    return (span + service::second_ms - 1) / service::second_ms;
}

}  // namespace

Limiter::Limiter(std::vector<service::Rate> rates, std::size_t max_stamps)
    : rates_(std::move(rates)), max_stamps_(max_stamps) {
    for (const service::Rate& rate : rates_) longest_ = std::max(longest_, rate.window);
}

Limiter::Key Limiter::key_of(std::string_view client) {
    Key key;
    key.fill(0xFF);  // a multicast address, so nobody's
    if (const auto address = parse_address(client)) {
        if (address->is_v4()) {
            const auto bytes = address->to_v4().to_bytes();
            key.fill(0);
            key[10] = key[11] = 0xFF;
            std::copy(bytes.begin(), bytes.end(), key.begin() + 12);
        } else {
            key = address->to_v6().to_bytes();
            std::fill(key.begin() + 8, key.end(), static_cast<unsigned char>(0));
        }
    }
    return key;
}

Limiter::Verdict Limiter::take(std::string_view client, service::TimeMs now) {
    Verdict verdict;
    if (rates_.empty()) return verdict;
    const Key key = key_of(client);
    const std::lock_guard lock(mutex_);
    now = last_ = std::max(now, last_);

    const auto [found, fresh] = index_.try_emplace(key);
    if (fresh) {
        entries_.push_front({key, {}});
        found->second = entries_.begin();
    } else {
        entries_.splice(entries_.begin(), entries_, found->second);
    }
    auto& taken = entries_.front().taken;
    const auto expired = std::upper_bound(taken.begin(), taken.end(), now - longest_);
    stamps_ -= static_cast<std::size_t>(expired - taken.begin());
    taken.erase(taken.begin(), expired);

    for (const service::Rate& rate : rates_) {
        const auto used = taken.end() - std::upper_bound(taken.begin(), taken.end(), now - rate.window);
        if (used >= rate.count) {
            verdict.allowed = false;
            const auto frees = rate.count > 0 ? *(taken.end() - rate.count) : now;
            verdict.retry_after = std::max(verdict.retry_after, frees + rate.window - now);
        }
    }
    if (verdict.allowed) {
        taken.push_back(now);
        ++stamps_;
    }
    for (const service::Rate& rate : rates_) {
        const auto used = taken.end() - std::upper_bound(taken.begin(), taken.end(), now - rate.window);
        Quota quota{rate, static_cast<int>(std::max<std::ptrdiff_t>(0, rate.count - used)), 0};
        if (quota.remaining == 0) {
            const auto frees = rate.count > 0 ? *(taken.end() - rate.count) : now;
            quota.reset = frees + rate.window - now;
        }
        verdict.quotas.push_back(quota);
    }

    while (stamps_ > max_stamps_ && entries_.size() > 1) {
        stamps_ -= entries_.back().taken.size();
        index_.erase(entries_.back().key);
        entries_.pop_back();
    }
    // Who has not asked for the longest window has nothing left to be counted.
    while (entries_.size() > 1 &&
           (entries_.back().taken.empty() || entries_.back().taken.back() <= now - longest_)) {
        stamps_ -= entries_.back().taken.size();
        index_.erase(entries_.back().key);
        entries_.pop_back();
    }
    return verdict;
}

void Limiter::give_back(std::string_view client) {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(key_of(client));
    if (found == index_.end() || found->second->taken.empty()) return;
    found->second->taken.pop_back();
    --stamps_;
}

std::size_t Limiter::stamps() const {
    const std::lock_guard lock(mutex_);
    return stamps_;
}

service::TimeMs steady_now() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

void add_rate_limit_headers(Response& response, const Limiter::Verdict& verdict) {
    std::string policies;
    std::string states;
    for (const Limiter::Quota& quota : verdict.quotas) {
        const std::string separator = policies.empty() ? "" : ", ";
        const std::string name =
            policies.empty() ? "client" : fmt::format("client-{}", &quota - verdict.quotas.data() + 1);
        policies += fmt::format("{}\"{}\";q={};w={}", separator, name, quota.rate.count,
                                seconds_up(quota.rate.window));
        states +=
            fmt::format("{}\"{}\";r={};t={}", separator, name, quota.remaining, seconds_up(quota.reset));
    }
    if (policies.empty()) return;
    response.headers.emplace_back("RateLimit-Policy", policies);
    response.headers.emplace_back("RateLimit", states);
    if (!verdict.allowed)
        response.headers.emplace_back("Retry-After", std::to_string(seconds_up(verdict.retry_after)));
}

}  // namespace zgoda::http
