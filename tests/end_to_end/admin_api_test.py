#!/usr/bin/python3
"""The admin API on the real program: tokens, every endpoint with every scope, every example of docs/openapi.json played
against the running server, the record of acts, and exports that stream."""
import csv
import http.client
import io
import json
import re
import socket
import sys
import time
import unittest
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from program import BUILD, ROOT, SLOW, Program, wait_for

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import jsonschema

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())
SCOPES = ["newsletters:read", "newsletters:write", "subscribers:read", "subscribers:write", "subscribers:confirm",
          "subscribers:erase", "subscribers:export", "signup:write", "suppressions:write", "stats:read"]
MATRIX = {  # written by hand: what the contract says, not what the program does
    ("GET", "/v1/admin/newsletters"): "newsletters:read",
    ("POST", "/v1/admin/newsletters"): "newsletters:write",
    ("GET", "/v1/admin/newsletters/{slug}"): "newsletters:read",
    ("PATCH", "/v1/admin/newsletters/{slug}"): "newsletters:write",
    ("POST", "/v1/admin/newsletters/{slug}/close"): "newsletters:write",
    ("POST", "/v1/admin/newsletters/{slug}/open"): "newsletters:write",
    ("GET", "/v1/admin/subscribers"): "subscribers:read",
    ("POST", "/v1/admin/subscribers/search"): "subscribers:read",
    ("GET", "/v1/admin/subscribers/{id}"): "subscribers:read",
    ("DELETE", "/v1/admin/subscribers/{id}"): "subscribers:erase",
    ("POST", "/v1/admin/subscribers/{id}/unsubscribe"): "subscribers:write",
    ("POST", "/v1/admin/subscribers/{id}/confirm"): "subscribers:confirm",
    ("POST", "/v1/admin/subscriptions"): "signup:write",
    ("GET", "/v1/admin/export"): "subscribers:export",
    ("GET", "/v1/admin/suppressions"): "suppressions:write",
    ("POST", "/v1/admin/suppressions"): "suppressions:write",
    ("POST", "/v1/admin/suppressions/remove"): "suppressions:write",
    ("GET", "/v1/admin/stats"): "stats:read",
}
JSON = {"Content-Type": "application/json"}
SLUG = "explaining-ukraine"


class Admin(unittest.TestCase):
    def setUp(self):
        self.zgoda = Program(**self.settings())
        self.addCleanup(self.zgoda.remove)
        self.zgoda.make(SLUG)
        self.zgoda.serve()

    def settings(self): return {}

    def token(self, name, *scopes, more=()):
        words = [word for scope in scopes or SCOPES for word in ("--scope", scope)]
        return self.zgoda.run("token", "create", name, *words, *more).strip()

    def ask(self, method, path, token=None, body=None, headers=()):
        headers = dict(headers)
        if token: headers["Authorization"] = f"Bearer {token}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers = JSON | headers
        return self.zgoda.private.request(method, path, body, headers)

    def sign_up(self, *addresses, slugs=(SLUG,)):
        for address in addresses:
            self.assertEqual(self.zgoda.client.sign_up(address, *slugs, source="https://news.example.org/war", form="end").status, 202)

    def people(self, token):
        page = self.ask("GET", "/v1/admin/subscribers?limit=1000", token).json()
        return {person["address"]: person["id"] for person in page["subscribers"]}

    def acts(self): return [json.loads(line) for line in self.zgoda.run("audit", "--json").splitlines()]

    def problem(self, reply, status, code):
        self.assertEqual((reply.status, reply.headers["Content-Type"]), (status, "application/problem+json"), reply.text)
        self.assertEqual(reply.json()["status"], status)
        self.assertEqual(reply.json().get("code"), code, reply.text)


