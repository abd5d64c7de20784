#!/usr/bin/python3
"""The command line as an administrator and a script meet it: verbs, what goes to stdout, exit codes."""
import csv
import email
import email.policy
import io
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from program import BINARY, Program, SmtpSink, free_port

OK, FAILED, USAGE, NOT_FOUND, LATER = 0, 1, 2, 3, 75


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.zgoda = Program()
        self.addCleanup(self.zgoda.remove)

    def run_(self, *arguments, **how): return self.zgoda.run(*arguments, **how)

    def refused(self, *arguments, code=USAGE, says=(), **how):
        done = self.zgoda.call(*arguments, **how)
        self.assertEqual((done.returncode, done.stdout), (code, ""), f"zgoda {' '.join(arguments)}: {done.stderr}")
        for text in says: self.assertIn(text, done.stderr)
        return done.stderr

    def sign_up(self, *addresses, slugs=("ukraine-daily",), confirm=True, **fields):
        """Through the service, which is stopped again."""
        self.zgoda.serve()
        tickets = {}
        for address in addresses:
            reply = self.zgoda.client.sign_up(address, *slugs, **fields)
            self.assertEqual(reply.status, 202)
            tickets[address.lower()] = reply.json()["ticket"]
        if confirm:
            self.run_("mail")
            for letter in self.zgoda.new_letters():
                self.assertEqual(self.zgoda.client.type_code(tickets[letter.to.lower()], letter.code()).status, 200)
        self.zgoda.stop()


