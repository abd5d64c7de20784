#!/usr/bin/python3
"""fsync fails: what is on the disk is unknown, and asking again would hide it (the kernel reports it once). The service
stops acknowledging, answers what waits with 503, and exits 70 within a second; after a restart nothing that was
acknowledged is missing. strace makes the Nth call of the writer fail, once or for ever."""
import os
import shutil
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "end_to_end"))
from program import SLOW, Client, Program


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class FsyncFails(unittest.TestCase):
    def setUp(self):
        self.zgoda = Program()
        self.addCleanup(self.zgoda.remove)

    def reader(self, number):
        """Signs up until the service is gone; keeps each answer with its time."""
        client, count = Client(self.zgoda.port), 0
        while not self.over.is_set():
            count += 1
            address = f"{os.urandom(4).hex()}.{number}.{count}@reader.example.org"
            try:
                status = client.sign_up(address, "ukraine-daily").status
            except Exception:
                status = None  # cut: the outcome is unknown
            with self.lock:
                self.answers.append((time.monotonic(), status, address))
            if status is None:
                return

    def check(self, when):
        self.lock, self.over, self.answers = threading.Lock(), threading.Event(), []
        self.zgoda.make("ukraine-daily")
        server = self.zgoda.serve(before=(
            "strace", "-f", "-qq", "--seccomp-bpf", "-o", str(self.zgoda.folder / "strace"), "-e", "trace=fdatasync,fsync",
            "-e", f"inject=fdatasync,fsync:error=EIO:when={when}"))
        readers = [threading.Thread(target=self.reader, args=(number,)) for number in range(8)]
        for reader in readers: reader.start()
        try:
            code = server.wait(20 * SLOW)  # strace ends as the program did
        except Exception:
            self.addCleanup(self.end_traced)
            raise AssertionError("the service goes on after a failed fsync")
        finally:
            ended = time.monotonic()
            self.over.set()
            for reader in readers: reader.join()
        self.assertEqual(code, 70, self.zgoda.log.read_text()[-2000:])

        injected = (self.zgoda.folder / "strace").read_text().count("(INJECTED)")
        self.assertGreaterEqual(injected, 1)
        self.answers.sort()
        acked = [(at, address) for at, status, address in self.answers if status == 202]
        busy = [at for at, status, _ in self.answers if status == 503]
        self.assertLessEqual({status for _, status, _ in self.answers}, {202, 503, None})
        self.assertGreater(len(acked), 3, "it failed before it had acknowledged anything")
        self.assertTrue(busy, "what waited was not answered with 503")
        self.assertLess(acked[-1][0], busy[0] + 0.05, "it acknowledged something after the failure")
        self.assertLess(ended - busy[0], 1.0 * SLOW + 0.3, "it did not stop within a second")

        self.zgoda.serve()
        self.zgoda.stop()
        kept = {address for address, _ in self.zgoda.statuses()}
        self.assertEqual([address for _, address in acked if address not in kept], [], "acknowledged, and not kept")
        self.zgoda.run("consent", "verify")
        self.assertEqual(self.zgoda.leaks(), [])

    def end_traced(self):
        """strace that is killed leaves what it traced running; so end that first."""
        children = Path(f"/proc/{self.zgoda.server.pid}/task/{self.zgoda.server.pid}/children").read_text().split()
        for pid in children: os.kill(int(pid), signal.SIGKILL)

    def test_once_early(self): self.check("15")
    def test_once_later(self): self.check("60")
    def test_for_ever(self): self.check("40+")


if __name__ == "__main__":
    unittest.main()
