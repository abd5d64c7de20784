#include "service/suggestion.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <variant>

namespace zgoda::service {
namespace {

struct Provider {
    std::string_view domain;
    bool suggested;  // otherwise only believed: it is common, or a slip away from one that is suggested
};

// Sorted by domain.
constexpr Provider providers[] = {
    {"abv.bg", false},        {"aol.com", false},      {"bigmir.net", false},     {"comcast.net", false},
    {"email.com", false},     {"email.ua", false},     {"fastmail.com", false},   {"free.fr", false},
    {"gail.com", false},      {"gmail.com", true},     {"gmx.at", false},         {"gmx.com", false},
    {"gmx.de", false},        {"gmx.net", false},      {"googlemail.com", true},  {"grail.com", false},
    {"hey.com", false},       {"hotmail.ca", true},    {"hotmail.co.uk", true},   {"hotmail.com", true},
    {"hotmail.de", true},     {"hotmail.es", true},    {"hotmail.fr", true},      {"hotmail.it", true},
    {"i.ua", true},           {"icloud.com", true},    {"inbox.com", false},      {"incloud.com", false},
    {"laposte.net", false},   {"live.co.uk", true},    {"live.com", true},        {"live.fr", true},
    {"live.nl", true},        {"mac.com", false},      {"mail.com", false},       {"mail.ru", false},
    {"me.com", false},        {"meat.ua", false},      {"meta.ua", true},         {"msn.com", false},
    {"o2.pl", false},         {"online.ua", false},    {"orange.fr", false},      {"outlook.com", true},
    {"outlook.de", true},     {"outlook.fr", true},    {"photon.me", false},      {"pm.me", false},
    {"posteo.de", false},     {"pronto.me", false},    {"proto.me", false},       {"proton.me", true},
    {"protonmail.com", true}, {"rambler.ru", false},   {"rocketmail.com", false}, {"seznam.cz", false},
    {"t-online.de", false},   {"tutanota.com", false}, {"ua.fm", false},          {"ukr.net", true},
    {"web.de", false},        {"wp.pl", false},        {"yahoo.ca", true},        {"yahoo.co.in", true},
    {"yahoo.co.jp", true},    {"yahoo.co.uk", true},   {"yahoo.com", true},       {"yahoo.com.au", true},
    {"yahoo.com.br", true},   {"yahoo.de", true},      {"yahoo.es", true},        {"yahoo.fr", true},
    {"yahoo.it", true},       {"yandex.com", false},   {"yandex.ru", false},      {"ymail.com", false},
};

constexpr bool by_domain(const Provider& a, const Provider& b) {
    return a.domain < b.domain;
}
static_assert(std::is_sorted(std::begin(providers), std::end(providers), by_domain));

// None of these is delegated in the root.
constexpr std::pair<std::string_view, std::string_view> top_level_slips[] = {
    {"ccom", "com"}, {"cim", "com"}, {"clm", "com"},  {"cmo", "com"},  {"comm", "com"}, {"con", "com"},
    {"coom", "com"}, {"cpm", "com"}, {"ner", "net"},  {"nett", "net"}, {"nte", "net"},  {"nwt", "net"},
    {"ocm", "com"},  {"ogr", "org"}, {"orgg", "org"}, {"rog", "org"},  {"vom", "com"},  {"xom", "com"},
};

struct Domain {
    std::string_view name, rest;  // up to the first dot, and after it
};

Domain split(std::string_view domain) {
    const std::size_t dot = domain.find('.');
    return {domain.substr(0, dot), domain.substr(dot + 1)};
}

constexpr std::size_t too_far = 3;

// Optimal string alignment: letters inserted, dropped, replaced, or neighbours swapped.
std::size_t distance(std::string_view a, std::string_view b) {
    constexpr std::size_t longest = 15;
    if (a.size() > longest || b.size() > longest) return too_far;
    std::array<std::array<std::size_t, longest + 1>, longest + 1> d{};
    for (std::size_t i = 0; i <= a.size(); ++i) {
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            const std::size_t replaced = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[a.size()][b.size()];
}

// People get the first letter right, or swap it with the second. Short names are close to everybody's: there
// only a swap counts.
std::size_t name_distance(std::string_view typed, std::string_view meant) {
    if (typed == meant) return 0;
    if (typed.size() < 2 || meant.size() < 2 || typed.size() > meant.size() + 2) return too_far;
    if (typed[0] != meant[0] && (typed[0] != meant[1] || typed[1] != meant[0])) return too_far;
    const bool only_swap = meant.size() < 5;
    if (only_swap && !std::is_permutation(typed.begin(), typed.end(), meant.begin(), meant.end()))
        return too_far;
    const std::size_t allowed = meant.size() < 6 ? 1 : 2;
    const std::size_t found = distance(typed, meant);
    return found <= allowed ? found : too_far;
}

// A country's domain, or another that exists, is believed.
std::size_t rest_distance(std::string_view typed, std::string_view meant) {
    if (typed == meant) return 0;
    if (meant != "com" && meant != "net") return too_far;
    if (typed.size() > meant.size() + 1) return too_far;  // as most domains of somebody's own are
    if (typed == "bet" || typed == "new" || typed == "pet" || typed == "vet") return too_far;
    return distance(typed, meant) == 1 ? 1 : too_far;
}

bool is_known(std::string_view domain) {
    return std::binary_search(std::begin(providers), std::end(providers), Provider{domain, false}, by_domain);
}

std::string_view closest_provider(std::string_view domain) {
    const Domain typed = split(domain);
    std::string_view closest;
    std::size_t least = too_far;
    for (const Provider& provider : providers) {
        if (!provider.suggested) continue;
        const Domain meant = split(provider.domain);
        const std::size_t rest = rest_distance(typed.rest, meant.rest);
        if (rest >= least) continue;
        const std::size_t found = rest + name_distance(typed.name, meant.name);
        if (found < least) {
            least = found;
            closest = provider.domain;
        }
    }
    return closest;
}

// "gmail", "gmailcom" and "ukrnet": the provider whose dot or ending was left out, or nothing.
std::string_view provider_without_dot(std::string_view domain) {
    for (const Provider& provider : providers) {
        if (!provider.suggested) continue;
        const auto [name, rest] = split(provider.domain);
        if (rest != "com" && rest != "net") continue;
        if (domain == name) return provider.domain;
        if (domain.starts_with(name) && domain.substr(name.size()) == rest) return provider.domain;
    }
    return {};
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t i = text.find(from); i != text.npos; i = text.find(from, i))
        text.replace(i, from.size(), to);
}

}  // namespace

std::optional<std::string> suggest_address(const EmailAddress& typed) {
    const std::string_view address = typed.address;
    const std::string_view domain = address.substr(address.rfind('@') + 1);
    if (is_known(domain)) return {};

    std::string result(address.substr(0, address.size() - domain.size()));
    if (const std::string_view provider = closest_provider(domain); !provider.empty()) {
        return result.append(provider);
    }
    const std::size_t dot = domain.rfind('.');
    for (const auto& [slip, meant] : top_level_slips) {
        if (domain.substr(dot + 1) == slip) return result.append(domain.substr(0, dot + 1)).append(meant);
    }
    return {};
}

std::optional<std::string> suggest_repair(std::string_view refused, const AddressRules& rules) {
    if (refused.size() > 320) return {};
    if (const std::size_t open = refused.find('<'); open != refused.npos) {  // Ada <ada@gmail.com>
        const std::size_t close = refused.find('>', open);
        refused = refused.substr(open + 1, close == refused.npos ? close : close - open - 1);
    }
    std::string text(refused);
    replace_all(text, "\uFF20", "@");
    replace_all(text, "\uFE6B", "@");
    const std::size_t at = text.find('@');
    if (at == text.npos) return {};

    std::string local = text.substr(0, at);
    while (local.starts_with(' ')) local.erase(0, 1);
    while (local.ends_with(' ')) local.pop_back();
    std::string domain = text.substr(at + 1);
    std::erase(domain, ' ');
    replace_all(domain, ",", ".");
    replace_all(domain, "..", ".");
    if (domain.starts_with('.')) domain.erase(0, 1);
    if (domain.ends_with('.')) domain.pop_back();
    if (const std::string_view provider = provider_without_dot(domain); !provider.empty()) domain = provider;

    const auto repaired = check_address(local + '@' + domain, rules);
    const auto* accepted = std::get_if<EmailAddress>(&repaired);
    if (!accepted) return {};
    auto better = suggest_address(*accepted);
    return better ? better : accepted->address;
}

}  // namespace zgoda::service
