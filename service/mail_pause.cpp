#include "service/mail_pause.h"

#include <fmt/format.h>

#include <algorithm>

namespace zgoda::service {
namespace {

using Scope = MailPause::Scope;

const MailPause* find(const std::vector<MailPause>& pauses, Scope scope, std::string_view name) {
    const auto found = std::find_if(pauses.begin(), pauses.end(), [&](const MailPause& one) {
        return one.scope == scope && one.name == name;
    });
    return found == pauses.end() ? nullptr : &*found;
}

// Whom the letter goes to: of a change of address, one of its two ends.
std::string addr_key_of(Reader& reader, const Letter& letter) {
    if (const auto change = letter.change ? reader.address_change(*letter.change) : std::nullopt) {
        return change->from.letter == letter.id ? change->from.addr_key : change->to.addr_key;
    }
    const auto person = reader.person(letter.person);
    return person ? person->addr_key : std::string();
}

// Before its first lease a confirmation names no newsletters yet: its requests do.
std::vector<Id> newsletters_of(Reader& reader, const Letter& letter) {
    std::vector<Id> ids = letter.newsletters;
    if (letter.kind != LetterKind::confirmation || letter.first_leased_at) return ids;
    for (const Request& request : reader.requests_of(letter.person)) {
        if (request.letter != letter.id) continue;
        for (const Wish& wish : request.wishes) ids.push_back(wish.newsletter);
    }
    return ids;
}

// The pause of a domain or a newsletter that holds the letter; nullptr: none.
const MailPause* holding(Reader& reader, const Letter& letter, const std::vector<MailPause>& pauses) {
    const auto any = [&](Scope scope) {
        return std::any_of(pauses.begin(), pauses.end(),
                           [scope](const MailPause& one) { return one.scope == scope; });
    };
    if (any(Scope::domain)) {
        const std::string addr_key = addr_key_of(reader, letter);
        const auto domain = std::string_view(addr_key).substr(addr_key.rfind('@') + 1);
        if (const MailPause* one = find(pauses, Scope::domain, domain)) return one;
    }
    if (!any(Scope::newsletter)) return nullptr;
    for (const Id id : newsletters_of(reader, letter)) {
        if (const MailPause* one = find(pauses, Scope::newsletter, std::to_string(id))) return one;
    }
    return nullptr;
}

bool waits(const Letter& letter) {
    return letter.state == LetterState::queued || letter.state == LetterState::deferred ||
           letter.state == LetterState::uncertain;
}

}  // namespace

bool mail_stopped(const std::vector<MailPause>& pauses) {
    return find(pauses, Scope::all, "") != nullptr || find(pauses, Scope::after_restore, "") != nullptr;
}

std::string why_held(Reader& reader, const Letter& letter) {
    if (!waits(letter)) return "";
    const auto pauses = reader.mail_pauses();
    if (find(pauses, Scope::after_restore, "") != nullptr)
        return "held since a restore, until `zgoda mail resume --after-restore`";
    if (find(pauses, Scope::all, "") != nullptr)
        return "held by `zgoda mail pause` until `zgoda mail resume`";
    const MailPause* one = holding(reader, letter, pauses);
    if (one == nullptr) {  // the program that took it away has not come to this letter, or was stopped
        return letter.due_at == held_due_at
                   ? "held by a `zgoda mail pause` that has ended: pause and resume once more"
                   : "";
    }
    if (one->scope == Scope::domain)
        return fmt::format(
            "held by `zgoda mail pause` of letters to {0} until `zgoda mail resume --domain {0}`", one->name);
    const auto newsletters = reader.newsletters();
    const Newsletter* newsletter = newsletters->find(Id{std::stoll(one->name)});
    return fmt::format(
        "held by `zgoda mail pause` of letters about {0} until `zgoda mail resume --newsletter {0}`",
        newsletter == nullptr ? one->name : newsletter->slug);
}

bool hold(Transaction& tx, const Letter& letter, const std::vector<MailPause>& pauses) {
    if (pauses.empty() || holding(tx, letter, pauses) == nullptr) return false;
    Letter aside = letter;
    aside.due_at = held_due_at;
    tx.update(aside);
    return true;
}

Settled settle_pauses(Store& store, TimeMs now, const std::function<void()>& between) {
    constexpr std::size_t page = 2000;
    constexpr std::size_t unit = 100;
    Settled settled;
    TimeMs due = -1;
    Id after = 0;
    for (std::size_t seen = page; seen == page;) {
        std::vector<Id> changed;
        look(store, [&](Reader& reader) {
            changed.clear();
            const auto pauses = reader.mail_pauses();
            const auto letters = reader.open_letters(due, after, page);
            for (const Letter& letter : letters) {
                if ((letter.due_at == held_due_at) != (holding(reader, letter, pauses) != nullptr))
                    changed.push_back(letter.id);
            }
            seen = letters.size();
            if (letters.empty()) return;
            due = letters.back().due_at;
            after = letters.back().id;
        });
        for (std::size_t first = 0; first < changed.size(); first += unit) {
            Settled these;
            run(store, [&](Transaction& tx) {
                these = {};
                const auto pauses = tx.mail_pauses();
                for (std::size_t i = first; i < std::min(first + unit, changed.size()); ++i) {
                    auto letter = tx.letter(changed[i]);
                    if (!letter || !waits(*letter)) continue;
                    const bool was = letter->due_at == held_due_at;
                    const bool is = holding(tx, *letter, pauses) != nullptr;
                    if (was == is) continue;
                    letter->due_at = is ? held_due_at : now;
                    tx.update(*letter);
                    ++(is ? these.held : these.released);
                }
            });
            settled.held += these.held;
            settled.released += these.released;
            if (between) between();
        }
    }
    return settled;
}

}  // namespace zgoda::service
