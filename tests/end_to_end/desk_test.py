#!/usr/bin/python3
"""The administrator's desk, on the real program: backup and restore, the stop switch of the mail, retention, who may
come back, the record of acts, and the funnel."""
import json
import os
import re
import shutil
import sqlite3
import stat
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from program import Program, SmtpSink

OK, FAILED, USAGE, NOT_FOUND, LATER = 0, 1, 2, 3, 75


class Desk(unittest.TestCase):
    def setUp(self):
        self.zgoda = Program()
        self.addCleanup(self.zgoda.remove)
        self.zgoda.make("ukraine-daily", "opinion")

    def run_(self, *arguments, **how): return self.zgoda.run(*arguments, **how)

    def refused(self, *arguments, code=USAGE, says=(), **how):
        done = self.zgoda.call(*arguments, **how)
        self.assertEqual((done.returncode, done.stdout), (code, ""), f"zgoda {' '.join(arguments)}: {done.stderr}")
        for text in says: self.assertIn(text, done.stderr)
        return done.stderr

    def sign_up(self, *addresses, slugs=("ukraine-daily",), confirm=True, **fields):
        """Through the service, which must run. Gives the letters, by address."""
        for address in addresses:
            self.assertEqual(self.zgoda.client.sign_up(address, *slugs, **fields).status, 202)
        letters = {}
        if confirm:
            self.run_("mail")
            for letter in self.zgoda.new_letters():
                letters[letter.to] = letter
                self.assertIn(self.zgoda.client.press(letter.link("confirm")).status, (200, 303))
        return letters

    def ask(self, sql, file=None):
        database = sqlite3.connect(f"file:{file or self.zgoda.database}?mode=ro", uri=True)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def acts(self): return [json.loads(line) for line in self.run_("audit", "--json").splitlines()]