class Basics(CommandLine):
    def test_help_and_version_need_nothing(self):
        self.assertIn("serve", self.run_("--help"))
        self.assertIn("--follow", self.run_("mail", "--help"))
        self.assertRegex(self.run_("--version"), r"\d+\.\d+")

    def test_help_names_the_kind_of_each_value(self):
        for verb, text in ((("import",), "--basis TEXT"), (("suppress", "add"), "--reason TEXT"), (("stats",), "--days N"),
                           (("subscriber", "show"), "  ADDRESS (required)")):
            self.assertIn(text, self.zgoda.run(*verb, "--help"))
        for group in ("subscriber", "newsletter", "mail"):  # no verb without a sentence
            verbs = self.zgoda.run(group, "--help").partition("\nSubcommands:\n")[2] or self.fail("no list of verbs")
            for line in verbs.splitlines(): self.assertRegex(line, r"^  .{32,}\S|^$", group)

    def test_wrong_usage_and_settings(self):
        self.refused("dance")
        for verb in ("backup", "restore"): self.refused(verb, "", says=["FILE: wants a name"])
        self.refused("newsletter", "add")
        self.refused("export", "--format", "xls")
        self.refused("check-config", mail_tls="perhaps", says=["mail.tls"])
        self.refused("check-config", server_lisen="127.0.0.1:1", says=["SERVER_LISEN"])
        self.refused("serve", limits_per_ip="many", says=["limits.per_ip"])
        self.refused("serve", mail_url="smtp://mail.example:587", says=["public_url"])  # links nobody could open
        file = self.zgoda.folder / "zgoda.toml"
        file.write_text("[server]\nlisten = 8080\n")
        self.refused("check-config", says=["zgoda.toml", "2", "listen"])
        file.write_text("[storage]\nurl = 'sqlite:elsewhere/z.db'\n")
        self.run_("check-config")
        self.run_("migrate")
        self.assertTrue((self.zgoda.folder / "elsewhere" / "z.db").exists(), "paths are relative to the settings file")

    def test_without_a_database(self):
        for verb in (["mail"], ["export"], ["newsletter", "list"], ["subscriber", "explain", "a@b.example"], ["consent", "verify"]):
            self.refused(*verb, says=["zgoda.db", "storage.url"])
        self.assertFalse(self.zgoda.database.exists())
        self.run_("migrate")
        self.run_("migrate", "--check")
        self.assertEqual(json.loads(self.run_("newsletter", "list", "--json")), [])
        self.assertEqual(stat.S_IMODE((self.zgoda.database).stat().st_mode) & 0o007, 0)

    def test_the_key_file(self):
        self.zgoda.make("ukraine-daily")
        self.sign_up("ada@example.org")
        key = self.zgoda.folder / "var" / "secret.key"
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        key.chmod(0o644)
        self.refused("serve", says=["secret.key"])
        key.chmod(0o600)
        whole = key.read_text()
        key.write_text("1 abcd 2026-01-01T00:00:00Z\n")
        self.refused("serve", says=["secret.key"])
        key.unlink()
        self.refused("serve", says=["secret.key"])
        key.write_text(whole)
        key.chmod(0o600)
        self.run_("consent", "verify")

    @unittest.skipUnless(os.getuid() == 0, "only root can act as another user than the database's owner")
    def test_as_another_user_than_the_owner(self):
        self.zgoda.make("ukraine-daily")
        for path in [self.zgoda.folder, *self.zgoda.folder.rglob("*")]: os.chown(path, 65534, 65534)
        self.assertIn("sudo -u nobody", self.zgoda.call("export").stderr)
        self.assertNotEqual(self.zgoda.call("export").returncode, 0)

    @unittest.skipUnless(os.getuid() == 0, "only root can act as another user than the database's owner")
    def test_as_another_user_where_the_folder_is_closed(self):
        self.zgoda.make("ukraine-daily")
        self.zgoda.folder.chmod(0o755)
        (self.zgoda.folder / "var").chmod(0o700)
        nobody = ("setpriv", "--reuid", "65534", "--clear-groups")
        if subprocess.run([*nobody, str(BINARY), "--version"], cwd=self.zgoda.folder, stdout=subprocess.DEVNULL).returncode != 0:
            self.skipTest("another user can't run this build")
        for verb in (("stats",), ("mail",), ("export",), ("backup", "x.db"), ("bounces", "-"), ("serve",), ("migrate",), ("migrate", "--check"),
                     ("restore", "x.db")):
            done = self.zgoda.call(*verb, before=nobody, stdin=b"")
            self.assertEqual(done.returncode, USAGE, f"{verb} {done.stderr}")
            self.assertRegex(done.stderr, rf"sudo -u root .*zgoda {' '.join(verb)}\n", verb)
        told = self.zgoda.call("check-config", before=nobody).stdout
        self.assertEqual(told.count("this user can't look at it"), 2, told)
        self.assertNotIn("made at the first start", told)


