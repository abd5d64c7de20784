#include "mailer/pace.h"

#include <algorithm>

namespace zgoda::mailer {
namespace {

// Who wakes up late may catch up by so much, and no more.
constexpr auto credit = std::chrono::milliseconds(20);

std::string_view domain_of(std::string_view address) {
    return address.substr(std::min(address.rfind('@'), address.size()));
}

std::chrono::steady_clock::duration every(double seconds, double times) {
    if (times <= 0) return {};
    return std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(seconds / times));
}

}  // namespace

Pace::Pace(double per_second, double per_domain_and_minute)
    : between_(every(1, per_second)), between_in_domain_(every(60, per_domain_and_minute)) {}

Pace::Time Pace::ready_at(std::string_view address) const {
    const auto domain = slows_domains() ? next_in_domain_.find(domain_of(address)) : next_in_domain_.end();
    return domain == next_in_domain_.end() ? next_ : std::max(next_, domain->second);
}

void Pace::begun(std::string_view address, Time now) {
    if (between_.count() > 0) next_ = (next_ == Time{} ? now : std::max(next_, now - credit)) + between_;
    if (!slows_domains()) return;
    if (next_in_domain_.size() > 1000)
        std::erase_if(next_in_domain_, [now](const auto& one) { return one.second <= now; });
    next_in_domain_.insert_or_assign(std::string(domain_of(address)), now + between_in_domain_);
}

}  // namespace zgoda::mailer
