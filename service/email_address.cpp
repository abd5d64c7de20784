#include "service/email_address.h"

#include <idn2.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

namespace zgoda::service {
namespace {

using Problem = AddressProblem;
using CodePoints = std::vector<ucs4_t>;

constexpr std::size_t longest_input = 1024;
constexpr std::size_t longest_address = 254;
constexpr std::size_t longest_local = 64;
constexpr std::size_t longest_domain = 253;
constexpr std::size_t longest_label = 63;

// --- ASCII, without the locale
// -------------------------------------------------------------------------------------

constexpr bool is_ascii(unsigned c) {
    return c < 0x80;
}
constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr bool is_letter(char c) {
    return lower(c) >= 'a' && lower(c) <= 'z';
}
constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

constexpr bool is_local_char(char c) {
    return is_letter(c) || is_digit(c) ||
           std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos;
}

constexpr bool is_domain_char(char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '.';
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return is_ascii(static_cast<unsigned char>(c)); });
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = lower(c);
    return result;
}

std::string join(std::string_view local, std::string_view domain) {
    std::string result;
    result.reserve(local.size() + 1 + domain.size());
    result.append(local).append(1, '@').append(domain);
    return result;
}

template <class Visit>
void for_each_label(std::string_view domain, Visit visit) {
    for (std::size_t start = 0; start <= domain.size();) {
        const std::size_t end = std::min(domain.find('.', start), domain.size());
        visit(domain.substr(start, end - start));
        start = end + 1;
    }
}

// --- Unicode: only for what is not plain ASCII
// ---------------------------------------------------------------------

const std::uint8_t* bytes(std::string_view text) {
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

// Text that has passed u8_check.
CodePoints code_points(std::string_view text) {
    CodePoints result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        ucs4_t c = 0;
        i += static_cast<std::size_t>(u8_mbtouc(&c, bytes(text) + i, text.size() - i));
        result.push_back(c);
    }
    return result;
}

std::string nfc(std::string_view text) {
    std::size_t size = 0;
    const std::unique_ptr<std::uint8_t, decltype(&std::free)> normal(
        u8_normalize(UNINORM_NFC, bytes(text), text.size(), nullptr, &size), &std::free);
    if (!normal) throw std::bad_alloc();
    return {reinterpret_cast<const char*>(normal.get()), size};
}

bool has_category(ucs4_t c, std::uint32_t mask) {
    return uc_is_general_category_withtable(c, mask);
}

// No invisible, unassigned or spacing character, no mark without a base; ASCII as the caller allows.
bool is_plain(std::string_view text, bool (*ascii_allowed)(char)) {
    const CodePoints points = code_points(text);
    if (has_category(points.front(), UC_CATEGORY_MASK_M)) return false;
    return std::all_of(points.begin(), points.end(), [&](ucs4_t c) {
        return is_ascii(c) ? ascii_allowed(static_cast<char>(c))
                           : !has_category(c, UC_CATEGORY_MASK_C | UC_CATEGORY_MASK_Z);
    });
}

// Cyrillic, Greek and Armenian letters that pass for ASCII ones.
constexpr std::u32string_view look_alikes =
    U"аеорсухіјѕһԁԛԝАВЕЅІЈКМНОРСТХУԌԚԜ"
    U"οναρικυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
    U"օոսհՕՍԼ";

