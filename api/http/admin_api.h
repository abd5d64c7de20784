// The admin API: /v1/admin/... of the private listener.
//
// Who asks shows a token (RFC 6750): "Authorization: Bearer zgoda_...". A bad, missing, expired or revoked
// one, and one from a network that is not its own, are the same 401; a good one without the scope of the
// endpoint is a 403. The token is looked up with every request.
#pragma once

#include "api/http/admin.h"
#include "api/http/route.h"

namespace zgoda::http {

/// `desk` must outlive the routes.
Routes admin_routes(const Desk& desk);

}  // namespace zgoda::http