class Newsletters(CommandLine):
    def test_always_have_a_name_in_some_language(self):
        self.run_("migrate")
        self.run_("newsletter", "add", "ranok", "--in", "uk", "--name", "Ранок")
        self.assertIn("Ранок", self.run_("newsletter", "list"))
        self.assertNotEqual(self.zgoda.call("newsletter", "edit", "ranok", "--in", "uk", "--name", "").returncode, OK)
        self.run_("newsletter", "edit", "ranok", "--name", "Morning")
        self.run_("newsletter", "edit", "ranok", "--in", "uk", "--name", "")
        self.assertIn("Morning", self.run_("newsletter", "list"))

    def test_are_added_edited_renamed_closed_and_opened(self):
        self.run_("migrate")
        self.run_("newsletter", "add", "explaining-ukraine", "--name", "Explaining Ukraine with Kate Tsurkan")
        self.run_("newsletter", "edit", "explaining-ukraine", "--in", "uk", "--name", "Пояснюючи Україну")
        self.refused("newsletter", "add", "explaining-ukraine", "--name", "Again", code=FAILED)
        self.refused("newsletter", "add", "Not A Slug", "--name", "x")
        self.refused("newsletter", "edit", "explaining-ukraine", "--name", "two\nlines")
        self.refused("newsletter", "show", "nothing", code=NOT_FOUND)
        self.assertIn("Kate Tsurkan", self.run_("newsletter", "show", "explaining-ukraine"))
        self.run_("newsletter", "rename", "explaining-ukraine", "explaining")
        self.assertIn("Kate Tsurkan", self.run_("newsletter", "show", "explaining-ukraine"), "the old name stays as an alias")
        self.run_("newsletter", "close", "explaining")
        self.zgoda.serve()
        self.assertEqual(self.zgoda.client.sign_up("ada@example.org", "explaining").status, 404)
        self.run_("newsletter", "open", "explaining")  # while the service runs
        self.assertEqual(self.zgoda.client.sign_up("ada@example.org", "explaining-ukraine").status, 202)
        shown = self.zgoda.client.get("/v1/newsletters?locale=uk").json()
        self.assertEqual([(row["slug"], row["name"]) for row in shown], [("explaining", "Пояснюючи Україну")])
        self.zgoda.stop()

    def test_letter_preview(self):
        self.zgoda.make("ukraine-daily")
        out = self.zgoda.folder / "letter.eml"
        self.run_("letter", "preview", "ukraine-daily", "--kind", "confirmation", "--locale", "uk", "-o", str(out))
        self.assertIn(b"Content-Language: uk", out.read_bytes())
        for locale in ("en", "uk"):
            for kind in ("confirmation", "already_subscribed", "preference_link", "address_change", "welcome", "goodbye"):
                self.run_("letter", "preview", "ukraine-daily", "--kind", kind, "--locale", locale, "-o", str(out))
                letter = email.message_from_bytes(out.read_bytes(), policy=email.policy.default)
                self.assertEqual(letter["Content-Language"], locale)
                self.assertEqual("List-Unsubscribe-Post" in letter, kind in ("confirmation", "already_subscribed", "welcome"))
                for part in ("plain", "html"):
                    self.assertGreater(len(letter.get_body((part,)).get_content()), 100)
        self.run_("newsletter", "edit", "ukraine-daily", "--welcome", "Good morning!", "--in", "uk", "--goodbye", "Бувайте!")
        self.assertIn("Бувайте!", email.message_from_string(self.run_(
            "letter", "preview", "ukraine-daily", "--kind", "goodbye", "--locale", "uk"),
            policy=email.policy.default).get_body(("plain",)).get_content())
        self.refused("letter", "preview", "nothing", "--kind", "confirmation", code=NOT_FOUND)
        self.refused("letter", "preview", "ukraine-daily", "--kind", "poem")