// The letters beside ASCII are of one script, or of several that one language writes together; and no word
// mixes ASCII letters with look-alikes of other scripts. Such a word is mostly a slip of the keyboard layout.
bool scripts_agree(std::string_view local) {
    enum : unsigned { han = 1, kana = 2, hangul = 4, bopomofo = 8, other = 16 };
    enum : unsigned { ascii = 1, look_alike = 2 };
    const uc_script_t* other_script = nullptr;
    unsigned seen = 0;
    unsigned in_word = 0;
    for (const ucs4_t c : code_points(local)) {
        if (is_ascii(c)) {
            in_word = is_letter(static_cast<char>(c)) ? in_word | ascii : 0;
        } else if (has_category(c, UC_CATEGORY_MASK_L)) {
            const uc_script_t* script = uc_script(c);
            const std::string_view name = script ? script->name : "Unknown";
            if (name == "Common" || name == "Inherited") continue;
            if (name == "Han") {
                seen |= han;
            } else if (name == "Hiragana" || name == "Katakana") {
                seen |= kana;
            } else if (name == "Hangul") {
                seen |= hangul;
            } else if (name == "Bopomofo") {
                seen |= bopomofo;
            } else {
                if (other_script && other_script != script) return false;
                other_script = script;
                seen |= other;
            }
            if (look_alikes.find(static_cast<char32_t>(c)) != look_alikes.npos) in_word |= look_alike;
        }
        if (in_word == (ascii | look_alike)) return false;
    }
    for (const unsigned together : {han | kana, han | hangul, han | bopomofo, 0u | other}) {
        if ((seen & ~together) == 0) return true;
    }
    return false;
}

// RFC 5893 section 2, rules 1 to 6, for one label of a domain that has right-to-left characters somewhere.
bool keeps_bidi_rule(std::string_view label) {
    bool has_en = false, has_an = false;
    int last = UC_BIDI_NSM;  // but for marks
    int first = -1;
    for (const ucs4_t c : code_points(label)) {
        const int type = uc_bidi_category(c);
        if (first < 0) first = type;
        switch (type) {
            case UC_BIDI_L:
                if (first != UC_BIDI_L) return false;
                break;
            case UC_BIDI_R:
            case UC_BIDI_AL:
            case UC_BIDI_AN:
                if (first == UC_BIDI_L) return false;
                break;
            case UC_BIDI_EN:
            case UC_BIDI_ES:
            case UC_BIDI_CS:
            case UC_BIDI_ET:
            case UC_BIDI_ON:
            case UC_BIDI_BN:
            case UC_BIDI_NSM:
                break;
            default:
                return false;
        }
        has_en |= type == UC_BIDI_EN;
        has_an |= type == UC_BIDI_AN;
        if (type != UC_BIDI_NSM) last = type;
    }
    if (first == UC_BIDI_L) return last == UC_BIDI_L || last == UC_BIDI_EN;
    if (first != UC_BIDI_R && first != UC_BIDI_AL) return false;
    if (has_en && has_an) return false;
    return last == UC_BIDI_R || last == UC_BIDI_AL || last == UC_BIDI_EN || last == UC_BIDI_AN;
}

bool is_right_to_left(std::string_view domain) {
    const CodePoints points = code_points(domain);
    return std::any_of(points.begin(), points.end(), [](ucs4_t c) {
        const int type = uc_bidi_category(c);
        return type == UC_BIDI_R || type == UC_BIDI_AL || type == UC_BIDI_AN;
    });
}

bool keeps_bidi_rule_throughout(std::string_view domain) {
    bool good = true;
    for_each_label(domain, [&](std::string_view label) { good = good && keeps_bidi_rule(label); });
    return good;
}

// --- the domain
// ----------------------------------------------------------------------------------------------------

struct Domain {
    std::string a_form, u_form;
};

// Rules for a domain that is, or has become, lower-case ASCII.
std::optional<Problem> ascii_domain_problem(std::string_view domain) {
    bool empty_label = false, long_label = false, edge_hyphen = false, hyphen34 = false;
    for_each_label(domain, [&](std::string_view label) {
        empty_label |= label.empty();
        long_label |= label.size() > longest_label;
        edge_hyphen |= label.starts_with('-') || label.ends_with('-');
        hyphen34 |= label.size() > 3 && label.substr(2, 2) == "--" && !label.starts_with("xn");
    });
    if (empty_label) return Problem::domain_dot;
    if (!std::all_of(domain.begin(), domain.end(), is_domain_char)) return Problem::domain_char;
    if (long_label) return Problem::label_too_long;
    if (domain.size() > longest_domain) return Problem::domain_too_long;
    if (edge_hyphen) return Problem::domain_hyphen;
    if (hyphen34) return Problem::domain_hyphen34;
    return {};
}

