#include "config/setting_values.h"

#include <fmt/format.h>
#include <unistr.h>

#include <algorithm>

#include "config/host.h"

namespace zgoda::config {

using std::filesystem::path;

namespace {

// The one address that a header and an envelope can carry without quoting.
bool is_sender_address(std::string_view text) {
    const std::size_t at = text.find('@');
    if (at == std::string_view::npos) return false;
    const std::string_view local = text.substr(0, at);
    if (local.empty() || local.size() > 64 || local.front() == '.' || local.back() == '.' ||
        local.find("..") != std::string_view::npos) {
        return false;
    }
    const bool ok = std::all_of(local.begin(), local.end(), [](char c) {
        return c > ' ' && c < 0x7f && std::string_view("\"(),:;<>@[\\]").find(c) == std::string_view::npos;
    });
    return ok && is_domain(text.substr(at + 1));
}

// What stands before <address>: words, or a quoted string (RFC 5322 3.2.4).
std::optional<std::string> display_name(std::string_view text) {
    const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
    if (quoted) text = text.substr(1, text.size() - 2);
    std::string name;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (quoted && text[i] == '\\') {
            if (++i == text.size()) return std::nullopt;
        } else if (text[i] == '"' || (!quoted && (text[i] == '<' || text[i] == '>'))) {
            return std::nullopt;
        }
        name += text[i];
    }
    return name;
}

}  // namespace

bool is_plain(std::string_view text, bool may_have_lines) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    if (u8_check(bytes, text.size()) != nullptr) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (bytes[i] == '\n' && may_have_lines) continue;
        if (bytes[i] < 0x20 || bytes[i] == 0x7f) return false;
        if (bytes[i] == 0xc2 && bytes[i + 1] < 0xa0) return false;  // U+0080 to U+009F
    }
    return true;
}

path resolve(const path& base, const path& file) {
    return file.empty() ? file : (base / file).lexically_normal();
}

std::string_view trim(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

Wanted read_path(path& file, const std::string& text, const path& base) {
    if (text.empty()) return "the name of a file";
    file = resolve(base, text);
    return "";
}

Wanted read_optional_path(path& file, const std::string& text, const path& base) {
    file = resolve(base, text);
    return "";
}

Wanted read_listen(std::string& listen, const std::string& text, const path& base, bool is_private) {
    if (text.starts_with("unix:")) {
        const path socket = resolve(base, text.substr(5));
        constexpr std::size_t longest = 107;  // sockaddr_un
        if (text == "unix:" || socket.string().size() > longest) {
            return fmt::format(R"("unix:" and the path of a socket, at most {} characters from the root)",
                               longest);
        }
        listen = "unix:" + socket.string();
        return "";
    }
    const auto endpoint = parse_host_port(text);
    if (!endpoint || !endpoint->port || !is_ip(endpoint->host)) {
        return R"(an IP address with a port ("127.0.0.1:8080", "[::1]:8080") or "unix:/run/zgoda/http.sock")";
    }
    if (is_private && !is_loopback(endpoint->host)) {
        return "on loopback or a Unix socket, because it answers without asking who is there";
    }
    listen = text;
    return "";
}

Wanted read_public_url(std::string& url, const std::string& text) {
    const auto parsed = parse_web_url(text);
    if (!parsed) {
        return R"(a web address such as "https://news.example", without a password, "?" or "#"; an IDN in its xn-- form)";
    }
    if (parsed->scheme == "http" && !is_loopback(parsed->host)) {
        return "https://, because the links in letters are secrets (http:// is for loopback only)";
    }
    url = parsed->origin + parsed->path;
    return "";
}

Wanted read_origins(std::vector<std::string>& origins, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
        const auto url = parse_web_url(text);
        if (!url || (url->scheme == "http" && !is_loopback(url->host))) {
            return R"(a list of origins such as ["https://news.example"]: https, host, and a port if it is not 443)";
        }
        // A browser's Origin is compared byte by byte: what it would never send must not look as if it
        // worked.
        if (text != url->origin) {
            return fmt::format("origins exactly as browsers send them: \"{}\", not \"{}\"", url->origin,
                               text);
        }
    }
    origins = texts;
    return "";
}

