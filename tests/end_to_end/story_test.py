#!/usr/bin/python3
"""The story that must work: a reader signs up on a page, gets one letter, presses its button, is subscribed, leaves."""
import csv
import hashlib
import io
import json
import os
import re
import sys
import unittest
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from program import Client, Form, Program, SmtpSink, path_of, wait_for

NAMES = {  # slug: name, and in Ukrainian
    "explaining-ukraine": ("Explaining Ukraine with Kate Tsurkan", "Пояснюючи Україну з Кейт Цуркан"),
    "ukraine-daily": ("Ukraine Daily", "Україна щодня"),
    "war-notes": ("War Notes", "Воєнні нотатки"),
    "opinion": ("Opinion", "Думка"),
}
COLUMNS = "email,name,newsletter,status,locale,signed_up_at,confirmed_at,unsubscribed_at,source,form,fields".split(",")
MESSAGE = "Thank you for signing up for this newsletter. We’ve sent you a confirmation email."
ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def multipart(pairs):
    boundary = "----form" + os.urandom(8).hex()
    parts = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs)
    return f"{parts}--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


class Story(unittest.TestCase):
    """Each test has a program of its own; when it ends, the whole log must hold nothing of a reader."""

    settings = {"log_level": "debug"}

    def setUp(self):
        self.zgoda = Program(**self.settings)
        self.addCleanup(self.zgoda.remove)
        self.zgoda.run("migrate")
        for slug, (name, ukrainian) in NAMES.items():
            self.zgoda.run("newsletter", "add", slug, "--name", name)
            self.zgoda.run("newsletter", "edit", slug, "--in", "uk", "--name", ukrainian)
        self.zgoda.serve()
        self.client = self.zgoda.client

    def tearDown(self):
        self.zgoda.stop()
        self.assertGreater(len(self.zgoda.log.read_text()), 100, "no log to look at")
        self.assertEqual(self.zgoda.leaks(), [], "the log holds what it never may")

    def subscribed(self, address, *slugs):
        """Walks the whole way for this address, by code, which is quicker; gives the letter."""
        reply = self.client.sign_up(address, *slugs)
        self.assertEqual(reply.status, 202)
        letter = self.zgoda.letter()
        self.assertEqual(self.client.type_code(reply.json()["ticket"], letter.code()).status, 200)
        return letter

    def story_of(self, address):
        return self.zgoda.run("subscriber", "explain", address)


