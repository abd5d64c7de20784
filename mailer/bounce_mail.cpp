#include "mailer/bounce_mail.h"

#include <gmime/gmime.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

namespace zgoda::mailer {
namespace {

constexpr std::size_t largest_header = 64 << 10;
constexpr std::size_t largest_text = 64 << 10;
constexpr int deepest_part = 10;
constexpr int most_parts = 50;

struct Release {
    void operator()(gpointer object) const { g_object_unref(object); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

struct Free {
    void operator()(gpointer memory) const { g_free(memory); }
};
using Chars = std::unique_ptr<char, Free>;

// GMime ends lines at LF alone.
std::string with_line_feeds(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] != '\r')
            out += bytes[i];
        else if (i + 1 == bytes.size() || bytes[i + 1] != '\n')
            out += '\n';
    }
    return out;
}

std::string valid_utf8(std::string_view text) {
    if (text.empty()) return "";
    const Chars valid(g_utf8_make_valid(text.data(), static_cast<gssize>(text.size())));
    return valid.get();
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view white = " \t\n\r";
    const auto from = text.find_first_not_of(white);
    if (from == text.npos) return "";
    return text.substr(from, text.find_last_not_of(white) - from + 1);
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = g_ascii_tolower(c);
    return out;
}

std::string unfolded(std::string_view value) {
    std::string out(trimmed(value));
    for (char& c : out) {
        if (c == '\n' || c == '\t') c = ' ';
    }
    return out;
}

Fields headers_of(GMimeObject* object) {
    Fields fields;
    GMimeHeaderList* list = g_mime_object_get_header_list(object);
    for (int i = 0; i < g_mime_header_list_get_count(list); ++i) {
        GMimeHeader* header = g_mime_header_list_get_header_at(list, i);
        const char* value = g_mime_header_get_value(header);  // RFC 2047 undone
        fields.emplace_back(lower(g_mime_header_get_name(header)), unfolded(valid_utf8(value ? value : "")));
    }
    return fields;
}

// RFC 3464 2.1: groups of fields, an empty line between them.
std::vector<Fields> blocks_of(std::string_view text) {
    std::vector<Fields> blocks(1);
    while (!text.empty()) {
        const auto end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text = end == text.npos ? "" : text.substr(end + 1);
        if (trimmed(line).empty()) {
            if (!blocks.back().empty()) blocks.emplace_back();
        } else if (line.front() == ' ' || line.front() == '\t') {
            if (!blocks.back().empty()) blocks.back().back().second += " " + std::string(trimmed(line));
        } else if (const auto colon = line.find(':'); colon != line.npos) {
            blocks.back().emplace_back(lower(trimmed(line.substr(0, colon))),
                                       trimmed(line.substr(colon + 1)));
        } else if (!blocks.back().empty()) {  // folded without a blank: some do
            blocks.back().back().second += " " + std::string(trimmed(line));
        }
    }
    if (blocks.back().empty()) blocks.pop_back();
    return blocks;
}

// Enough of HTML to read what a bounce says: tags gone, blocks as lines, the common entities.
std::string text_of_html(std::string_view html) {
    std::string out;
    const std::string low = lower(html);
    for (std::size_t i = 0; i < html.size();) {
        const std::string_view rest = html.substr(i);
        if (rest.front() == '<') {
            const auto is = [&](std::string_view name) { return low.compare(i + 1, name.size(), name) == 0; };
            std::size_t end = low.find('>', i);
            if (is("style") || is("script")) end = low.find('>', low.find("</s", i));
            if (is("!--")) end = low.find("-->", i) == low.npos ? low.npos : low.find("-->", i) + 2;
            if (is("br") || is("p") || is("/p") || is("div") || is("/div") || is("tr") || is("li") ||
                is("/h") || is("table"))
                out += '\n';
            if (end == low.npos) break;
            i = end + 1;
            continue;
        }
        constexpr std::array<std::pair<std::string_view, std::string_view>, 6> entities{{{"&lt;", "<"},
                                                                                         {"&gt;", ">"},
                                                                                         {"&amp;", "&"},
                                                                                         {"&quot;", "\""},
                                                                                         {"&#39;", "'"},
                                                                                         {"&nbsp;", " "}}};
        const auto entity = std::find_if(entities.begin(), entities.end(),
                                         [&](const auto& one) { return rest.starts_with(one.first); });
        out += entity == entities.end() ? rest.substr(0, 1) : entity->second;
        i += entity == entities.end() ? 1 : entity->first.size();
    }
    return out;
}

class Reader {
 public:
    explicit Reader(ReturnedMail& mail) : mail_(mail) {}