class Tokens(Admin):
    def test_is_shown_once_and_revoked_at_once(self):
        token = self.token("nightly", "stats:read", "newsletters:read", more=("--expires", "90d"))
        self.assertRegex(token, r"^zgoda_[\w-]{43}$")
        self.assertNotEqual(token, self.token("other", "stats:read"))
        self.assertEqual(self.ask("GET", "/v1/admin/stats", token).status, 200)
        told = self.zgoda.run("token", "list") + self.zgoda.run("token", "list", "--json") + self.zgoda.run("audit")
        self.assertNotIn(token, told)
        database = self.zgoda.database.read_bytes() + Path(str(self.zgoda.database) + "-wal").read_bytes()
        self.assertNotIn(token.encode(), database)
        self.assertNotIn(token.removeprefix("zgoda_").encode(), database)
        wait_for("its use to be remembered", lambda: json.loads(self.zgoda.run("token", "list", "--json"))[0]["last_used_at"])
        listed = json.loads(self.zgoda.run("token", "list", "--json"))[0]
        self.assertEqual((listed["name"], listed["scopes"], listed["networks"], listed["revoked_at"]),
                         ("nightly", ["stats:read", "newsletters:read"], [], None))
        self.zgoda.run("token", "revoke", "nightly")
        self.problem(self.ask("GET", "/v1/admin/stats", token), 401, "token_refused")
        self.zgoda.run("token", "revoke", "nightly", expect=3)
        other = json.loads(self.zgoda.run("token", "list", "--json"))[1]
        self.zgoda.run("token", "revoke", str(other["id"]))
        self.assertEqual([act["what"] for act in self.acts()[:4]], ["token revoke", "token revoke", "token create", "token create"])
        self.zgoda.stop()
        self.assertEqual(self.zgoda.leaks([token]), [])

    def test_a_restore_revokes_again_what_was_revoked_since(self):
        token, other = self.token("nightly", "stats:read"), self.token("other", "stats:read")
        self.zgoda.run("backup", str(self.zgoda.folder / "night.db"))
        self.zgoda.run("token", "revoke", "nightly")
        self.zgoda.stop()
        done = self.zgoda.call("restore", str(self.zgoda.folder / "night.db"), "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 tokens revoked", done.stderr)
        self.zgoda.serve()
        self.problem(self.ask("GET", "/v1/admin/stats", token), 401, "token_refused")
        self.assertEqual(self.ask("GET", "/v1/admin/stats", other).status, 200)

    def test_wrong_wishes(self):
        for words in (["x"], ["x", "--scope", "all"], ["x", "--scope", "stats:read", "--expires", "soon"],
                      ["x", "--scope", "stats:read", "--network", "10.0.0.1/8"], ["x", "--scope", "stats:read", "--network", "home"],
                      ["two words", "--scope", "stats:read"], ["7", "--scope", "stats:read"]):
            self.zgoda.run("token", "create", *words, expect=2)
        self.token("twice", "stats:read")
        self.zgoda.run("token", "create", "twice", "--scope", "stats:read", expect=2)
        self.zgoda.run("token", "revoke", "twice")
        self.token("twice", "stats:read")

    def test_expired_foreign_and_wrong_ones_are_401(self):
        brief = self.token("brief", more=("--expires", "1s"))
        away = self.token("away", more=("--network", "203.0.113.0/24", "--network", "2001:db8::/32"))
        home = self.token("home", more=("--network", "127.0.0.0/8"))
        revoked = self.token("revoked")
        self.zgoda.run("token", "revoke", "revoked")
        time.sleep(1.1)
        whole = "Bearer " + home
        for method, path in MATRIX:
            path = path.format(slug=SLUG, id=1)
            for token in (brief, away, revoked, home[:-1], home + "A", home[:-1] + ("A" if home[-1] != "A" else "B"), "zgoda_", "x"):
                self.problem(self.ask(method, path, token, {}), 401, "token_refused")
            for field in (None, "", "Bearer", "Bearer ", "Basic " + home, home):
                reply = self.ask(method, path, None, {}, {} if field is None else {"Authorization": field})
                self.problem(reply, 401, "token_missing")
                self.assertEqual(reply.headers["WWW-Authenticate"], 'Bearer realm="zgoda"')
        self.assertEqual(self.ask("GET", "/v1/admin/stats", None, None, {"Authorization": whole.replace("Bearer", "bEARER ")}).status, 200)
        self.assertEqual(self.ask("GET", "/v1/admin/stats", away, None, {"X-Forwarded-For": "203.0.113.9"}).status, 200, "through a trusted proxy")
        self.assertEqual(self.ask("GET", "/v1/admin/stats", away, None, {"X-Forwarded-For": "2001:db8:1::9"}).status, 200)
        self.problem(self.ask("GET", "/v1/admin/stats", home, None, {"X-Forwarded-For": "203.0.113.9"}), 401, "token_refused")
        self.assertEqual([act["what"] for act in self.acts() if not act["what"].startswith("token")], ["newsletter add"])


