#include "service/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace zgoda::service {
namespace {

constexpr std::string_view made_word = " suppressed ";
constexpr std::string_view lifted_word = " lifted ";

void tell(Transaction& tx, const Suppression& one, std::string_view word_for, TimeMs at) {
    if (one.reason == SuppressionReason::hard_bounce) return;
    tx.journal_withdrawal(
        fmt::format("{} {} {}{}{}", rfc3339(at), one.key_id, to_hex(one.key), word_for, word(one.reason)));
}

}  // namespace

void journal(Transaction& tx, std::string_view whose, std::string_view what, const Keyring& keys, TimeMs at) {
    const int id = keys.oldest();
    const Digest hash = hmac(*keys.key(id, KeyUse::journal), fmt::format("{}\n{}", whose, what));
    tx.journal_withdrawal(fmt::format("{} {} {}", rfc3339(at), id, to_hex(hash)));
}

void keep_suppression(Transaction& tx, const Suppression& one) {
    tx.add(one);
    tell(tx, one, made_word, one.at);
}

void lift_suppression(Transaction& tx, const Suppression& one, TimeMs now) {
    tx.remove(one);
    tell(tx, one, lifted_word, now);
}

std::size_t Departures::Hash::operator()(const Digest& digest) const {
    std::size_t value = 0;  // as good as any other part of an HMAC
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
}

bool Departures::add(std::string_view line, const Keyring& keys) {
    ++lines_;
    const std::size_t first = std::min(line.find(' '), line.size());
    const std::size_t second = std::min(line.find(' ', first + 1), line.size());
    if (second == line.size()) return false;
    const std::size_t third = std::min(line.find(' ', second + 1), line.size());
    const auto at = parse_rfc3339(line.substr(0, first));
    int key = 0;
    const char* end = line.data() + second;
    const auto [stop, error] = std::from_chars(line.data() + first + 1, end, key);
    const auto hash = from_hex(line.substr(second + 1, third - second - 1));
    if (!at || error != std::errc{} || stop != end || !hash || hash->size() != sizeof(Digest)) return false;
    if (keys.key(key, KeyUse::journal) == nullptr) return false;
    Digest digest{};
    std::copy(hash->begin(), hash->end(), digest.begin());
    const std::string_view rest = line.substr(third);
    if (rest.empty()) {
        last_[digest] = {*at, lines_};
        return true;
    }
    const bool lifted = rest.starts_with(lifted_word);
    if (!lifted && !rest.starts_with(made_word)) return false;
    const auto reason = parse_suppression_reason(rest.substr((lifted ? lifted_word : made_word).size()));
    if (!reason) return false;
    auto& known = suppressed_[digest];
    std::erase_if(known, [&](const Suppressed& other) { return other.one.reason == *reason; });
    known.push_back({{digest, key, *reason, *at}, lifted});
    return true;
}

std::optional<Departures::Line> Departures::find(std::string_view whose, std::string_view what,
                                                 const Keyring& keys) const {
    std::optional<Line> last;
    for (const int id : keys.ids()) {
        const auto found =
            last_.find(hmac(*keys.key(id, KeyUse::journal), fmt::format("{}\n{}", whose, what)));
        if (found != last_.end() && (!last || found->second.number > last->number)) last = found->second;
    }
    return last;
}

std::vector<Departures::Suppressed> Departures::suppressed(const Digest& key) const {
    const auto found = suppressed_.find(key);
    return found == suppressed_.end() ? std::vector<Suppressed>() : found->second;
}

std::vector<Departures::Suppressed> Departures::suppressed() const {
    std::vector<Suppressed> all;
    for (const auto& [key, lines] : suppressed_) all.insert(all.end(), lines.begin(), lines.end());
    return all;
}

}  // namespace zgoda::service