    void read(GMimeObject* object, int depth) {
        if (!object || depth > deepest_part || ++parts_ > most_parts) return;
        if (GMIME_IS_MULTIPART(object)) {
            GMimeMultipart* multipart = GMIME_MULTIPART(object);
            for (int i = 0; i < g_mime_multipart_get_count(multipart) && parts_ < most_parts; ++i)
                read(g_mime_multipart_get_part(multipart, i), depth + 1);
        } else if (GMIME_IS_MESSAGE_PART(object)) {
            if (GMimeMessage* message = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object))) {
                mail_.original.push_back(headers_of(GMIME_OBJECT(message)));
                ++enclosed_;
                read(g_mime_message_get_mime_part(message), depth + 1);
                --enclosed_;
            }
        } else if (GMIME_IS_PART(object)) {
            read_leaf(GMIME_PART(object));
        }
    }

    void finish() {
        if (trimmed(mail_.text).empty()) mail_.text = text_of_html(html_);
    }

 private:
    void read_leaf(GMimePart* part) {
        GMimeContentType* type = g_mime_object_get_content_type(GMIME_OBJECT(part));
        const std::string name = lower(g_mime_content_type_get_media_type(type)) + "/" +
                                 lower(g_mime_content_type_get_media_subtype(type));
        const auto add = [](std::vector<Fields>& to, std::vector<Fields> blocks) {
            to.insert(to.end(), blocks.begin(), blocks.end());
        };
        if (name == "message/delivery-status" || name == "message/global-delivery-status") {
            add(enclosed_ > 0 ? mail_.enclosed_status : mail_.delivery_status,
                blocks_of(valid_utf8(content(part))));
        } else if (enclosed_ > 0) {
            // of what was sent, the rest does not matter
        } else if (name == "message/feedback-report") {
            add(mail_.feedback_report, blocks_of(valid_utf8(content(part))));
        } else if (name == "text/rfc822-headers" || name == "message/global-headers") {
            add(mail_.original, blocks_of(valid_utf8(content(part))));
        } else if (GMIME_IS_TEXT_PART(part)) {
            const Chars text(g_mime_text_part_get_text(GMIME_TEXT_PART(part)));
            std::string& to = name == "text/html" ? html_ : mail_.text;
            if (text && to.size() < largest_text) {
                to += valid_utf8(std::string_view(text.get()).substr(0, largest_text - to.size()));
                to += '\n';
            }
        }
    }

    static std::string content(GMimePart* part) {
        GMimeDataWrapper* data = g_mime_part_get_content(part);
        if (!data) return "";
        const Owned<GMimeStream> memory(g_mime_stream_mem_new());
        g_mime_data_wrapper_write_to_stream(data, memory.get());
        const GByteArray* bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(memory.get()));
        return with_line_feeds({reinterpret_cast<const char*>(bytes->data), bytes->len});
    }

    ReturnedMail& mail_;
    std::string html_;
    int parts_ = 0;
    int enclosed_ = 0;
};

}  // namespace

std::string_view field(const Fields& fields, std::string_view name) {
    const auto found =
        std::find_if(fields.begin(), fields.end(), [&](const auto& one) { return one.first == name; });
    return found == fields.end() ? std::string_view() : found->second;
}

ReturnedMail read_returned_mail(std::string_view bytes) {
    static const bool ready = (g_mime_init(), true);
    (void)ready;

    ReturnedMail mail;
    std::string text = with_line_feeds(bytes);
    text.erase(0, text.find_first_not_of('\n'));
    if (text.starts_with("From ")) text.erase(0, text.find('\n') + 1);  // mbox
    if (text.find("\n\n") > largest_header && text.size() > largest_header) return mail;

    const Owned<GMimeStream> stream(g_mime_stream_mem_new_with_buffer(text.data(), text.size()));
    const Owned<GMimeParser> parser(g_mime_parser_new_with_stream(stream.get()));
    const Owned<GMimeMessage> message(g_mime_parser_construct_message(parser.get(), nullptr));
    if (!message) return mail;
    mail.headers = headers_of(GMIME_OBJECT(message.get()));
    GMimeObject* root = g_mime_message_get_mime_part(message.get());
    if (root) {
        const char* type = g_mime_object_get_header(root, "Content-Type");
        mail.content_type = type ? valid_utf8(type) : "";
    }
    Reader reader(mail);
    reader.read(root, 0);
    reader.finish();
    return mail;
}

}  // namespace zgoda::mailer
