#!/usr/bin/python3
"""Measures the release build on this machine and prints a table in Markdown; script/bench builds and calls it.

Everything is a median of 5 within one run. Load and service share the machine's cores, so compare ratios and CPU time
per request, not rates of different machines.
"""
import argparse
import json
import os
import platform
import random
import re
import resource
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "end_to_end"))
from program import BINARY, ROOT, Program, free_port, wait_for

LOAD = BINARY.parent / "zgoda_load"
TICK = os.sysconf("SC_CLK_TCK")

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--quick", action="store_true", help="a trial run with small numbers")
options.add_argument("--people", type=int, help="of the large database (1000000)")
options.add_argument("--only", default="signups,large,import,letters,distant,idle,memory", help="parts, separated by commas")
options = options.parse_args()
ROUNDS = 2 if options.quick else 5
SECONDS = 1 if options.quick else 5
PEOPLE = options.people or (20_000 if options.quick else 1_000_000)
LETTERS = 2_000 if options.quick else 20_000
DISTANT_LETTERS = 400 if options.quick else 4_000
DISTANCE_MS = 20
IDLE = 1_000 if options.quick else 5_000

table = []


def row(what, value):
    table.append((what, value))
    print(f"{what}: {value}", flush=True)


def median(values): return statistics.median(values)


def number(value): return f"{value:,.0f}"


def load(port, **how):
    arguments = [str(part) for name, value in how.items() for part in (f"--{name}", value)]
    return json.loads(subprocess.run([str(LOAD), "--port", str(port), *arguments], check=True, stdout=subprocess.PIPE).stdout)


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_mib(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def check_all_there(zgoda, acked):
    """The client's side of the durability: what it was told is what is kept."""
    told = acked.read_text().split()
    with subprocess.Popen([str(BINARY), "export", "--status", "all"], cwd=zgoda.folder, env=zgoda.environment(),
                          stdout=subprocess.PIPE, text=True) as export:
        kept = {line.partition(",")[0] for line in export.stdout}
    missing = sum(address not in kept for address in told)
    if missing:
        sys.exit(f"bench: {missing} of {len(told)} acknowledged signups are not in the database")
    return len(told)


def measure_signups(zgoda):
    """The fixed reply and then signups, on a running service."""
    server = zgoda.server.pid
    before = cpu_seconds(server)
    fixed = load(zgoda.private_port, get="/livez", seconds=SECONDS / 2)
    middle = cpu_seconds(server)
    signups = load(zgoda.port, seconds=SECONDS, acked=zgoda.folder / "acked")
    after = cpu_seconds(server)
    return {"fixed": fixed, "signups": signups, "ratio": signups["per_second"] / fixed["per_second"],
            "fixed_cpu": (middle - before) / fixed["good"] * 1e6, "cpu": (after - middle) / signups["good"] * 1e6}


def tell_signups(rounds, there, label):
    def middle(what, key): return median([run[what][key] for run in rounds])
    row(f"durable signups a second, {label}", number(middle("signups", "per_second")))
    row(f"p50 / p99 of a signup, {label}", f"{middle('signups', 'p50_us') / 1000:.2f} ms / {middle('signups', 'p99_us') / 1000:.2f} ms")
    row(f"CPU of the service a signup, {label}", f"{median([run['cpu'] for run in rounds]):.0f} µs")
    row(f"fixed JSON replies a second (/livez), {label}",
        f"{number(middle('fixed', 'per_second'))} ({median([run['fixed_cpu'] for run in rounds]):.1f} µs CPU)")
    row(f"ratio of signups to fixed replies, {label}", f"{median([run['ratio'] for run in rounds]):.3f}")
    row(f"acknowledged signups found in the database, {label}", f"{number(there)} of {number(there)}")
    row(f"other answers than 202 and 200, {label}", number(sum(run[what]["other"] for run in rounds for what in ("fixed", "signups"))))


def program(**settings):
    zgoda = Program(log_level="warn", mail_tls="none", **settings)
    zgoda.make("ukraine-daily")
    return zgoda


def serve(zgoda):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return zgoda.serve(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))


