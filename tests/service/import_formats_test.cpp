#include "service/import_formats.h"

#include <doctest/doctest.h>

#include <cstring>

namespace zgoda::service {

TEST_SUITE_BEGIN("formats of import files");

namespace {

struct Imported {
    std::vector<ImportRow> rows;
    ImportFormat format = ImportFormat::generic;
    bool names_newsletters = false;
    std::string problem;
};

Imported read(const std::string& bytes, const ImportFormatOptions& options = {}) {
    Imported out;
    TableReader table([bytes, at = std::size_t(0)](char* into, std::size_t size) mutable {
        const std::size_t count = std::min(size, bytes.size() - at);
        std::memcpy(into, bytes.data() + at, count);
        at += count;
        return count;
    });
    std::vector<std::string_view> cells;
    bool more = table.next(cells);
    const auto found = ImportColumns::of(table.header(), cells, options);
    if (const auto* wrong = std::get_if<ImportColumns::Problem>(&found)) {
        out.problem = wrong->problem.what;
        return out;
    }
    const auto& columns = std::get<ImportColumns>(found);
    out.format = columns.format();
    out.names_newsletters = columns.names_newsletters();
    for (; more; more = table.next(cells)) {
        if (const auto wrong = columns.read(cells, table.line(), out.rows.emplace_back())) {
            out.problem =
                std::to_string(wrong->line) + "/" + std::to_string(wrong->column) + " " + wrong->what;
            break;
        }
    }
    if (table.problem()) out.problem = table.problem()->what;
    return out;
}

std::string time(const std::optional<TimeMs>& at) {
    return at ? rfc3339(*at) : "-";
}

using S = SubscriptionStatus;

const std::string mailchimp_start =
    "Email Address,First Name,Last Name,City,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,"
    "LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,";
const std::string mailchimp_row =
    "ada@example.org,Ada,Lovelace,Kyiv,2,\"2023-04-20 10:00:00\",192.0.2.1,\"2023-04-21 11:16:57\",192.0.2.2,"
    "50.4,30.5,2,3,Europe/Kiev,UA,30,";

}  // namespace

TEST_CASE("Mailchimp: three files, told apart by their columns") {
    const Imported in = read(mailchimp_start + "LAST_CHANGED,LEID,EUID,NOTES,TAGS\n" + mailchimp_row +
                                 "\"2023-05-01 00:00:00\",1,2,,\"\"\"VIP\"\",\"\"Blog, daily\"\"\"\n",
                             {{}, {"tags"}, false});
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::mailchimp);
    const ImportRow& row = in.rows.at(0);
    CHECK(row.address == "ada@example.org");
    CHECK(row.name == "Ada Lovelace");
    CHECK(row.status == S::confirmed);
    CHECK(row.proven);
    CHECK(time(row.signed_up_at) == "2023-04-20T10:00:00.000Z");
    CHECK(time(row.confirmed_at) == "2023-04-21T11:16:57.000Z");
    CHECK(row.signup_ip == "192.0.2.1");
    CHECK(row.confirm_ip == "192.0.2.2");
    CHECK(row.fields == R"({"City":"Kyiv"})");
    CHECK(row.labels == std::vector<std::vector<std::string>>{{"VIP", "Blog, daily"}});

    const Imported out =
        read(mailchimp_start +
             "UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,UNSUB_REASON_OTHER,"
             "LEID,EUID,NOTES,TAGS\n" +
             mailchimp_row + "\"2024-01-01 00:00:00\",Spring,7,NORMAL,,1,2,,\n");
    REQUIRE(out.rows.size() == 1);
    CHECK(out.rows[0].status == S::unsubscribed);
    CHECK(time(out.rows[0].unsubscribed_at) == "2024-01-01T00:00:00.000Z");

    const Imported cleaned =
        read(mailchimp_start + "CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,LEID,EUID,NOTES,TAGS\n" +
             mailchimp_row + "\"2024-01-01 00:00:00\",Spring,7,1,2,,\n");
    REQUIRE(cleaned.rows.size() == 1);
    CHECK(cleaned.rows[0].status == S::bounced);
}

TEST_CASE("Mailchimp: the owner's labels may be translated and reordered") {
    const Imported in = read(
        "Vorname,Deine E-Mail "
        "Adresse,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,GMTOFF,DSTOFF,"
        "TIMEZONE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES\n"
        "Ada,ada@example.org,2,,,,,,,,,,2023-05-01 00:00:00,1,2,\n");
    REQUIRE(in.problem == "");
    CHECK(in.rows.at(0).address == "ada@example.org");
    CHECK(in.rows.at(0).fields == R"({"Vorname":"Ada"})");
    CHECK_FALSE(in.rows.at(0).proven);
    const Imported cyrillic = read("Імʼя,Електронна пошта,OPTIN_TIME,LEID,EUID\nАда,ada@example.org,,1,2\n");
    REQUIRE(cyrillic.problem == "");
    CHECK(cyrillic.rows.at(0).address == "ada@example.org");
}

