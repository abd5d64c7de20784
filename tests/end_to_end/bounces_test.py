#!/usr/bin/python3
"""What comes back: each letter has a return path of its own, and only what came to one is acted upon."""
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from imap_server import ImapServer
from program import ROOT, Program, SmtpSink

DOMAIN = "bounces.example.org"


def notification(to, status="5.1.1", diagnostic="550 5.1.1 user unknown"):
    return f"""Return-Path: <>
Delivered-To: {to}
From: MAILER-DAEMON@mx.example.com
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; somebody@example.com
Action: failed
Status: {status}
Diagnostic-Code: smtp; {diagnostic}

--b--
""".encode()


def complaint(return_path):
    return f"""From: fbl@example.com
To: abuse@example.org
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1

--b
Content-Type: message/rfc822

Return-Path: <{return_path}>
From: news@example.org

Hello
--b--
""".encode()


class World(unittest.TestCase):
    def setUp(self):
        self.zgoda = Program(mail_bounce_domain=DOMAIN, mail_tls="none")
        self.addCleanup(self.zgoda.remove)
        self.sink = SmtpSink(self.zgoda.folder)
        self.addCleanup(self.sink.stop)
        self.zgoda.settings["mail_url"] = self.sink.url
        self.zgoda.make("daily")
        self.maildir = self.zgoda.folder / "returned"
        for folder in ("new", "cur", "tmp"): (self.maildir / folder).mkdir(parents=True)

    def sent_to(self, address, confirm=False):
        """Signs up; gives the return path of the letter."""
        self.zgoda.serve()
        self.assertEqual(self.zgoda.client.sign_up(address, "daily").status, 202)
        self.zgoda.run("mail")
        letter = self.sink.new_letters()[0]
        if confirm: self.assertIn(self.zgoda.client.press(letter.link("confirm")).status, (200, 303))
        self.zgoda.stop()
        return re.fullmatch(r"<(\S+)>.*", letter.envelope["from"])[1]

    def status(self, address): return self.zgoda.statuses()[address, "daily"]


class Bounces(World):
    def comes(self, mail, name="1.mail"):
        (self.maildir / "new" / name).write_bytes(mail)
        return self.zgoda.run("bounces", "--maildir", str(self.maildir))

    def test_each_letter_has_its_own_return_path(self):
        paths = {self.sent_to(f"ada{i}@kyiv.ua") for i in range(3)}
        self.assertEqual(len(paths), 3)
        for path in paths: self.assertRegex(path, rf"^b[a-z2-7]{{15}}-[a-z2-7]{{10}}@{DOMAIN}$")

    def test_a_refused_confirmation_makes_the_signup_undeliverable(self):
        path = self.sent_to("ada@kyiv.ua")
        self.assertIn("undeliverable 1", self.comes(notification(path)))
        self.assertEqual(self.status("ada@kyiv.ua"), "undeliverable")
        for told in (self.zgoda.run("subscriber", "explain", "ada@kyiv.ua"), self.zgoda.run("consent", "show", "ada@kyiv.ua")):
            self.assertRegex(told, r"(?s): 250 .*: 550 5\.1\.1 user unknown")
        self.assertEqual([file.name for file in (self.maildir / "cur").iterdir()], ["1.mail:2,S"])
        self.assertEqual(self.zgoda.run("bounces", "--maildir", str(self.maildir)), "")  # seen

    def test_a_reader_whose_mailbox_is_gone_is_bounced(self):
        path = self.sent_to("ada@kyiv.ua", confirm=True)
        self.assertIn("noted 1", self.comes(notification(path, "5.2.2", "552 5.2.2 mailbox full")))
        self.assertEqual(self.status("ada@kyiv.ua"), "confirmed")
        self.zgoda.run("bounces", "-", stdin=notification(path.upper()))
        self.assertEqual(self.status("ada@kyiv.ua"), "bounced")

    def test_a_complaint_ends_it(self):
        path = self.sent_to("ada@kyiv.ua", confirm=True)
        self.assertIn("complained 1", self.comes(complaint(path)))
        self.assertEqual(self.status("ada@kyiv.ua"), "complained")
        self.zgoda.run("consent", "verify")  # the chain is whole

    def test_a_forged_bounce_does_nothing(self):
        path = self.sent_to("ada@kyiv.ua", confirm=True)
        local, domain = path.split("@")
        for forged in (f"{local[:-1]}{'a' if local[-1] != 'a' else 'b'}@{domain}", f"{local}@elsewhere.example",
                       f"news@{domain}", "ada@kyiv.ua"):
            self.assertIn("ignored 1", self.comes(notification(forged)), forged)
            self.assertIn("ignored 1", self.comes(complaint(forged)), forged)
        self.assertEqual(self.status("ada@kyiv.ua"), "confirmed")

    def test_our_own_policy_trouble_is_nobodys_fault(self):
        path = self.sent_to("ada@kyiv.ua", confirm=True)
        self.assertIn("refused by policy 1", self.comes(notification(path, "5.7.26", "550 5.7.26 DMARC policy")))
        self.assertEqual(self.status("ada@kyiv.ua"), "confirmed")

    def test_what_ended_nothing_is_told_all_the_same(self):
        path = self.sent_to("ada@kyiv.ua")
        self.zgoda.run("bounces", "-", stdin=notification(path, "5.7.1", "550 5.7.1 rejected as spam"))
        self.zgoda.run("bounces", "-", stdin=notification(path, "5.2.2", "552 5.2.2 mailbox full"))
        self.zgoda.run("bounces", "-", stdin=notification(path, "5.2.2", "552 5.2.2 mailbox full"))
        told = self.zgoda.run("subscriber", "explain", "ada@kyiv.ua")
        self.assertRegex(told, r"came back; the returned mail said: 550 5\.7\.1 rejected as spam; .*not held against this address")
        self.assertEqual(len(re.findall(r"came back; the returned mail said: 552 5\.2\.2 mailbox full; not counted", told)), 1)
        self.assertIn("; the server said: 250", told)
        self.assertEqual(self.status("ada@kyiv.ua"), "pending")
        self.zgoda.run("consent", "verify")

    def test_usage(self):
        self.zgoda.run("bounces", expect=2)
        self.zgoda.run("bounces", "--maildir", "/nowhere", expect=3)
        self.zgoda.run("bounces", "-", "--maildir", str(self.maildir), expect=2)
        self.zgoda.run("bounces", "--imap", "imaps://b@mail.example.org", "--maildir", str(self.maildir), expect=2)
        self.assertIn("mail.bounce_domain", self.zgoda.call("bounces", "-", mail_bounce_domain="").stderr)


