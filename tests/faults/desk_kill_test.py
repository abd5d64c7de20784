#!/usr/bin/python3
"""Kills purge, backup, restore and migrate with SIGKILL in the middle of their work, 20 times each, and looks at what is
left. Half of the kills at least must come after the first trace of the work and before its end.

    purge     nobody is forgotten by half, nobody who confirmed at all, and no signup acknowledged meanwhile is lost;
    backup    the file is whole or not there, the next one takes away what was left, and signups go on;
    restore   the database is the old one or the new one, whole, and the next try succeeds; also before each step of the swap;
    migrate   the database is whole, of some version; a file that looks like a backup is one; the next try succeeds.

--cycles N (20)   --seed S   KEEP=1 in the environment keeps the folders.
"""
import argparse
import random
import shutil
import sqlite3
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "end_to_end"))
from import_test import NEWSLETTERS, people
from program import ROOT, Client, Program

PEOPLE = 1500


def ask(file, sql):
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def whole(file):
    verdict = ask(file, "PRAGMA integrity_check")
    assert verdict == [("ok",)], f"{file}: integrity_check: {verdict[:3]}"


def started(zgoda, begun, *arguments, **settings):
    """Starts a verb and waits for the first trace of its work."""
    process = zgoda.start(*arguments, **settings)
    while process.poll() is None and not begun(): time.sleep(0.0005)
    return process


def usual(zgoda, begun, *arguments, **settings):
    """How long a verb works when nobody kills it."""
    process = started(zgoda, begun, *arguments, **settings)
    start = time.monotonic()
    assert process.wait() == 0, zgoda.log.read_text()[-2000:]
    return time.monotonic() - start


def killed(zgoda, dice, longest, begun, *arguments, **settings):
    """Starts a verb and kills it within this time after its work began; gives whether the kill met it at work."""
    process = started(zgoda, begun, *arguments, **settings)
    time.sleep(dice.uniform(0, longest))
    process.kill()
    return process.wait() != 0


def grows(folder, pattern):
    """Is there such a file or folder that is new, with anything in it?"""
    known = set(folder.glob(pattern))

    def look():
        for path in set(folder.glob(pattern)) - known:
            try:
                if path.stat().st_size > 0: return True
            except FileNotFoundError:  # its work is done
                return True
        return False
    return look