TEST_CASE("Ghost: subscribed unless it says false; guards come off") {
    const Imported in = read(
        "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,"
        "labels,"
        "tiers\r\n"
        "1,ada@example.org,'=Ada,,true,false,,2024-01-02T03:04:05.000Z,,\"VIP,Blog\",\r\n"
        "2,'+bob@example.org,Bob,old friend,False,,,2024-01-02T03:04:05.000Z,,,\r\n"
        "3,eve@example.org,,,true,,,2024-01-02T03:04:05.000Z,2024-05-02T03:04:05.000Z,,\r\n",
        {{}, {"labels"}, false});
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::ghost);
    CHECK(in.rows.at(0).name == "=Ada");
    CHECK(in.rows[0].status == S::confirmed);
    CHECK_FALSE(in.rows[0].proven);
    CHECK(in.rows[0].labels[0] == std::vector<std::string>{"VIP", "Blog"});
    CHECK(in.rows[1].address == "+bob@example.org");
    CHECK(in.rows[1].status == S::unsubscribed);
    CHECK(in.rows[1].fields == R"({"note":"old friend"})");
    CHECK(in.rows[2].status == S::unsubscribed);
    CHECK(time(in.rows[2].unsubscribed_at) == "2024-05-02T03:04:05.000Z");
}

TEST_CASE("listmonk: Go's times, attributes as fields, the blocklist") {
    const Imported in = read(
        "uuid,email,name,attributes,status,created_at,updated_at\n"
        "a-b,ada@example.org,Ada,\"{\"\"city\"\":\"\"Kyiv\"\",\"\"n\"\":{\"\"x\"\":1}}\",enabled,"
        "2024-01-02 03:04:05.123456 +0000 UTC,2024-01-02 03:04:05 +0000 UTC\n"
        "c-d,bob@example.org,Bob,{},disabled,2024-01-02 03:04:05.1 +0200 +0200,\n"
        "e-f,eve@example.org,Eve,{},blocklisted,2024-01-02 03:04:05 +0000 +0000,\n");
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::listmonk);
    CHECK(time(in.rows.at(0).signed_up_at) == "2024-01-02T03:04:05.123Z");
    CHECK(in.rows[0].fields == R"({"city":"Kyiv","n":{"x":1}})");
    CHECK(time(in.rows[1].signed_up_at) == "2024-01-02T01:04:05.100Z");
    CHECK(in.rows[1].status == S::unsubscribed);
    CHECK_FALSE(in.rows[1].unwelcome);
    CHECK(in.rows[2].status == S::unsubscribed);
    CHECK(in.rows[2].unwelcome);
}

TEST_CASE("Substack: the disabled have left, the deleted are nobody") {
    const Imported in = read(
        "email,active_subscription,expiry,plan,email_disabled,created_at,first_payment_at\n"
        "ada@example.org,true,,other,false,2024-01-02T03:04:05.678Z,\n"
        "bob@example.org,false,,other,true,2024-01-02,\n"
        "x1@deletion-request.substack.com,false,,other,true,2024-01-02,\n");
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::substack);
    CHECK(in.rows.at(0).status == S::confirmed);
    CHECK(in.rows[1].status == S::unsubscribed);
    CHECK(in.rows[2].no_person);
    CHECK(read("email,expiry,email_disabled,prefer_digests,stripe_connected_customer_id,type\n"
               "a@b.example,,false,false,,free\n")
              .format == ImportFormat::substack);
}

TEST_CASE("beehiiv: padded names, and a date of leaving") {
    const Imported in = read(
        "email,First Name,Last Name,status,tier,created_at,stripe_customer_id,Gold "
        "Tier,unsubscribed_at,Town\n"
        "ada@example.org, Ada , Lovelace ,active,free,2023-03-24 10:23:10 UTC,,,,Kyiv\n"
        "bob@example.org,Bob,,active,free,2023-03-24 10:23:10 UTC,,,2024-03-24 10:23:10 UTC,\n"
        "eve@example.org,,,inactive,free,2023-03-24 10:23:10 UTC,,,,\n"
        "joe@example.org,,,pending,free,2023-03-24 10:23:10 UTC,,,,\n");
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::beehiiv);
    CHECK(in.rows.at(0).name == "Ada Lovelace");
    CHECK(in.rows[0].fields == R"({"Town":"Kyiv"})");
    CHECK(time(in.rows[0].signed_up_at) == "2023-03-24T10:23:10.000Z");
    CHECK(in.rows[1].status == S::unsubscribed);
    CHECK(in.rows[2].status == S::unsubscribed);
    CHECK(in.rows[3].status == S::pending);
}