class Matrix(Admin):
    def test_each_scope_opens_its_endpoints_and_no_other(self):
        documented = {(method.upper(), path): operation["security"][0]["token"][0]
                      for path, item in DOCUMENT["paths"].items() for method, operation in item.items() if operation["security"]}
        self.assertEqual(documented, MATRIX, "the document and the contract")
        self.assertEqual({word for word in re.findall(r"[a-z]+:[a-z]+", DOCUMENT["components"]["securitySchemes"]["token"]["description"])}, set(SCOPES))
        tokens = {scope: self.token(scope.replace(":", "-"), scope) for scope in SCOPES}
        for (method, template), needed in MATRIX.items():
            path = template.format(slug="nothing", id=999_999_999)
            for scope, token in tokens.items():
                with self.subTest(f"{method} {template} with {scope}"):
                    reply = self.ask(method, path, token, None if method in ("GET", "DELETE") else {})
                    if scope == needed:
                        self.assertNotIn(reply.status, (401, 403, 405, 500))
                    else:
                        self.problem(reply, 403, "scope_missing")
                        self.assertIn(f'scope="{needed}"', reply.headers["WWW-Authenticate"])
        everything = self.token("everything")
        for (method, template), _ in MATRIX.items():
            reply = self.ask(method, template.format(slug="nothing", id=999_999_999), everything, None if method in ("GET", "DELETE") else {})
            self.assertNotIn(reply.status, (401, 403, 405, 500))

    def test_no_path_of_one_listener_answers_on_the_other(self):
        token = self.token("everything")
        for method, template in [*MATRIX, ("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/openapi.json")]:
            path = template.format(slug=SLUG, id=1)
            reply = self.zgoda.client.request(method, path, None if method in ("GET", "DELETE") else b"{}", JSON | {"Authorization": f"Bearer {token}"})
            self.assertEqual(reply.status, 404, path)
        for path in ("/", f"/newsletters/{SLUG}", "/v1/newsletters", "/v1/subscriptions", "/confirm", "/unsubscribe", "/embed.js"):
            self.assertEqual(self.ask("GET", path, token).status, 404, path)
            self.assertEqual(self.ask("POST", path, token, {}).status, 404, path)

    def test_every_path_of_the_program_is_documented(self):
        source = "".join((ROOT / "api" / "http" / name).read_text() for name in ("private_api.cpp", "admin_api.cpp"))
        table = {(method.replace("del", "delete"), path) for method, path in re.findall(r'\{Method::(\w+),\s*"([^"]+)"', source)}
        self.assertEqual(table, {(method, path) for path, item in DOCUMENT["paths"].items() for method in item})
        for method, path in [("PUT", "/v1/admin/newsletters"), ("GET", f"/v1/admin/newsletters/{SLUG}/close"), ("PATCH", "/v1/admin/subscribers/1"),
                             ("POST", "/v1/admin/stats"), ("DELETE", "/v1/admin/suppressions"), ("POST", "/openapi.json")]:
            reply = self.ask(method, path, None, {} if method != "GET" else None)
            self.assertEqual(reply.status, 405, path)
            template = path.replace(SLUG, "{slug}").replace("/1", "/{id}")
            allowed = {word for word in reply.headers["Allow"].split(", ") if word != "HEAD"}
            self.assertEqual(allowed, {name.upper() for name in DOCUMENT["paths"][template]})


