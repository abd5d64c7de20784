#include "service/suggestion.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace zgoda::service;

namespace {

struct Row {
    std::string domain;
    std::string suggested;  // "" for none
    std::string reason;
};

std::string suggested_for(const std::string& typed) {
    const auto result = check_address(typed);
    REQUIRE(std::holds_alternative<EmailAddress>(result));
    return suggest_address(std::get<EmailAddress>(result)).value_or("");
}

}  // namespace

TEST_SUITE("suggestion") {
    TEST_CASE("a slip is met by the provider that was meant") {
        const std::vector<Row> rows = {
            {"gmial.com", "gmail.com", "swapped letters"},
            {"gamil.com", "gmail.com", "swapped letters"},
            {"mgail.com", "gmail.com", "swapped first letters"},
            {"gmai.com", "gmail.com", "a letter dropped"},
            {"gmaill.com", "gmail.com", "a letter doubled"},
            {"gnail.com", "gmail.com", "the key beside"},
            {"gmail.co", "gmail.com", "the end cut off"},
            {"gmail.cm", "gmail.com", "a letter dropped in the ending"},
            {"gmail.con", "gmail.com", "the key beside, in the ending"},
            {"gmail.cmo", "gmail.com", "swapped letters in the ending"},
            {"gnail.con", "gmail.com", "a slip in each half"},
            {"GNAIL.con", "gmail.com", "in any case"},
            {"yajoo.com", "yahoo.com", "the key beside"},
            {"yaho.com", "yahoo.com", "a letter dropped"},
            {"yaho.co.uk", "yahoo.co.uk", "the country is kept"},
            {"hotmial.com", "hotmail.com", "swapped letters"},
            {"homail.con", "hotmail.com", "a slip in each half"},
            {"hotmail.co", "hotmail.com", "not hotmail.ca, which is as near"},
            {"hotmai.fr", "hotmail.fr", "the country is kept"},
            {"outlok.com", "outlook.com", "a letter dropped"},
            {"otulok.com", "outlook.com", "two slips in a long name"},
            {"icould.com", "icloud.com", "two slips, a usual word"},
            {"icloud.con", "icloud.com", "the ending"},
            {"protn.me", "proton.me", "a letter dropped"},
            {"protonmial.com", "protonmail.com", "swapped letters"},
            {"urk.net", "ukr.net", "swapped letters in a short name"},
            {"ukr.nte", "ukr.net", "swapped letters in the ending"},
            {"ukr.ne", "ukr.net", "the end cut off"},
            {"mtea.ua", "meta.ua", "swapped letters in a short name"},
            {"kyivpost.con", "kyivpost.com", "no such top-level domain"},
            {"mail.kyivpost.cmo", "mail.kyivpost.com", "whatever stands before it"},
            {"kyiv.ogr", "kyiv.org", "no such top-level domain"},
            {"пошта.nte", "пошта.net", "shown as it is read, not in A-labels"},
        };
        for (const Row& row : rows) {
            CAPTURE(row.domain);
            CAPTURE(row.reason);
            CHECK(suggested_for("Ada.L+x@" + row.domain) == "Ada.L+x@" + row.suggested);
        }
    }

    TEST_CASE("what may be right is left alone") {
        const std::vector<Row> rows = {
            {"gmail.com", "", "right"},
            {"ukr.net", "", "right"},
            {"i.ua", "", "right, and very short"},
            {"meta.ua", "", "right"},
            {"proton.me", "", "right"},
            {"yahoo.co.in", "", "right, near yahoo.co.uk"},
            {"mail.com", "", "a provider one letter from gmail.com"},
            {"email.com", "", "the same"},
            {"ymail.com", "", "the same"},
            {"grail.com", "", "a company one letter from gmail.com"},
            {"grails.com", "", "a company two letters from gmail.com"},
            {"googlemail.com", "", "Gmail's other name"},
            {"gmx.de", "", "a provider"},
            {"gmx.com", "", "a provider"},
            {"me.com", "", "Apple's older name"},
            {"cloud.com", "", "a company one letter from icloud.com"},
            {"photon.me", "", "somebody's own, one letter from proton.me"},
            {"meta.com", "", "another house than meta.ua"},
            {"meat.ua", "", "a word"},
            {"hotmail.gr", "", "name and country both known"},
            {"yahoo.co.th", "", "the same"},
            {"live.com.mx", "", "the same"},
            {"gmail.ru", "", "unlikely, yet both halves exist"},
            {"ukr.com", "", "a company"},
            {"ukr.ua", "", "another domain"},
            {"uk.net", "", "near ukr.net; short names are near everything"},
            {"ukr.pet", "", "a top-level domain that exists"},
            {"abc.com", "", "a company with a short name"},
            {"we.com", "", "the same"},
            {"un.org", "", "the same"},
            {"ft.com", "", "the same"},
            {"kyivindependent.com", "", "a newsroom"},
            {"kyivpost.co", "", "a country's domain that many use"},
            {"rada.gov.ua", "", "a parliament"},
            {"example.com", "", "nobody's"},
            {"mail.gmial.com", "", "a subdomain: not a slip for a provider"},
            {"пошта.укр", "", "an IDN"},
            {"a" + std::string(60, 'b') + ".com", "", "long"},
        };
        for (const Row& row : rows) {
            CAPTURE(row.domain);
            CAPTURE(row.reason);
            CHECK(suggested_for("ada@" + row.domain).empty());
        }
    }

    TEST_CASE("a suggestion is acceptable and needs no other") {
        for (const std::string domain : {"gmial.com", "ukr.nte", "kyivpost.con", "hotmial.co.uk"}) {
            const std::string suggested = suggested_for("ada@" + domain);
            CAPTURE(suggested);
            REQUIRE_FALSE(suggested.empty());
            CHECK(suggested_for(suggested).empty());
        }
    }

    TEST_CASE("a refused address is mended where the slip is plain") {
        struct Mend {
            std::string typed, suggested, reason;
        };
        const std::vector<Mend> mends = {
            {"ada@gmail..com", "ada@gmail.com", "two dots"},
            {"ada@gmail.com.", "ada@gmail.com", "the end of a sentence"},
            {"ada@gmail,com", "ada@gmail.com", "comma for dot"},
            {"ada@gmail. com", "ada@gmail.com", "a space after the dot"},
            {"ada @gmail.com ", "ada@gmail.com", "spaces around"},
            {"ada@gmail", "ada@gmail.com", "no ending"},
            {"ada@gmailcom", "ada@gmail.com", "no dot"},
            {"ada@ukrnet", "ada@ukr.net", "no dot"},
            {"ada@gmial..com", "ada@gmail.com", "two slips at once"},
            {"ada\uFF20gmail.com", "ada@gmail.com", "a full-width @"},
            {"Ada Lovelace <ada@gmail.com>", "ada@gmail.com", "copied with the name"},
            {"ada", "", "nothing to go by"},
            {"ada@", "", "nothing to go by"},
            {"ada@localhost", "", "cannot be mended"},
            {"ada lovelace@gmail.com", "", "which part is the address?"},
            {"ada..l@gmail.com", "", "which letter is missing?"},
            {"ada@gmail.com,eve@gmail.com", "", "which of the two?"},
            {"ada@gmail.com\r\nBcc: eve@gmail.com", "", "an attack is not helped"},
            {"<>", "", "empty brackets"},
            {"<", "", "half a bracket"},
            {std::string(400, 'a') + " <ada@gmail.com>", "", "too long for a slip"},
            {"ada\xFF@gmail..com", "", "not UTF-8"},
        };
        for (const Mend& mend : mends) {
            CAPTURE(mend.typed);
            CAPTURE(mend.reason);
            CHECK(suggest_repair(mend.typed).value_or("") == mend.suggested);
        }
    }
}