class Export(CommandLine):
    def test_guards_cells_against_spreadsheets(self):
        self.zgoda.make("ukraine-daily", "opinion")
        self.sign_up("eve@example.org", name='=HYPERLINK("https://evil.example","x")')
        self.sign_up("=cmd@example.org", name="'quoted, and more")
        self.sign_up("late@example.org", slugs=("opinion",), confirm=False)

        def rows(*arguments): return list(csv.DictReader(io.StringIO(self.run_("export", *arguments), newline="")))
        self.assertEqual([(row["email"], row["name"]) for row in rows()], [
            ("eve@example.org", '\'=HYPERLINK("https://evil.example","x")'), ("'=cmd@example.org", "''quoted, and more")])
        self.assertEqual([(row["email"], row["name"]) for row in rows("--raw")], [
            ("eve@example.org", '=HYPERLINK("https://evil.example","x")'), ("=cmd@example.org", "'quoted, and more")])
        self.assertEqual([row["email"] for row in rows("--status", "pending")], ["late@example.org"])
        self.assertEqual(len(rows("--status", "all")), 3)
        self.assertEqual([row["email"] for row in rows("--status", "all", "--newsletter", "opinion")], ["late@example.org"])
        self.refused("export", "--newsletter", "nothing", code=NOT_FOUND)
        ndjson = [json.loads(line) for line in self.run_("export", "--status", "all", "--format", "ndjson").splitlines()]
        self.assertEqual([row["email"] for row in ndjson], ["eve@example.org", "=cmd@example.org", "late@example.org"])
        text = self.run_("export")
        self.assertEqual(text.count("\r\n"), text.count("\n"))

    def test_makes_a_file_whole_or_not_at_all(self):
        self.zgoda.make("ukraine-daily")
        self.sign_up("ada@example.org")
        out = self.zgoda.folder / "monday.csv"
        self.run_("export", "-o", str(out))
        self.assertEqual(out.read_text().count("\n"), 2)
        self.assertEqual(stat.S_IMODE(out.stat().st_mode), 0o600)
        before = set(os.listdir(self.zgoda.folder))
        done = self.zgoda.call("export", "-o", str(self.zgoda.folder / "no" / "folder.csv"))
        self.assertIn(done.returncode, (FAILED, USAGE))
        self.assertEqual(set(os.listdir(self.zgoda.folder)), before)
        with open("/dev/full", "w") as full:
            done = subprocess.run([str(BINARY), "export"], cwd=self.zgoda.folder, env=self.zgoda.environment(),
                                  stdout=full, stderr=subprocess.DEVNULL)
        self.assertEqual(done.returncode, FAILED, "a full stdout is not success")


    def test_a_name_of_stdout_is_stdout(self):
        """/dev/stdout is a link of this kind; renaming a file to it would leave a file there."""
        self.zgoda.make("ukraine-daily")
        link, appended = self.zgoda.folder / "stdout", self.zgoda.folder / "all.csv"
        link.symlink_to("/proc/self/fd/1")
        def run(*verb, **how):
            return subprocess.run([str(BINARY), *verb], cwd=self.zgoda.folder, env=self.zgoda.environment(), stderr=subprocess.PIPE, **how)
        done = run("export", "-o", str(link), stdout=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout[:6]), (OK, b"email,"), done.stderr)
        appended.write_bytes(b"before\n")
        with appended.open("ab") as out: self.assertEqual(run("export", "-o", str(link), stdout=out).returncode, OK)
        self.assertTrue(appended.read_bytes().startswith(b"before\nemail,"))
        people = self.zgoda.folder / "a.csv"
        people.write_text("email\nada@example.org\n")
        import_ = ("--newsletter", "ukraine-daily", "--basis", "b", "--unproven", "confirmed")
        done = run("import", str(people), *import_, "--report", str(link), stdout=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout), (FAILED, b""), done.stderr)
        self.assertIn(b"cannot write", done.stderr)
        with people.open("rb") as input_:
            done = run("import", "-", *import_, "--report", str(people), stdin=input_, stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, USAGE, done.stderr)
        self.assertEqual(people.read_text(), "email\nada@example.org\n")
        self.assertTrue(link.is_symlink())

    def test_no_output_takes_the_place_of_what_zgoda_lives_from(self):
        self.zgoda.make("ukraine-daily")
        folder = self.zgoda.folder
        settings, people, fifo = folder / "zgoda.toml", folder / "a.csv", folder / "fifo"
        settings.write_text("[log]\nlevel = 'warn'\n")
        people.write_text("email\nada@example.org\n")
        os.mkfifo(fifo)
        (folder / "link").symlink_to(folder / "var" / "secret.key")
        os.link(self.zgoda.database, folder / "hard")
        self.run_("subscriber", "find", "x", expect=NOT_FOUND)
        var = [folder / "var" / name for name in ("zgoda.db", "zgoda.db-wal", "zgoda.db-shm", "zgoda.db.lock", "zgoda.db.turn",
                                                  "zgoda.db.users", "zgoda.db.dry-run.lock", "secret.key", "withdrawals.log")]
        var[-1].touch()
        own = var + [settings, folder / "link", folder / "hard", folder / "var" / ".." / "var" / "secret.key"]
        import_ = ("import", str(people), "--newsletter", "ukraine-daily", "--basis", "b", "--unproven", "confirmed")
        before = {path: path.read_bytes() for path in own if path.exists()}
        for file in map(str, own):
            for verb in (("export", "-o", file), (*import_, "--report", file), (*import_, "--dry-run", "--report", file),
                         ("unsubscribe", "import", str(people), "--all", "--reason", "r", "--report", file),
                         ("letter", "preview", "ukraine-daily", "-o", file), ("backup", file, "--yes"), ("backup", file)):
                self.refused(*verb, says=["cannot write"])
        self.refused("export", "-o", "var/zgoda.db", says=["storage.url"])
        self.refused(*import_, "--report", str(people), says=["to be read"])
        self.refused("backup", str(fifo), "--yes", says=["not a regular file"])
        self.refused("backup", str(folder), "--yes", says=["not a regular file"])
        self.assertTrue(stat.S_ISFIFO(fifo.lstat().st_mode))
        self.assertEqual({path: path.read_bytes() for path in own if path.exists()}, before)
        self.assertEqual(people.read_text(), "email\nada@example.org\n")
        self.run_("backup", "var/zgoda.db.copy")
        self.run_("backup", "var/zgoda.db.copy", "--yes")
        self.run_("export", "-o", "var/people.csv")


