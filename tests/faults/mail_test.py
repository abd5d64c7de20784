#!/usr/bin/python3
"""Mailers at their worst: two crons at once, killed amid their letters, with a clock that jumps, stopped past their lease,
and before a relay that says one byte a second. Every letter goes out, and none goes twice but what a kill left unknown.

--long has 1,000 kills instead of 100.
"""
import glob
import itertools
import json
import os
import pty
import random
import re
import shutil
import signal
import socket
import socketserver
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "end_to_end"))
from program import BINARY, BUILD, SLOW, Client, Program, SmtpSink, free_port, wait_for

LONG = "--long" in sys.argv
CONNECTIONS = 4  # of a mailer
LIBFAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


SMTP_SINK = Path("/usr/sbin/smtp-sink")  # package postfix


def recipient(command): return re.search(r"<([^>]*)>", command)[1]


class PostfixSink:
    """Postfix's smtp-sink, and the letters that it took: a file for each, from its reply to the dot on."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="zgoda-sink-"))
        self.folder.chmod(0o777)  # it wants to be nobody
        self.port = free_port()
        self.url = f"smtp://127.0.0.1:{self.port}"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([SMTP_SINK, *user, "-d", f"{self.folder}/", f"127.0.0.1:{self.port}", "100"])
        wait_for("smtp-sink", self.listens)

    def listens(self):
        with socket.socket() as probe: return probe.connect_ex(("127.0.0.1", self.port)) == 0 and probe.recv(1)

    def changed(self): return self.folder.stat().st_mtime_ns  # with the beginning of each letter

    def is_idle(self):
        """It has read all that clients sent who are gone: of its sockets there is only the one that listens."""
        try:
            files = [os.readlink(file) for file in Path(f"/proc/{self.process.pid}/fd").iterdir()]
        except FileNotFoundError:  # closed meanwhile
            return False
        return sum(file.startswith("socket:") for file in files) == 1

    def wait_until_idle(self):
        self.listens()  # so that it has accepted all that came before
        wait_for("smtp-sink to hang up", self.is_idle)

    def new_letters(self):
        """Of each its recipient and its Message-ID."""
        letters = []
        for file in self.folder.iterdir():
            text = file.read_text()
            letters.append((recipient(re.search(r"(?m)^X-Rcpt-Args: (.*)", text)[1]),
                            re.search(r"(?m)^Message-ID: *(<.*>)", text)[1]))
            file.unlink()
        return letters

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


class Relay(socketserver.ThreadingTCPServer):
    """Takes every letter, but those to `later` only when they come again; its replies may come slowly. After `take`
    letters, `holds` sessions wait until `go_on` is set before they answer to the command `hold`."""
    daemon_threads, allow_reuse_address = True, True

    def __init__(self, drip=0.0, from_the_first=False, hold=None, holds=CONNECTIONS, take=0, later=(), pipelining=True):
        super().__init__(("127.0.0.1", 0), RelaySession)
        self.drip, self.from_the_first, self.hold, self.holds, self.take = drip, from_the_first, hold, holds, take
        self.later, self.pipelining = set(later), pipelining
        self.held, self.go_on, self.kept, self.lock = 0, threading.Event(), [], threading.Lock()
        self.url = f"smtp://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request, client_address): pass  # clients may go as they like

    def wait_at(self, command):
        with self.lock:
            if command != self.hold or self.held == self.holds or len(self.kept) < self.take: return
            self.held += 1
        self.go_on.wait()

    def is_held(self): return self.held == self.holds


class RelaySession(socketserver.StreamRequestHandler):
    def say(self, text):
        for octet in text.encode() + b"\r\n":
            if self.slow: time.sleep(self.server.drip)
            self.wfile.write(bytes([octet]))

    def handle(self):
        relay = self.server
        self.slow = relay.drip and relay.from_the_first
        self.say("220 relay")
        to = None
        for line in self.rfile:
            verb = line[:4].upper()
            relay.wait_at(verb.decode())
            if verb == b"EHLO": self.say("250-relay\r\n250 " + ("PIPELINING" if relay.pipelining else "SIZE"))
            elif verb == b"QUIT": return
            elif verb == b"DATA" and to is None: self.say("503 -")
            elif verb == b"DATA":
                self.say("354 -")
                letter = list(itertools.takewhile(lambda one: one != b".\r\n", self.rfile))
                if letter[-1:] and not letter[-1].endswith(b"\n"): return  # cut
                if not letter: return
                with relay.lock: relay.kept.append(to)
                to = None
                relay.wait_at(".")
                self.say("250 -")
            elif verb == b"RCPT" and recipient(line.decode()) in relay.later:
                relay.later.remove(recipient(line.decode()))
                self.say("450 4.2.0 later")
            else:
                to = recipient(line.decode()) if verb == b"RCPT" else None
                self.slow = relay.drip
                self.say("250 -")


class Mailers(unittest.TestCase):
    def setUp(self):
        self.zgoda = Program(mail_tls="none", mail_connections=CONNECTIONS, log_level="warn")
        self.addCleanup(self.zgoda.remove)
        self.zgoda.make("daily")
        self.count = itertools.count()

    def sink(self):
        sink = SmtpSink(self.zgoda.folder)
        self.addCleanup(sink.stop)
        self.zgoda.settings["mail_url"] = sink.url
        return sink

    def relay(self, **how):
        relay = Relay(**how)
        self.addCleanup(relay.server_close)
        self.addCleanup(relay.shutdown)
        self.addCleanup(relay.go_on.set)
        self.zgoda.settings["mail_url"] = relay.url
        return relay

    def sign_up(self, count, **settings):
        """So many signups, each of which owes a letter; gives their addresses."""
        addresses = [f"reader{next(self.count)}@reader.example.org" for _ in range(count)]
        self.ask_for(addresses, **settings)
        return addresses

    def ask_for(self, addresses, **settings):
        self.zgoda.serve(**settings)

        def some(part):
            client = Client(self.zgoda.port)
            for address in part:
                while (status := client.sign_up(address, "daily").status) == 503: time.sleep(0.01)
                assert status == 202, status
            client.close()
        with ThreadPoolExecutor(8) as pool: list(pool.map(some, (addresses[n::8] for n in range(8))))
        self.zgoda.stop()

    def load(self, count):
        """So many by the load of script/bench; gives their addresses."""
        acked = self.zgoda.folder / "acked"
        self.zgoda.serve()
        subprocess.run([str(BINARY.parent / "zgoda_load"), "--port", str(self.zgoda.port), "--requests", str(count),
                        "--newsletter", "daily", "--acked", str(acked)], check=True, stdout=subprocess.DEVNULL)
        self.zgoda.stop()
        return acked.read_text().split()

    def start_mailer(self, *arguments, **how):
        mailer = self.zgoda.start("mail", *arguments, **how)
        self.addCleanup(mailer.wait)
        self.addCleanup(mailer.kill)
        return mailer

    def waiting(self, **settings): return json.loads(self.zgoda.run("mail", "status", "--json", **settings))["waiting"]

    def test_two_crons_at_once_send_nothing_twice(self):
        sink = self.sink()
        wanted = self.load(100_000) if SLOW == 1 else self.sign_up(10_000 // SLOW)
        mailers = [self.start_mailer() for _ in range(2)]
        for mailer in mailers: self.assertEqual(mailer.wait(600 * SLOW), 0, self.zgoda.log.read_text()[-2000:])
        got = Counter(recipient(entry["to"][0]) for entry in sink.new_entries() if "data" in entry)
        self.assertEqual(max(got.values()), 1)
        self.assertEqual(set(got), set(wanted))
        self.assertEqual(self.waiting(), 0)

    @unittest.skipUnless(SMTP_SINK.exists() or "CI" in os.environ, "smtp-sink (package postfix) is not installed")
    def test_killed_amid_its_letters_it_loses_none(self):
        sink, kills = PostfixSink(), 1000 if LONG else 100 // SLOW
        self.addCleanup(sink.stop)
        self.zgoda.settings["mail_url"] = sink.url
        wanted, runs, dice = set(), [], random.Random(5)
        while len(runs) < kills:
            if not wanted or self.waiting() < 2000: wanted.update(self.sign_up(5000))
            for _ in range(20):
                before = sink.changed()
                mailer = self.start_mailer()
                wait_for("a letter to go", lambda: sink.changed() > before or mailer.poll() is not None)
                time.sleep(dice.uniform(0, 0.02))
                if mailer.poll() is not None: break
                mailer.kill()
                mailer.wait()
                sink.wait_until_idle()
                runs.append(sink.new_letters())
        while self.waiting(): self.zgoda.run("mail")
        sink.wait_until_idle()
        runs.append(sink.new_letters())

        ids, later, at_risk = {}, set(), []
        for run in reversed(runs):  # each letter that one of them sent, and a later one again
            of_run = {to for to, _ in run}
            self.assertEqual(len(of_run), len(run), "one run sent a letter twice")
            at_risk.append(len(of_run & later))
            later |= of_run
            for to, message_id in run: ids.setdefault(to, set()).add(message_id)
        print(f"{kills} kills, {sum(map(len, runs))} letters, {sum(at_risk)} repeated, {max(at_risk)} by one kill", flush=True)
        self.assertEqual(set(ids), wanted)
        self.assertEqual({len(of_one) for of_one in ids.values()}, {1}, "a letter that went again had another Message-ID")
        self.assertLessEqual(max(at_risk), 2 * CONNECTIONS)

    def test_a_confirmation_waits_behind_nothing(self):
        relay = self.relay()
        readers = [f"reader{n}@old.example.org" for n in range(3000 // SLOW)]
        self.zgoda.run("import", "-", "--newsletter", "daily", "--basis", "a test", "--unproven", "confirmed",
                       stdin="\r\n".join(["email", *readers]).encode())
        self.ask_for(readers)  # each is to be told that she is subscribed
        for rate, behind in ((0, 200), (20, 60)):  # leased ahead, under way, and gone while she signs up
            kate, before = f"kate{rate}@reader.example.org", len(relay.kept)
            self.zgoda.serve()
            mailer = self.start_mailer(mail_rate_per_second=rate)
            wait_for("letters", lambda: len(relay.kept) > before + 20)
            asked = len(relay.kept)
            self.assertEqual(self.zgoda.client.sign_up(kate, "daily").status, 202)
            wait_for("the confirmation", lambda: kate in relay.kept)
            self.assertLess(relay.kept.index(kate) - asked, behind)
            mailer.send_signal(signal.SIGTERM)
            mailer.wait(10 * SLOW)
            self.zgoda.stop()
        self.assertGreater(self.waiting(), len(readers) / 2)

    def test_a_relay_that_says_one_byte_a_second_is_waited_for(self):
        relay = self.relay(drip=1.0)
        wanted = self.sign_up(CONNECTIONS)
        self.assertIn(f"sent {CONNECTIONS}, ", self.zgoda.run("mail"))
        self.assertEqual(sorted(relay.kept), sorted(wanted))

    def test_a_terminal_sees_rate_and_time_left(self):
        self.relay(drip=0.01)
        self.sign_up(40)
        terminal, theirs = pty.openpty()
        environment = {name: value for name, value in self.zgoda.environment().items() if name != "NO_COLOR"}
        mailer = subprocess.Popen([str(BINARY), "mail"], cwd=self.zgoda.folder, env=environment, stderr=theirs,
                                  stdout=subprocess.DEVNULL)
        os.close(theirs)
        shown = b""
        try:
            while octets := os.read(terminal, 65536): shown += octets
        except OSError:  # the other end is closed
            pass
        os.close(terminal)
        self.assertEqual(mailer.wait(), 0)
        self.assertRegex(shown.decode(), r"mail \[#+ *-*\] \d+ %, \d+/s, \d+ s left")

    def test_what_became_of_letters_can_be_seen(self):
        relay = self.relay(drip=0.0)
        self.sign_up(3)
        relay.shutdown()
        relay.server_close()
        self.assertEqual(self.zgoda.call("mail").returncode, 75)
        status = json.loads(self.zgoda.run("mail", "status", "--json"))
        self.assertIn("connect", status["relay_trouble"]["why"])
        self.assertIn("the relay takes no letters since ", self.zgoda.run("mail", "status"))
        self.zgoda.serve()
        self.assertIn("\nzgoda_relay_trouble 1\n", self.zgoda.private.get("/metrics").text)
        self.sink()
        self.zgoda.run("mail")
        text = self.zgoda.private.get("/metrics").text
        self.assertIn("\nzgoda_relay_trouble 0\n", text)
        self.assertIn('\nzgoda_letter_results_total{result="delivered"} 3\n', text)
        for result in ("later", "refused", "uncertain"):
            self.assertIn(f'\nzgoda_letter_results_total{{result="{result}"}} 0\n', text)
        self.zgoda.stop()
        status = json.loads(self.zgoda.run("mail", "status", "--json"))
        self.assertEqual((status["results"]["delivered"], status["relay_trouble"]), (3, None))
        self.assertIn("so far 3 delivered, 0 put off", self.zgoda.run("mail", "status"))

    @unittest.skipUnless(LONG, "waits for 30 s (--long)")
    def test_a_relay_that_takes_for_ever_to_greet_is_given_up(self):
        relay = self.relay(drip=10.0, from_the_first=True)
        self.sign_up(1)
        start = time.monotonic()
        done = self.zgoda.call("mail")
        self.assertEqual((done.returncode, relay.kept), (75, []), done.stderr)
        self.assertLess(time.monotonic() - start, 40 + 10 * SLOW)
        self.assertEqual(self.waiting(), 1)


@unittest.skipUnless(LIBFAKETIME or "CI" in os.environ, "libfaketime (package faketime) is not installed")
@unittest.skipUnless(BUILD == "release", "sanitizers want to be the first library")
class Clocks(Mailers):
    """The clock of the programs is ours."""

    def setUp(self):
        self.assertTrue(LIBFAKETIME, "libfaketime (package faketime) is not installed")
        super().setUp()
        self.clock = self.zgoda.folder / "clock"
        self.set_clock("+0")
        self.faked = ("env", f"LD_PRELOAD={LIBFAKETIME}", "FAKETIME_NO_CACHE=1", f"FAKETIME_TIMESTAMP_FILE={self.clock}")

    def set_clock(self, offset):
        new = self.clock.with_suffix(".new")
        new.write_text(offset + "\n")
        new.rename(self.clock)

    def sign_up(self, count): return super().sign_up(count, before=self.faked)

    def jump(self, offset):
        """Letters are queued, leased, put off and under way when the clock is set; what has passed stays as it is."""
        self.faked += ("DONT_FAKE_MONOTONIC=1",)
        letters = self.sign_up(200)
        relay = self.relay(hold="DATA", take=60, later=letters[:10])
        mailer = self.start_mailer("--follow", before=self.faked)
        wait_for("the letters", relay.is_held)

        def states():
            with closing(sqlite3.connect(f"file:{self.zgoda.database}?mode=ro", uri=True)) as database:
                return Counter(state for state, in database.execute("SELECT state FROM letter"))
        wait_for("letters to be put off", lambda: states()[3] > 0)
        queued, leased = states()[0], states()[1]
        self.assertGreater(queued, 20)
        self.assertGreaterEqual(leased, CONNECTIONS)
        self.set_clock(offset)
        relay.go_on.set()
        return relay, mailer, letters, queued

    def test_a_year_on(self):
        relay, mailer, letters, queued = self.jump("+1y")
        more = self.sign_up(20)
        wait_for("nothing to be left", lambda: self.waiting(before=self.faked) == 0)
        self.assertIsNone(mailer.poll())
        self.assertEqual(max(Counter(relay.kept).values()), 1)
        # Confirmations that were dated a year ago would hold dead links, and expire; what had not been is sent.
        self.assertLessEqual(set(more), set(relay.kept))
        self.assertLessEqual(set(relay.kept), set(letters + more))
        self.assertGreaterEqual(len(relay.kept), relay.take + queued + len(more))

    def test_three_hours_on(self):
        relay, mailer, letters, _ = self.jump("+3h")
        wait_for("all letters", lambda: set(letters) <= set(relay.kept))
        wait_for("nothing to be left", lambda: self.waiting(before=self.faked) == 0)
        self.assertIsNone(mailer.poll())
        self.assertEqual(sorted(relay.kept), sorted(letters))

    def test_two_hours_back(self):
        relay, mailer, letters, _ = self.jump("-2h")
        letters += self.sign_up(20)
        wait_for("all letters", lambda: set(letters) <= set(relay.kept))
        wait_for("nothing to be left", lambda: self.waiting(before=self.faked) == 0)
        self.assertIsNone(mailer.poll())
        self.assertEqual(sorted(relay.kept), sorted(letters))

    def test_two_hours_back_between_two_crons(self):
        relay = self.relay()
        letters = self.sign_up(10)  # the first to go: those who sign up together come in any order
        relay.later = set(letters)
        letters += self.sign_up(40)
        self.zgoda.run("mail", "--limit", "30", before=self.faked)
        self.set_clock("-2h")
        self.zgoda.run("mail", before=self.faked)
        self.assertEqual(sorted(relay.kept), sorted(letters))

    def stop_past_its_lease(self, hold, pipelining=True, stop=True):
        """A mailer is stopped when on each of its connections the relay owes the reply to `hold`, and another has sent
        all letters that it could when the first goes on."""
        relay = self.relay(hold=hold, pipelining=pipelining)
        wanted = self.sign_up(150)
        mailer = self.start_mailer(before=self.faked)
        wait_for("the letters", relay.is_held)
        if stop: mailer.send_signal(signal.SIGSTOP)
        self.set_clock("+3h")
        other = self.start_mailer(before=self.faked)
        self.assertEqual(other.wait(30 * SLOW), 0, self.zgoda.log.read_text()[-2000:])
        self.assertEqual(set(relay.kept), set(wanted))
        before = sorted(relay.kept)
        relay.go_on.set()
        if stop:
            time.sleep(0.2)  # the relay's answers are there when it goes on
            mailer.send_signal(signal.SIGCONT)
        mailer.wait(30 * SLOW)
        time.sleep(0.2)
        self.assertEqual(sorted(relay.kept), before, "it went on with letters that were another's")
        self.assertEqual(self.waiting(before=self.faked), 0)
        return sum(Counter(relay.kept).values()) - len(wanted)

    def test_stopped_past_its_lease_it_sends_nothing_twice(self):
        for hold in ("MAIL", "DATA"):
            for pipelining in (True, False):
                with self.subTest(hold=hold, pipelining=pipelining):
                    self.set_clock("+0")
                    self.assertEqual(self.stop_past_its_lease(hold, pipelining), 0)

    def test_stopped_before_it_could_hear_the_relays_receipt_only_what_was_under_way_goes_again(self):
        for pipelining in (True, False):  # with it, the next envelope is on its way too
            with self.subTest(pipelining=pipelining):
                self.set_clock("+0")
                self.assertLessEqual(self.stop_past_its_lease(".", pipelining), CONNECTIONS)

    def test_a_clock_that_jumps_past_a_lease_is_as_a_stop(self):
        self.faked += ("DONT_FAKE_MONOTONIC=1",)  # no time has passed
        for pipelining in (True, False):
            with self.subTest(pipelining=pipelining):
                self.set_clock("+0")
                self.assertEqual(self.stop_past_its_lease("DATA", pipelining, stop=False), 0)


# What is inherited needs no second run under another clock.
for name in list(vars(Mailers)):
    if name.startswith("test_"): setattr(Clocks, name, None)

if __name__ == "__main__":
    sys.argv = [argument for argument in sys.argv if argument != "--long"]
    unittest.main()
