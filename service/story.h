// One person's story, in order, in sentences: the answer to "why did she get no letter?".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

struct StoryLine {
    TimeMs at = 0;
    std::string text;  // English; control and bidi characters already made visible
};

struct Story {
    std::optional<Person> person;  // none: nothing but keyed hashes is known of this address
    std::vector<Subscription> subscriptions;
    std::vector<Suppression> suppressions;
    std::vector<StoryLine> lines;
};

// `addr_key` of a checked address. Nothing known at all: no person, no suppressions, no lines.
Story story(Reader&, std::string_view addr_key, const Rules&, TimeMs now);

}  // namespace zgoda::service