class Reader(Story):
    def test_signs_up_for_three_newsletters_and_confirms(self):
        reply = self.client.sign_up("Ada@Example.org", "explaining-ukraine", "ukraine-daily", "war-notes", name="Ada <b>Lovelace</b>",
                                    source="https://news.example/story?utm=1#top", headers={"Accept-Language": "uk,en;q=0.5"})
        self.assertEqual(reply.status, 202)
        self.assertEqual(list(reply.json())[:3], ["status", "message", "ticket"])
        self.assertEqual(reply.json()["status"], "pending")
        ticket = self.client.get("/v1/tickets/" + reply.json()["ticket"])
        self.assertEqual((ticket.status, ticket.json()["status"]), (200, "queued"))

        self.assertRegex(self.zgoda.run("mail"), r"^sent 1, later 0, refused 0, waiting 0\n$")
        self.assertEqual(self.zgoda.run("mail"), "", "an idle run is silent")
        (letter,) = self.zgoda.new_letters()
        self.assertEqual(self.client.get("/v1/tickets/" + reply.json()["ticket"]).json()["status"], "sent")

        self.assertEqual(letter.defects(), [])
        self.assertEqual(letter.message.get_content_type(), "multipart/alternative")
        self.assertEqual([part.get_content_type() for part in letter.message.iter_parts()], ["text/plain", "text/html"])
        self.assertEqual(letter.message["Content-Language"], "uk")
        self.assertEqual(letter.message["Auto-Submitted"], "auto-generated")
        self.assertEqual(letter.message["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")
        self.assertRegex(letter.to, r"(?i)^ada@example\.org$")
        self.assertRegex(letter.id, r"^<[^<>@\s]+@[^<>@\s]+>$")
        self.assertTrue(letter.data.isascii())
        self.assertLessEqual(max(map(len, letter.data.splitlines())), 998)
        page_html = letter.message.get_body(("html",)).get_content()
        for slug, (name, ukrainian) in NAMES.items():
            self.assertEqual(ukrainian in letter.text, slug != "opinion", ukrainian)
            self.assertEqual(ukrainian in page_html, slug != "opinion", ukrainian)
        self.assertNotIn("Lovelace", letter.text + page_html, "what a stranger typed is in the letter")
        self.assertIn(letter.link("confirm"), page_html.replace("&amp;", "&"))

        path = path_of(letter.link("confirm"))
        page = self.client.get(path, Accept="text/html")
        self.assertEqual(page.status, 200)
        self.assertIn('lang="uk"', page.text)
        self.assertNotIn("ada@example.org", page.text.lower(), "the page masks the address")
        for header, value in (("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff")):
            self.assertEqual(page.headers[header], value)
        self.assertIn("noindex", page.headers["X-Robots-Tag"])
        self.assertIn("frame-ancestors 'none'", page.headers["Content-Security-Policy"])
        self.assertIsNone(page.headers["Set-Cookie"])
        form = Form.of(page)
        self.assertEqual(list(form.boxes().values()), [True, True, True])
        self.assertEqual(set(self.zgoda.statuses().values()), {"pending"}, "looking has confirmed something")

        war_notes = list(form.boxes())[2]
        form.tick(war_notes, False)
        self.assertIn(self.client.submit_like_a_person(form, path).status, (200, 303))
        again = self.client.submit(Form.of(page), path)
        self.assertEqual(again.status, 200, "a second press says the same")

        rows = list(csv.DictReader(io.StringIO(self.zgoda.run("export"), newline="")))
        self.assertEqual(list(rows[0]), COLUMNS)
        self.assertEqual({row["newsletter"] for row in rows}, {"explaining-ukraine", "ukraine-daily"})
        for row in rows:
            self.assertEqual((row["email"].lower(), row["name"], row["status"], row["locale"], row["source"]),
                             ("ada@example.org", "Ada <b>Lovelace</b>", "confirmed", "uk", "https://news.example/story"))
            self.assertRegex(row["confirmed_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        proof = self.zgoda.run("consent", "show", "ada@example.org")
        self.assertIn("confirmed", proof)
        self.zgoda.run("consent", "verify")
        self.assertIn("confirmed", self.story_of("ada@example.org"))

    def test_confirms_by_code_in_five_tries(self):
        ticket = self.client.sign_up("coder@example.org", "ukraine-daily").json()["ticket"]
        letter = self.zgoda.letter()
        self.assertIn(letter.code(), letter.text)
        wrong = f"{(int(letter.code()) + 1) % 10**6:06}"
        reply = self.client.type_code(ticket, wrong)
        self.assertEqual((reply.status, reply.headers["Content-Type"]), (422, "application/problem+json"))
        self.assertEqual((reply.json()["code"], reply.json()["tries_left"]), ("code_wrong", 4))
        for _ in range(2):
            reply = self.client.type_code(ticket, letter.code())
            self.assertEqual((reply.status, reply.body), (200, b'{"status":"confirmed"}'))
        self.assertEqual(self.zgoda.statuses(), {("coder@example.org", "ukraine-daily"): "confirmed"})

        ticket = self.client.sign_up("guesser@example.org", "ukraine-daily").json()["ticket"]
        letter = self.zgoda.letter()
        wrong = f"{(int(letter.code()) + 1) % 10**6:06}"
        self.assertEqual([self.client.type_code(ticket, wrong).status for _ in range(6)], [422] * 5 + [410])
        self.assertEqual(self.client.type_code(ticket, letter.code()).status, 410)
        self.assertIn(self.client.press(letter.link("confirm")).status, (200, 303))
        self.assertEqual(self.zgoda.statuses()["guesser@example.org", "ukraine-daily"], "confirmed", "the link must live on")

    def test_is_not_confirmed_by_a_machine_that_opens_every_link_at_once(self):
        self.client.sign_up("scanned@example.org", "ukraine-daily")
        letter = self.zgoda.letter()
        for page in ("confirm", "not-me"):
            path = path_of(letter.link(page))
            for _ in range(3):
                self.client.request("HEAD", path)
                self.client.submit(Form.of(self.client.get(path, Accept="text/html")), path)
        path = path_of(letter.unsubscribe_link())
        self.client.submit(Form.of(self.client.get(path, Accept="text/html")), path)
        self.assertEqual(set(self.zgoda.statuses().values()), {"pending"})
        self.assertIn(self.client.press(letter.link("confirm")).status, (200, 303))
        self.assertEqual(set(self.zgoda.statuses().values()), {"confirmed"})
        self.assertIn("as machines press", self.story_of("scanned@example.org"))

    def test_signs_up_with_each_kind_of_body(self):
        pairs = [("newsletters", "ukraine-daily"), ("newsletters", "war-notes")]
        self.assertEqual(self.client.sign_up("json@example.org", "ukraine-daily", "war-notes").status, 202)
        body = urllib.parse.urlencode([("email", "form@example.org"), *pairs]).encode()
        self.assertEqual(self.client.request("POST", "/v1/subscriptions", body, FORM | {"Accept": "application/json"}).status, 202)
        body, headers = multipart([("email", "multi@example.org"), *pairs])
        self.assertEqual(self.client.request("POST", "/v1/subscriptions", body, headers | {"Accept": "application/json"}).status, 202)
        self.assertEqual(self.zgoda.statuses(), {(f"{who}@example.org", slug): "pending" for who in ("json", "form", "multi")
                                                for slug in ("ukraine-daily", "war-notes")})

    def test_uses_the_page_without_scripts(self):
        for path, boxes in (("/", 4), ("/newsletters/ukraine-daily", 0)):
            page = self.client.get(path, Accept="text/html")
            self.assertEqual(page.status, 200)
            form = Form.of(page)
            self.assertEqual(len(form.boxes()), boxes)
            if boxes: form.tick("opinion")
            form.fill("email", f"page{boxes}@example.org")
            sent = self.client.submit(form, path)
            self.assertEqual(sent.status, 303)
            thanks = self.client.get(urllib.parse.urlsplit(sent.headers["Location"]).path, Accept="text/html")
            self.assertEqual(thanks.status, 200)
            self.assertIn(MESSAGE, thanks.text)
            self.assertNotIn(f"page{boxes}", sent.headers["Location"] + thanks.text)
        self.assertEqual(self.zgoda.statuses(), {("page4@example.org", "opinion"): "pending",
                                                ("page0@example.org", "ukraine-daily"): "pending"})

    def test_leaves_with_one_click(self):
        for number, (body, headers) in enumerate(((ONE_CLICK, FORM), multipart([("List-Unsubscribe", "One-Click")]))):
            address = f"leaver{number}@example.org"
            letter = self.subscribed(address, "ukraine-daily")
            path = path_of(letter.unsubscribe_link())
            shown = self.client.get(path, Accept="text/html")
            self.assertEqual((shown.status, address in shown.text), (200, False))
            self.assertEqual(self.zgoda.statuses()[address, "ukraine-daily"], "confirmed", "looking has unsubscribed")
            for _ in range(2):
                left = self.client.request("POST", path, body, {**headers, "Origin": "https://mail.example"})
                self.assertEqual((left.status, left.headers["Location"], left.headers["Set-Cookie"]), (200, None, None))
                self.assertEqual(self.zgoda.statuses()[address, "ukraine-daily"], "unsubscribed")
            self.assertIn(self.client.press(letter.link("confirm")).status, (200, 404, 410))
            self.assertEqual(self.zgoda.statuses()[address, "ukraine-daily"], "unsubscribed", "an old link brought her back")
        self.assertNotIn("leaver", (self.zgoda.folder / "var" / "withdrawals.log").read_text())

    def test_leaves_by_the_page(self):
        letter = self.subscribed("leaver@example.org", "ukraine-daily")
        self.assertIn(self.client.press(letter.unsubscribe_link()).status, (200, 303))
        self.assertEqual(set(self.zgoda.statuses().values()), {"unsubscribed"})

    def test_is_erased_from_the_disk(self):
        """By whichever way: neither the database nor its WAL holds her address afterwards, with the service running."""
        def held(address):
            files = (self.zgoda.database, self.zgoda.database.with_name("zgoda.db-wal"))
            return any(address.encode() in file.read_bytes() for file in files)
        for number in range(12):
            self.client.sign_up(f"other{number}@example.org", "opinion")
        self.zgoda.run("mail")
        self.zgoda.new_letters()
        self.subscribed("by-command@example.org", "opinion", "war-notes")
        self.subscribed("by-herself@example.org", "opinion")
        self.client.sign_up("by-herself@example.org", "war-notes")  # whose letter waits
        self.client.request("POST", "/v1/preference-links", b'{"email": "by-herself@example.org"}', {"Content-Type": "application/json"})
        self.zgoda.run("mail")
        links = [letter.link("preferences") for letter in self.zgoda.new_letters() if "/preferences?t=" in letter.text]
        self.assertTrue(held("by-command@example.org") and held("by-herself@example.org"))

        self.zgoda.run("subscriber", "erase", "by-command@example.org", "--yes")
        wait_for("the WAL to be emptied", lambda: not held("by-command@example.org"))
        path = path_of(links[0])
        form = Form.all_of(self.client.get(path, Accept="text/html"))[-1]
        next(control for control in form.controls if control.get("name") == "sure")["checked"] = ""
        self.assertEqual(self.client.submit_like_a_person(form, path).status, 200)
        wait_for("the WAL to be emptied", lambda: not held("by-herself@example.org"))
        self.assertTrue(held("other3@example.org"))

    def test_says_that_it_was_not_her(self):
        self.client.sign_up("victim@example.org", "ukraine-daily", "opinion")
        letter = self.zgoda.letter()
        path = path_of(letter.link("confirm"))
        form = Form.of(self.client.get(path, Accept="text/html"))
        self.assertIn(self.client.press(letter.link("not-me")).status, (200, 303))
        self.client.submit(form, path)
        self.assertNotIn("confirmed", self.zgoda.statuses().values())
        self.assertEqual(self.client.sign_up("victim@example.org", "war-notes").status, 202)
        self.zgoda.run("mail")
        self.assertEqual(self.zgoda.new_letters(), [])
        self.assertIn("not_me", self.story_of("victim@example.org"))

    def test_is_told_the_same_whatever_we_know_of_her(self):
        def ask(address, **how): return self.client.sign_up(address, "ukraine-daily", **how)
        self.subscribed("confirmed@example.org", "ukraine-daily")
        self.subscribed("unsubscribed@example.org", "ukraine-daily")
        self.zgoda.run("subscriber", "unsubscribe", "unsubscribed@example.org", "--all", "--yes")
        ask("suppressed@example.org")
        self.client.press(self.zgoda.letter().link("not-me"))
        ask("pending@example.org")
        ask("over-budget@example.org")
        self.zgoda.run("mail")
        for _ in range(3): ask("over-budget@example.org")
        bot = ask("robot@example.org", website="https://spam.example")

        def shape(reply):
            ticket = reply.json()["ticket"]
            headers = sorted((name, value) for name, value in reply.headers.items() if name != "Date")
            return reply.status, headers, reply.body.replace(ticket.encode(), b"T"), len(ticket), set(
                "t" if c.isalnum() else c for c in re.sub(r"[-_]", "a", ticket))
        states = ("new", "pending", "confirmed", "suppressed", "unsubscribed", "over-budget")
        shapes = [shape(ask(f"{state}@example.org")) for state in states] + [shape(bot)]
        for state, got in zip(states[1:] + ("robot",), shapes[1:]):
            self.assertEqual(got, shapes[0], f"{state} is told something else than a new one")
        self.assertEqual(json.loads(shapes[0][2]), {"status": "pending", "message": MESSAGE, "ticket": "T"})

    def test_gets_no_letter_for_the_second_request_within_the_budget_but_is_offered_both(self):
        self.client.sign_up("twice@example.org", "ukraine-daily")
        letter = self.zgoda.letter()
        self.client.sign_up("twice@example.org", "opinion")
        self.zgoda.run("mail")
        self.assertEqual(self.zgoda.new_letters(), [])
        page = self.client.get(path_of(letter.link("confirm")), Accept="text/html")
        self.assertEqual(sorted(Form.of(page).boxes().values()), [False, True],
                         "what was asked after the letter is offered, and not ticked")


class Looking(Story):
    def test_never_writes(self):
        letter = self.subscribed("seen@example.org", "ukraine-daily")
        self.client.sign_up("waits@example.org", "opinion")
        pending = self.zgoda.letter()
        ticket = self.client.sign_up("waits@example.org", "war-notes").json()["ticket"]

        def told():
            stories = [self.story_of(f"{who}@example.org") for who in ("seen", "waits")]
            return self.zgoda.run("export", "--status", "all"), stories  # which leaves the act of an administrator

        def files():
            return [hashlib.sha256(Path(f"{self.zgoda.database}{end}").read_bytes()).hexdigest() for end in ("", "-wal")]

        told_before, files_before = told(), files()
        links = [letter.link("confirm"), letter.link("not-me"), letter.unsubscribe_link(), pending.link("confirm"),
                 pending.link("not-me"), pending.unsubscribe_link()]
        paths = [path_of(link) for link in links] + ["/", "/newsletters/opinion", "/v1/newsletters", "/v1/tickets/" + ticket]
        for path in paths + [path + "&List-Unsubscribe=One-Click&confirm=true" for path in paths[:6]]:
            for method in ("GET", "HEAD", "GET"):
                reply = self.client.request(method, path, headers={"Accept": "text/html"})
                self.assertEqual(reply.status, 200, f"{method} {path}")
                self.assertEqual(reply.body == b"", method == "HEAD")
        self.assertEqual(files(), files_before)
        self.assertEqual(told(), told_before)


class UkrainianAddress(Story):
    ADDRESS = "Оксана@пошта.укр"

    def test_goes_all_the_way(self):
        self.assertEqual(self.client.sign_up(self.ADDRESS, "ukraine-daily", locale="uk").status, 202)
        letter = self.zgoda.letter()
        self.assertEqual(letter.defects(), [])
        self.assertRegex(letter.to, r"(?i)^оксана@(пошта\.укр|xn--80a1acn3a\.xn--j1amh)$")
        self.assertIn(self.client.press(letter.link("confirm")).status, (200, 303))
        (row,) = csv.DictReader(io.StringIO(self.zgoda.run("export"), newline=""))
        self.assertEqual((row["email"].lower(), row["status"]), ("оксана@пошта.укр", "confirmed"))
        for spelling in ("оксана@пошта.укр", "Оксана@XN--80A1ACN3A.xn--j1amh"):
            self.assertIn("confirmed", self.story_of(spelling))

    def test_goes_over_smtp_only_to_a_server_that_takes_it(self):
        for options, taken in ((["--no-smtputf8"], 0), ([], 1)):
            sink = SmtpSink(self.zgoda.folder, *options)
            self.addCleanup(sink.stop)
            self.client.sign_up(f"{len(options)}{self.ADDRESS}", "ukraine-daily")
            self.client.sign_up(f"ada{len(options)}@пошта.укр", "ukraine-daily")
            self.zgoda.run("mail", mail_url=sink.url, mail_tls="none")
            letters = {letter.envelope["to"][0]: letter for letter in sink.new_letters()}
            self.assertIn(f"<ada{len(options)}@xn--80a1acn3a.xn--j1amh>", letters, "an ASCII mailbox needs no SMTPUTF8")
            self.assertEqual(len(letters), 1 + taken)
            for recipient, letter in letters.items():
                self.assertEqual("SMTPUTF8" in letter.envelope["from"], not recipient.isascii())
                self.assertEqual(letter.defects(), [])


if __name__ == "__main__":
    unittest.main()