class Listener(Admin):
    def test_large_bodies_hosts_and_methods(self):
        token = self.token("everything")
        large = {"pattern": "x" * 200, "cursor": "x" * 900_000}
        self.problem(self.ask("POST", "/v1/admin/subscribers/search", token, large), 422, "invalid")
        self.assertEqual(self.zgoda.client.request("POST", "/v1/subscriptions", b"x" * 20_000, JSON).status, 413, "the public one stays small")
        for host, status in (("evil.example.org", 421), ("localhost", 200), ("127.0.0.1:1", 200)):
            self.assertEqual(self.ask("GET", "/v1/admin/stats", token, None, {"Host": host}).status, status)
        for method, path, body, status, code in (("PUT", "/v1/admin/newsletters", {}, 405, "method_not_allowed"), ("GET", "/v1/admin/nothing", None, 404, "not_found"),
                                                 ("POST", "/v1/admin/subscribers/search", {"pattern": "x" * (1 << 20)}, 413, "payload_too_large")):
            self.assertEqual((reply := self.ask(method, path, token, body)).status, status)
            self.assertEqual((reply.headers["Content-Type"], reply.json()["code"]), ("application/problem+json", code))
        self.assertEqual(self.ask("HEAD", "/v1/admin/export", token).status, 200)

    def test_bodies_and_queries_are_read_strictly(self):
        token = self.token("everything")
        odd = self.ask("POST", "/v1/admin/subscribers/search", token, {"pattern": "a", "я" * 5000: 1, "a/b~c": 1}).json()
        self.assertEqual([error["pointer"] for error in odd["errors"]], ["/" + "я" * 20 + "…", "/a~1b~0c"])
        for body in (b"", b"[]", b"null", b'{"email":', b'{"email":"\xff"}', b"[[[[[[]]]]]]"):
            self.problem(self.ask("POST", "/v1/admin/subscribers/search", token, body, JSON), 400, "bad_request")
        self.problem(self.ask("POST", "/v1/admin/subscribers/search", token, b"email=a", {"Content-Type": "application/x-www-form-urlencoded"}), 415, "unsupported_type")
        for query in ("limit=0", "limit=1001", "limit=x", "limit=-1", "cursor=%00", "cursor=****", "cursor=", "limit=", "limit=1&limit=2", "email=a", "x", "limit=%zz"):
            self.problem(self.ask("GET", f"/v1/admin/subscribers?{query}", token), 400, "bad_parameter")
        for query in ("newsletter=", "status=", "changed_since=", "locale", "format=", "links=", "changed_sinse=2026-01-01", "status=x", "format=xls", "links=1", "changed_since=yesterday", "format=mailchimp"):
            self.problem(self.ask("GET", f"/v1/admin/export?{query}", token), 400, "bad_parameter")
        for body in ({"email": 1}, {"email": "a@example.org", "pattern": "a"}, {"pattern": "a", "limit": 0}, {"pattern": "a", "more": 1},
                     {"pattern": "a", "cursor": "@"}, {"pattern": "a", "cursor": ""}):
            self.problem(self.ask("POST", "/v1/admin/subscribers/search", token, body), 422, "invalid")
        self.problem(self.ask("POST", "/v1/admin/subscribers/1/confirm", token, {"newsletter": "", "evidence": "x"}), 422, "invalid")
        self.problem(self.ask("POST", "/v1/admin/subscribers/1/unsubscribe", token, {"newsletter": "", "all": True}), 422, "invalid")

    def test_what_an_act_does_not_look_at_must_not_be_there(self):
        token = self.token("everything")
        self.sign_up("ada@example.org")
        ada = self.people(token)["ada@example.org"]
        before = self.acts()
        signup = {"email": "bob@example.org", "newsletters": [SLUG], "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0"}
        why = {"email": "ada@example.org", "reason": "a test"}
        acts = [("POST", f"/v1/admin/newsletters/{SLUG}/close", None), ("POST", f"/v1/admin/newsletters/{SLUG}/open", {}),
                ("POST", "/v1/admin/newsletters", {"slug": "new", "settings": {"name": "New"}}), ("PATCH", f"/v1/admin/newsletters/{SLUG}", {"slug": "new"}),
                ("POST", f"/v1/admin/subscribers/{ada}/unsubscribe", {"all": True}), ("POST", f"/v1/admin/subscribers/{ada}/confirm", {"evidence": "x"}),
                ("POST", "/v1/admin/subscribers/search", {"email": "ada@example.org"}), ("DELETE", f"/v1/admin/subscribers/{ada}", None),
                ("POST", "/v1/admin/subscriptions", signup), ("POST", "/v1/admin/suppressions", why), ("POST", "/v1/admin/suppressions/remove", why)]
        for method, path, body in acts:
            for query in ("dry_run=true", "email=secret@example.org", "x"):
                self.problem(self.ask(method, f"{path}?{query}", token, body), 400, "bad_parameter")
            self.problem(self.ask(method, path, token, {**(body or {}), "dry_run": True}), 422, "invalid")
        for query in ("", "/search", f"/{ada}"):
            self.assertIn(self.ask("GET", "/v1/admin/subscribers" + query, token, {"limit": 1}).status, (405, 422))
        self.problem(self.ask("GET", "/v1/admin/export", token, {"newsletter": SLUG}), 422, "invalid")
        self.assertEqual((self.acts(), self.people(token)), (before, {"ada@example.org": ada}))
        self.assertTrue(self.ask("GET", f"/v1/admin/newsletters/{SLUG}", token).json()["open"])
        self.assertEqual(self.zgoda.client.sign_up("eve@example.org", SLUG, dry_run=True).status, 202, "forms send all sorts of fields")


