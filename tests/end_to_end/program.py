"""What the black-box tests share: one zgoda in a folder of its own, and the world around it.

The program is driven only by what it promises: command line, HTTP, settings in the environment, letters. The build to
test is build/release; BUILD=asan-ubsan takes another one.
"""
import email
import email.errors
import email.policy
import html.parser
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("BUILD", "release")
BINARY = ROOT / "build" / BUILD / "zgoda"
SLOW = 1 if BUILD == "release" else 8  # sanitizers take their time


def free_port():
    """A port that nobody will be given by the system for an outgoing connection, so that a restart finds it free."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_for(what, condition, seconds=10):
    """Polls until the condition gives something true, and gives it back."""
    end = time.monotonic() + seconds * SLOW
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * SLOW} s for {what}")
        time.sleep(0.01)
    return result


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self): return self.body.decode()

    def json(self): return json.loads(self.body)


class Client:
    """One keep-alive connection to one listener. Any trouble on it is an OSError or http.client.HTTPException."""

    def __init__(self, port, **headers):
        self.port, self.headers, self.connection = port, headers, None

    def request(self, method, path, body=None, headers=()):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15 * SLOW)
        try:
            self.connection.request(method, path, body, {**self.headers, **dict(headers)})
            answer = self.connection.getresponse()
            reply = Reply(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.will_close:
            self.close()
        return reply

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def get(self, path, **headers): return self.request("GET", path, headers=headers)

    def sign_up(self, address, *newsletters, headers=(), **fields):
        body = json.dumps({"email": address, "newsletters": newsletters, **fields})
        return self.request("POST", "/v1/subscriptions", body.encode(), {"Content-Type": "application/json", **dict(headers)})

    def submit(self, form, page_path, headers=()):
        """What a browser does when the button of this form is pressed."""
        target = urllib.parse.urlsplit(urllib.parse.urljoin(f"http://127.0.0.1:{self.port}{page_path}", form.action))
        path = target.path + ("?" + target.query if target.query else "")
        return self.request("POST", path, urllib.parse.urlencode(form.pressed()).encode(), {
            "Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html",
            "Origin": f"http://127.0.0.1:{self.port}", **dict(headers)})

    def press(self, link, headers=()):
        """Opens a link of a letter and presses the button of its page, everything left as it came ticked."""
        path = path_of(link)
        page = self.request("GET", path, headers={"Accept": "text/html", **dict(headers)})
        if page.status != 200:
            return page
        return self.submit_like_a_person(Form.of(page), path, headers)

    def submit_like_a_person(self, form, page_path, headers=()):
        """Takes time to read, and presses again where the page asks once more, as it does right after the delivery."""
        for _ in range(10):
            time.sleep(1.1)
            reply = self.submit(form, page_path, headers)
            if "data-asked" not in reply.text:
                break
            form = Form.of(reply)
        return reply

    def type_code(self, ticket, code, headers=()):
        """Types the code of a letter into the form that has this ticket; no need to wait for anything."""
        return self.request("POST", "/v1/confirmations", json.dumps({"ticket": ticket, "code": code}).encode(),
                            {"Content-Type": "application/json", **dict(headers)})


class Form:
    """A form as a browser sees it: where it posts, and what it would send."""

    def __init__(self, action, method):
        self.action, self.method, self.controls = action, method, []  # controls: attributes of each input and button

    @staticmethod
    def all_of(reply):
        forms = []

        class Parser(html.parser.HTMLParser):
            def handle_starttag(self, tag, attributes):
                attributes = dict(attributes)
                if tag == "form":
                    forms.append(Form(attributes.get("action") or "", attributes.get("method", "get").lower()))
                elif tag in ("input", "button") and forms:
                    kind = attributes.get("type", "text" if tag == "input" else "submit")
                    forms[-1].controls.append({**attributes, "type": kind})

        Parser().feed(reply.text)
        return forms

    @staticmethod
    def of(reply):
        forms = [form for form in Form.all_of(reply) if form.method == "post"]
        assert forms, f"a page without a form to post, status {reply.status}:\n{reply.text[:2000]}"
        return forms[0]

    def boxes(self):
        """Each checkbox: its value, and whether it came ticked."""
        return {c.get("value", "on"): "checked" in c for c in self.controls if c["type"] == "checkbox"}

    def tick(self, value, ticked=True):
        box = next(c for c in self.controls if c["type"] == "checkbox" and c.get("value", "on") == value)
        box["checked"] = ""
        if not ticked:
            del box["checked"]

    def fill(self, name, value):
        next(c for c in self.controls if c.get("name") == name)["value"] = value

    def pressed(self):
        pairs, button = [], False
        for control in self.controls:
            kind, name = control["type"], control.get("name")
            if kind == "submit" and button or kind in ("reset", "button", "image"):
                continue
            button = button or kind == "submit"
            if name and (kind not in ("checkbox", "radio") or "checked" in control):
                pairs.append((name, control.get("value", "on" if kind == "checkbox" else "")))
        return pairs


class Letter:
    """A letter as an independent parser reads it."""

    def __init__(self, data, envelope=None):
        self.data, self.envelope = data, envelope
        if data.isascii():
            self.message = email.message_from_bytes(data, policy=email.policy.SMTP)
        else:  # RFC 6532
            self.message = email.message_from_string(data.decode(), policy=email.policy.SMTPUTF8)
        self.text = self.message.get_body(("plain",)).get_content()
        self.id = str(self.message["Message-ID"])
        self.to = str(self.message["To"])

    def link(self, page):
        links = re.findall(rf"https?://\S+/{page}\?t=[\w.=~-]+", self.text)
        assert links, f"no {page} link in:\n{self.text}"
        return links[0]

    def code(self):
        return re.search(r"\b\d{6}\b", str(self.message["Subject"]))[0]

    def unsubscribe_link(self):
        return re.search(r"<(https?://[^>]+)>", str(self.message["List-Unsubscribe"]))[1]

    def defects(self):
        found = []
        for part in self.message.walk():
            found += part.defects
            for name, value in part.items():
                found += [defect for defect in getattr(value, "defects", [])  # RFC 6531 allows what this one says
                          if self.data.isascii() or not isinstance(defect, email.errors.NonASCIILocalPartDefect)]
            if not part.is_multipart():
                part.get_content()
        return found


def path_of(link):
    parts = urllib.parse.urlsplit(link)
    return parts.path + "?" + parts.query


class Program:
    """One zgoda in a folder of its own, on free ports; settings as `mail_url="..."` become ZGODA_MAIL_URL."""

    def __init__(self, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="zgoda-test-"))
        self.port = free_port()
        self.private_port = next(port for port in iter(free_port, None) if port != self.port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {"server_listen": f"127.0.0.1:{self.port}", "server_private_listen": f"127.0.0.1:{self.private_port}",
                         "server_public_url": self.url, "limits_per_ip": "", **settings}
        self.log = self.folder / "log"  # what serve and mail wrote, over the whole life of this folder
        self.letters = self.folder / "var" / "letters"
        self.database = self.folder / "var" / "zgoda.db"
        self.client = Client(self.port)
        self.private = Client(self.private_port)
        self.server = None
        self._read_letters = set()

    def environment(self, **settings):
        keep = {name: value for name, value in os.environ.items() if not name.startswith("ZGODA_")}
        return keep | {f"ZGODA_{name.upper()}": str(value) for name, value in (self.settings | settings).items()}

    def start(self, *arguments, before=(), preexec_fn=None, **settings):
        """Starts a verb that stays; its output goes to the log. `before` is a command that runs it, such as strace."""
        with open(self.log, "ab") as log:
            return subprocess.Popen([*before, str(BINARY), *arguments], cwd=self.folder, env=self.environment(**settings),
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=preexec_fn)

    def is_ready(self):
        ports = {self.port}
        if self.settings["server_private_listen"].endswith(f":{self.private_port}"): ports.add(self.private_port)
        try:
            for port in ports: socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False

    def serve(self, *arguments, **how):
        self.server = self.start("serve", *arguments, **how)
        wait_for("the service to listen", lambda: self.is_ready() or self._must_live())
        return self.server

    def _must_live(self):
        code = self.server.poll()
        assert code is None, f"serve ended with {code}:\n{self.log.read_text()[-3000:]}"

    def stop(self):
        """Drains, as systemd would ask for it."""
        self.client.close()
        self.private.close()
        if self.server is not None and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            code = self.server.wait(15 * SLOW)
            assert code == 0, f"serve ended with {code} after SIGTERM:\n{self.log.read_text()[-3000:]}"
        self.server = None

    def remove(self):
        if self.server is not None and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        self.client.close()
        self.private.close()
        if "KEEP" in os.environ:
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, *arguments, stdin=None, binary=False, before=(), **settings):
        """Runs a verb to its end. What `mail` says on stderr is log and goes there too."""
        done = subprocess.run([*before, str(BINARY), *arguments], cwd=self.folder, env=self.environment(**settings), input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120 * SLOW)
        if arguments[:1] == ("mail",):
            with open(self.log, "ab") as log:
                log.write(done.stderr)
        if not binary:
            done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done

    def run(self, *arguments, expect=0, **how):
        """Runs a verb that must end with this code; gives its stdout."""
        done = self.call(*arguments, **how)
        assert done.returncode == expect, (
            f"zgoda {' '.join(arguments)}: exit {done.returncode}, not {expect}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def make(self, *slugs):
        """A database with these newsletters."""
        self.run("migrate")
        for slug in slugs:
            self.run("newsletter", "add", slug, "--name", slug.replace("-", " ").title())

    def new_letters(self):
        """The letters of the Maildir that were not given before, oldest first."""
        files = {file for file in (self.letters / "new").glob("*")} - self._read_letters
        self._read_letters |= files
        return [Letter(file.read_bytes()) for file in sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name))]

    def letter(self):
        """The one new letter, sent now."""
        self.run("mail")
        letters = self.new_letters()
        assert len(letters) == 1, f"{len(letters)} letters, not one"
        return letters[0]

    def statuses(self):
        """What the export of everything says: {(address, newsletter): status}."""
        lines = self.run("export", "--status", "all", "--format", "ndjson").splitlines()
        return {(row["email"], row["newsletter"]): row["status"] for row in map(json.loads, lines)}

    def leaks(self, secrets=()):
        """What of a reader the log holds and never may: addresses, tokens, query strings, and the given texts."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        found = {match for match in re.findall(r"[^\s\"'<>=:,{}\[\]]+@[^\s\"'<>,{}\[\]]+", text) if match != "newsletters@localhost"}
        found |= set(re.findall(r"\?\w+=\S*|\bt=[\w-]{16,}\S*", text))
        return sorted(found | {secret for secret in secrets if secret in text})


class SmtpSink:
    """tests/end_to_end/smtp_sink.py as a process, and the letters it kept."""

    def __init__(self, folder, *options):
        self.spool = Path(folder) / f"sink-{random.randrange(10**9)}"
        self.spool.touch()
        self.process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("smtp_sink.py")),
                                         "--spool", str(self.spool), *options], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"smtp://127.0.0.1:{self.port}"
        self._offset = 0

    def new_entries(self):
        """The entries written since the last call."""
        with open(self.spool, "rb") as spool:
            spool.seek(self._offset)
            data = spool.read()
        data = data[:data.rfind(b"\n") + 1]
        self._offset += len(data)
        return [json.loads(line) for line in data.splitlines()]

    def new_letters(self):
        return [Letter(entry["data"].encode("latin-1"), entry) for entry in self.new_entries() if "data" in entry]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
