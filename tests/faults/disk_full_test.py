#!/usr/bin/python3
"""No space left: signups are answered 503 with Retry-After, nothing acknowledged is lost, and the service goes on by
itself when there is space again. Once on a small tmpfs (ENOSPC), once by a limit on the size of files (EFBIG)."""
import os
import resource
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "end_to_end"))
from program import Program, wait_for

INSIDE = "DISK_FULL_TEST_INSIDE"  # set in the run that has a mount namespace of its own


class DiskFull(unittest.TestCase):
    def setUp(self):
        self.zgoda = Program()
        self.addCleanup(self.zgoda.remove)
        self.acked, self.count = [], 0

    def sign_up(self):
        self.count += 1
        address = f"{os.urandom(6).hex()}.{self.count}@reader.example.org"
        reply = self.zgoda.client.sign_up(address, "ukraine-daily", name="n" * 200, source="https://news.example/" + "p" * 400)
        if reply.status == 202:
            self.acked.append(address)
        return reply

    def fill_then_free(self, free):
        """Signs up until there is no space, makes some, and goes on; then compares."""
        for _ in range(20_000):
            if (reply := self.sign_up()).status != 202:
                break
        self.assertEqual(reply.status, 503, "the disk never got full")
        self.assertGreater(len(self.acked), 10, "the disk was full before anything happened")
        for _ in range(30):  # it stays up and keeps saying so; a small commit may still find room
            reply = self.sign_up()
            self.assertIn(reply.status, (202, 503))
            if reply.status == 503:
                self.assertRegex(reply.headers["Retry-After"], r"^[1-9]\d*$")
                self.assertEqual(reply.headers["Content-Type"], "application/problem+json")
        self.assertEqual(self.zgoda.private.get("/livez").status, 200)
        self.assertEqual(self.zgoda.client.get("/", Accept="text/html").status, 200)
        self.assertIsNone(self.zgoda.server.poll())
        taken = len(self.acked)

        free()
        wait_for("a signup to be taken again", lambda: self.sign_up().status == 202, seconds=5)
        for _ in range(50):
            self.assertEqual(self.sign_up().status, 202)
        self.assertGreater(len(self.acked), taken + 50)
        self.compare()
        self.zgoda.stop()
        self.zgoda.run("consent", "verify")
        self.compare()

    def compare(self):
        kept = {address for address, _ in self.zgoda.statuses()}
        self.assertEqual([address for address in self.acked if address not in kept], [], "acknowledged, and not kept")

    @unittest.skipUnless(INSIDE in os.environ, "runs in a mount namespace of its own")
    def test_a_full_tmpfs(self):
        var = self.zgoda.folder / "var"
        var.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(var)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(var)])
        self.zgoda.make("ukraine-daily")
        self.zgoda.serve()
        self.sign_up()
        ballast = var / "ballast"
        with open(ballast, "wb") as file:
            file.write(bytes(shutil.disk_usage(var).free - 2_000_000))
        self.fill_then_free(ballast.unlink)

    @unittest.skipIf(INSIDE in os.environ, "needs no namespace")
    def test_a_full_tmpfs_in_a_namespace(self):
        can = subprocess.run(["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
        how = "-Urm"
        if can.returncode != 0 and os.getuid() == 0:
            how = "-m"
            can = subprocess.run(["unshare", how, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
        if can.returncode != 0:
            self.skipTest(f"no mount namespace here: {can.stderr.decode().strip()}")
        done = subprocess.run(["unshare", how, sys.executable, __file__, "DiskFull.test_a_full_tmpfs"],
                              env={**os.environ, INSIDE: "1"}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @unittest.skipIf(INSIDE in os.environ, "needs no namespace")
    def test_a_limit_on_the_size_of_files(self):
        self.zgoda.make("ukraine-daily")
        limit = 1_500_000
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        server = self.zgoda.serve(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard)))
        self.fill_then_free(lambda: resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard)))


if __name__ == "__main__":
    unittest.main()