class Backup(Desk):
    def test_is_made_while_signups_go_on_and_put_back(self):
        self.zgoda.serve()
        self.sign_up(*(f"reader{number}@example.org" for number in range(5)))
        file = self.zgoda.folder / "night.db"
        done = self.zgoda.call("backup", str(file))
        self.assertEqual(done.returncode, OK, done.stderr)
        head = done.stdout.splitlines()[1]
        self.assertRegex(head, r"^\d+:[0-9a-f]{64}$")
        self.assertEqual((self.zgoda.folder / "night.db.head").read_text().strip(), head)
        self.assertIn("key file is not inside", done.stderr)
        self.assertIn("5 people", done.stderr)
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.assertEqual(self.ask("PRAGMA integrity_check", file), [("ok",)])
        self.assertNotIn((self.zgoda.folder / "var" / "secret.key").read_text().split(", ")[1], file.read_bytes().hex())
        self.refused("backup", str(file), code=FAILED, says=["is there already"])
        self.run_("backup", str(file), "--yes")
        self.refused("backup", str(self.zgoda.database), "--yes", says=["it is the database"])
        self.refused("backup", str(self.zgoda.folder / "no" / "such.db"), code=FAILED)
        self.assertEqual([f for f in os.listdir(self.zgoda.folder) if f.startswith(".")], [])

    def test_restore_lets_everybody_leave_again_and_holds_all_letters(self):
        self.zgoda.serve()
        letters = self.sign_up("stays@example.org", "leaves@example.org", "forgotten@example.org", "returns@example.org")
        def leave(who):
            self.assertEqual(self.zgoda.client.request("POST", letters[who].unsubscribe_link().split(str(self.zgoda.port))[1],
                             b"List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}).status, 200)
        leave("returns@example.org")
        time.sleep(0.01)
        self.run_("subscriber", "resend", "stays@example.org", expect=FAILED)
        self.assertEqual(self.zgoda.client.sign_up("returns@example.org", "ukraine-daily").status, 202)
        self.run_("subscriber", "confirm", "returns@example.org", "--evidence", "came to the office")
        file = self.zgoda.folder / "night.db"
        self.run_("backup", str(file))
        head = (self.zgoda.folder / "night.db.head").read_text().strip()

        leave("leaves@example.org")
        self.run_("subscriber", "erase", "forgotten@example.org", "--yes")
        self.sign_up("late@example.org", confirm=False)
        late = self.ask("SELECT max(id) FROM letter")[0][0]
        self.refused("restore", str(file), "--yes", code=LATER, says=["in use"])
        self.zgoda.run("restore", str(file), "--verify")  # a rehearsal hinders nobody
        self.assertEqual(len(self.zgoda.statuses()), 4)
        self.zgoda.stop()

        self.refused("restore", str(file), says=["--yes"])
        done = self.zgoda.call("restore", str(file), "--yes")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn("1 subscriptions ended again, 1 people erased again", done.stderr)
        self.assertIn("zgoda.db.before-restore", done.stdout)
        self.assertEqual({address: status for (address, _), status in self.zgoda.statuses().items()},
                         {"stays@example.org": "confirmed", "leaves@example.org": "unsubscribed", "returns@example.org": "confirmed"})
        self.run_("consent", "verify", "--expect-head", head)
        self.refused("subscriber", "show", "forgotten@example.org", code=NOT_FOUND)
        self.assertIn("restore", [act["what"] for act in self.acts()])
        self.assertEqual(self.ask("SELECT count(*) FROM person", self.zgoda.folder / "var" / "zgoda.db.before-restore"), [(4,)])

        # ids given out after the backup are not given out again: their links must stay dead
        self.zgoda.serve()
        self.sign_up("new@example.org", confirm=False)
        self.assertGreater(self.ask("SELECT max(id) FROM letter")[0][0], late)
        self.refused("mail", code=LATER, says=["paused"])
        self.assertIn("since a restore", self.run_("mail", "status"))
        self.refused("mail", "resume", code=FAILED, says=["--after-restore"])
        self.run_("mail", "resume", "--after-restore")
        self.assertRegex(self.run_("mail"), "^sent 1, ")

    def test_restore_loses_no_suppression_that_came_after_the_backup(self):
        self.zgoda.serve()
        self.sign_up("lifted@example.org")
        self.run_("suppress", "add", "lifted@example.org", "--reason", "asked")
        self.sign_up("stranger@example.org", confirm=False)
        link = self.zgoda.letter().link("not-me")
        file = self.zgoda.folder / "night.db"
        self.run_("backup", str(file))

        self.run_("suppress", "add", "nobody@example.org", "--reason", "asked")
        self.run_("suppress", "remove", "lifted@example.org", "--reason", "asked")
        self.assertIn(self.zgoda.client.press(link).status, (200, 303))
        told = self.ask("SELECT hex(key), reason FROM suppression ORDER BY 1, 2")
        self.zgoda.stop()
        done = self.zgoda.call("restore", str(file), "--yes")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn("2 suppressions set and 1 lifted", done.stderr)
        self.assertEqual(self.ask("SELECT hex(key), reason FROM suppression ORDER BY 1, 2"), told)
        self.assertEqual({address: status for (address, _), status in self.zgoda.statuses().items()},
                         {"lifted@example.org": "confirmed", "stranger@example.org": "unsubscribed"})
        self.run_("consent", "verify")

    def test_restore_refuses_what_it_cannot_be_sure_of(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org")
        self.zgoda.stop()
        file = self.zgoda.folder / "night.db"
        self.run_("backup", str(file))
        before = self.zgoda.database.read_bytes()
        whole = file.read_bytes()

        key = self.zgoda.folder / "var" / "secret.key"
        line = key.read_text()
        key.write_text("1, " + "5a01" * 16 + ", 2026-01-01T00:00:00Z\n")
        self.refused("restore", str(file), "--yes", code=FAILED, says=["another key"])
        key.unlink()
        self.refused("restore", str(file), "--yes", says=["secret.key"])
        key.write_text(line)
        key.chmod(0o600)

        self.refused("restore", str(self.zgoda.folder / "none.db"), "--yes", code=NOT_FOUND)
        self.refused("restore", str(self.zgoda.database), "--yes", code=LATER)
        (self.zgoda.folder / "text.db").write_text("This is no database at all, but it is long enough for one.\n" * 20)
        self.refused("restore", str(self.zgoda.folder / "text.db"), "--yes", code=FAILED)
        half = self.zgoda.folder / "half.db"
        half.write_bytes(whole[:len(whole) // 2])
        self.refused("restore", str(half), "--yes", code=FAILED)
        changed = self.zgoda.folder / "changed.db"
        shutil.copyfile(file, changed)
        with sqlite3.connect(changed) as database:
            for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {trigger}")
            database.execute("UPDATE ledger SET at = at - 86400000 WHERE seq = 2")
        database.close()
        for end in ("-wal", "-shm"): Path(str(changed) + end).unlink(missing_ok=True)
        self.refused("restore", str(changed), "--yes", code=FAILED, says=["ledger"])
        self.assertEqual(self.zgoda.database.read_bytes(), before)
        self.assertEqual(sorted(f for f in os.listdir(self.zgoda.database.parent) if ".re" in f), [])

    def test_restore_makes_a_database_where_there_is_none(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org")
        self.zgoda.stop()
        file = self.zgoda.folder / "night.db"
        self.run_("backup", str(file))
        for path in self.zgoda.database.parent.glob("zgoda.db*"): path.unlink()
        self.run_("restore", str(file))
        self.assertEqual(self.zgoda.statuses(), {("ada@example.org", "ukraine-daily"): "confirmed"})


class MailSwitch(Desk):
    def test_pause_and_resume_all_of_it(self):
        self.zgoda.serve()
        self.run_("mail", "pause")
        self.assertEqual(self.run_("mail"), "", "nothing waits, so nothing is wrong")
        self.sign_up("ada@example.org", confirm=False)
        self.refused("mail", code=LATER, says=["paused"])
        self.assertRegex(self.run_("mail", "status"), r"(?s)1 waiting, 0 of them due now\n.*all letters\n +1 queued +held by `zgoda mail pause` until `zgoda mail resume`$")
        told = json.loads(self.run_("mail", "status", "--json"))
        self.assertEqual((told["due"], told["waiting"], told["oldest_due"], len(told["paused"])), (0, 1, None, 1))
        self.assertEqual([(one["why"], one["letters"]) for one in told["reasons"]], [("held by `zgoda mail pause` until `zgoda mail resume`", 1)])
        self.run_("mail", "resume")
        self.assertRegex(self.run_("mail"), "^sent 1, ")
        self.assertEqual([act["what"] for act in self.acts()[:2]], ["mail resume", "mail pause"])

    def test_pause_of_a_newsletter_and_of_a_domain(self):
        self.zgoda.serve()
        self.sign_up("before@example.org", slugs=("opinion",), confirm=False)
        self.run_("mail", "pause", "--newsletter", "opinion")
        self.run_("mail", "pause", "--domain", "Held.Example.org")
        self.sign_up("ada@example.org", confirm=False)
        self.sign_up("eve@example.org", slugs=("ukraine-daily", "opinion"), confirm=False)
        self.sign_up("bob@held.example.org", confirm=False)
        self.assertIn("4 waiting, 1 of them due now", self.run_("mail", "status"), "before a mailer has put the others aside")
        self.assertRegex(self.run_("mail"), "^sent 1, ")
        self.assertEqual([letter.to for letter in self.zgoda.new_letters()], ["ada@example.org"])
        told = self.run_("mail", "status")
        self.assertIn("letters about opinion", told)
        self.assertIn("letters to held.example.org", told)
        self.assertRegex(told, r"1 queued +held by `zgoda mail pause` of letters to held\.example\.org until `zgoda mail resume --domain held\.example\.org`\n")
        self.assertRegex(told, r"a mailer ran last at \S+ or up to 5 minutes later\n")
        self.run_("mail", "pause")
        self.refused("mail", code=LATER, says=["paused"])
        self.run_("mail", "resume")
        self.run_("mail", "resume", "--domain", "held.example.org")
        self.assertRegex(self.run_("mail"), "^sent 1, ")
        self.assertEqual([letter.to for letter in self.zgoda.new_letters()], ["bob@held.example.org"])
        self.run_("mail", "resume", "--newsletter", "opinion")
        self.assertRegex(self.run_("mail"), "^sent 2, ")
        self.refused("mail", "pause", "--newsletter", "nothing", code=NOT_FOUND)
        self.refused("mail", "pause", "--domain", "not a domain")
        self.assertEqual(self.run_("mail", "resume"), "all letters were not paused\n")


class Purge(Desk):
    def test_forgets_what_is_due_and_nothing_else(self):
        self.zgoda.serve()
        self.sign_up("stays@example.org")
        self.sign_up("never@example.org", "other@example.org", confirm=False)
        self.run_("mail")
        self.assertEqual(json.loads(self.run_("purge", "--json"))["unconfirmed_people"], 0)
        ids = self.ask("SELECT id FROM person WHERE addr_key = 'never@example.org'")
        time.sleep(1.2)
        soon = {"retention_unconfirmed": "1s", "retention_ip_evidence": "1s", "retention_outbox": "1s"}
        would = json.loads(self.run_("purge", "--dry-run", "--json", **soon))
        self.assertEqual((would["unconfirmed_people"], would["letters"] > 0, would["requests"] > 0, would["events"] > 0),
                         (2, True, True, True))
        self.assertEqual(len(self.zgoda.statuses()), 3, "a dry run changes nothing")
        done = json.loads(self.run_("purge", "--json", **soon))
        self.assertEqual(done["unconfirmed_people"], 2)
        self.assertEqual(self.zgoda.statuses(), {("stays@example.org", "ukraine-daily"): "confirmed"})
        self.run_("consent", "verify")
        self.assertEqual(self.ask("SELECT count(*) FROM letter"), [(0,)])
        self.assertEqual(self.ask("SELECT ip, user_agent FROM request"), [("127.0.0.0/24", "")])
        self.assertNotIn("127.0.0.1", self.run_("consent", "show", "stays@example.org"))
        self.assertEqual(self.ask(f"SELECT count(*) FROM ledger WHERE person = {ids[0][0]} AND identity <> ''"), [(0,)])
        self.assertEqual(json.loads(self.run_("purge", "--json", **soon)),
                         {"unconfirmed_people": 0, "events": 0, "requests": 0, "letters": 0, "budgets": 0, "wrong_codes": 0})
        # who is forgotten is not forgotten by the mail budget
        for _ in range(3): self.sign_up("never@example.org", confirm=False)
        self.run_("mail")
        self.assertEqual([letter.to for letter in self.zgoda.new_letters()].count("never@example.org"), 1, "the first one only")


class WhoMayComeBack(Desk):
    def test_suppress_add_list_remove(self):
        self.zgoda.serve()
        self.refused("suppress", "add", "ada@example.org")
        self.refused("suppress", "add", "ada@example.org", "--reason", "she is ada@example.org", says=["leave addresses out"])
        self.run_("suppress", "add", "ADA@example.org", "--reason", "her lawyer wrote")
        self.assertIn("already", self.run_("suppress", "add", "ada@example.org", "--reason", "again"))
        self.sign_up("ada@example.org", confirm=False)
        self.assertEqual(self.run_("mail"), "")
        self.assertIn("admin", self.run_("suppress", "list"))
        self.assertIn("no more letters: admin", self.run_("subscriber", "explain", "ada@example.org"))
        self.assertNotIn("ada@", self.run_("suppress", "list", "--json"))
        self.assertEqual(len(self.run_("suppress", "list", "ada@example.org").splitlines()), 1)
        self.assertEqual(self.run_("suppress", "list", "--reason", "complaint"), "")
        self.assertEqual(self.run_("suppress", "remove", "ada@example.org", "--reason", "she wrote again"), "lifted: admin\n")
        self.refused("suppress", "remove", "ada@example.org", "--reason", "twice", code=NOT_FOUND)
        self.sign_up("ada@example.org", confirm=False)
        self.assertRegex(self.run_("mail"), "^sent 1, ")
        told = self.run_("subscriber", "explain", "ada@example.org")
        self.assertIn("letters allowed again", told)
        self.run_("consent", "verify")

    def test_suppress_import(self):
        (self.zgoda.folder / "list.txt").write_text("ada@example.org\nbob@example.org\nnobody\n")
        self.assertEqual(self.run_("suppress", "import", "list.txt", "--reason", "law"), "suppressed 2, already 0, no address 1 of 3 rows\n")
        self.refused("suppress", "import", "no.txt", "--reason", "law", code=NOT_FOUND, says=["no.txt"])

    def test_not_me_is_lifted_by_an_administrator_only(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org", confirm=False)
        self.assertIn(self.zgoda.client.press(self.zgoda.letter().link("not-me")).status, (200, 303))
        self.sign_up("ada@example.org", confirm=False)
        self.assertEqual(self.run_("mail"), "")
        self.refused("subscriber", "confirm", "ada@example.org", "--evidence", "she says so", code=FAILED, says=["suppress remove"])
        self.assertEqual(self.run_("suppress", "remove", "ada@example.org", "--reason", "it was her"), "lifted: not_me\n")
        time.sleep(0.01)
        self.sign_up("ada@example.org", confirm=False)
        self.run_("subscriber", "resend", "ada@example.org", "--over-budget", "--reason", "asked by telephone")
        self.assertRegex(self.run_("mail"), "^sent 1, ")

    def test_erased_is_never_lifted(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org")
        self.run_("subscriber", "erase", "ada@example.org", "--yes")
        self.refused("suppress", "remove", "ada@example.org", "--reason", "imports want her", code=NOT_FOUND)
        self.assertIn("erased", self.run_("suppress", "list"))


class People(Desk):
    def test_find(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org", "bob@example.net", name="Ada Byron", confirm=False)
        self.assertIn("ada@example.org", self.run_("subscriber", "find", "ADA@"))
        self.assertEqual(len(self.run_("subscriber", "find", "example").splitlines()), 2)
        self.assertEqual(len(self.run_("subscriber", "find", "b*example.net").splitlines()), 1)
        row = json.loads(self.run_("subscriber", "find", "bob", "--json"))
        self.assertEqual(json.loads(self.run_("subscriber", "find", str(row["id"]), "--json"))["address"], "bob@example.net")
        self.refused("subscriber", "find", "zoe", code=NOT_FOUND)
        self.assertEqual(len(self.run_("subscriber", "find", "example", "--limit", "1").splitlines()), 1)

    def test_confirm_with_evidence(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org", slugs=("ukraine-daily", "opinion"), confirm=False)
        self.refused("subscriber", "confirm", "ada@example.org")
        self.refused("subscriber", "confirm", "ada@example.org", "--evidence", " ")
        self.run_("subscriber", "confirm", "ada@example.org", "--newsletter", "opinion", "--evidence", "signed card, folder 12")
        self.assertEqual(self.zgoda.statuses(), {("ada@example.org", "opinion"): "confirmed", ("ada@example.org", "ukraine-daily"): "pending"})
        self.assertIn("signed card, folder 12", self.run_("consent", "show", "ada@example.org"))
        self.assertIn("confirmed opinion by admin", self.run_("subscriber", "explain", "ada@example.org"))
        letter = self.zgoda.letter()  # still asks for the other one
        self.zgoda.client.press(letter.link("confirm"))
        self.assertEqual(set(self.zgoda.statuses().values()), {"confirmed"})
        self.run_("subscriber", "unsubscribe", "ada@example.org", "--newsletter", "opinion", "--yes")
        self.refused("subscriber", "confirm", "ada@example.org", "--evidence", "no wish of hers", code=FAILED)
        self.refused("subscriber", "confirm", "nobody@example.org", "--evidence", "x", code=NOT_FOUND)
        self.run_("consent", "verify")

    def test_consent_has_the_exact_words(self):
        self.run_("newsletter", "edit", "opinion", "--consent", "I want Opinion, every Monday.")
        self.zgoda.serve()
        page = self.zgoda.client.get("/newsletters/opinion", Accept="text/html").text
        wording = re.search(r'name="consent[^"]*" value="([0-9a-f]{32})"', page)[1]
        letters = self.sign_up("ada@example.org", slugs=("opinion",), consent=[wording], source="https://news.example/a?x=1")
        self.run_("newsletter", "edit", "opinion", "--consent", "Other words by now.")
        told = self.run_("consent", "show", "ada@example.org")
        for part in ("I want Opinion, every Monday.", "https://news.example/a", letters["ada@example.org"].id.strip("<>"), "link"):
            self.assertIn(part, told)
        events = json.loads(self.run_("consent", "show", "ada@example.org", "--json"))["events"]
        self.assertEqual(events[0]["details"]["newsletters"][0]["wording_text"], "I want Opinion, every Monday.")


class Audit(Desk):
    def test_has_every_act_and_no_address(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org", slugs=("ukraine-daily", "opinion"))
        self.sign_up("bob@example.org", confirm=False)
        self.run_("subscriber", "resend", "bob@example.org", "--over-budget", "--reason", "asked by telephone")  # it was queued already
        self.run_("mail")
        self.run_("newsletter", "edit", "opinion", "--description", "Words")
        self.run_("newsletter", "rename", "opinion", "views")
        self.run_("newsletter", "close", "views")
        self.run_("newsletter", "open", "views")
        self.run_("subscriber", "unsubscribe", "ada@example.org", "--newsletter", "views", "--yes")
        self.run_("subscriber", "resend", "bob@example.org", "--over-budget", "--reason", "asked by telephone")
        self.run_("subscriber", "confirm", "bob@example.org", "--evidence", "card")
        self.run_("subscriber", "erase", "bob@example.org", "--yes")
        self.run_("suppress", "add", "eve@example.org", "--reason", "law")
        self.run_("suppress", "remove", "eve@example.org", "--reason", "law")
        self.run_("backup", str(self.zgoda.folder / "night.db"))
        self.refused("newsletter", "add", "views", "--name", "x", code=FAILED)  # not done, not told
        acts = self.acts()
        self.assertEqual([act["what"] for act in reversed(acts)], [
            "newsletter add", "newsletter add", "newsletter edit description", "newsletter rename", "newsletter close",
            "newsletter open", "subscriber unsubscribe", "subscriber resend", "subscriber confirm", "subscriber erase",
            "suppress add", "suppress remove", "backup"])
        self.assertNotIn("@", json.dumps(acts))
        self.assertTrue(all(act["who"] for act in acts))
        self.assertEqual(len(self.run_("audit", "--limit", "2").splitlines()), 2)


class Doctor(Desk):
    def look(self, expect, **settings):
        """What it finds, by what it looked at; the same on paper and in JSON."""
        done = self.zgoda.call("doctor", "--json", **settings)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        lines = self.run_("doctor", expect=expect, **settings).splitlines()
        self.assertEqual([line.split()[:2] for line in lines], [[one["grade"], one["check"]] for one in report["findings"]])
        self.assertEqual(report["grade"] == "failure", expect == FAILED)
        return {one["check"]: one for one in report["findings"]}

    def test_finds_nothing_wrong_with_a_service_at_work(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org")
        found = self.look(OK)
        self.assertEqual(set(found) - {"settings"}, {"database", "keys", "disk", "clock", "permissions", "relay", "mailer", "proxies", "sqlite"})
        self.assertEqual(found["mailer"]["grade"], "ok")
        self.assertIn(sqlite3.sqlite_version, found["sqlite"]["what"])
        self.assertEqual(self.zgoda.client.get("/").status, 200)

    def test_a_proxy_that_nobody_trusts_is_a_failure_until_the_service_starts_anew(self):
        self.zgoda.serve(server_trusted_proxies="unix")
        self.assertEqual(self.look(OK)["proxies"]["grade"], "ok")
        self.zgoda.client.get("/", **{"X-Forwarded-For": "203.0.113.9"})
        time.sleep(0.3)
        found = self.look(FAILED)["proxies"]
        self.assertEqual(found["grade"], "failure")
        self.assertIn("127.0.0.0/24", found["what"])
        self.assertNotIn("203.0.113", found["what"])
        self.zgoda.stop()
        self.zgoda.serve()
        self.zgoda.client.get("/", **{"X-Forwarded-For": "203.0.113.9"})
        time.sleep(0.3)
        self.assertEqual(self.look(OK)["proxies"]["grade"], "ok")

    def test_finds_what_is_wrong(self):
        self.zgoda.database.chmod(0o644)
        self.assertIn("chmod 600", self.look(FAILED)["permissions"]["to_do"])
        self.zgoda.database.chmod(0o600)
        self.look(OK)
        self.assertEqual(self.look(FAILED, mail_url="smtp://127.0.0.1:9", mail_tls="none")["relay"]["grade"], "failure")
        sink = SmtpSink(self.zgoda.folder)
        self.addCleanup(sink.stop)
        self.assertEqual(self.look(OK, mail_url=sink.url, mail_tls="none")["relay"]["grade"], "ok")
        self.assertEqual(sink.new_entries(), [])
        password = self.zgoda.folder / "password"
        password.write_text("secret")
        password.chmod(0o600)
        found = self.look(FAILED, mail_url=sink.url, mail_tls="none", mail_username="news", mail_password_file=str(password))
        self.assertIn("authentication", found["relay"]["what"])
        self.run_("mail", "pause")
        self.assertEqual(self.look(OK)["mailer"]["grade"], "warning")
        key = self.zgoda.folder / "var" / "secret.key"
        key.chmod(0o644)
        self.assertEqual(self.look(FAILED)["keys"]["grade"], "failure")
        key.chmod(0o600)
        self.zgoda.database.unlink()
        self.refused("doctor", code=USAGE, says=["there is no database"])


class Stats(Desk):
    def test_the_funnel(self):
        self.zgoda.stop()
        self.zgoda.settings["server_allowed_origins"] = "https://news.example"
        self.zgoda.serve()
        letters = self.sign_up("ada@example.org", "bob@example.org", form="footer", source="https://news.example/a", locale="uk")
        self.sign_up("eve@example.org", slugs=("ukraine-daily", "opinion"), form="popup", source="https://evil.example/", confirm=False)
        self.sign_up("bot@example.org", website="x", confirm=False)
        self.run_("subscriber", "unsubscribe", "ada@example.org", "--all", "--yes")
        def rows(*arguments):
            told = json.loads(self.run_("stats", "--json", *arguments))
            return {row["name"]: tuple(row[key] for key in ("signups", "letters", "confirmed", "bounced", "left")) for row in told["rows"]}
        self.assertEqual(rows(), {"ukraine-daily": (3, 2, 2, 0, 1), "opinion": (1, 0, 0, 0, 0)})
        self.assertEqual(rows("--by", "form"), {"footer": (2, 2, 2, 0, 1), "popup": (2, 0, 0, 0, 0)})
        self.assertEqual(rows("--by", "source"), {"https://news.example/a": (2, 2, 2, 0, 1), "other": (2, 0, 0, 0, 0)})
        self.assertEqual(rows("--by", "locale", "--newsletter", "ukraine-daily"), {"uk": (2, 2, 2, 0, 1), "en": (1, 0, 0, 0, 0)})
        self.assertEqual(len(rows("--by", "day")), 1)
        table = self.run_("stats")
        self.assertIn("ukraine-daily", table)
        self.assertIn("66 %", table)
        self.refused("stats", "--newsletter", "nothing", code=NOT_FOUND)
        self.refused("stats", "--by", "address")


class Keys(Desk):
    def test_rotate_keeps_old_links_and_signs_new_ones(self):
        self.zgoda.serve()
        self.sign_up("ada@example.org", confirm=False)
        self.run_("mail")
        old = self.zgoda.new_letters()[0]
        self.zgoda.stop()
        key = self.zgoda.folder / "var" / "secret.key"
        before = key.read_text()
        self.assertEqual(self.run_("keys", "rotate"), "key 2 signs from now on\n")
        self.assertEqual(self.acts()[0]["what"], "keys rotate")
        self.assertTrue(key.read_text().startswith(before))
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        self.zgoda.serve()
        self.assertIn(self.zgoda.client.press(old.link("confirm")).status, (200, 303))
        self.sign_up("eve@example.org")
        self.assertEqual(set(self.zgoda.statuses().values()), {"confirmed"})
        self.run_("consent", "verify")
        key.write_text(before)  # without the new key the head is nobody's
        self.assertEqual(self.zgoda.call("consent", "verify").returncode, FAILED)


if __name__ == "__main__":
    unittest.main()
