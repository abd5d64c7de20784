// Everything held about one person, as one JSON document for herself (GDPR, articles 15 and 20).
//
//     {"generated_at", "person": {...}, "subscriptions": [...], "requests": [...], "letters": [...],
//      "events": [...], "suppressions": [...], "mail_budget": [...], "preference_links": [...],
//      "address_changes": [...]}
//
// Names of newsletters are slugs, times RFC 3339, words those of service/words.h. Events come with what
// stands beside the chain: identity and evidence. Of others it holds nothing but what they typed into forms
// for her; letters to the new end of a change of address that is not done are theirs, not hers.
#pragma once

#include <string>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

std::string personal_data(Reader&, const Person&, const Rules&, TimeMs now);

}  // namespace zgoda::service