class Signups(threading.Thread):
    """A reader after the other signs up, and counts what was acknowledged."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.acked, self.stopping, self.slowest = Client(port), [], False, 0.0

    def run(self):
        while not self.stopping:
            address = f"meanwhile{len(self.acked)}-{random.getrandbits(40):x}@example.org"
            start = time.monotonic()
            if self.client.sign_up(address, "ukraine-daily").status == 202:
                self.acked.append(address)
            self.slowest = max(self.slowest, time.monotonic() - start)
            time.sleep(0.01)

    def stop(self):
        self.stopping = True
        self.join()


def fill(zgoda, count, prefix):
    for number in range(count):
        reply = zgoda.client.sign_up(f"{prefix}{number}-{random.getrandbits(40):x}@example.org", "ukraine-daily")
        assert reply.status == 202, reply.status


def move_in(zgoda):
    """20,000 readers, so that a copy takes a while."""
    for slug in set(NEWSLETTERS) - {"ukraine-daily"}: zgoda.run("newsletter", "add", slug, "--name", slug)
    (zgoda.folder / "people.csv").write_bytes(people(20_000))
    zgoda.run("import", str(zgoda.folder / "people.csv"))


def purge(zgoda, dice, cycles):
    zgoda.serve()
    for number in range(5):
        zgoda.client.sign_up(f"stays{number}@example.org", "ukraine-daily")
    zgoda.run("mail")
    for letter in zgoda.new_letters():
        assert zgoda.client.press(letter.link("confirm")).status in (200, 303)
    met = 0
    soon = {"retention_unconfirmed": "1s", "retention_outbox": "1s", "retention_ip_evidence": "1s"}
    fill(zgoda, PEOPLE, "never")
    zgoda.run("mail")
    time.sleep(1.1)
    connection = sqlite3.connect(f"file:{zgoda.database}?mode=ro", uri=True, check_same_thread=False)
    unforgotten = lambda: connection.execute("SELECT count(*) FROM person WHERE addr_key LIKE 'never%'").fetchone()[0]

    def forgetting():
        before = unforgotten()
        return lambda: unforgotten() < before
    longest = usual(zgoda, forgetting(), "purge", **soon) / 2  # none of them leaves nothing for the next
    signups = Signups(zgoda.port)
    signups.start()
    try:
        for cycle in range(cycles):
            if unforgotten() < PEOPLE // 2:
                fill(zgoda, PEOPLE, "never")
                zgoda.run("mail")
                time.sleep(1.1)
            met += killed(zgoda, dice, longest, forgetting(), "purge", **soon) and unforgotten() > 0
            whole(zgoda.database)
            half = ask(zgoda.database, "SELECT count(*) FROM person p WHERE NOT EXISTS (SELECT 1 FROM subscription s WHERE s.person = p.id)"
                       " OR NOT EXISTS (SELECT 1 FROM request r WHERE r.person = p.id)")
            assert half == [(0,)], f"{half} people forgotten by half"
            known = ask(zgoda.database, "SELECT count(*) FROM ledger l WHERE identity <> '' AND NOT EXISTS (SELECT 1 FROM person p WHERE p.id = l.person)")
            assert known == [(0,)], f"{known} events name somebody who was forgotten"
            zgoda.run("consent", "verify")
    finally:
        signups.stop()
        connection.close()
    asked = ask(zgoda.database, "SELECT count(*) FROM ledger WHERE kind = 0")[0][0]
    assert asked >= len(signups.acked) + 5, f"{len(signups.acked)} signups acknowledged, {asked} in the ledger"
    confirmed = [address for (address, _), status in zgoda.statuses().items() if status == "confirmed"]
    assert len(confirmed) == 5, confirmed
    zgoda.run("purge", **soon)
    zgoda.run("consent", "verify")
    zgoda.stop()
    return met, f"; {len(signups.acked)} signups meanwhile, the slowest {signups.slowest * 1000:.0f} ms"


def backup(zgoda, dice, cycles):
    move_in(zgoda)
    zgoda.serve()
    file = zgoda.folder / "night.db"
    met = made = 0
    signups = Signups(zgoda.port)
    signups.start()
    try:
        longest = usual(zgoda, grows(zgoda.folder, ".zgoda-backup-*"), "backup", str(zgoda.folder / "first.db"))
        for cycle in range(cycles):
            killed(zgoda, dice, longest, grows(zgoda.folder, ".zgoda-backup-*"), "backup", str(file))
            met += not file.exists()
            if file.exists():
                made += 1
                whole(file)
                assert ask(file, "SELECT count(*) = (SELECT seq FROM ledger_head) FROM ledger") == [(1,)]
                for path in zgoda.folder.glob("night.db*"): path.unlink()
        zgoda.run("backup", str(file))
        left = list(zgoda.folder.glob(".zgoda-backup-*"))
        assert not left, f"left behind: {left}"
    finally:
        signups.stop()
    zgoda.stop()
    zgoda.run("restore", str(file), "--verify")
    return met, f", {made} backups were made; {len(signups.acked)} signups meanwhile, the slowest {signups.slowest * 1000:.0f} ms"


def restore(zgoda, dice, cycles):
    move_in(zgoda)
    zgoda.serve()
    file = zgoda.folder / "night.db"
    zgoda.run("backup", str(file))
    fill(zgoda, 10, "late")
    zgoda.stop()
    old = ask(zgoda.database, "SELECT count(*) FROM person")[0][0]
    new = ask(file, "SELECT count(*) FROM person")[0][0]
    at_work = grows(zgoda.database.parent, "zgoda.db.restore-*")
    longest = 1.3 * usual(zgoda, at_work, "restore", str(file), "--verify")  # which stops before the swap
    met = replaced = 0
    for cycle in range(cycles):
        for path in zgoda.database.parent.glob("zgoda.db.restore-*"): shutil.rmtree(path)
        met += killed(zgoda, dice, longest, at_work, "restore", str(file), "--yes")
        whole(zgoda.database)
        count = ask(zgoda.database, "SELECT count(*) FROM person")[0][0]
        assert count in (old, new), f"{count} people, neither {old} nor {new}"
        zgoda.run("consent", "verify")
        if count == new and replaced == 0:
            replaced = cycle + 1
    zgoda.run("restore", str(file), "--yes")
    left = [path.name for path in zgoda.database.parent.glob("zgoda.db.restore-*")]
    assert not left, f"left behind: {left}"
    assert "restore" in zgoda.run("mail", "status")
    return met, f"; the database was replaced first in cycle {replaced or 'none'}"


def restore_swap(zgoda, dice, cycles):
    """Not at random: before each single step by which the new database takes the old one's place."""
    zgoda.serve()
    fill(zgoda, 20, "reader")
    file = zgoda.folder / "night.db"
    zgoda.run("backup", str(file))
    fill(zgoda, 5, "late")
    zgoda.server.kill()  # leaves its log behind, which has to go out of the way too
    zgoda.server.wait()
    zgoda.client.close()
    data = zgoda.database.parent
    shutil.copytree(data, zgoda.folder / "before")
    old, new = 25, 20
    steps = olds = 0
    for call in ("link", "rename", "unlink", "fsync"):  # strace counts each for itself, and each thread's
        for nth in range(1, 100):
            shutil.rmtree(data)
            shutil.copytree(zgoda.folder / "before", data)
            step = zgoda.start("restore", str(file), "--yes", before=(
                "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={nth}"))
            if step.wait() == 0: break
            steps += 1
            where = f"before {call} {nth}"
            whole(zgoda.database)
            count = ask(zgoda.database, "SELECT count(*) FROM person")[0][0]
            assert count in (old, new), f"{where}: {count} people, neither {old} nor {new}"
            olds += count == old
            zgoda.run("consent", "verify")
            zgoda.run("restore", str(file), "--yes")
            assert ask(zgoda.database, "SELECT count(*) FROM person") == [(new,)], where
            left = [path.name for path in data.glob("zgoda.db.restore-*")]
            assert not left, f"{where}, left behind: {left}"
    assert 0 < olds < steps, f"{olds} of {steps} kills left the old database: none was before the swap, or none after it"
    return cycles, f": each of {steps} steps, {olds} of them before the new database was in place"