class Mail(CommandLine):
    def test_tries_later_when_the_relay_cannot_be_reached(self):
        self.zgoda.make("ukraine-daily")
        self.sign_up("ada@example.org", confirm=False)
        nobody = f"smtp://127.0.0.1:{free_port()}"
        self.zgoda.run("mail", expect=LATER, mail_url=nobody, mail_tls="none")
        self.assertIn("1", self.run_("mail", "status"))
        self.assertEqual(self.run_("mail", "--dry-run").count("@"), 0)

    def test_two_at_once_share_the_work(self):
        self.zgoda.make("ukraine-daily")
        addresses = [f"reader{number}@example.org" for number in range(300)]
        self.sign_up(*addresses, confirm=False)
        sink = SmtpSink(self.zgoda.folder)
        self.addCleanup(sink.stop)
        mailers = [self.zgoda.start("mail", mail_url=sink.url, mail_tls="none") for _ in range(2)]
        self.assertEqual([mailer.wait(60) for mailer in mailers], [OK, OK])
        letters = sink.new_letters()
        self.assertEqual(sorted(letter.to for letter in letters), sorted(addresses), "each once")
        self.assertEqual(len({letter.id for letter in letters}), 300)

    def test_sends_no_more_than_its_limit(self):
        self.zgoda.make("ukraine-daily")
        self.sign_up(*(f"reader{number}@example.org" for number in range(5)), confirm=False)
        self.assertRegex(self.run_("mail", "--limit", "2"), "^sent 2, ")
        self.assertRegex(self.run_("mail"), "^sent 3, ")

    def test_an_idle_run_is_short(self):
        self.zgoda.make("ukraine-daily")
        times = []
        for _ in range(9):
            start = time.monotonic()
            self.assertEqual(self.run_("mail"), "")
            times.append(time.monotonic() - start)
        self.assertLess(sorted(times)[4], 0.5)


