#!/usr/bin/python3
"""Imports and exports on the real program: what comes back, what is refused, what a kill leaves, what it costs."""
import csv
import io
import json
import os
import pty
import random
import re
import sqlite3
import stat
import subprocess
import sys
import time
import unittest
import zipfile
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from program import BINARY, SLOW, Program, wait_for

OK, FAILED, USAGE, NOT_FOUND = 0, 1, 2, 3
NEWSLETTERS = ("ukraine-daily", "weekly", "war-notes")
HEADER = "email,name,newsletter,status,locale,signed_up_at,confirmed_at,unsubscribed_at,source,form,fields\r\n"
STATUSES = ("pending", "confirmed", "paused", "unsubscribed", "undeliverable", "bounced", "complained")
NAMES = ("", "Ada Lovelace", 'Grace "Amazing" Hopper, Rear Admiral', "two\nlines", "two\r\nlines", "Олена Пчілка",
         "سلمى", "ליאור", "👩🏽‍🚀 Σ", "=1+1", "+380", "-", "@home", "'quoted", "'=both", "\ttab", "naïve; semicolon")
LOCALS = ("{}", "+{}", "-{}", "={}", "'{}", "A.{}", "olena_{}", "it's{}")
DOMAINS = ("example.org", "gmail.com", "пошта.укр", "mail.example.net")


def time_of(dice): return f"20{dice.randrange(15, 26)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}T" \
    f"{dice.randrange(24):02}:{dice.randrange(60):02}:{dice.randrange(60):02}.{dice.randrange(1000):03}Z"


def guarded(cell): return "'" + cell if cell[:1] in tuple("=+-@\t\r'") and cell else cell


def people(count, seed=1):
    """An export of ours, as bytes: so many people, each with one to three newsletters, in every state."""
    dice, out = random.Random(seed), io.StringIO(newline="")
    out.write(HEADER)
    writer = csv.writer(out, lineterminator="\r\n")
    for number in range(count):
        address = dice.choice(LOCALS).format(f"{dice.randrange(10**6)}r{number}") + "@" + dice.choice(DOMAINS)
        name, locale = dice.choice(NAMES), dice.choice(("en", "uk", "", "pt-BR"))
        for newsletter in dice.sample(NEWSLETTERS, dice.choice((1, 1, 1, 2, 3))):
            status = dice.choice(STATUSES)
            writer.writerow(map(guarded, (
                address, name, newsletter, status, locale, time_of(dice),
                time_of(dice) if status in ("confirmed", "paused", "bounced", "complained") else "",
                time_of(dice) if status in ("unsubscribed", "bounced") or dice.random() < 0.05 else "",
                dice.choice(("", "https://news.example/a?b", "=source")), dice.choice(("", "footer", "-")),
                dice.choice(("", '{"city":"Kyiv","n":1.5}', '{"x":"a, \\"b\\""}')))))
    return out.getvalue().encode()


def table(header, *rows, delimiter=",", line="\r\n"):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=line).writerows([header, *rows])
    return out.getvalue().encode()


class Importing(unittest.TestCase):
    def setUp(self):
        self.zgoda = self.new_program()

    def new_program(self):
        zgoda = Program()
        self.addCleanup(zgoda.remove)
        zgoda.make(*NEWSLETTERS)
        return zgoda

    def file(self, content, name="people.csv"):
        path = self.zgoda.folder / name
        path.write_bytes(content)
        return str(path)

    def import_(self, content, *arguments, expect=OK, zgoda=None, name="people.csv"):
        zgoda = zgoda or self.zgoda
        done = zgoda.call("import", self.file(content, name), *arguments, "--json")
        self.assertEqual(done.returncode, expect, done.stderr)
        return json.loads(done.stdout) if expect == OK else done.stderr

    def foreign(self, content, *arguments, **how):
        return self.import_(content, "--newsletter", "weekly", "--basis", "Asked at the old place.", *arguments, **how)

    def export(self, zgoda=None, *arguments):
        return (zgoda or self.zgoda).call("export", "--status", "all", *arguments, binary=True).stdout

    def statuses(self): return self.zgoda.statuses()

    def verify(self): self.zgoda.run("consent", "verify")


class RoundTrip(Importing):
    def test_export_import_export_gives_the_same_bytes(self):
        first = people(100_000 if SLOW == 1 else 5_000)
        told = self.import_(first)
        self.assertEqual((told["imported"] + told["merged"], told["refused"]), (told["rows"], 0))
        self.assertEqual(self.export(), first)
        for arguments in (("--format", "ndjson"), ("--raw",)):
            other = self.new_program()
            exported = self.export(None, *arguments)
            self.import_(exported, *(("--raw",) if "--raw" in arguments else ()), zgoda=other)
            self.assertEqual(self.export(other), first)
        again = self.import_(first)
        self.assertEqual((again["unchanged"], again["rows"]), (told["rows"], told["rows"]))
        self.assertEqual(self.export(), first)
        self.verify()
        self.assertEqual(self.zgoda.run("mail"), "", "an import sends no letter")

    def test_the_columns_of_mailchimp_and_the_links(self):
        self.import_(people(300))
        for status, column in (("confirmed", "LAST_CHANGED"), ("unsubscribed", "UNSUB_TIME"), ("bounced", "CLEAN_TIME")):
            exported = self.zgoda.run("export", "--format", "mailchimp", "--status", status, "--links")
            rows = list(csv.DictReader(io.StringIO(exported, newline="")))
            self.assertIn(column, rows[0])
            self.assertTrue(all(row["UNSUBSCRIBE_URL"].startswith(self.zgoda.url + "/unsubscribe?t=") for row in rows))
            self.assertFalse(any(row["Email Address"][0] in "=+-@" for row in rows))
            other = self.new_program()
            told = self.import_(exported.encode(), "--map", "TAGS=" + ",".join(f"{n}:{n}" for n in NEWSLETTERS),
                                "--basis", "b", "--unproven", "confirmed", zgoda=other)
            self.assertEqual((told["format"], told["refused"]), ("mailchimp", 0))
        self.zgoda.run("export", "--format", "mailchimp", "--status", "all", expect=USAGE)