class Acts(Admin):
    def test_each_leaves_a_row_that_names_the_token_and_ids(self):
        token = self.token("desk")
        made = json.loads(self.zgoda.run("token", "list", "--json"))[0]
        self.assertEqual(self.ask("POST", "/v1/admin/newsletters", token, {"slug": "opinion", "settings": {"name": "Opinion"}}).status, 201)
        self.assertEqual(self.ask("PATCH", "/v1/admin/newsletters/opinion", token, {"slug": "views", "settings": {"name": {"uk": "Думки"}}}).json()["aliases"], ["opinion"])
        self.assertFalse(self.ask("POST", "/v1/admin/newsletters/views/close", token).json()["open"])
        self.assertTrue(self.ask("POST", "/v1/admin/newsletters/opinion/open", token, {}).json()["open"])
        reader = {"client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0", "newsletters": [SLUG, "views"]}
        self.assertEqual(self.ask("POST", "/v1/admin/subscriptions", token, {"email": "ada@example.org", **reader}).status, 202)
        ada = self.people(token)["ada@example.org"]
        self.assertEqual(self.ask("POST", f"/v1/admin/subscribers/{ada}/confirm", token, {"evidence": "by telephone"}).json(), {"confirmed": [SLUG, "views"]})
        self.assertEqual(self.ask("POST", f"/v1/admin/subscribers/{ada}/unsubscribe", token, {"newsletter": "views"}).json(), {"ended": 1})
        self.assertEqual(self.ask("POST", "/v1/admin/suppressions", token, {"email": "ada@example.org", "reason": "wrote"}).status, 201)
        self.assertEqual(self.ask("POST", "/v1/admin/suppressions/remove", token, {"email": "ada@example.org", "reason": "wrote again"}).json(), {"lifted": ["admin"]})
        self.assertEqual(self.ask("DELETE", f"/v1/admin/subscribers/{ada}", token).status, 204)
        acts = [act for act in self.acts() if act["who"] == f"token desk (id {made['id']})"]
        self.assertEqual([act["what"] for act in reversed(acts)],
                         ["newsletter add", "newsletter edit name", "newsletter rename", "newsletter close", "newsletter open", "signup",
                          "subscriber confirm", "subscriber unsubscribe", "suppress add", "suppress remove", "subscriber erase"])
        self.assertNotIn("@", json.dumps([act["details"] for act in acts]))
        self.assertEqual({act["details"]["person"] for act in acts if "person" in act["details"]}, {ada})
        self.zgoda.run("consent", "verify")
        # what changes nothing leaves none
        self.ask("POST", "/v1/admin/newsletters/views/open", token)
        self.ask("POST", f"/v1/admin/subscribers/{ada}/unsubscribe", token, {"all": True})
        self.assertEqual(len([act for act in self.acts() if act["who"].startswith("token")]), len(acts))

    def test_a_change_of_a_newsletter_is_whole_or_nothing(self):
        token = self.token("desk")
        for change in ({"slug": "new", "settings": {"thanks_url": "http://x.example.org"}}, {"slug": "NEW"}, {"slug": "new", "settings": {"colour": "red"}},
                       {"slug": ""}, {"settings": {"name": "Fine", "from": "nobody"}}, {"settings": {"name": ["x"]}}, {"settings": "x"}, {"name": "x"}):
            self.problem(self.ask("PATCH", f"/v1/admin/newsletters/{SLUG}", token, change), 422, "invalid")
        shown = json.loads(self.zgoda.run("newsletter", "show", SLUG, "--json"))
        self.assertEqual((shown["aliases"], shown["settings"]), ([], {"name": {"": "Explaining Ukraine"}}))
        self.assertEqual(self.ask("GET", f"/v1/admin/newsletters/{SLUG}", token).json(), shown, "the same as on the command line")
        for wrong in ({}, {"settings": {}}, {"settings": {"name": None, "description": "Words"}}, {"settings": {"name": ""}}):
            reply = self.ask("POST", "/v1/admin/newsletters", token, {"slug": "bare", **wrong})
            self.problem(reply, 422, "invalid")
            self.assertEqual([one["pointer"] for one in reply.json()["errors"]], ["/settings/name"])
        for wrong in ({"colour": "red"}, {"listed": {"uk": "true"}}):  # no words of the command line
            self.assertNotRegex(self.ask("PATCH", f"/v1/admin/newsletters/{SLUG}", token, {"settings": wrong}).text, "--|zgoda newsletter")
        self.assertEqual(self.ask("GET", "/v1/admin/newsletters/bare", token).status, 404)

    def test_signups_from_our_own_server_obey_the_mail_budget_and_keep_the_evidence(self):
        token = self.token("site", "signup:write")
        reader = {"email": "ada@example.org", "newsletters": [SLUG], "client_ip": "::ffff:203.0.113.7", "user_agent": "Mozilla/5.0", "website": "x"}
        for _ in range(5):
            reply = self.ask("POST", "/v1/admin/subscriptions", token, reader)
            self.assertEqual(reply.status, 202, reply.text)
        self.assertEqual(self.zgoda.client.get(f"/v1/tickets/{reply.json()['ticket']}").status, 200)
        self.zgoda.run("mail")
        self.assertEqual(len(self.zgoda.new_letters()), 1)
        self.zgoda.run("mail")
        self.assertEqual(len(self.zgoda.new_letters()), 0)
        proof = self.zgoda.run("consent", "show", "ada@example.org")
        self.assertIn("203.0.113.7", proof)
        self.assertNotIn("::ffff", proof)
        for wrong in ({"client_ip": "here"}, {"client_ip": None}, {"user_agent": ""}, {"client_ip": 7}):
            self.problem(self.ask("POST", "/v1/admin/subscriptions", token, {**reader, **wrong}), 422, "invalid")
        self.assertEqual(self.ask("POST", "/v1/admin/subscriptions", token, {**reader, "email": "ada"}).status, 422)
        self.assertEqual(self.ask("POST", "/v1/admin/subscriptions", token, {**reader, "newsletters": 7}).status, 422)

    def test_lists_come_page_by_page(self):
        token = self.token("desk")
        self.sign_up(*(f"reader{number}@example.org" for number in range(7)))
        for path, name in (("/v1/admin/subscribers", "subscribers"), ("/v1/admin/suppressions", "suppressions"), ("/v1/admin/newsletters", "newsletters")):
            if name == "suppressions":
                for number in range(7):
                    self.ask("POST", path, token, {"email": f"reader{number}@example.org", "reason": "a test"})
            if name == "newsletters":
                for number in range(6): self.ask("POST", path, token, {"slug": f"n{number}", "settings": {"name": "N"}})
            seen, cursor, pages = [], "", 0
            while cursor is not None:
                page = self.ask("GET", f"{path}?limit=3{'&cursor=' + cursor if cursor else ''}", token).json()
                seen += page[name]
                cursor, pages = page["next"], pages + 1
                self.assertLessEqual(len(page[name]), 3)
            self.assertEqual((len(seen), pages), (7, 3), name)
            self.assertEqual(len({json.dumps(one) for one in seen}), 7)
            whole = self.ask("GET", f"{path}?limit=7", token).json()
            self.assertEqual((whole[name], whole["next"]), (seen, None))
        found, cursor = [], None
        while True:
            page = self.ask("POST", "/v1/admin/subscribers/search", token, {"pattern": "READER*example", "limit": 3, "cursor": cursor}).json()
            found += [person["address"] for person in page["subscribers"]]
            if (cursor := page["next"]) is None: break
        self.assertEqual(found, [f"reader{number}@example.org" for number in range(7)])