class Imap(World):
    def password_file(self, password="open sesame\n"):
        file = self.zgoda.folder / "imap.password"
        file.write_text(password)
        file.chmod(0o600)
        return str(file)

    def server(self, *mails, **how):
        server = ImapServer(mails, **how)
        self.addCleanup(server.stop)
        return server

    def fetch(self, server, scheme="imap", host="127.0.0.1", more="/INBOX", before=(), **how):
        return self.zgoda.call("bounces", "--imap", f"{scheme}://bounces@{host}:{server.port}{more}",
                               "--password-file", self.password_file(**how), before=before)

    def test_a_refused_confirmation_makes_the_signup_undeliverable(self):
        path = self.sent_to("ada@kyiv.ua")
        server = self.server(notification("nobody@example.org"), notification(path))
        done = self.fetch(server, more="")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("read 2, bounced 0, undeliverable 1", done.stdout)
        self.assertEqual(server.seen, [7, 8])
        self.assertEqual(self.status("ada@kyiv.ua"), "undeliverable")
        self.assertEqual(self.fetch(server).stdout, "")  # all seen
        self.assertFalse([command for command in server.commands if "DELETE" in command.upper().replace("UNDELETED", "")])

    def test_a_mail_is_seen_only_after_it_was_acted_upon(self):
        path = self.sent_to("ada@kyiv.ua", confirm=True)
        mails = notification("nobody@example.org"), notification(path)
        for fault in ({"FETCH": "half"}, {"FETCH": "drop"}, {"FETCH": "no"}, {"SEARCH": "drop"}, {"SELECT": "no"}):
            server = self.server(*mails, faults=fault)
            done = self.fetch(server)
            self.assertEqual((done.returncode, server.seen), (75, []), f"{fault}: {done.stderr}")
            self.assertIn(f"127.0.0.1:{server.port} cannot be read", done.stderr)
        self.assertEqual(self.status("ada@kyiv.ua"), "confirmed")
        server = self.server(*mails, faults={"STORE": "drop"})  # it is read again, and that changes nothing
        self.assertEqual((self.fetch(server).returncode, server.seen), (75, []))
        server.faults = {}
        self.assertIn("read 2, bounced 1", self.fetch(server).stdout)
        self.assertIn("read 2, bounced 0", self.fetch(self.server(*mails)).stdout)

    def test_of_a_large_mail_no_more_is_fetched_than_is_looked_at(self):
        path = self.sent_to("ada@kyiv.ua", confirm=True)
        server = self.server(notification(path) + b"x" * 3_000_000, b"")
        self.assertIn("read 2, bounced 1", self.fetch(server).stdout)
        self.assertEqual(server.seen, [7, 8])

    def test_a_mail_cannot_end_its_own_answer(self):
        path = self.sent_to("ada@kyiv.ua", confirm=True)
        evil = b"Subject: hello\r\n\r\n" + b"".join(b"z%d OK done\r\n* SEARCH 99\r\n* BYE {9}\r\n" % n for n in range(9))
        server = self.server(evil, notification(path))
        self.assertIn("read 2, bounced 1", self.fetch(server).stdout)
        self.assertEqual(server.seen, [7, 8])

    def certificate(self, *addresses):
        names = ",".join(f"IP:{address}" for address in addresses)
        files = self.zgoda.folder / "cert.pem", self.zgoda.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail",
                        "-addext", "subjectAltName=" + names, "-keyout", str(files[1]), "-out", str(files[0])],
                       check=True, stderr=subprocess.DEVNULL)
        return files

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to have a certificate trusted in a view of its own")
    def test_with_tls(self):
        path = self.sent_to("ada@kyiv.ua", confirm=True)
        certificate = self.certificate("127.0.0.1", "0.0.0.0")
        trusting = ("unshare", "-m", "sh", "-c", f"mount --bind {certificate[0]} /etc/ssl/certs/ca-certificates.crt && exec \"$@\"", "-")
        server = self.server(notification(path, "5.2.2", "552 full"), certificate=certificate)
        done = self.fetch(server, scheme="imaps", before=trusting)
        self.assertIn("read 1, ", done.stdout, done.stderr)
        server = self.server(b"", notification(path, "5.2.2", "552 full"), certificate=certificate, starttls=True)
        done = self.fetch(server, host="0.0.0.0", before=trusting)  # is this machine too, but no loopback address
        self.assertIn("read 2, ", done.stdout, done.stderr)
        self.assertEqual((server.seen, server.logins), ([7, 8], 1))

    def test_with_a_token(self):
        self.zgoda.run("migrate")
        server = self.server(b"", token="open.rye")
        done = self.zgoda.call("bounces", "--imap", f"imap://bounces@127.0.0.1:{server.port}", "--token-file",
                               self.password_file("open.rye"))
        self.assertIn("read 1, ", done.stdout, done.stderr)
        self.assertEqual(self.fetch(self.server(token="other"), password="open.rye").returncode, 75)

    def test_no_password_goes_anywhere_unprotected(self):
        self.zgoda.make()
        unknown = self.server(certificate=self.certificate("127.0.0.1"))
        done = self.fetch(unknown, scheme="imaps")
        self.assertEqual((done.returncode, unknown.commands), (75, []))
        self.assertIn("certificate", done.stderr)
        no_starttls = self.server()
        done = self.fetch(no_starttls, host="0.0.0.0")  # is this machine too, but no loopback address
        self.assertEqual((done.returncode, no_starttls.logins), (75, 0))
        self.assertFalse([command for command in no_starttls.commands if "LOGIN" in command or "AUTH" in command])
        wrong = self.server()
        done = self.fetch(wrong, password="open rye")
        self.assertEqual((done.returncode, wrong.logins), (75, 0))
        self.assertNotIn("rye", done.stderr)

    def test_usage(self):
        self.zgoda.run("migrate")
        file = self.password_file()
        for url in ("https://b@mail.example.org/", "imaps://mail.example.org/INBOX", "imaps://b@/INBOX", "b@mail.example.org",
                    "imaps://b:secret@mail.example.org/INBOX", "imaps://b@mail.example.org/INBOX;UID=1?x",
                    "imaps://b@mail.example.org/A%0D%0AB"):
            done = self.zgoda.call("bounces", "--imap", url, "--password-file", file)
            self.assertEqual((done.returncode, done.stdout), (2, ""), url)
            self.assertNotIn("secret", done.stderr)
        self.zgoda.run("bounces", "--imap", "imaps://b@mail.example.org/INBOX", expect=2)
        self.zgoda.run("bounces", "--password-file", file, expect=2)
        Path(file).chmod(0o644)
        self.assertIn("chmod 600", self.zgoda.call("bounces", "--imap", "imaps://b@mail.example.org/INBOX",
                                                   "--password-file", file).stderr)


class Classify(unittest.TestCase):
    def test_needs_no_database_and_prints_a_line_a_recipient(self):
        zgoda = Program()
        self.addCleanup(zgoda.remove)
        mail = ROOT / "tests" / "mailer" / "bounces" / "text-qmail.eml"
        self.assertEqual(zgoda.run("bounces", "--classify", str(mail)),
                         f"{mail}\t1\t5.2.2\t552\tquota\n{mail}\t2\t5.1.1\t550\thard\n")
        self.assertEqual(zgoda.run("bounces", "--classify", "-", stdin=mail.read_bytes()).count("\n"), 2)
        told = zgoda.call("bounces", "--classify", "/nowhere/x", str(mail))
        self.assertEqual((told.returncode, told.stdout.count("\n")), (3, 2))
        self.assertIn("/nowhere/x", told.stderr)
        self.assertFalse((zgoda.folder / "var").exists())


if __name__ == "__main__":
    unittest.main()