TEST_CASE("Buttondown: types, tags with semicolons, metadata as a Python dict") {
    const Imported in = read(
        "id,secondary_id,email,notes,subscriber_type,referrer_url,utm_source,utm_medium,utm_campaign,"
        "creation_date,"
        "ip_address,subscription_date,unsubscription_date,tags,metadata\n"
        "1,1,ada@example.org,,regular,https://news.example/,,,,2024-03-13 00:03:09.183465+00:00,192.0.2.7,"
        "2024-03-13 00:05:00+00:00,,vip;blog,\"{'city': \"\"Kyi'v\"\", 'ok': True, 'no': None}\"\n"
        "2,2,bob@example.org,,unactivated,,,,,2024-03-13 00:03:09.183465+00:00,,,,,{}\n"
        "3,3,eve@example.org,,complained,,,,,2024-03-13 00:03:09.183465+00:00,,,,,{}\n"
        "4,4,joe@example.org,,undeliverable,,,,,2024-03-13 00:03:09.183465+00:00,,,,,{}\n"
        "5,5,zoe@example.org,,blocked,,,,,2024-03-13 00:03:09.183465+00:00,,,,,{}\n",
        {{}, {"tags"}, false});
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::buttondown);
    CHECK(in.rows.at(0).proven);
    CHECK(in.rows[0].signup_ip == "192.0.2.7");
    CHECK(in.rows[0].source == "https://news.example/");
    CHECK(in.rows[0].labels[0] == std::vector<std::string>{"vip", "blog"});
    CHECK(in.rows[0].fields == R"({"city":"Kyi'v","ok":true,"no":null})");
    CHECK(time(in.rows[0].signed_up_at) == "2024-03-13T00:03:09.183Z");
    CHECK(in.rows[1].status == S::pending);
    CHECK(in.rows[2].status == S::complained);
    CHECK(in.rows[3].status == S::bounced);
    CHECK(in.rows[4].unwelcome);
}

TEST_CASE("phpList: tabs, flags, its own guard, and lists in one cell") {
    const Imported in = read(
        "id\tEmail\tIs this subscriber confirmed\tIs this subscriber blacklisted\tDid this subscriber "
        "manually "
        "confirm\tNumber of bounces\tEntered\tLast Modified\tUnique ID\tSend this subscriber HTML "
        "emails\tForeign "
        "Key\tTown\tList Membership\n"
        "1\t' +ada@example.org\t1\t0\t1\t0\t2024-01-02 03:04:05\t\tx\t1\t\tKyiv\tNews; War; \n"
        "2\tbob@example.org\t0\t0\t0\t0\t0000-00-00 00:00:00\t\tx\t1\t\t\tNo Lists\n"
        "3\teve@example.org\t1\t1\t0\t0\t2024-01-02 03:04:05\t\tx\t1\t\t\tNews\n"
        "4\tjoe@example.org\t1\t0\t0\t0\t2024-01-02 03:04:05\t\tx\t1\t\t\tNews\n",
        {{}, {"List Membership"}, false});
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::phplist);
    CHECK(in.rows.at(0).address == "+ada@example.org");
    CHECK(in.rows[0].proven);
    CHECK(in.rows[0].labels[0] == std::vector<std::string>{"News", "War"});
    CHECK(in.rows[0].fields == R"({"Town":"Kyiv"})");
    CHECK(in.rows[1].status == S::pending);
    CHECK_FALSE(in.rows[1].signed_up_at);
    CHECK(in.rows[1].labels[0].empty());
    CHECK(in.rows[2].status == S::unsubscribed);
    CHECK_FALSE(in.rows[3].proven);  // an administrator set the flag
}