def migrate(zgoda, dice, cycles):
    old = zgoda.folder / "old.db"
    schema = sorted((ROOT / "storage" / "sqlite" / "schema").glob("*.sql"))
    database = sqlite3.connect(old)
    database.executescript(schema[0].read_text())
    database.executemany("INSERT INTO person VALUES (?, ?, NULL, NULL, NULL, 0, '', 'en', 1, NULL, 0, NULL)",
                         ((number, f"r{number}@example.org") for number in range(1, 100_001)))
    database.executescript("PRAGMA application_id = 2053599076; PRAGMA user_version = 1; PRAGMA journal_mode = WAL")
    database.close()
    met = copying = 0

    def put_old():
        for path in zgoda.database.parent.glob("zgoda.db*"): path.unlink()
        shutil.copyfile(old, zgoda.database)
        zgoda.database.chmod(0o600)
    put_old()
    at_work = grows(zgoda.database.parent, "zgoda.db.before-version-*")
    longest = usual(zgoda, at_work, "migrate")
    for cycle in range(cycles):
        put_old()
        killed(zgoda, dice, longest, at_work, "migrate")
        whole(zgoda.database)
        version = ask(zgoda.database, "PRAGMA user_version")[0][0]
        assert 1 <= version <= len(schema), version
        met += version < len(schema)
        copying += any(zgoda.database.parent.glob("zgoda.db.before-version-*.unfinished"))
        assert ask(zgoda.database, "SELECT count(*) FROM person") == [(100_000,)]
        for path in zgoda.database.parent.glob("zgoda.db.before-version-*"):
            if ".unfinished" in path.name: continue
            whole(path)
            assert ask(path, "SELECT count(*) FROM person") == [(100_000,)], path
        zgoda.run("migrate")
        zgoda.run("migrate", "--check")
        whole(zgoda.database)
    return met, f", {copying} of them while it made its backup"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cycles", type=int, default=20)
    options.add_argument("--seed", default=str(random.randrange(10**6)))
    options = options.parse_args()
    print(f"kill test of the desk: {options.cycles} cycles each, seed {options.seed}", flush=True)
    failed = 0
    tests = (purge, backup, restore, restore_swap, migrate) if shutil.which("strace") else (purge, backup, restore, migrate)
    for what in tests:
        zgoda = Program()
        try:
            zgoda.make("ukraine-daily")
            met, told = what(zgoda, random.Random(options.seed), options.cycles)
            print(f"{what.__name__}: {met} of {options.cycles} kills met it{told}", flush=True)
            assert met >= options.cycles // 2, "too few kills met it for this to prove anything"
        except AssertionError as error:
            failed += 1
            print(f"{what.__name__}: WRONG: {error}", flush=True)
        finally:
            zgoda.remove()
    print(f"kill test of the desk: {len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