class Subscribers(CommandLine):
    def test_show_explain_resend_unsubscribe_erase(self):
        self.zgoda.make("ukraine-daily", "opinion")
        self.sign_up("ada@example.org", slugs=("ukraine-daily", "opinion"))
        self.sign_up("waits@example.org", confirm=False)
        self.assertIn("confirmed", self.run_("subscriber", "show", "ADA@example.org"))
        self.assertIn("confirmed", self.run_("subscriber", "explain", "ada@example.org"))
        self.refused("subscriber", "show", "nobody@example.org", code=NOT_FOUND)
        self.refused("subscriber", "show", "not an address")
        self.run_("mail")
        self.run_("subscriber", "resend", "waits@example.org", "--over-budget", "--reason", "asked by telephone")
        self.assertEqual(len(self.zgoda.new_letters()), 1)
        self.assertEqual(self.zgoda.letter().to, "waits@example.org")
        self.run_("subscriber", "unsubscribe", "ada@example.org", "--newsletter", "opinion", "--yes")
        self.assertEqual(self.zgoda.statuses()["ada@example.org", "opinion"], "unsubscribed")
        self.assertEqual(self.zgoda.statuses()["ada@example.org", "ukraine-daily"], "confirmed")
        self.run_("consent", "show", "ada@example.org")
        self.run_("subscriber", "erase", "ada@example.org", "--yes")
        self.refused("subscriber", "show", "ada@example.org", code=NOT_FOUND)
        self.run_("consent", "verify")
        self.assertEqual(list(self.zgoda.statuses()), [("waits@example.org", "ukraine-daily")])

    def test_text_of_strangers_is_made_visible(self):
        self.zgoda.make("ukraine-daily")
        self.sign_up("eve@example.org", name="\u202egnp.exe\u2066", confirm=True)
        for verb in ("show", "explain"):
            told = self.run_("subscriber", verb, "eve@example.org")
            self.assertNotRegex(told, "[\u202a-\u202e\u2066-\u2069\x1b]")


class Consent(CommandLine):
    """The chain of consents finds what was done to it behind the program's back."""

    def setUp(self):
        super().setUp()
        self.zgoda.make("ukraine-daily")
        self.sign_up(*(f"reader{number}@example.org" for number in range(5)))

    def spoiled(self, *statements):
        """A verdict on a copy that was changed by hand."""
        whole = self.zgoda.database.with_name("whole.db")
        self.copy(self.zgoda.database, whole)
        with sqlite3.connect(self.zgoda.database) as database:
            for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {trigger}")
            for statement in statements: self.assertGreater(database.execute(statement).rowcount, 0, statement)
        database.close()
        code = self.zgoda.call("consent", "verify").returncode
        self.copy(whole, self.zgoda.database)
        self.run_("consent", "verify")
        return code

    def copy(self, source, target):
        with sqlite3.connect(source) as a: a.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        a.close()
        for end in ("-wal", "-shm"): target.with_name(target.name + end).unlink(missing_ok=True)
        shutil.copyfile(source, target)

    def test_finds_an_edit_a_deletion_and_a_swap(self):
        self.run_("consent", "verify")
        self.assertEqual(self.spoiled("UPDATE ledger SET at = at + 1 WHERE seq = 3"), FAILED)
        self.assertEqual(self.spoiled("UPDATE ledger SET identity = replace(identity, 'reader0', 'reader9') WHERE seq = 1"), FAILED)
        self.assertEqual(self.spoiled("DELETE FROM ledger WHERE seq = 3"), FAILED)
        self.assertEqual(self.spoiled("UPDATE ledger SET seq = -1 WHERE seq = 3", "UPDATE ledger SET seq = 3 WHERE seq = 4",
                                      "UPDATE ledger SET seq = 4 WHERE seq = -1"), FAILED)
        self.assertEqual(self.spoiled("DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)"), FAILED)

    def test_finds_a_cut_tail_given_an_earlier_head(self):
        head = json.loads(self.run_("consent", "verify", "--json"))["head"]
        old = self.zgoda.database.with_name("old.db")
        self.copy(self.zgoda.database, old)
        self.sign_up("last@example.org")
        self.run_("consent", "verify", "--expect-head", head)
        newer = json.loads(self.run_("consent", "verify", "--json"))["head"]
        self.copy(old, self.zgoda.database)
        self.run_("consent", "verify")
        self.assertEqual(self.zgoda.call("consent", "verify", "--expect-head", newer).returncode, FAILED)


if __name__ == "__main__":
    unittest.main()
