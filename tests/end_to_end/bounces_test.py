#!/usr/bin/python3
"""What comes back: each letter has a return path of its own, and only what came to one is acted upon."""
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
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


class Bounces(unittest.TestCase):
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

    def comes(self, mail, name="1.mail"):
        (self.maildir / "new" / name).write_bytes(mail)
        return self.zgoda.run("bounces", "--maildir", str(self.maildir))

    def status(self, address): return self.zgoda.statuses()[address, "daily"]

    def test_each_letter_has_its_own_return_path(self):
        paths = {self.sent_to(f"ada{i}@kyiv.ua") for i in range(3)}
        self.assertEqual(len(paths), 3)
        for path in paths: self.assertRegex(path, rf"^b[a-z2-7]{{15}}-[a-z2-7]{{10}}@{DOMAIN}$")

    def test_a_refused_confirmation_makes_the_signup_undeliverable(self):
        path = self.sent_to("ada@kyiv.ua")
        self.assertIn("undeliverable 1", self.comes(notification(path)))
        self.assertEqual(self.status("ada@kyiv.ua"), "undeliverable")
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

    def test_usage(self):
        self.zgoda.run("bounces", expect=2)
        self.zgoda.run("bounces", "--maildir", "/nowhere", expect=3)
        self.zgoda.run("bounces", "-", "--maildir", str(self.maildir), expect=2)
        self.assertIn("mail.bounce_domain", self.zgoda.call("bounces", "-", mail_bounce_domain="").stderr)


class Classify(unittest.TestCase):
    def test_needs_no_database_and_prints_a_line_a_recipient(self):
        zgoda = Program()
        self.addCleanup(zgoda.remove)
        mail = ROOT / "tests" / "mailer" / "bounces" / "text-qmail.eml"
        self.assertEqual(zgoda.run("bounces", "--classify", str(mail)),
                         f"{mail}\t1\t5.2.2\t552\tquota\n{mail}\t2\t5.1.1\t550\thard\n")
        self.assertEqual(zgoda.run("bounces", "--classify", "-", stdin=mail.read_bytes()).count("\n"), 2)
        told = zgoda.call("bounces", "--classify", "/nowhere/x", str(mail))
        self.assertEqual((told.returncode, told.stdout.count("\n")), (1, 2))
        self.assertIn("/nowhere/x", told.stderr)
        self.assertFalse((zgoda.folder / "var").exists())


if __name__ == "__main__":
    unittest.main()