class Export(Admin):
    def test_is_what_the_command_line_gives(self):
        token = self.token("nightly", "subscribers:export")
        self.sign_up(*(f"reader{number}@example.org" for number in range(25)))
        for query, words in (("status=all", ["--status", "all"]), ("", []), ("status=all&format=ndjson", ["--status", "all", "--format", "ndjson"]),
                             ("status=pending&links=true", ["--status", "pending", "--links"]),
                             (f"newsletter={SLUG}&status=pending&locale=en&raw=true&changed_since=2026-01-01", ["--status", "pending", "--raw"])):
            reply = self.ask("GET", f"/v1/admin/export?{query}", token)
            self.assertEqual((reply.status, reply.headers["Transfer-Encoding"]), (200, "chunked"))
            self.assertEqual(reply.body.decode(), self.zgoda.call("export", *words, binary=True).stdout.decode())
        acts = [act for act in self.acts() if act["what"] == "export" and act["who"].startswith("token nightly ")]
        self.assertEqual([act["details"] for act in reversed(acts)],
                         [{"status": "all"}, {"status": "confirmed"}, {"status": "all"}, {"status": "pending", "links": True},
                          {"status": "pending", "newsletter": acts[0]["details"]["newsletter"], "locale": "en", "changed_since": "2026-01-01T00:00:00.000Z"}])
        self.ask("GET", "/v1/admin/export?locale=ada@example.org", token)
        self.assertNotIn("@", json.dumps(self.acts()))
        told = self.acts()
        self.assertEqual(self.ask("HEAD", "/v1/admin/export?status=all", token).body, b"")
        self.assertEqual(self.acts(), told, "nothing went out")
        self.assertEqual(self.ask("GET", "/v1/admin/stats", token).status, 403, "the connection goes on")

    def import_many(self, people):
        file = self.zgoda.folder / "many.csv"
        file.write_text("email,newsletter,status,signed_up_at,confirmed_at\r\n" + "".join(
            f"reader{number}@example.org,{SLUG},confirmed,2026-01-01T00:00:00Z,2026-01-01T00:01:00Z\r\n" for number in range(people)))
        self.zgoda.run("import", str(file), "--basis", "a test", "--unproven", "confirmed")

    def test_of_many_pages_for_slow_and_old_clients(self):
        self.import_many(30_000)
        token = self.token("nightly", "subscribers:export")
        wanted = self.zgoda.call("export", binary=True).stdout
        self.assertEqual(wanted.count(b"\r\n"), 30_001)
        self.assertEqual(self.ask("GET", "/v1/admin/export", token).body, wanted)
        request = f"GET /v1/admin/export HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.zgoda.private_port)) as client:  # RFC 9112, 6.1: no chunks
            client.sendall(request)
            reply = client.makefile("rb").read()
        head, _, body = reply.partition(b"\r\n\r\n")
        self.assertNotIn(b"chunked", head)
        self.assertIn(b"Connection: close", head)
        self.assertEqual(body, wanted)

        def memory(): return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.zgoda.server.pid}/status").read_text())[1])
        before = memory()
        for _ in range(8):  # they read nothing: what waits is a piece each, not the export
            client = socket.create_connection(("127.0.0.1", self.zgoda.private_port))
            client.sendall(request)
            self.addCleanup(client.close)
        time.sleep(1)
        if "san" not in BUILD:  # sanitizers keep what was freed
            self.assertLess(memory() - before, 8 * 1024)
        self.assertEqual(self.ask("GET", "/livez").status, 200)

    def test_that_cannot_be_finished_is_cut(self):
        self.import_many(60_000)
        token = self.token("nightly", "subscribers:export")
        client = http.client.HTTPConnection("127.0.0.1", self.zgoda.private_port, timeout=15 * SLOW)
        client.request("GET", "/v1/admin/export", headers={"Authorization": f"Bearer {token}"})
        answer = client.getresponse()
        answer.read(100_000)
        self.zgoda.server.terminate()  # waits for it for 9 s, then cuts
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            time.sleep(11)
            answer.read()
        self.assertEqual(self.zgoda.server.wait(10 * SLOW), 0)
        client.close()