def part_signups():
    rounds, there = [], 0
    for _ in range(ROUNDS):
        zgoda = program()
        serve(zgoda)
        rounds.append(measure_signups(zgoda))
        there += check_all_there(zgoda, zgoda.folder / "acked")
        zgoda.stop()
        zgoda.remove()
    tell_signups(rounds, there, "empty database")


EXPORT_SQL_FILE = Path(__file__).with_name("export.sql")
EXPORT_SQL = EXPORT_SQL_FILE.read_bytes()


def part_large():
    zgoda = program()
    serve(zgoda)
    start = time.monotonic()
    while (left := PEOPLE - sqlite_count(zgoda, "subscription")) > 0:
        load(zgoda.port, requests=max(left, 64))
    print(f"(made {number(PEOPLE)} people through the service in {time.monotonic() - start:.0f} s)", flush=True)
    rounds = [measure_signups(zgoda) for _ in range(ROUNDS)]
    tell_signups(rounds, check_all_there(zgoda, zgoda.folder / "acked"), f"{number(PEOPLE)} people")
    row("peak memory of the service after that", f"{peak_mib(zgoda.server.pid):.0f} MiB")
    zgoda.stop()

    rows = sqlite_count(zgoda, "subscription")
    ours, theirs = [], []
    with open(os.devnull, "w") as nowhere:
        for _ in range(ROUNDS):
            for times, command in ((ours, [str(BINARY), "export", "--status", "all"]),
                                   (theirs, ["sqlite3", "-readonly", "-csv", "-header", str(zgoda.database)])):
                start = time.monotonic()
                subprocess.run(command, input=EXPORT_SQL, cwd=zgoda.folder, env=zgoda.environment(), stdout=nowhere, check=True)
                times.append(rows / (time.monotonic() - start))
    row(f"exported rows a second, of {number(rows)}", number(median(ours)))
    row("`sqlite3 -csv` with the same columns", number(median(theirs)))
    zgoda.remove()


IMPORT_SQL = """PRAGMA synchronous = FULL;
.import --csv {file} raw
BEGIN;
INSERT INTO person SELECT rowid * 2, email, NULL, NULL, NULL, 0, name, locale, strftime('%s') * 1000, NULL, 0, NULL,
  random() FROM raw;
INSERT INTO subscription (id, person, newsletter, status, signed_up_at, confirmed_at, source, form, fields)
  SELECT rowid * 2 + 1, rowid * 2, (SELECT id FROM newsletter), 1, strftime('%s', signed_up_at) * 1000,
         strftime('%s', confirmed_at) * 1000, source, form, fields FROM raw;
COMMIT;
"""


