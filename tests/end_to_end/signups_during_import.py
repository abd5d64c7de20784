#!/usr/bin/python3
"""An import keeps nobody waiting: the p99 of signups meanwhile is at most three times the usual.

Not among *_test.py, because it measures: script/test runs it with nothing beside it.
"""
import json
import statistics
import subprocess
import sys
import unittest

from import_test import Importing, people
from program import BINARY, wait_for

LOAD = BINARY.parent / "zgoda_load"
ROUNDS, LIMIT = 5, 3


class SignupsDuringAnImport(Importing):
    def p99(self):
        """Microseconds: the median of some rounds with 64 readers, each of whom signs up as soon as she is answered."""
        rounds = []
        for _ in range(ROUNDS):
            done = subprocess.run([str(LOAD), "--port", str(self.zgoda.port), "--seconds", "1.5"],
                                  check=True, stdout=subprocess.PIPE)
            told = json.loads(done.stdout)
            self.assertEqual(told["other"], 0, "every signup is answered with 202")
            rounds.append(told["p99_us"])
        return statistics.median(rounds)

    def test_wait_at_most_three_times_as_long_as_usual(self):
        self.zgoda.serve()
        path = self.file(people(300_000))
        for _ in range(2):  # others may be using this machine: once more
            usual = self.p99()
            importer = self.zgoda.start("import", path)
            wait_for("the first rows", lambda: '"rows":0' not in self.zgoda.run("import", "list", "--json").replace(" ", ""), 60)
            during = self.p99()
            at_work = importer.poll() is None
            importer.kill()
            importer.wait()
            print(f"p99 of a signup: usual {usual / 1000:.1f} ms, during an import {during / 1000:.1f} ms", file=sys.stderr)
            self.assertTrue(at_work, "the import was through before the end")
            if during <= LIMIT * usual: return
        self.assertLessEqual(during, LIMIT * usual)


if __name__ == "__main__":
    unittest.main()
