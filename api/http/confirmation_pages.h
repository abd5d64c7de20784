// /confirm and /not-me: the two answers to a confirmation letter.
//
// GET shows and POST acts, because scanners of mail follow every link, some of them with scripts and posts. A
// post needs the nonce of a page that was shown at least a second ago; without it the page is shown again.
// Who posts as only machines do (service/confirmation.h) is asked once more, by a page whose nonce is of
// another kind. Parameters of the query never act.
//
// A token whose letter is about a change of address is preference_pages.h's.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <mutex>
#include <string>

#include "api/http/limiter.h"
#include "api/http/site.h"

namespace zgoda::http {

/// The links whose button was pressed within the last 2 seconds: whoever follows all links of many mailboxes
/// presses several from one client network. Thread-safe, its memory is bounded.
class PressedLinks {
 public:
    /// Notes this one. Was another one pressed from the same network just now?
    bool crowded(const std::string& network, const std::string& token, service::TimeMs now);

 private:
    struct Pressed {
        std::string token;
        service::TimeMs at = 0;
    };
    std::mutex mutex_;
    std::map<std::string, Pressed> latest_;  // of each network
};

boost::asio::awaitable<Response> show_confirm(Request& request, const Site& site);

/// Confirms what is ticked. With resend=1, the button of an expired link's page, asks for a fresh letter
/// instead; that counts against the client's quota like a signup. With browser=SECRET, which only the script
/// of our own pages sends and without anybody pressing anything, confirms the request that this browser made,
/// or shows the page.
boost::asio::awaitable<Response> act_confirm(Request& request, const Site& site, Limiter& limiter,
                                             PressedLinks& pressed);

boost::asio::awaitable<Response> show_not_me(Request& request, const Site& site);
boost::asio::awaitable<Response> act_not_me(Request& request, const Site& site);

}  // namespace zgoda::http
