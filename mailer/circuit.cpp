#include "mailer/circuit.h"

#include <algorithm>

namespace zgoda::mailer {
namespace {

constexpr int failures_to_open = 5;
constexpr service::DurationMs first_pause = 5 * service::second_ms;
constexpr service::DurationMs longest_pause = 5 * service::minute_ms;
constexpr service::DurationMs pause_for_human = 15 * service::minute_ms;

}  // namespace

bool Circuit::may_try(service::TimeMs now) {
    if (!open_) return true;
    if (probing_ || until_probe(now) > 0) return false;
    probing_ = true;
    return true;
}

service::DurationMs Circuit::until_probe(service::TimeMs now) const {
    const service::DurationMs left = next_probe_ - now;
    return left > pause_for_human ? 0
                                  : std::max<service::DurationMs>(0, left);  // else the clock was set back
}

void Circuit::worked() {
    *this = Circuit();
}

void Circuit::failed(service::TimeMs now) {
    if (open_ && !probing_) return;  // a letter that was on its way when it opened
    ++failures_;
    probing_ = false;
    if (failures_ < failures_to_open) return;
    pause_ = open_ ? std::min(pause_ * 2, longest_pause) : first_pause;
    open_ = true;
    next_probe_ = now + pause_;
}

void Circuit::needs_human(service::TimeMs now) {
    failures_ = failures_to_open;
    probing_ = false;
    open_ = true;
    pause_ = longest_pause;
    next_probe_ = now + pause_for_human;
}

void Circuit::not_tried() {
    probing_ = false;
}

}  // namespace zgoda::mailer