# --- the examples of the document ---

PEOPLE = {1042: "ada@example.org", 1050: "bob@example.org", 1058: "carol@example.org", 1063: "mallory@example.org", 1077: "heidi@example.org"}
WRONG_BODIES = {  # of examples whose request the document's own schema does not allow
    ("createNewsletter", "invalid"): {"nmae": "X"}, ("createNewsletter", "no_name"): {"slug": "bare"},
    ("confirmSubscriber", "no_evidence"): {}, ("signUp", "no_client"): {"email": "a@example.org"},
    ("suppress", "no_reason"): {"email": "a@example.org"}, ("liftSuppressions", "no_reason"): {"email": "a@example.org"},
}
WRONG_QUERIES = {
    ("listNewsletters", "limit_too_large"): "limit=1001", ("listSubscribers", "unknown_parameter"): "email=a", ("exportSubscribers", "bad_status"): "status=x",
    ("exportSubscribers", "bad_time"): "changed_since=yesterday", ("stats", "bad_by"): "by=hour",
}
NOT_PLAYED = {"503"}  # tests/api/ has these: a store that fails on request


def resolved(node):
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"): target = target[part]
        node = target
    return node


def fits(schema, value):
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker(),
        resolver=jsonschema.RefResolver("", DOCUMENT))
    return [error.message for error in validator.iter_errors(value)]