Wanted read_proxies(std::vector<std::string>& proxies, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
        if (text != "loopback" && text != "unix" && !is_ip_or_network(text)) {
            return R"(a list of "loopback", "unix", IP addresses and networks such as "10.0.0.0/8")";
        }
    }
    proxies = texts;
    return "";
}

Wanted read_number(int& number, std::int64_t value, int least, int most) {
    if (value < least || value > most) return fmt::format("a number from {} to {}", least, most);
    number = static_cast<int>(value);
    return "";
}

Wanted read_storage_url(SqliteFile& url, const std::string& text, const path& base) {
    if (text.starts_with("postgresql:") || text.starts_with("postgres:")) {
        return R"("sqlite:FILE": this version cannot keep its data in PostgreSQL)";
    }
    const std::string file = text.starts_with("sqlite:") ? text.substr(7) : "";
    if (file.empty() || file == ":memory:" || file.starts_with("//")) {
        return R"("sqlite:" and the name of a file, such as "sqlite:var/zgoda.db")";
    }
    url.file = resolve(base, file);
    return "";
}

Wanted read_mail_url(std::variant<Maildir, Relay>& url, const std::string& text, const path& base) {
    if (text.starts_with("maildir:") && text.size() > 8 && !text.starts_with("maildir://")) {
        url = Maildir{resolve(base, text.substr(8))};
        return "";
    }
    const bool implicit_tls = text.starts_with("smtps://");
    if (implicit_tls || text.starts_with("smtp://")) {
        std::string_view rest = std::string_view(text).substr(implicit_tls ? 8 : 7);
        if (rest.find('@') != std::string_view::npos) {
            return "without a name and a password, which are mail.username and mail.password_file";
        }
        if (rest.ends_with('/')) rest.remove_suffix(1);
        const auto relay = parse_host_port(rest);
        if (relay && relay->port != 0) {
            const int port = relay->port.value_or(implicit_tls ? 465 : 587);
            url = Relay{relay->host, static_cast<std::uint16_t>(port), implicit_tls};
            return "";
        }
    }
    return R"("smtp://HOST:587", "smtps://HOST:465" or "maildir:FOLDER")";
}

Wanted read_sender(Sender& sender, const std::string& text) {
    Wanted wanted = R"("Name <name@news.example>" or one address, in ASCII (an IDN in its xn-- form))";
    std::string_view rest = trim(text);
    std::optional<std::string> name = "";
    if (rest.ends_with('>')) {
        const std::size_t open = rest.rfind('<');
        if (open == std::string_view::npos) return wanted;
        name = display_name(trim(rest.substr(0, open)));
        rest = rest.substr(open + 1, rest.size() - open - 2);
    }
    const std::size_t at = std::min(rest.rfind('@'), rest.size());
    const std::string address = std::string(rest.substr(0, at)) + lower_case(rest.substr(at));
    if (!name || !is_sender_address(address)) return wanted;
    sender = {*name, address};
    return "";
}

Wanted read_domain(std::string& domain, const std::string& text) {
    const std::string lower = lower_case(text);
    if (!lower.empty() && !is_domain(lower))
        return R"(a domain such as "bounces.news.example"; an IDN in its xn-- form)";
    domain = lower;
    return "";
}

Wanted read_domains(std::vector<std::string>& domains, const std::vector<std::string>& texts) {
    std::vector<std::string> read(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (texts[i].empty() || !read_domain(read[i], texts[i]).empty()) {
            return R"(a list of domains such as ["news.example"]; an IDN in its xn-- form)";
        }
    }
    domains = std::move(read);
    return "";
}

Wanted read_text(std::string& setting, const std::string& text) {
    setting = text;
    return "";
}

Wanted read_rates(std::vector<service::Rate>& rates, const std::string& text) {
    auto parsed = service::parse_rates(text);
    if (!parsed) return R"(rates such as "1/15min 3/24h", or "" for no limit)";
    rates = std::move(*parsed);
    return "";
}

Wanted read_duration(service::DurationMs& duration, const std::string& text) {
    const auto parsed = service::parse_duration(text);
    if (!parsed) return R"(a duration such as "90s", "15min", "24h" or "30d")";
    duration = *parsed;
    return "";
}

}  // namespace zgoda::config
