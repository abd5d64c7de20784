// What administrators' programs are shown, the same on the command line (--json) and over HTTP. Times are RFC
// 3339, newsletters are slugs, words those of service/words.h.
#pragma once

#include <boost/json/object.hpp>

#include "service/stats.h"
#include "service/store.h"
#include "service/story.h"

namespace zgoda::service::desk {

// {"slug","open","aliases":[],"settings":{KEY:{LANGUAGE:VALUE}}}; the language "" is for all others.
boost::json::object json_of(const Newsletter&);

// {"newsletter","status","signed_up_at","confirmed_at","unsubscribed_at","source","form","fields":{}}
boost::json::object json_of(const Subscription&, const Newsletters&);

// {"id","address","envelope","name","locale","created_at","proven_at"}
boost::json::object json_of(const Person&);

// {"key","key_id","reason","at"}
boost::json::object json_of(const Suppression&);

// {"reason","at","until"}, as her own record shows it; null: it does not end by itself.
boost::json::object json_in_record(const Suppression&);

// {"at","text"}
boost::json::object json_of(const StoryLine&);

// {"id","name","scopes":[],"networks":[],"created_at","expires_at","revoked_at","last_used_at"}
boost::json::object json_of(const AdminToken&);

// {"since","total":FUNNEL,"rows":[{FUNNEL..., "name"}]}, FUNNEL being
// {"signups","letters","confirmed","bounced", "left"}.
boost::json::object json_of(const Stats&, TimeMs since);

}  // namespace zgoda::service::desk