def timed(command, **how):
    """Seconds and peak MiB of a command that must succeed."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **how)
    peak = 0.0
    while process.poll() is None:
        seen = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        peak = max(peak, int(seen[1]) / 1024 if seen else 0)
        time.sleep(0.02)
    assert process.returncode == 0, command
    return time.monotonic() - start, peak


def part_import():
    empty = program()
    file = empty.folder / "people.csv"
    dice = random.Random(1)
    with open(file, "w", newline="") as out:
        out.write("email,name,newsletter,status,locale,signed_up_at,confirmed_at,unsubscribed_at,source,form,fields\r\n")
        for person in range(PEOPLE):
            out.write(f"{dice.randrange(16**8):08x}-{person}@reader.example.org,Reader {person},ukraine-daily,confirmed,uk,"
                      "2024-01-02T03:04:05.000Z,2024-01-02T03:05:05.000Z,,https://news.example/article,footer,\r\n")
    ours, undo, theirs, exported, csv, backups, peaks = [], [], [], [], [], [], {}

    def verb(zgoda, *arguments):
        seconds, peak = timed([str(BINARY), *arguments], cwd=zgoda.folder, env=zgoda.environment())
        peaks[arguments[0]] = max(peak, peaks.get(arguments[0], 0))
        return PEOPLE / seconds
    for turn in range(max(1, ROUNDS // 2)):
        zgoda = program()
        ours.append(verb(zgoda, "import", str(file), "--batch", "bench"))
        exported.append(verb(zgoda, "export", "-o", "all.csv"))
        with open(EXPORT_SQL_FILE) as sql:
            csv.append(PEOPLE / timed(["sqlite3", "-readonly", "-csv", "-header", str(zgoda.database)], stdin=sql)[0])
        backups.append(verb(zgoda, "backup", "night.db"))
        undo.append(verb(zgoda, "import", "undo", "bench"))
        zgoda.remove()
        copy = empty.folder / f"copy-{turn}.db"
        with sqlite3.connect(empty.database) as source: source.execute(f"VACUUM INTO '{copy}'")
        with sqlite3.connect(copy) as target: target.execute("PRAGMA journal_mode = WAL")
        script = empty.folder / "import.sql"
        script.write_text(IMPORT_SQL.format(file=file))
        with open(script) as sql: theirs.append(PEOPLE / timed(["sqlite3", str(copy)], stdin=sql)[0])
    row(f"imported rows a second, of {number(PEOPLE)}", number(median(ours)))
    row("`sqlite3 .import` into one table and INSERT SELECT into ours, without ledger and undo", number(median(theirs)))
    row("rows a second of `import undo`", number(median(undo)))
    row("exported rows a second, into a file on disk", number(median(exported)))
    row("`sqlite3 -csv` with the same columns, into nothing", number(median(csv)))
    row("people a second of `backup`, checked and counted", number(median(backups)))
    row("peak memory of import and undo, export, backup", ", ".join(f"{peaks[name]:.0f} MiB" for name in ("import", "export", "backup")))

    serve(empty)
    usual = [load(empty.port, seconds=SECONDS)["p99_us"] for _ in range(ROUNDS)]
    importer = subprocess.Popen([str(BINARY), "import", str(file)], cwd=empty.folder, env=empty.environment(), stdout=subprocess.DEVNULL)
    during = []
    while len(during) < ROUNDS and importer.poll() is None: during.append(load(empty.port, seconds=SECONDS)["p99_us"])
    through = importer.poll() is not None
    importer.terminate()
    importer.wait()
    if during:
        row("p99 of a signup, usual / during an import" + (" (it was through before the end)" if through else ""),
            f"{median(usual) / 1000:.1f} ms / {median(during) / 1000:.1f} ms ({median(during) / median(usual):.1f} x)")
    empty.stop()
    empty.remove()


def sqlite_count(zgoda, name):
    connection = sqlite3.connect(f"file:{zgoda.database}?mode=ro", uri=True)
    try:
        return connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
    finally:
        connection.close()


class Sink:
    """Postfix's smtp-sink, which takes every letter; with a distance, behind a proxy that delays its replies."""

    def __init__(self, distance_ms=0):
        self.port = free_port()
        self.processes = [subprocess.Popen(["smtp-sink", *(["-u", "nobody"] if os.getuid() == 0 else []),
                                            f"127.0.0.1:{self.port}", "200"])]
        if distance_ms:
            proxy = subprocess.Popen([sys.executable, str(Path(__file__).with_name("delay.py")), str(self.port),
                                      str(distance_ms)], stdout=subprocess.PIPE)
            self.port = int(proxy.stdout.readline())
            self.processes.append(proxy)
        wait_for("smtp-sink", self.answers)

    def answers(self):
        try: socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError: return False
        return True

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait()


def couriers_alone(port, letters, connections, size):
    """Letters a second of our couriers with letters that are ready, as smtp-source's are."""
    done = subprocess.run([str(BINARY.parent / "mailer_tests"), "--no-skip", "-ts=courier speed"], check=True, stdout=subprocess.PIPE,
                          text=True, env=os.environ | {"ZGODA_PORT": str(port), "ZGODA_CONNECTIONS": str(connections),
                                                       "ZGODA_LETTERS": str(letters), "ZGODA_SIZE": str(size)})
    return float(re.search(r"letters a second: (\d+)", done.stdout).group(1))


