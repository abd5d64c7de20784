#pragma once

// How often letters may begin: all of them, and those to one recipient domain. A value with a clock from
// outside; not for several threads at once.

#include <chrono>
#include <map>
#include <string>
#include <string_view>

namespace zgoda::mailer {

class Pace {
 public:
    using Time = std::chrono::steady_clock::time_point;

    Pace() = default;
    Pace(double per_second, double per_domain_and_minute);  // 0: no limit

    // The earliest moment for a letter to this address; in the past: now.
    Time ready_at(std::string_view address) const;
    void begun(std::string_view address, Time now);
    bool slows_domains() const { return between_in_domain_.count() > 0; }

 private:
    using Duration = std::chrono::steady_clock::duration;

    Duration between_{};
    Duration between_in_domain_{};
    Time next_{};
    std::map<std::string, Time, std::less<>> next_in_domain_;
};

}  // namespace zgoda::mailer
