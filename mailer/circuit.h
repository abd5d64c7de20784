#pragma once

// Whether the relay is worth a try. A relay in trouble is not a letter's fault, and asking it again with
// every letter that is due helps nobody: after five failures in a row the circuit opens, and after a while
// one letter probes it. A value with a clock from outside; not for several threads at once.

#include "service/time.h"

namespace zgoda::mailer {

class Circuit {
 public:
    // May a letter be tried now? While open, true once when the time for a probe has come; who got that must
    // say how it went, by one of the following.
    bool may_try(service::TimeMs now);

    void worked();                     // the relay took the letter, or had something to say about it
    void failed(service::TimeMs now);  // the relay could not be reached: opens for 5 s, 10 s ... 5 min
    void needs_human(
        service::TimeMs now);  // name, password or certificate are wrong: opens at once, for 15 min
    void not_tried();          // no letter went after all

    bool open() const { return open_; }
    bool probing() const { return probing_; }                    // a letter is under way to find out
    service::DurationMs until_probe(service::TimeMs now) const;  // while open; 0: it is time

 private:
    bool open_ = false;
    bool probing_ = false;
    int failures_ = 0;
    service::DurationMs pause_ = 0;
    service::TimeMs next_probe_ = 0;
};

}  // namespace zgoda::mailer