using Idn2String = std::unique_ptr<char, decltype(&idn2_free)>;

// Never IDN2_USE_STD3_ASCII_RULES: libidn2 2.3.3 then deletes what it should refuse (foo_bar.com ->
// foobar.com).
Idn2String to_a_form(const char* domain) {
    char* result = nullptr;
    idn2_to_ascii_8z(domain, &result, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    return {result, &idn2_free};
}

Idn2String to_u_form(const char* domain) {
    char* result = nullptr;
    idn2_to_unicode_8z8z(domain, &result, 0);
    return {result, &idn2_free};
}

// IDNA 2008 for a domain with U-labels, A-labels or both. What libidn2 lets through is caught around it:
// characters that UTS 46 would map away, empty and over-long labels, A-labels of nothing, and RFC 5893 in
// left-to-right labels.
std::optional<Domain> idna(const std::string& domain) {
    if (!is_plain(domain, is_domain_char)) return {};
    const Idn2String a_form = to_a_form(domain.c_str());
    if (!a_form || ascii_domain_problem(a_form.get())) return {};
    const Idn2String u_form = to_u_form(a_form.get());
    if (!u_form) return {};
    const Idn2String again = to_a_form(u_form.get());
    if (!again || std::string_view(again.get()) != a_form.get()) return {};
    if (is_right_to_left(u_form.get()) && !keeps_bidi_rule_throughout(u_form.get())) return {};
    // A-labels may stand for joiners, which nobody can see or type: such a domain is shown as it was written.
    const bool visible = is_plain(u_form.get(), is_domain_char);
    return Domain{a_form.get(), visible ? u_form.get() : a_form.get()};
}

bool has_a_label(std::string_view domain) {
    return domain.starts_with("xn--") || domain.find(".xn--") != domain.npos;
}

bool is_special_use(std::string_view top, const AddressRules& rules) {
    if (top == "test" || top == "example") return !rules.allow_test_domains;
    constexpr std::string_view special[] = {"alt",   "arpa",      "internal", "invalid",
                                            "local", "localhost", "onion"};
    return std::find(std::begin(special), std::end(special), top) != std::end(special);
}

// Rules 17 to 21.
std::variant<Domain, Problem> check_domain(std::string_view typed, const AddressRules& rules) {
    Domain domain;
    domain.a_form = lower(typed);
    const bool ascii = is_ascii(typed);
    if (ascii) {
        if (const auto problem = ascii_domain_problem(domain.a_form)) return *problem;
    }
    if (!ascii || has_a_label(domain.a_form)) {
        auto converted = idna(domain.a_form);
        if (!converted || (ascii && converted->a_form != domain.a_form)) return Problem::domain_idn;
        domain = *std::move(converted);
    } else {
        domain.u_form = domain.a_form;
    }

    const std::string_view name = domain.a_form;
    const std::size_t dot = name.rfind('.');
    if (dot == name.npos) return Problem::domain_single_label;
    const std::string_view top = name.substr(dot + 1);
    if (top.size() < 2) return Problem::tld;
    if (!top.starts_with("xn--") && !std::all_of(top.begin(), top.end(), is_letter)) return Problem::tld;
    if (is_special_use(top, rules)) return Problem::special_use;
    return domain;
}

// --- the local part
// ------------------------------------------------------------------------------------------------

// Rules 11 to 16; the NFC form if all is well.
std::variant<std::string, Problem> check_local(std::string_view typed, const AddressRules& rules) {
    std::string local(typed);
    if (is_ascii(typed)) {
        if (!std::all_of(typed.begin(), typed.end(), is_local_char)) return Problem::local_char;
    } else {
        if (!rules.smtputf8) return Problem::local_non_ascii;
        if (!is_plain(local, is_local_char)) return Problem::local_char;
        local = nfc(local);
        if (!is_plain(local, is_local_char)) return Problem::local_char;  // NFC makes ';' of U+037E
        if (!scripts_agree(local)) return Problem::local_script;
    }
    if (local.starts_with('.') || local.ends_with('.') || local.find("..") != local.npos)
        return Problem::local_dot;
    if (local.size() > longest_local) return Problem::local_too_long;
    return local;
}

// Simple lower-casing: character by character, the same in every locale.
std::string lower_local(std::string_view local) {
    if (is_ascii(local)) return lower(local);
    std::string result;
    for (const ucs4_t c : code_points(local)) {
        std::uint8_t utf8[6];
        const int size = u8_uctomb(utf8, uc_tolower(c), sizeof utf8);
        result.append(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
    }
    return nfc(result);
}

// Is it name.com, name.xx, name.co.xx or name.com.xx: the provider in one of its countries?
bool is_house(std::string_view domain, std::string_view name) {
    if (!domain.starts_with(name) || domain.substr(name.size(), 1) != ".") return false;
    std::string_view rest = domain.substr(name.size() + 1);
    if (rest == "com") return true;
    if (rest.starts_with("co.")) rest.remove_prefix(3);
    if (rest.starts_with("com.")) rest.remove_prefix(4);
    return rest.size() == 2;
}

// The mailbox behind `local` (in lower case) at `domain` (A-form). A plus tag is dropped everywhere: Outlook,
// Hotmail, Live, MSN, Apple, Yandex and most others deliver it to the mailbox before it.
std::string fold_for_abuse(std::string_view local, std::string_view domain) {
    const bool gmail = domain == "gmail.com" || domain == "googlemail.com";
    const bool yahoo = is_house(domain, "yahoo") || domain == "ymail.com" || domain == "rocketmail.com";
    if (gmail) domain = "gmail.com";
    if (domain == "me.com" || domain == "mac.com") domain = "icloud.com";
    if (domain == "ya.ru" || is_house(domain, "yandex")) domain = "yandex.ru";

    // A tag without a mailbox before it ("+news@...") is no tag.
    const std::size_t tag = local.find_first_of(yahoo ? "+-" : "+");
    if (tag != 0) local = local.substr(0, tag);
    std::string mailbox(local);
    if (gmail) std::erase(mailbox, '.');
    return join(mailbox, domain);
}

// --- the whole
// -----------------------------------------------------------------------------------------------------

// Rule 0. Nothing is removed inside.
std::string_view trimmed(std::string_view text, const AddressRules& rules) {
    constexpr std::string_view spaces[] = {" ", "\t", "\n", "\v", "\f", "\r"};
    constexpr std::string_view junk[] = {
        "\u00A0", "\uFEFF", "\u200B", "\u200E", "\u200F", "\u202A", "\u202B",
        "\u202C", "\u202D", "\u202E", "\u2066", "\u2067", "\u2068", "\u2069",
    };
    const auto remove_one = [&text](std::string_view piece) {
        if (text.starts_with(piece)) {
            text.remove_prefix(piece.size());
        } else if (text.ends_with(piece)) {
            text.remove_suffix(piece.size());
        } else {
            return false;
        }
        return true;
    };
    while (std::any_of(std::begin(junk), std::end(junk), remove_one) ||
           (rules.trim_spaces && std::any_of(std::begin(spaces), std::end(spaces), remove_one))) {
    }
    constexpr std::string_view scheme = "mailto:";
    if (lower(text.substr(0, scheme.size())) == scheme) text.remove_prefix(scheme.size());
    return text;
}

bool has_control(std::string_view text) {
    if (std::any_of(text.begin(), text.end(), is_control)) return true;
    for (std::size_t i = text.find('\xC2'); i != text.npos; i = text.find('\xC2', i + 1)) {
        if (text[i + 1] <= '\x9F') return true;  // U+0080 to U+009F; valid UTF-8 never ends after C2
    }
    return false;
}

// Rules 1 to 10.
std::optional<Problem> shape_problem(std::string_view text) {
    if (text.empty()) return Problem::empty;
    if (!is_ascii(text) && u8_check(bytes(text), text.size())) return Problem::bad_utf8;
    if (text.size() > longest_input) return Problem::too_long;
    if (has_control(text)) return Problem::control_char;
    const std::size_t at = text.find('@');
    if (at == text.npos) {
        const bool wide = text.find("\uFF20") != text.npos || text.find("\uFE6B") != text.npos;
        return wide ? Problem::wide_at : Problem::no_at;
    }
    if (text.starts_with('<') || text.ends_with('>')) return Problem::display_name;
    if (text.starts_with('"')) return Problem::quoted_local;
    if (text.find('@', at + 1) != text.npos) return Problem::many_at;
    if (at == 0) return Problem::local_empty;
    if (at + 1 == text.size()) return Problem::domain_empty;
    if (text.find_first_of("()") != text.npos) return Problem::comment;
    if (text[at + 1] == '[') return Problem::domain_literal;
    return {};
}

}  // namespace

std::variant<EmailAddress, AddressProblem> check_address(std::string_view typed, const AddressRules& rules) {
    const std::string_view text = trimmed(typed, rules);
    if (const auto problem = shape_problem(text)) return *problem;

    const std::size_t at = text.find('@');
    const auto checked_local = check_local(text.substr(0, at), rules);
    if (const auto* problem = std::get_if<Problem>(&checked_local)) return *problem;
    const auto checked_domain = check_domain(text.substr(at + 1), rules);
    if (const auto* problem = std::get_if<Problem>(&checked_domain)) return *problem;

    const std::string& local = std::get<std::string>(checked_local);
    const Domain& domain = std::get<Domain>(checked_domain);
    EmailAddress result;
    result.address = join(local, domain.u_form);
    result.envelope = join(local, domain.a_form);
    if (std::max({text.size(), result.address.size(), result.envelope.size()}) > longest_address) {
        return Problem::too_long;
    }
    const std::string lower_case = lower_local(local);
    result.addr_key = join(lower_case, domain.a_form);
    result.abuse_key = fold_for_abuse(lower_case, domain.a_form);
    result.needs_smtputf8 = !is_ascii(local);
    return result;
}

std::string_view code(AddressProblem problem) {
    switch (problem) {
        case Problem::empty:
            return "empty";
        case Problem::bad_utf8:
            return "bad_utf8";
        case Problem::too_long:
            return "too_long";
        case Problem::control_char:
            return "control_char";
        case Problem::no_at:
            return "no_at";
        case Problem::wide_at:
            return "wide_at";
        case Problem::display_name:
            return "display_name";
        case Problem::quoted_local:
            return "quoted_local";
        case Problem::many_at:
            return "many_at";
        case Problem::local_empty:
            return "local_empty";
        case Problem::domain_empty:
            return "domain_empty";
        case Problem::comment:
            return "comment";
        case Problem::domain_literal:
            return "domain_literal";
        case Problem::local_char:
            return "local_char";
        case Problem::local_non_ascii:
            return "local_non_ascii";
        case Problem::local_script:
            return "local_script";
        case Problem::local_dot:
            return "local_dot";
        case Problem::local_too_long:
            return "local_too_long";
        case Problem::domain_dot:
            return "domain_dot";
        case Problem::domain_char:
            return "domain_char";
        case Problem::label_too_long:
            return "label_too_long";
        case Problem::domain_too_long:
            return "domain_too_long";
        case Problem::domain_hyphen:
            return "domain_hyphen";
        case Problem::domain_hyphen34:
            return "domain_hyphen34";
        case Problem::domain_idn:
            return "domain_idn";
        case Problem::domain_single_label:
            return "domain_single_label";
        case Problem::tld:
            return "tld";
        case Problem::special_use:
            return "special_use";
    }
    return "";
}

}  // namespace zgoda::service