class Examples(Admin):
    def setUp(self):
        super().setUp()
        self.tokens = {scope: self.token(scope.replace(":", "-"), scope) for scope in SCOPES}
        self.sign_up(*(address for number, address in PEOPLE.items() if number not in (1042, 1050)))
        for address in (PEOPLE[1042], PEOPLE[1050]):
            self.sign_up(address)
            self.zgoda.run("subscriber", "confirm", address, "--evidence", "a test")
        self.zgoda.run("suppress", "add", PEOPLE[1063], "--reason", "a test")
        self.ids = {number: self.people(self.tokens["subscribers:read"])[address] for number, address in PEOPLE.items()}

    def request_of(self, path, operation, name, status):
        """The request that an example of an answer belongs to: that of the same name."""
        values, query = {}, []
        for parameter in operation.get("parameters", []):
            examples = parameter.get("examples", {})
            if name in examples: value = examples[name]["value"]
            elif parameter["in"] == "path": value = next(iter(examples.values()))["value"]
            else: continue
            value = self.ids.get(value, value)
            if parameter["in"] == "path": values[parameter["name"]] = value
            else: query.append(f"{parameter['name']}={str(value).lower() if isinstance(value, bool) else value}")
        if wrong := WRONG_QUERIES.get((operation["operationId"], name)): query = [wrong]
        if name == "unexpected_parameter": query = ["dry_run=true"]
        body, kind = None, "application/json"
        if "requestBody" in operation:
            examples = operation["requestBody"]["content"]["application/json"]["examples"]
            if name == "malformed": body = "{"
            elif name == "unsupported": body, kind = "x=1", "text/plain"
            elif (operation["operationId"], name) in WRONG_BODIES: body = json.dumps(WRONG_BODIES[operation["operationId"], name])
            elif name in examples: body = json.dumps(examples[name]["value"])
            elif name in ("neither", "unexpected_parameter"): body = "{}"
            else: self.assertIn(status, ("401", "403"), f"{operation['operationId']} has no request for {name}"); body = "{}"
        return path.format(**values) + ("?" + "&".join(query) if query else ""), body, kind

    def check(self, what, reply, status, media, content, example):
        self.assertEqual(reply.status, int(status), f"{what}: {reply.text[:500]}")
        self.assertEqual(reply.headers["Content-Type"].split(";")[0], media, what)
        schema = content["schema"]
        if media == "text/csv":
            self.assertEqual(reply.text.split("\r\n")[0], example.split("\r\n")[0], what)
            self.assertEqual({len(row) for row in csv.reader(io.StringIO(reply.text))}, {len(row) for row in csv.reader(io.StringIO(example))}, what)
        elif media == "application/x-ndjson":
            for line in reply.text.splitlines() + example.splitlines():
                self.assertEqual(fits(schema["contentSchema"], json.loads(line)), [], what)
            self.assertGreater(len(reply.text.splitlines()), 3)
        elif media == "text/plain":
            for line in example.splitlines():
                self.assertIn(line.rsplit(" ", 1)[0] if not line.startswith("#") else line, reply.text, what)
        else:
            self.assertEqual(fits(schema, reply.json()), [], f"{what}: {reply.text[:2000]}")
            self.assertEqual(fits(schema, example), [], what)
            if media == "application/problem+json":
                told = reply.json()
                self.assertEqual([told.get(key) for key in ("type", "title", "status", "code")], [example.get(key) for key in ("type", "title", "status", "code")], what)
                if "errors" in example:
                    self.assertEqual([(one["pointer"], one["code"]) for one in told["errors"]], [(one["pointer"], one["code"]) for one in example["errors"]], what)
            elif "schemas/" not in json.dumps(schema):
                self.assertLessEqual(set(example), set(reply.json()), what)
            for name, value in example.items():  # a list that the example fills has something in it
                if isinstance(value, list) and value: self.assertTrue(reply.json()[name], f"{what}: {name} is empty")

    def test_are_all_as_documented(self):
        played, operations = 0, [(path, method, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()]
        # whom an earlier example erased or left is gone: erasing comes last
        for path, method, operation in sorted(operations, key=lambda one: one[1] == "delete"):
            scope = operation["security"][0]["token"][0] if operation["security"] else None
            for status, response in operation["responses"].items():
                response = resolved(response)
                if status in NOT_PLAYED: continue
                for media, content in response.get("content", {None: {"examples": {"erased": {}}}}).items():
                    for name, example in content["examples"].items():
                        what = f"{operation['operationId']} {status} {name}"
                        target, body, kind = self.request_of(path, operation, name, status)
                        token = self.tokens.get(scope)
                        if name == "token_missing": token = None
                        if name == "token_refused": token = "zgoda_" + "A" * 43
                        if name == "scope_missing": token = next(t for s, t in self.tokens.items() if s != scope)
                        reply = self.ask(method.upper(), target, token, body.encode() if body else None, {"Content-Type": kind} if body else {})
                        for header in response.get("headers", {}): self.assertIn(header, reply.headers, what)
                        if media is None: self.assertEqual((reply.status, reply.body), (int(status), b""), what)
                        else: self.check(what, reply, status, media, content, example["value"] if name != "scope_missing" else
                                         {**example["value"], "detail": reply.json()["detail"]})
                        played += 1
        self.assertGreater(played, 120)
        print(f"{played} examples played", file=sys.stderr)
        self.assertEqual(self.ask("GET", "/openapi.json").json(), DOCUMENT)


if __name__ == "__main__":
    unittest.main()