TEST_CASE("zgoda's own: every column, and guards by the letter") {
    const std::string header =
        "email,name,newsletter,status,locale,signed_up_at,confirmed_at,unsubscribed_at,source,form,"
        "fields\r\n";
    const std::string row =
        "'=a@example.org,''quoted,weekly,paused,uk,2024-01-02T03:04:05.678Z,2024-01-02T03:04:06.678Z,,'=s,' "
        "x,"
        "\"{\"\"n\"\":1.50}\"\r\n";
    const Imported in = read(header + row);
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::zgoda);
    CHECK(in.rows.at(0).address == "=a@example.org");
    CHECK(in.rows[0].name == "'quoted");
    CHECK(in.rows[0].source == "=s");
    CHECK(in.rows[0].form == "' x");
    CHECK(in.rows[0].fields == "{\"n\":1.50}");
    CHECK(in.rows[0].status == S::paused);
    CHECK(in.rows[0].newsletter == "weekly");
    CHECK(read(header + row, {{}, {}, true}).rows.at(0).name == "''quoted");
    CHECK(read(header + "a@b.example,,w,happy,,2024-01-02T03:04:05.678Z,,,,,\r\n").problem ==
          "2/4 \"happy\" is no status");
    CHECK(read(header + "a@b.example,,w,paused,,2024-01-02 03:04,,,,,\r\n").problem.substr(0, 4) == "2/6 ");
    CHECK(read(header + "a@b.example,,w,paused,,2024-01-02T03:04:05.678Z,,,,,x\r\n").problem ==
          "2/11 the fields are no JSON object");
    CHECK(read("email,name\na@b.example,A\n", {ImportFormat::zgoda, {}, false})
              .problem.find("\"newsletter\"") != std::string::npos);
}

TEST_CASE("some of zgoda's columns do not make a table ours, and its newsletter column counts all the same") {
    const std::string table =
        "email,newsletter,status,signed_up_at,confirmed_at\n"
        "a@b.example, weekly ,confirmed,2024-01-02T03:04:05Z,\n";
    const Imported in = read(table);
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::generic);
    CHECK(in.names_newsletters);
    CHECK(in.rows.at(0).newsletter == "weekly");
    CHECK(in.rows[0].newsletter_column == 2);
    CHECK_FALSE(in.rows[0].proven);
    CHECK(in.rows[0].fields.empty());
    const Imported mapped = read(table, {{}, {"Newsletter"}, false});
    CHECK_FALSE(mapped.names_newsletters);
    CHECK(mapped.rows.at(0).newsletter_column == 0);
    CHECK(mapped.rows[0].labels == std::vector<std::vector<std::string>>{{"weekly"}});
    CHECK_FALSE(read("email\na@b.example\n").names_newsletters);
}

TEST_CASE("any table whose columns have English names") {
    const Imported in = read(
        "E-Mail;First name;Last name;Status;Created;Confirmed at;Town\n"
        "ada@example.org;Ada;Lovelace;Active;2021-02-04 07:55:20 +0000;2021-02-05;Kyiv\n"
        "bob@example.org;;;Cancelled;;;\n");
    REQUIRE(in.problem == "");
    CHECK(in.format == ImportFormat::generic);
    CHECK(in.rows.at(0).name == "Ada Lovelace");
    CHECK(in.rows[0].proven);
    CHECK(time(in.rows[0].signed_up_at) == "2021-02-04T07:55:20.000Z");
    CHECK(in.rows[0].fields == R"({"Town":"Kyiv"})");
    CHECK(in.rows[1].status == S::unsubscribed);
    CHECK(read("first_name,email,created_at,status\nA,a@b.example,2024-01-02T03:04:05Z,bounced\n")
              .rows.at(0)
              .status == S::bounced);
    CHECK(read("Пошта,Ім'я\na@b.example,Ada\n").problem.find("no column is called \"email\"") == 0);
    CHECK(read("email,status\na@b.example,happy\n").problem == "2/2 \"happy\" is no status that zgoda knows");
    CHECK(read("email,created_at\na@b.example,01/02/2024\n").problem.find("2/2 \"01/02/2024\"") == 0);
    CHECK(read("email\na@b.example\n", {{}, {"tags"}, false}).problem ==
          "there is no column \"tags\", which --map names");
}

TEST_CASE("times as services write them") {
    for (const auto& one : std::vector<std::pair<std::string, std::string>>{
             {"2023-04-21 11:16:57", "2023-04-21T11:16:57.000Z"},
             {"2023-04-21 11:16", "2023-04-21T11:16:00.000Z"},
             {"2023-04-21", "2023-04-21T00:00:00.000Z"},
             {"2024-01-02T03:04:05.000Z", "2024-01-02T03:04:05.000Z"},
             {"2024-01-02 03:04:05.123456789 +0000 UTC", "2024-01-02T03:04:05.123Z"},
             {"2024-03-13 00:03:09.183465+00:00", "2024-03-13T00:03:09.183Z"},
             {"2021-02-04 07:55:20 -0130", "2021-02-04T09:25:20.000Z"},
             {"2023-03-24 10:23:10 UTC", "2023-03-24T10:23:10.000Z"},
             {"2023-02-29 10:23:10", "-"},
             {"24.03.2023", "-"},
             {"2023-03-24 10:23:10 Kyiv", "-"},
             {"yesterday", "-"}}) {
        CAPTURE(one.first);
        CHECK(time(parse_any_time(one.first)) == one.second);
    }
}

TEST_SUITE_END();

}  // namespace zgoda::service
