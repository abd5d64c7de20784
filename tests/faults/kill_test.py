#!/usr/bin/python3
"""Kills server and mailer with SIGKILL at random moments while readers sign up, confirm and leave; then counts.

Each reader process of the story keeps a ledger of its own: one line before it asks, one after it was answered. The
checker trusts nothing but those ledgers, the letters that an SMTP server of ours kept, and the program's own export:

    0 acknowledged signups lost, 0 acknowledged confirmations lost, 0 in the database without their letter;
    a letter is repeated only if its mailer was killed after the server's 250, and then with the same Message-ID;
    nobody is confirmed who did not type the code, nobody gets a letter who did not ask;
    the database is whole (integrity_check), and so is the ledger of consents (consent verify).

--cycles N (100)   --seed S (printed, to run a schedule again)   KEEP=1 in the environment keeps the folder.
"""
import argparse
import http.client
import json
import multiprocessing
import os
import random
import re
import signal
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "end_to_end"))
from program import SLOW, Client, Letter, Program, SmtpSink, path_of, wait_for

CLIENTS = 4
CONNECTIONS = 4  # of a mailer
AT_RISK = 2 * CONNECTIONS  # letters between the dot and our commit: on each connection one under way and the one before
NEWSLETTERS = ("explaining-ukraine", "ukraine-daily", "war-notes")
BACKLOG = 150  # readers wait when so many letters are owed, so that confirmations keep up with signups


