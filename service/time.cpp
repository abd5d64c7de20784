#include "service/time.h"

#include <charconv>
#include <limits>

namespace zgoda::service {
namespace {

// Days since 1970-01-01 of a proleptic Gregorian date, and back (Howard Hinnant's chrono algorithms are in
// <chrono>, but year_month_day formatting there costs more than an export row may).
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const auto year_of_era = static_cast<unsigned>(year - era * 400);
    const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

struct Civil {
    std::int64_t year;
    unsigned month, day;
};

Civil civil_from_days(std::int64_t days) {
    days += 719468;
    const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const auto day_of_era = static_cast<unsigned>(days - era * 146097);
    const unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned shifted = (5 * day_of_year + 2) / 153;
    const unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
    return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2), month,
            day_of_year - (153 * shifted + 2) / 5 + 1};
}

void put(char* at, std::int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; --i) {
        at[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
}

// Reads exactly `digits` digits at `at`; -1 if there are others.
int number(std::string_view text, std::size_t at, std::size_t digits) {
    if (at + digits > text.size()) return -1;
    int value = 0;
    for (const char c : text.substr(at, digits)) {
        if (c < '0' || c > '9') return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

unsigned days_in_month(int year, int month) {
    constexpr unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

}  // namespace

std::string rfc3339(TimeMs time) {
    std::int64_t days = time / day_ms;
    std::int64_t rest = time % day_ms;
    if (rest < 0) {
        rest += day_ms;
        --days;
    }
    const Civil date = civil_from_days(days);
    std::string text = "0000-00-00T00:00:00.000Z";
    put(text.data(), date.year, 4);
    put(text.data() + 5, date.month, 2);
    put(text.data() + 8, date.day, 2);
    put(text.data() + 11, rest / hour_ms, 2);
    put(text.data() + 14, rest / minute_ms % 60, 2);
    put(text.data() + 17, rest / second_ms % 60, 2);
    put(text.data() + 20, rest % second_ms, 3);
    return text;
}

std::optional<TimeMs> parse_rfc3339(std::string_view text) {
    const int year = number(text, 0, 4);
    const int month = number(text, 5, 2);
    const int day = number(text, 8, 2);
    if (year < 0 || month < 1 || month > 12 || day < 1 ||
        static_cast<unsigned>(day) > days_in_month(year, month) || text[4] != '-' || text[7] != '-') {
        return std::nullopt;
    }
    const TimeMs midnight =
        days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day)) * day_ms;
    if (text.size() == 10) return midnight;

    const int hour = number(text, 11, 2);
    const int minute = number(text, 14, 2);
    const int second = number(text, 17, 2);
    if (text.size() < 20 || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':' ||
        text[16] != ':' || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
        return std::nullopt;
    }
    std::size_t at = 19;
    std::int64_t fraction = 0;
    if (text[at] == '.') {
        std::int64_t scale = 100;
        const std::size_t first = ++at;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) {
            fraction += (text[at] - '0') * scale;
        }
        if (at == first) return std::nullopt;
    }
    std::int64_t offset = 0;
    const std::string_view zone = text.substr(at);
    if (zone.size() == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':') {
        const int hours = number(zone, 1, 2);
        const int minutes = number(zone, 4, 2);
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
        offset = (hours * hour_ms + minutes * minute_ms) * (zone[0] == '-' ? -1 : 1);
    } else if (zone != "Z" && zone != "z") {
        return std::nullopt;
    }
    return midnight + hour * hour_ms + minute * minute_ms + second * second_ms + fraction - offset;
}

std::optional<DurationMs> parse_duration(std::string_view text) {
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{} || count <= 0) return std::nullopt;
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    const DurationMs one = unit == "s"     ? second_ms
                           : unit == "min" ? minute_ms
                           : unit == "h"   ? hour_ms
                           : unit == "d"   ? day_ms
                                           : 0;
    if (one == 0 || count > std::numeric_limits<std::int64_t>::max() / one / 1000) return std::nullopt;
    return count * one;
}

std::optional<std::vector<Rate>> parse_rates(std::string_view text) {
    std::vector<Rate> rates;
    while (!text.empty()) {
        const std::size_t end = text.find(' ');
        const std::string_view one = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (one.empty()) continue;
        const std::size_t slash = one.find('/');
        if (slash == std::string_view::npos) return std::nullopt;
        Rate rate;
        const auto [stop, error] = std::from_chars(one.data(), one.data() + slash, rate.count);
        std::string_view window = one.substr(slash + 1);
        // "60/h" is short for "60/1h".
        const std::string single = "1" + std::string(window);
        const auto span =
            parse_duration(!window.empty() && window[0] >= 'a' ? std::string_view(single) : window);
        if (error != std::errc{} || stop != one.data() + slash || rate.count <= 0 || !span)
            return std::nullopt;
        rate.window = *span;
        rates.push_back(rate);
    }
    return rates;
}

}  // namespace zgoda::service
