// The journal of an import: what each row changed of one person and how that was before, as ImportEntry keeps
// it in JSON. The import writes it, the undo of a batch reads it; nobody else does. (The journal of
// withdrawals is another one: service/journal.h.)
//
// The changes of a row are a list. Each is {"what":"subscription","id":7}, or of "person" or "suppression",
// and then: with "made", it was not there before; with "was", its image as it was; with "now", the mark of
// what it became. With none of these, the row said the same as what was there. The "id" of a suppression is
// its reason, its "now" the key.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "service/records.h"

namespace zgoda::service {

// A record as the journal keeps it: all that an import may change, and what tells two of them apart.
boost::json::array image(const Person&);
boost::json::array image(const Subscription&);

// Brings a record back to how its image has it.
void restore(Person&, const boost::json::array& was);
void restore(Subscription&, const boost::json::array& was);

// The mark of a record as it is: another one means that somebody has changed it since.
std::string mark(const Person&);
std::string mark(const Subscription&);

class ImportChanges {
 public:
    void made(std::string_view what, Id, const std::string& now);
    void changed(std::string_view what, Id, const boost::json::array& was, const std::string& now);
    void same(std::string_view what, Id);

    bool empty() const { return all_.empty(); }
    bool any_change() const;  // not only "same"
    std::string text() const;

 private:
    boost::json::array all_;
};

bool has_change(const ImportEntry&);  // not only "same"

Id suppression_id(SuppressionReason);

// Whether this row was the one to suppress her for that reason.
bool made_suppression(const ImportEntry&, SuppressionReason);

// If the entry, of a later batch, says the same as this change, the change becomes that one's to take back:
// true, and the entry is to be kept anew.
bool hand_on(const boost::json::object& change, ImportEntry& later);

}  // namespace zgoda::service