def measure_letters(zgoda, port, letters, connections, label):
    """Ours, our couriers alone and smtp-source in turn, with letters of the same size."""
    size = (zgoda.folder / "preview.eml").stat().st_size
    ours, alone, theirs, cpu = [], [], [], []
    for _ in range(ROUNDS):
        alone.append(couriers_alone(port, letters, connections, size))
        start, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        said = zgoda.run("mail", "--limit", str(letters), mail_connections=connections, mail_url=f"smtp://127.0.0.1:{port}")
        ours.append(letters / (time.monotonic() - start))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append((after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime) / letters * 1e6)
        assert said.startswith(f"sent {letters}, "), said
        start = time.monotonic()
        subprocess.run(["smtp-source", "-d", "-s", str(connections), "-m", str(letters), "-l", str(size), "-f",
                        "a@b.example", "-t", "c@d.example", f"127.0.0.1:{port}"], check=True)
        theirs.append(letters / (time.monotonic() - start))
    row(f"letters a second through {label}, {connections} connections", f"{number(median(ours))} ({median(cpu):.0f} µs CPU)")
    row(f"`smtp-source -d` through {label}, {connections} connections, {size} bytes", number(median(theirs)))
    row(f"their ratio, {label}, {connections} connections", f"{median([a / b for a, b in zip(ours, theirs)]):.2f}")
    row(f"our couriers alone, with letters that are ready, {label}, {connections} connections", number(median(alone)))
    row(f"their ratio to `smtp-source -d`, {label}, {connections} connections",
        f"{median([a / b for a, b in zip(alone, theirs)]):.2f}")


def letters_to_send(count):
    zgoda = program()
    serve(zgoda)
    load(zgoda.port, requests=count + 1)
    zgoda.stop()
    zgoda.run("letter", "preview", "ukraine-daily", "--kind", "confirmation", "--locale", "uk", "-o", "preview.eml")
    return zgoda


def part_letters():
    zgoda = letters_to_send(2 * ROUNDS * LETTERS)
    sink = Sink()
    try:
        for connections in (8, 32): measure_letters(zgoda, sink.port, LETTERS, connections, "smtp-sink")
        zgoda.run("mail", mail_url=f"smtp://127.0.0.1:{sink.port}")
    finally:
        sink.stop()
    idle(zgoda, f"{number(2 * ROUNDS * LETTERS)} sent letters")
    zgoda.remove()


def part_distant():
    zgoda = letters_to_send(2 * ROUNDS * DISTANT_LETTERS)
    sink = Sink(DISTANCE_MS)
    try:
        for connections in (8, 32):
            measure_letters(zgoda, sink.port, DISTANT_LETTERS, connections, f"smtp-sink at {DISTANCE_MS} ms a reply")
    finally:
        sink.stop()
    zgoda.remove()


def idle(zgoda, label):
    times = []
    for _ in range(4 * ROUNDS + 1):
        start = time.monotonic()
        assert zgoda.run("mail") == ""
        times.append((time.monotonic() - start) * 1000)
    row(f"an idle `zgoda mail`, {label}", f"{median(times):.1f} ms")


def part_idle():
    zgoda = program()
    idle(zgoda, "empty database")
    zgoda.remove()


def part_memory():
    zgoda = program()
    server = serve(zgoda)
    at_start = peak_mib(server.pid)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    connections = []
    for _ in range(IDLE):  # each has asked once, so that it owns all that a connection ever owns
        connection = socket.create_connection(("127.0.0.1", zgoda.port))
        connection.sendall(f"GET /v1/newsletters HTTP/1.1\r\nHost: 127.0.0.1:{zgoda.port}\r\n\r\n".encode())
        connections.append(connection)
    answered = sum(connection.recv(65536).startswith(b"HTTP/1.1 200") for connection in connections)
    open_now = len(os.listdir(f"/proc/{server.pid}/fd"))
    assert answered == IDLE and open_now > IDLE, f"{answered} answered, {open_now} open"
    row(f"peak memory with {number(IDLE)} idle connections", f"{peak_mib(server.pid):.1f} MiB ({at_start:.1f} MiB at start)")
    for connection in connections: connection.close()
    zgoda.stop()
    zgoda.remove()


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    gcc = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores; Linux {platform.release()}; g++ {gcc}"


print(machine(), flush=True)
for part in options.only.split(","):
    globals()[f"part_{part}"]()
print(f"\n| {machine()} | median of {ROUNDS} |\n| --- | --- |")
for what, value in table: print(f"| {what} | {value} |")