class Changes(Importing):
    def test_the_nightly_sync_has_all_that_was_written_since_however_old_its_dates_are(self):
        def since(moment): return sorted(json.loads(line)["email"] for line in self.zgoda.run(
            "export", "--status", "all", "--format", "ndjson", "--changed-since", moment).splitlines())

        def now():
            time.sleep(0.002)
            seconds = time.time()
            time.sleep(0.002)
            return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"
        start = now()
        row = "{}@example.org,{},weekly,confirmed,en,2015-01-01T00:00:00Z,2015-01-01T00:00:00Z,,,,\r\n"
        self.import_((HEADER + row.format("ada", "") + row.format("eve", "")).encode())
        self.assertEqual(since(start), ["ada@example.org", "eve@example.org"])
        imported = now()
        self.assertEqual(since(imported), [])
        self.import_((HEADER + row.format("eve", "Eve")).encode(), "--batch", "names")
        self.assertEqual(since(imported), ["eve@example.org"])
        merged = now()
        self.zgoda.run("import", "undo", "names")
        self.assertEqual(since(merged), ["eve@example.org"])
        undone = now()
        self.zgoda.run("subscriber", "unsubscribe", "ada@example.org", "--all", "--yes")
        self.assertEqual(since(undone), ["ada@example.org"])

    def test_an_export_is_on_record_without_addresses(self):
        self.import_(people(30))
        rows = len(self.export(None, "--locale", "uk", "--newsletter", "weekly").splitlines()) - 1
        self.zgoda.run("export", "--links", "--changed-since", "2020-01-01", "-o", "all.csv")
        acts = [json.loads(line) for line in self.zgoda.run("audit", "--json").splitlines()]
        self.assertEqual([act["what"] for act in acts[:2]], ["export", "export"])
        self.assertEqual(acts[0]["details"]["status"], "confirmed")
        self.assertTrue(acts[0]["details"]["links"])
        self.assertIn("2020-01-01", acts[0]["details"]["changed_since"])
        self.assertEqual((acts[1]["details"]["status"], acts[1]["details"]["locale"]), ("all", "uk"))
        self.assertGreaterEqual(acts[1]["details"]["rows"], rows // 3)
        self.assertIsInstance(acts[1]["details"]["newsletter"], int)
        self.assertNotIn("@", json.dumps(acts))


class Foreign(Importing):
    """A file of each service at its real shape: its columns in its order, its times, its status words, its quirks."""
    NAMES = ("", "Lovelace, Ada", 'Grace "Amazing" Hopper', "two\nlines", "Олена Пчілка", "سلمى", "ליאור", "👩🏽‍🚀 Σ")

    def samples(self, count):
        dice = random.Random(3)

        def rows(make): return [make(number, f"r{number}@example.org", dice.choice(self.NAMES)) for number in range(count)]

        def zipped(**files):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in files.items(): archive.writestr(name + ".csv", content)
            return out.getvalue()
        start = ["Email Address", "First Name", "Last Name", "City", "MEMBER_RATING", "OPTIN_TIME", "OPTIN_IP", "CONFIRM_TIME", "CONFIRM_IP",
                 "LATITUDE", "LONGITUDE", "GMTOFF", "DSTOFF", "TIMEZONE", "CC", "REGION"]
        end, optin = ["LEID", "EUID", "NOTES", "TAGS"], "2023-04-21 11:16:57"

        def member(number, address, name, *more):
            return [address, name, "", "Kyiv", "2", optin, "192.0.2.1", optin, "192.0.2.1", "50.4", "30.5", "2", "3",
                    "Europe/Kiev", "UA", "30", *more, str(number), "abc", "", '"VIP","Blog"']
        mailchimp = rows(lambda n, address, name: (address, name, ("confirmed", "unsubscribed", "bounced")[n % 3]))

        def part(status, columns, more):
            return table([*start, *columns, *end], *(member(n, address, name, *more) for n, (address, name, is_) in enumerate(mailchimp)
                                                     if is_ == status), line="\n")
        yield "mailchimp", zipped(
            cleaned_email_audience_export_1=part("bounced", ["CLEAN_TIME", "CLEAN_CAMPAIGN_TITLE", "CLEAN_CAMPAIGN_ID"], [optin, "Spring", "7"]),
            subscribed_email_audience_export_1=part("confirmed", ["LAST_CHANGED"], [optin]),
            unsubscribed_email_audience_export_1=part("unsubscribed", ["UNSUB_TIME", "UNSUB_CAMPAIGN_TITLE", "UNSUB_CAMPAIGN_ID", "UNSUB_REASON",
                                                      "UNSUB_REASON_OTHER"], [optin, "Spring", "7", "NORMAL", ""])), mailchimp

        guard = lambda cell: "'" + cell if cell[:1] in tuple("=+-@\t\r") and cell else cell
        ghost = rows(lambda n, address, name: ("+" + address, name, "confirmed" if n % 4 else "unsubscribed"))
        yield "ghost", table(["id", "email", "name", "note", "subscribed_to_emails", "complimentary_plan", "stripe_customer_id", "created_at",
                              "deleted_at", "labels", "tiers"], *(
            [n, guard(address), guard(name), "", str(is_ == "confirmed").lower(), "false", "", "2024-01-02T03:04:05.000Z", "", "VIP,Blog", ""]
            for n, (address, name, is_) in enumerate(ghost))), ghost

        listmonk = rows(lambda n, address, name: (address, name, ("confirmed", "unsubscribed", "unsubscribed")[n % 3]))
        yield "listmonk", table(["uuid", "email", "name", "attributes", "status", "created_at", "updated_at"], *(
            [f"a-{n}", address, name, '{"city": "Kyiv", "n": 1}', ("enabled", "disabled", "blocklisted")[n % 3],
             f"2024-01-02 03:04:05.{'123456789'[:n % 9 + 1]} +0000 UTC", "2024-01-02 03:04:05 +0000 +0000"]
            for n, (address, name, is_) in enumerate(listmonk)), line="\n"), listmonk

        substack = rows(lambda n, address, name: (address, "", "confirmed" if n % 5 else "unsubscribed"))
        yield "substack", zipped(posts=b"post_id,title\n1,x\n", **{"email_list.pub": table(
            ["email", "active_subscription", "expiry", "plan", "email_disabled", "created_at", "first_payment_at"],
            *([address, "false", "", "other", str(is_ != "confirmed").lower(), "2024-01-02T03:04:05.678Z" if n % 2 else "2024-01-02", ""]
              for n, (address, name, is_) in enumerate(substack)),
            ["x1@deletion-request.substack.com", "false", "", "other", "true", "2024-01-02", ""], line="\n")}), substack

        beehiiv = rows(lambda n, address, name: (address, name.strip(), ("confirmed", "unsubscribed", "unsubscribed", "pending")[n % 4]))
        yield "beehiiv", table(["email", "First Name", "Last Name", "status", "tier", "created_at", "stripe_customer_id", "Gold Tier",
                                "unsubscribed_at", "Town"], *(
            [address, f" {name} ", "", ("active", "active", "inactive", "pending")[n % 4], "free", "2023-03-24 10:23:10 UTC", "", "",
             "2024-03-24 10:23:10 UTC" if n % 4 == 1 else "", "Kyiv"] for n, (address, name, is_) in enumerate(beehiiv)), line="\n"), beehiiv

        kinds = {"regular": "confirmed", "unactivated": "pending", "unsubscribed": "unsubscribed", "complained": "complained",
                 "undeliverable": "bounced", "premium": "confirmed", "removed": "unsubscribed"}
        words = list(kinds)
        buttondown = rows(lambda n, address, name: (address, "", kinds[words[n % len(words)]]))
        yield "buttondown", table(["id", "secondary_id", "email", "notes", "subscriber_type", "referrer_url", "utm_source", "utm_medium",
                                   "utm_campaign", "creation_date", "ip_address", "subscription_date", "unsubscription_date", "tags", "metadata"], *(
            [n, n, address, "", words[n % len(words)], "https://news.example/", "", "", "", "2024-03-13 00:03:09.183465+00:00", "192.0.2.7",
             "2024-03-13 00:05:00+00:00", "", "vip;blog", "{'city': 'Kyiv', 'ok': True}"] for n, (address, name, is_) in enumerate(buttondown)),
            line="\n"), buttondown

        phplist = rows(lambda n, address, name: (address, "", ("confirmed", "pending", "unsubscribed")[n % 3]))
        yield "phplist", table(["id", "Email", "Is this subscriber confirmed", "Is this subscriber blacklisted",
                                "Did this subscriber manually confirm", "Number of bounces", "Entered", "Last Modified", "Unique ID",
                                "Send this subscriber HTML emails", "Foreign Key", "Town", "List Membership"], *(
            [n, address, int(is_ != "pending"), int(is_ == "unsubscribed"), 1, 0, "2024-01-02 03:04:05", "2024-01-02 03:04:05", "x", 1, "", "Kyiv",
             "News; War; " if n % 2 else "No Lists"] for n, (address, name, is_) in enumerate(phplist)), delimiter="\t", line="\n"), phplist

    def test_every_service_is_known_by_its_columns_and_every_status_and_name_comes_through(self):
        for format_, content, wanted in self.samples(400 if SLOW == 1 else 60):
            with self.subTest(format_):
                zgoda = self.new_program()
                told = self.foreign(content, "--unproven", "confirmed", zgoda=zgoda, name="export")
                self.assertEqual((told["format"], told["imported"]), (format_, len(wanted)), told)
                self.assertEqual(told["why"], {"deletion_request": 1} if format_ == "substack" else {})
                rows = [json.loads(line) for line in zgoda.run("export", "--status", "all", "--format", "ndjson").splitlines()]
                self.assertEqual({row["email"]: (row["name"], row["status"]) for row in rows},
                                 {address: (name, status) for address, name, status in wanted})
                zgoda.run("consent", "verify")
                again = self.foreign(content, "--unproven", "confirmed", zgoda=zgoda, name="export")
                self.assertEqual(again["imported"] + again["merged"], 0, again)

    def test_older_shapes_and_every_word_of_theirs(self):
        mailchimp = ("Deine E-Mail Adresse,Vorname,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,"
                     "LAST_CHANGED,LEID,EUID,NOTES\r\n{},Ada,2,2023-04-21 11:10:00,192.0.2.1,{},192.0.2.1,2,3,Europe/Kiev,UA,30,,1,a,\r\n")
        confirmed = ["regular", "premium", "gifted", "trialed", "churning", "churned", "past_due", "paused", "unpaid"]
        buttondown = {"confirmed": confirmed, "pending": ["unactivated", "upcoming"], "unsubscribed": ["unsubscribed", "removed", "blocked"],
                      "complained": ["complained"], "bounced": ["undeliverable"]}
        beehiiv = {"active": "confirmed", "inactive": "unsubscribed", "validating": "pending", "invalid": "bounced", "pending": "pending",
                   "needs_attention": "pending"}
        for what, format_, content, wanted in (
            ("German, with a BOM, without LATITUDE and TAGS", "mailchimp", "\ufeff" + mailchimp.format("a@example.org", "2023-04-21 11:16:57"), {"a": "confirmed"}),
            ("Substack, older", "substack", "email,active_subscription,expiry,email_disabled,prefer_digests,created_at\n"
             "a@example.org,false,,false,,2024-01-02\nb@example.org,false,,true,,2024-01-02\nA@Example.org,false,,false,,2024-01-02\n",
             {"a": "confirmed", "b": "unsubscribed"}),
            ("Substack, another", "substack", "email,expiry,email_disabled,prefer_digests,stripe_connected_customer_id,type\na@example.org,,false,,,free\n",
             {"a": "confirmed"}),
            ("beehiiv", "beehiiv", "email,First Name,Last Name,status,tier,created_at,stripe_customer_id,unsubscribed_at\n" + "".join(
                f"{word}@example.org, Ada ,,{word},free,2023-03-24 10:23:10 UTC,,\n" for word in beehiiv), beehiiv),
            ("Buttondown", "buttondown", "id,secondary_id,email,notes,subscriber_type,creation_date,subscription_date,unsubscription_date,tags,metadata\n" + "".join(
                f"x,1,{word}@example.org,,{word},2024-03-13 00:03:09.183465+00:00,2024-03-13 00:03:09.183465+00:00,,a;b,{{'a': \"it's\"}}\n".replace('"', '')
                for words in buttondown.values() for word in words), {word: status for status, words in buttondown.items() for word in words}),
            ("phpList for a spreadsheet", "phplist", "id,Email,Is this subscriber confirmed,Is this subscriber blacklisted,Entered,List Membership\n"
             "1,' =a@example.org,1,0,2024-01-02 03:04:05,No Lists\n2,b@example.org,1,1,2024-01-02 03:04:05,News; War; \n", {"=a": "confirmed", "b": "unsubscribed"}),
            ("Kit", "generic", "first_name,email,created_at,status\nA,a@example.org,2024-01-02T00:00:00Z,active\nB,b@example.org,2024-01-02T00:00:00Z,bounced\n",
             {"a": "confirmed", "b": "bounced"}),
            ("a spreadsheet", "generic", '\ufeffEmail;Name\r\na@example.org;"Пчілка; Олена\r\nдва 👩🏽‍🚀"\r\n"b@example.org";"سلمى"\r\n',
             {"a": "confirmed", "b": "confirmed"}),
        ):
            with self.subTest(what):
                zgoda = self.new_program()
                told = self.foreign(content.encode(), "--unproven", "confirmed", zgoda=zgoda)
                self.assertEqual((told["format"], told["imported"], told["refused"]), (format_, len(wanted), 0), told)
                self.assertEqual(zgoda.statuses(), {(name + "@example.org", "weekly"): status for name, status in wanted.items()})
        for content, says in ((mailchimp.format("a@example.org", "21/04/2023"), ["line 2", "column 6", "21/04/2023"]),
                              ("email,First Name,Last Name,status,tier,created_at,stripe_customer_id\na@example.org,,,happy,,,\n", ["line 2", "column 4", "happy"])):
            said = self.foreign(content.encode(), expect=FAILED)
            for text in says: self.assertIn(text, said)


class Terminal(Importing):
    def on_a_terminal(self, *verb, **settings):
        """What it says on stdout and stderr, which are one terminal."""
        master, slave = pty.openpty()
        process = subprocess.Popen([str(BINARY), *verb], cwd=self.zgoda.folder, env=self.zgoda.environment(**settings) | {"TERM": "xterm"},
                                   stdout=slave, stderr=slave)
        os.close(slave)
        said = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not piece: break
            said += piece
        os.close(master)
        self.assertEqual(process.wait(), OK, said)
        return said.decode()

    def test_has_a_bar_that_grows_and_goes(self):
        path = self.file(people(20_000 if SLOW == 1 else 2_000))
        for verb in (["import", path, "--batch", "b"], ["export", "--status", "all", "-o", "all.csv"], ["backup", "b.db"],
                     ["import", "undo", "b"]):
            said = self.on_a_terminal(*verb)
            if verb[0] == "import":
                shares = [int(share) for share in re.findall(r"(\d+) ?%", said)]
                self.assertGreater(len(shares), 1, said)
                self.assertEqual(shares, sorted(shares))
            for line in said.split("\n"):  # on a terminal one shows what came after the bar was taken away
                self.assertNotRegex(line.split("\x1b[K")[-1], r"\d %", "the bar is gone before anything is said")
            if verb[0] == "backup": self.assertNotIn("export [", self.on_a_terminal("export", "--status", "all"), "no bar among the rows")
        os.environ["NO_COLOR"] = "1"
        self.addCleanup(os.environ.pop, "NO_COLOR")
        self.assertNotIn("%", self.on_a_terminal("import", path, "--batch", "c"))


class Rules(Importing):
    def test_a_dry_run_says_the_same_and_writes_nothing(self):
        self.import_(people(500))
        mixed = people(700, seed=1)[:-1] + b"\n" + people(300, seed=2)[len(HEADER):]
        def everything():  # not by an export, which is on record itself
            with closing(sqlite3.connect(self.zgoda.database)) as connection: return "\n".join(connection.iterdump())
        before = everything()
        dry = self.import_(mixed, "--dry-run", "--report", "dry.csv")
        self.assertEqual(everything() == before, True, "nothing was written")
        self.assertFalse(list(self.zgoda.database.parent.glob("*dry-run/*")))
        real = self.import_(mixed, "--report", "real.csv")
        for told in (dry, real): told.pop("dry_run"), told.pop("batch", None)
        self.assertEqual(dry, real)
        reports = [(self.zgoda.folder / name).read_text() for name in ("dry.csv", "real.csv")]
        self.assertEqual(*reports)
        self.assertNotIn("@", reports[0], "ids, not addresses")
        self.assertEqual(stat.S_IMODE((self.zgoda.folder / "real.csv").stat().st_mode), 0o600)
        self.assertEqual(len(reports[0].splitlines()) - 1, real["rows"])

    def test_whoever_left_here_stays_away_and_whoever_confirmed_here_stays(self):
        self.zgoda.serve()
        for address in ("left@example.org", "stays@example.org"):
            self.zgoda.client.sign_up(address, "weekly")
            self.zgoda.client.press(self.zgoda.letter().link("confirm"))
        self.zgoda.run("subscriber", "unsubscribe", "left@example.org", "--all", "--yes")
        told = self.foreign(table(["email", "confirmed_at"], ["left@example.org", "2030-01-01"]))
        self.assertEqual(told["why"], {"unsubscribed": 1})
        left_before = table(["email", "unsubscribed_at"], ["stays@example.org", "2020-01-01"])
        self.assertEqual(self.foreign(left_before)["unchanged"], 1)
        self.assertEqual(self.statuses(), {("left@example.org", "weekly"): "unsubscribed",
                                           ("stays@example.org", "weekly"): "confirmed"})
        self.zgoda.run("unsubscribe", "import", self.file(left_before), "--all", "--reason", "left at the sender")
        self.assertEqual(self.statuses()["stays@example.org", "weekly"], "confirmed")
        self.zgoda.run("unsubscribe", "import", self.file(b"stays@example.org\nnobody@example.org\n"), "--all",
                       "--reason", "left at the sender")
        self.assertEqual(self.statuses()["stays@example.org", "weekly"], "unsubscribed")
        self.verify()

    def test_whoever_was_erased_is_not_brought_back(self):
        rows = table(["email", "confirmed_at"], ["gone@example.org", "2024-01-01"])
        self.foreign(rows)
        self.zgoda.run("subscriber", "erase", "gone@example.org", "--yes")
        self.assertEqual(self.foreign(rows)["why"], {"erased": 1})
        self.assertEqual(self.statuses(), {})

    def test_groups_become_newsletters(self):
        rows = table(["email", "confirmed_at", "Groups"], ["a@example.org", "2024-01-01", "News, War"],
                     ["b@example.org", "2024-01-01", "VIP"])
        why = self.import_(rows, "--basis", "b", "--map", "Groups=News:weekly,War:war-notes", "--dry-run", expect=FAILED)
        self.assertIn("line 3", why)
        self.assertIn('"VIP"', why)
        told = self.import_(rows, "--basis", "b", "--map", "Groups=News:weekly,War:war-notes,VIP:")
        self.assertEqual((told["imported"], told["why"]), (1, {"no_newsletter": 1}))
        self.assertEqual(set(self.statuses()), {("a@example.org", "weekly"), ("a@example.org", "war-notes")})

    def test_what_a_foreign_file_needs(self):
        rows = table(["email"], ["a@example.org"])
        self.assertIn("--newsletter", self.import_(rows, "--basis", "b", expect=USAGE))
        self.assertIn("--basis", self.import_(rows, "--newsletter", "weekly", expect=USAGE))
        self.assertIn("leave --newsletter", self.import_(people(3), "--newsletter", "weekly", expect=USAGE))
        self.import_(rows, "--newsletter", "nothing", "--basis", "b", expect=NOT_FOUND)
        self.zgoda.run("import", "nowhere.csv", expect=NOT_FOUND)
        self.assertEqual(self.foreign(rows)["why"], {"unproven": 1})
        self.foreign(rows, "--unproven", "pending")
        self.assertEqual(self.statuses(), {("a@example.org", "weekly"): "pending"})


    def test_a_foreign_table_may_name_our_newsletters(self):
        rows = table(["email", "newsletter", "status", "signed_up_at", "confirmed_at"],
                     ["a@example.org", "weekly", "confirmed", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"],
                     ["b@example.org", "war-notes", "confirmed", "2024-01-01T00:00:00Z", ""])
        ndjson = b"".join(json.dumps({"email": a, "newsletter": n, "confirmed_at": t}).encode() + b"\n" for a, n, t in (
            ("a@example.org", "weekly", "2024-01-02T00:00:00Z"), ("b@example.org", "war-notes", None)))
        empty = self.export()
        for content in (rows, ndjson):
            self.assertIn("--basis", self.import_(content, expect=USAGE))
            self.assertIn("called newsletter", self.import_(content, "--newsletter", "weekly", "--basis", "b", expect=USAGE))
            wrong = self.import_(content.replace(b"war-notes", b"monthly"), "--basis", "b", expect=FAILED)
            self.assertIn(f"line {3 if content is rows else 2}, column 2: ", wrong)
            self.assertIn('"monthly"', wrong)
            self.assertEqual(self.export(), empty)
            told = self.import_(content, "--basis", "Asked at the old place.")
            self.assertEqual((told["format"], told["imported"], told["why"]), ("generic", 1, {"unproven": 1}))
            self.assertEqual(self.statuses(), {("a@example.org", "weekly"): "confirmed"})
            self.assertNotIn(b"{", self.export())
            self.zgoda.run("import", "undo", told["batch"])
        self.import_(rows.replace(b"war-notes", b"Letters"), "--map", "newsletter=weekly:weekly,Letters:war-notes", "--basis", "b",
                     "--unproven", "confirmed")
        self.assertEqual(self.statuses(), {("a@example.org", "weekly"): "confirmed", ("b@example.org", "war-notes"): "confirmed"})

    def test_a_basis_is_words_and_what_came_without_proof_says_so(self):
        rows = table(["email"], ["a@example.org"])
        for basis in ("", "   ", "\t\n"):
            self.assertIn("--basis", self.import_(rows, "--newsletter", "weekly", "--basis", basis, expect=USAGE))
        self.foreign(rows, "--unproven", "confirmed")
        self.assertIn("taken without proof (--unproven confirmed)", self.zgoda.run("subscriber", "explain", "a@example.org"))
        self.assertRegex(self.zgoda.run("consent", "show", "a@example.org"), r"without_proof:\s+confirmed")

    def test_a_tag_with_a_comma(self):
        rows = table(["email", "tags", "confirmed_at"], ["a@example.org", '"Big, Fat"', "2024-01-02T00:00:00Z"])
        self.assertIn('add "Big, Fat":SLUG to --map', self.import_(rows, "--map", "tags=x:", "--basis", "b", expect=FAILED))
        self.import_(rows, "--map", 'tags="Big, Fat":weekly', "--basis", "b")
        self.assertEqual(self.statuses(), {("a@example.org", "weekly"): "confirmed"})


class Files(Importing):
    def test_zip_and_stdin(self):
        mailchimp = "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,{}LEID,EUID,NOTES,TAGS"
        time_, rest = "2023-04-21 11:16:57", '1,2,,"""VIP"",""Blog"""'
        archive = self.zgoda.folder / "export.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("../../etc/cleaned.csv", mailchimp.format("CLEAN_TIME,") + f"\nc@example.org,C,C,2,{time_},192.0.2.1,{time_},192.0.2.1,{time_},{rest}\n")
            out.writestr("a.csv", mailchimp.format("LAST_CHANGED,") + f"\na@example.org,Ada,L,2,{time_},192.0.2.1,{time_},192.0.2.1,{time_},{rest}\n")
            out.writestr("b.csv", mailchimp.format("UNSUB_TIME,") + f"\nb@example.org,B,B,2,{time_},192.0.2.1,{time_},192.0.2.1,{time_},{rest}\n")
            out.writestr("posts.csv", "post_id,title\n1,x\n")
            out.writestr("index.html", "<html>a@b</html>")
        for arguments in ([str(archive)], ["-"]):
            done = self.zgoda.call("import", *arguments, "--newsletter", "weekly", "--basis", "b", "--json",
                                   "--report", "report.csv", stdin=archive.read_bytes() if arguments == ["-"] else None)
            self.assertEqual(done.returncode, OK, done.stderr)
            self.assertEqual([row.split(",")[:2] for row in (self.zgoda.folder / "report.csv").read_text().splitlines()],
                             [["part", "line"], ["1", "2"], ["2", "2"], ["3", "2"]])
            self.assertIn("part 2 in the report: a.csv", done.stderr)
            self.assertEqual(json.loads(done.stdout)["rows"], 3)
        self.assertEqual(self.statuses(), {("a@example.org", "weekly"): "confirmed",
                                           ("b@example.org", "weekly"): "unsubscribed", ("c@example.org", "weekly"): "bounced"})
        shown = json.loads(self.zgoda.run("consent", "show", "a@example.org", "--json"))
        self.assertIn("192.0.2.1", json.dumps(shown))

    def test_what_cannot_be_read_is_one_sentence_and_changes_nothing(self):
        own = HEADER.encode()
        row = b'a%d@example.org,,weekly,confirmed,en,2024-01-01T00:00:00Z,,,,,\r\n'
        good = b"".join(row % number for number in range(3000))
        bomb = io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("a.csv", own + (row % 1) * 400_000)
        line = b"line 3002"
        cells = dict(zip(HEADER.strip().split(","), (row % 1).decode().strip().split(",")))
        cases = {
            "not UTF-8": (own + good + b"a@example.org,\xff\xfe,weekly,confirmed,en,2024-01-01T00:00:00Z,,,,,\r\n", [line, b"column 2", b"UTF-8"]),
            "UTF-16": ("email,name\n".encode("utf-16"), [b"line 1", b"UTF-16"]),
            "ragged": (own + good + b"a@example.org,x\r\n", [line, b"column 3", b"2 cells", b"11"]),
            "an open quote": (own + good + b'"a@example.org,', [line, b"column 1", b"quote"]),
            "a huge cell": (own + good + b'a@example.org,"' + b"x" * 100_000_000 + b'"', [line, b"column 2", b"1 MiB"]),
            "a zip bomb": (bomb.getvalue(), [b"200 times"]),
            "an empty zip": (b"PK\5\6" + bytes(18), [b"empty"]),
            "a damaged zip": (b"PK\3\4" + b"x" * 1000, [b"zip"]),
            "a column twice": (own.replace(b"name", b"email"), [b"line 1", b"column 2", b'"email"']),
            "no date": (own + good + b"a@example.org,,weekly,confirmed,en,yesterday,,,,,\r\n", [line, b"column 6", b"yesterday"]),
            "no status": (own + good + b"a@example.org,,weekly,happy,en,2024-01-01T00:00:00Z,,,,,\r\n", [line, b"column 4", b"happy"]),
            "no newsletter": (own + good + b"a@example.org,,monthly,confirmed,en,2024-01-01T00:00:00Z,,,,,\r\n", [line, b"column 3", b"monthly"]),
            "another language": ("Електронна пошта;Ім'я\na@example.org;Ada\n".encode(), [b"line 1", "Електронна".encode(), b"email"]),
            "broken JSON": (json.dumps(cells).encode() + b'\n{"email": oops}\n', [b"line 2", b"column 11", b"JSON"]),
            "nothing": (b"", [b"empty"]),
        }
        for what, (content, says) in cases.items():
            with self.subTest(what):
                done = self.zgoda.call("import", self.file(content), binary=True)
                self.assertEqual((done.returncode, done.stdout), (FAILED, b""), done.stderr)
                self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
                for text in [b"people.csv", *says]: self.assertIn(text, done.stderr)
                self.assertEqual(self.export(), own)

    def test_memory_does_not_grow_with_the_file(self):
        count = 300_000 if SLOW == 1 else 20_000
        path = self.zgoda.folder / "many.csv"
        with open(path, "w") as out:
            out.write(HEADER.replace("\r", ""))
            for number in range(count):
                out.write(f"r{number}@example.org,Reader {number},weekly,confirmed,en,2024-01-01T00:00:00Z,2024-01-01T00:00:00Z,,https://news.example/,f,\n")
        for verb in (["import", str(path)], ["export", "--status", "all", "-o", "all.csv"], ["backup", "many.db"], ["import", "undo", "many"]):
            process = subprocess.Popen([str(BINARY), *verb, *(["--batch", "many"] if verb == ["import", str(path)] else [])],
                                       cwd=self.zgoda.folder, env=self.zgoda.environment(), stdout=subprocess.DEVNULL)
            peak = 0
            while process.poll() is None:  # ru_maxrss would count what this test itself had in memory
                seen = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
                peak = max(peak, int(seen[1]) / 1024 if seen else 0)
                time.sleep(0.01)
            self.assertEqual(process.returncode, OK, verb)
            if SLOW == 1: self.assertLess(peak, 64, f"MiB of {verb}")
            print(f"{verb[0]} {verb[1]}: peak {peak:.0f} MiB", file=sys.stderr)


class Undo(Importing):
    def test_gives_back_what_nobody_changed_since(self):
        self.import_(people(200, seed=7))
        before = self.export()
        self.import_(people(2000), "--batch", "monday")
        after = self.statuses()
        fresh = [key for key, status in after.items() if status == "confirmed" and key[0].encode() not in before][:3]
        left, erased, kept = (address for address, _ in fresh)
        self.zgoda.run("subscriber", "unsubscribe", left, "--all", "--yes")
        self.zgoda.run("subscriber", "erase", erased, "--yes")
        self.zgoda.serve()
        self.zgoda.client.sign_up(kept, *NEWSLETTERS)
        told = json.loads(self.zgoda.run("import", "undo", "monday", "--json"))
        self.assertGreater(told["kept"], 0)
        left_over = {key: status for key, status in self.statuses().items() if key[0].encode() not in before}
        self.assertEqual({address for address, _ in left_over}, {left, kept})
        self.assertEqual({status for (address, _), status in left_over.items() if address == left}, {"unsubscribed"})
        self.assertTrue(all(address != erased for address, _ in self.statuses()))
        remaining = [row for row in self.export().splitlines() if left.encode() not in row and kept.encode() not in row]
        self.assertEqual(remaining, before.splitlines())
        self.verify()
        self.assertIn("nothing to do", self.zgoda.run("import", "undo", "monday"))
        self.zgoda.run("import", "undo", "tuesday", expect=NOT_FOUND)
        self.assertEqual([batch["state"] for batch in json.loads(self.zgoda.run("import", "list", "--json"))], ["done", "undone"])

    def test_says_which_later_batch_comes_first_and_can_be_asked_for_again(self):
        before = self.export()
        self.foreign(table(["email"], ["k@example.org"]), "--unproven", "confirmed", "--batch", "bad")
        left = self.zgoda.folder / "left.csv"
        left.write_text("email\nk@example.org\n")
        self.zgoda.run("unsubscribe", "import", left, "--all", "--reason", "r", "--batch", "left")
        told = self.zgoda.run("import", "undo", "bad")
        self.assertIn("kept 2", told)
        self.assertIn("changed by batch left", told)
        self.assertIn("`zgoda import undo bad` again", told)
        self.assertTrue(json.loads(self.zgoda.run("import", "list", "--json"))[0]["undo_until"])
        self.zgoda.run("import", "undo", "left")
        self.assertEqual(json.loads(self.zgoda.run("import", "undo", "bad", "--json")),
                         {"batch": "bad", "restored": 2, "kept": 0, "changed_by": []})
        self.assertEqual(self.export(), before)
        self.assertEqual(self.statuses(), {})
        self.assertIn("nothing to do", self.zgoda.run("import", "undo", "bad"))
        self.assertEqual([one["undo_until"] for one in json.loads(self.zgoda.run("import", "list", "--json"))], [None, None])
        self.verify()

    def test_takes_back_suppressions_that_only_this_batch_made(self):
        rows = table(["email", "status"], ["dead@example.org", "bounced"])
        self.foreign(rows, "--batch", "one")
        self.foreign(rows, "--batch", "two")
        suppressed = lambda: bool(self.zgoda.run("suppress", "list", "--json"))
        self.zgoda.run("import", "undo", "one")
        self.assertEqual((self.statuses(), suppressed()), ({("dead@example.org", "weekly"): "bounced"}, True))
        self.zgoda.run("import", "undo", "two")
        self.assertEqual((self.statuses(), suppressed()), ({}, False))


class Killed(Importing):
    TIMES = 20

    def kill_while(self, *verb):
        """Starts the verb and kills it at work, so often; then lets it end."""
        dice, cut = random.Random(5), 0
        connection = sqlite3.connect(self.zgoda.database)
        rows = lambda: connection.execute("SELECT total(position), (SELECT count(*) FROM import_entry) FROM import_batch").fetchone()
        for _ in range(self.TIMES):
            before, process = rows(), self.zgoda.start(*verb)
            wait_for("some work", lambda: rows() != before or process.poll() is not None)
            time.sleep(dice.uniform(0, 0.03))
            process.kill()
            cut += process.wait() != 0
        connection.close()
        self.assertGreaterEqual(cut, self.TIMES * 3 // 4, "they were through before they were killed")
        self.zgoda.run(*verb)

    def test_an_import_goes_on_where_it_was_and_so_does_its_undo(self):
        everything = people(40_000 if SLOW == 1 else 10_000)
        path = self.file(everything)
        self.kill_while("import", path, "--report", "report.csv")
        self.assertEqual(self.export(), everything)
        report = list(csv.reader((self.zgoda.folder / "report.csv").read_text().splitlines()))
        lines = 1 + sum(1 for _ in csv.reader(io.StringIO(everything.decode(), newline="")))
        self.assertEqual(len(report), lines - 1, "a line for each row, of all runs")
        numbers = [int(row[1]) for row in report[1:]]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual({row[2] for row in report[1:]}, {"imported", "merged"})
        self.assertFalse(list(self.zgoda.folder.glob(".*unfinished")))
        batches = json.loads(self.zgoda.run("import", "list", "--json"))
        first = batches[0]["batch"]
        self.assertEqual(sum(batches[0][what] for what in ("imported", "merged", "unchanged", "refused")), batches[0]["rows"])
        for later in batches[1:]: self.zgoda.run("import", "undo", later["batch"])
        self.verify()
        self.kill_while("import", "undo", first)
        self.assertEqual(self.export(), HEADER.encode())
        self.verify()
        connection = sqlite3.connect(self.zgoda.database)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        for name in ("person", "subscription", "suppression", "import_entry"):
            self.assertEqual(connection.execute(f"SELECT count(*) FROM {name}").fetchone(), (0,), name)

    def test_a_killed_import_can_be_undone_instead(self):
        path = self.file(people(20_000 if SLOW == 1 else 2_000))
        process = self.zgoda.start("import", path, "--batch", "half")
        rows = lambda: [batch["rows"] for batch in json.loads(self.zgoda.run("import", "list", "--json"))]
        wait_for("the first rows", lambda: sum(rows()))
        process.kill()
        self.assertNotEqual(process.wait(), 0)
        self.assertIn("half", self.zgoda.run("import", "list"))
        self.zgoda.run("import", "undo", "half")
        self.assertEqual(self.export(), HEADER.encode())


if __name__ == "__main__":
    unittest.main()
