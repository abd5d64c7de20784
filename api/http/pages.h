// HTML pages: a layout around a body, filled in by mustache, which escapes every value.
//
// The templates are page.*.html of config/templates/, with zgoda.css and zgoda.js beside them. Immutable
// after construction, any thread.
#pragma once

#include <kainjow/mustache.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "service/texts.h"

namespace zgoda::http {

using PageData = kainjow::mustache::data;

/// Sets a value that a template asks for with {{#name}}: an empty one is as good as none.
void put(PageData& data, const std::string& name, std::string_view value);

/// What is around a page's body.
struct Frame {
    int status = 200;
    std::string locale;
    std::string title;
    bool private_link = false;  // reached by somebody's own link: no search engine may keep it
    std::string here;           // the path under which the page can be had in another language; "": it cannot
    std::string form_targets;   // origins beside ours that its form may end at, separated by spaces
    std::string framed_by;      // the origins that may frame it ("'none'"), for a page made to be framed: it
                                // comes without what is around other pages
    bool script = false;        // loads zgoda.js, without which all works too
};

/// A page that only says something, perhaps with one button.
struct Message {
    std::vector<std::string> paragraphs;
    std::vector<std::string> items;
    std::string note;

    struct Button {
        std::string label;
        std::string action;
        std::string nonce;
        bool resend = false;
        bool quiet = false;  // not what most readers come for
    };
    std::optional<Button> button;

    struct Link {
        std::string label;
        std::string href;
    };
    std::optional<Link> link;
};

class Pages {
 public:
    /// Throws std::runtime_error naming the file of a template that is missing or is no mustache.
    Pages(std::map<std::string, std::string, std::less<>> templates, const service::Texts& texts,
          std::string imprint);

    Response page(const Frame& frame, const std::string& body, const PageData& data) const;
    Response message(const Frame& frame, const Message& message) const;

    /// zgoda.css or zgoda.js.
    Response file(const Request& request, const std::string& name, std::string_view type) const;

 private:
    std::map<std::string, std::string, std::less<>> templates_;
    const service::Texts& texts_;
    std::string imprint_;
    std::map<std::string, std::string, std::less<>> tags_;  // ETags of the files
};

}  // namespace zgoda::http