class Reader(multiprocessing.Process):
    """Signs up, opens letters, confirms, sometimes leaves; mostly repeats what was not answered until it is."""

    def __init__(self, number, port, spool, ledger, seed, stop):
        super().__init__()
        self.number, self.port, self.spool, self.ledger_path, self.stop = number, port, spool, ledger, stop
        self.random = random.Random(f"{seed}/{number}")

    def run(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.client = Client(self.port)
        self.mine = f"-r{self.number}@reader.example.org"
        self.owed, self.letters, self.confirmed = {}, [], []
        with open(self.ledger_path, "a", buffering=1) as self.ledger, open(self.spool, "rb") as spool:
            while not self.stop.is_set():
                self.collect(spool)
                act = self.random.random()
                if self.letters and act < 0.6:
                    self.confirm(*self.letters.pop())
                elif self.confirmed and act > 0.98:
                    self.leave(self.confirmed.pop(self.random.randrange(len(self.confirmed))))
                elif len(self.owed) < BACKLOG:
                    self.sign_up()
                else:
                    time.sleep(0.005)

    def collect(self, spool):
        """Takes from the SMTP server's file the letters to this reader's addresses."""
        while (line := spool.readline()).endswith(b"\n"):
            if self.mine.encode() in line:
                letter = Letter(json.loads(line)["data"].encode("latin-1"))
                ticket = self.owed.pop(letter.to, None)
                if ticket: self.letters.append((ticket, letter))
        spool.seek(-len(line), os.SEEK_CUR)

    def note(self, what, address, **more):
        self.ledger.write(json.dumps({"what": what, "address": address, **more}) + "\n")

    def until_answered(self, what, address, ask, good, **more):
        """Asks until there is an answer, or gives up. An answer that is neither good nor 503 is written down as a fault.
        Gives the answer, and how often it took to ask."""
        self.note("asked " + what, address, **more)
        times = 0
        while not self.stop.is_set():
            times += 1
            try:
                reply = ask()
            except (OSError, http.client.HTTPException):
                if what == "signup" and self.random.random() < 0.5:
                    break  # some never come back: what was kept of theirs must be whole all the same
                time.sleep(0.004)
                continue
            if reply.status == 503:
                self.note("busy", address)
                time.sleep(0.02)
                continue
            if reply.status in good:
                self.note("acked " + what, address, **more)
                return reply, times
            self.note("fault", address, doing=what, status=reply.status, text=reply.text[:300])
            break
        return None, times

    def sign_up(self):
        address = f"{self.random.getrandbits(48):012x}{self.mine}"
        slugs = self.random.sample(NEWSLETTERS, self.random.choice((1, 1, 2)))
        reply, times = self.until_answered("signup", address, lambda: self.client.sign_up(address, *slugs), (202,), slugs=slugs)
        if reply:
            # Repeated, it may have come after the letter of the first had left, and its ticket have no letter.
            self.owed[address] = reply.json()["ticket"] if times == 1 else None

    def confirm(self, ticket, letter):
        """By code: the page of the link would take it for a machine, at this pace."""
        reply, _ = self.until_answered("confirm", letter.to, lambda: self.client.type_code(ticket, letter.code()), (200,))
        if reply: self.confirmed.append(letter)

    def leave(self, letter):
        path = path_of(letter.unsubscribe_link())
        self.until_answered("leave", letter.to, lambda: self.client.request(
            "POST", path, b"List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}), (200,))


def integrity(database):
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    verdict = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    assert verdict == [("ok",)], f"integrity_check: {verdict[:5]}"


def storm(zgoda, cycles, dice):
    """Starts server and mailer again and again, and kills them; gives the number of kills that met a mailer."""
    mailer, mailers_killed = None, 0
    for cycle in range(1, cycles + 1):
        if zgoda.server is None:
            with_mailer = dice.random() < 0.25
            zgoda.server = zgoda.start("serve", *(["--with-mailer"] if with_mailer else []))
        if mailer is None:
            mailer = zgoda.start("mail", "--follow")
        if dice.random() < 0.8:  # else the kill may meet the start itself, the recovery of the database
            wait_for("the service to listen", lambda: zgoda.is_ready() or zgoda._must_live())
        time.sleep(dice.uniform(0.003, 0.120) * SLOW)

        victims = dice.choice(("server", "mailer", "both"))
        if cycle % 25 == 0 or cycle == cycles:
            victims = "both"
        if victims != "mailer":
            mailers_killed += with_mailer
            zgoda.server.kill()
        if victims != "server":
            assert mailer.poll() is None, f"mail --follow ended with {mailer.returncode}"
            mailers_killed += 1
            mailer.kill()
        if victims != "mailer":
            assert zgoda.server.wait() == -signal.SIGKILL, "the server ended by itself"
            zgoda.server = None
        if victims != "server":
            mailer.wait()
            mailer = None
        if cycle % 25 == 0:
            integrity(zgoda.database)
            print(f"cycle {cycle}: integrity ok", flush=True)
    return mailers_killed


def check(zgoda, sink, ledgers, mailers_killed, cycles):
    """Gives what is wrong, as sentences."""
    asked, acked, faults, busy = defaultdict(set), defaultdict(set), [], 0
    wanted = defaultdict(set)
    for ledger in ledgers:
        for line in ledger.read_text().splitlines():
            entry = json.loads(line)
            kind, _, what = entry["what"].partition(" ")
            if kind == "asked": asked[what].add(entry["address"])
            elif kind == "acked":
                acked[what].add(entry["address"])
                wanted[entry["address"]] |= set(entry.get("slugs", ()))
            elif kind == "busy": busy += 1
            else: faults.append(entry)

    copies, letters_of, cut = Counter(), defaultdict(set), 0
    for entry in sink.new_entries():
        if "cut_after_dot" in entry:
            cut += 1
            continue
        message_id = re.search(r"(?mi)^Message-ID:\s*(<[^>]+>)", entry["data"])[1]
        copies[message_id] += 1
        letters_of[entry["to"][0].split(">")[0].strip("<")].add(message_id)
    repeats = sum(copies.values()) - len(copies)

    statuses = zgoda.statuses()
    people = {address for address, _ in statuses}

    def kept(address, slug):  # as it was confirmed, or ended by her own leaving
        return statuses.get((address, slug)) in ("confirmed", "unsubscribed" if address in asked["leave"] else None)
    confirmed = {address for (address, _), status in statuses.items() if status == "confirmed"}
    left = {address for (address, _), status in statuses.items() if status == "unsubscribed"}

    print(f"{len(acked['signup'])} signups, {len(acked['confirm'])} confirmations and {len(acked['leave'])} departures "
          f"acknowledged over {cycles} cycles; {sum(copies.values())} letters, {repeats} repeated; {mailers_killed} mailers "
          f"killed, {cut} connections cut between our 250 and the next command; {busy} answers of 503")
    wrong = []

    def none(what, items):
        if items:
            wrong.append(f"{len(items)} {what}, such as {sorted(items, key=str)[:3]}")
    none("acknowledged signups lost", [a for a in acked["signup"] for slug in wanted[a] if (a, slug) not in statuses])
    none("acknowledged signups without their letter", acked["signup"] - set(letters_of))
    none("people kept without their letter, acknowledged or not", people - set(letters_of))
    none("acknowledged confirmations lost", {a for a in acked["confirm"] for slug in wanted[a] if not kept(a, slug)})
    none("acknowledged departures lost", {a for a in acked["leave"] if a not in left})
    none("confirmed without typing the code", confirmed - asked["confirm"])
    none("unsubscribed without asking", left - asked["leave"])
    none("people nobody asked for", people - asked["signup"])
    none("letters nobody asked for", set(letters_of) - asked["signup"])
    none("readers with two different letters", [a for a, ids in letters_of.items() if len(ids) > 1])
    none("answers out of the contract", [json.dumps(fault) for fault in faults])
    none("texts in the log that may not be there", zgoda.leaks())
    if repeats > mailers_killed * AT_RISK:
        wrong.append(f"{repeats} letters repeated, more than the {mailers_killed * AT_RISK} that can have been in flight")
    if len(acked["signup"]) < 3 * cycles or len(acked["confirm"]) < cycles or not acked["leave"]:
        wrong.append("too little was acknowledged for this to prove anything")
    return wrong


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cycles", type=int, default=100)
    options.add_argument("--seed", default=str(random.randrange(10**6)))
    options = options.parse_args()
    dice = random.Random(options.seed)
    print(f"kill test: {options.cycles} cycles, seed {options.seed}", flush=True)

    zgoda = Program(mail_tls="none", mail_connections=CONNECTIONS)
    sink = SmtpSink(zgoda.folder)
    zgoda.settings["mail_url"] = sink.url
    try:
        zgoda.make(*NEWSLETTERS)
        stop = multiprocessing.Event()
        ledgers = [zgoda.folder / f"ledger-{number}" for number in range(CLIENTS)]
        readers = [Reader(number, zgoda.port, sink.spool, ledger, options.seed, stop) for number, ledger in enumerate(ledgers)]
        for reader in readers: reader.start()
        try:
            mailers_killed = storm(zgoda, options.cycles, dice)
            zgoda.serve()
            time.sleep(0.5)  # what waits for an answer gets it
        finally:
            stop.set()
            for reader in readers: reader.join()
        zgoda.stop()
        for _ in range(3):  # the first run finds every letter that a dead mailer held due again
            zgoda.run("mail")
        integrity(zgoda.database)
        zgoda.run("consent", "verify")
        wrong = check(zgoda, sink, ledgers, mailers_killed, options.cycles)
    finally:
        sink.stop()
        zgoda.remove()
    for line in wrong: print("WRONG:", line)
    print(f"kill test: {'1 passed, 0 failed' if not wrong else '0 passed, 1 failed'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
