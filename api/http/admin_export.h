// GET /v1/admin/export: the rows of `zgoda export`, streamed.
//
// A page of rows at a time, each in a short read of its own, so that neither memory nor the database's log
// grows with the number of people. A reply that could not be finished is cut, never ended as if it were
// whole.
#pragma once

#include "api/http/admin.h"

namespace zgoda::http {

boost::asio::awaitable<Response> export_subscribers(Request&, const Desk&, const std::string& who);

}  // namespace zgoda::http
