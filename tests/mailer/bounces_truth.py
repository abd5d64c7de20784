#!/usr/bin/python3
"""Compares `zgoda bounces --classify` with the truth about real returned mails, where somebody has them.

ZGODA_BOUNCES names a folder with bounces/ and bounces-truth.tsv beside it (columns file, recipient, status, reply, reason,
hard). Without it nothing is compared. Counted: recipients called hard that are not (at most 2 % of those), hard ones
that were missed (at most 10 %), complaints (all), and mails that are no bounce (none may get a verdict). What the truth calls
`filtered` is an unknown user said late, and counts for neither. BUILD chooses the build (release).
"""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = ROOT / "build" / os.environ.get("BUILD", "release") / "zgoda"


def main():
    folder = os.environ.get("ZGODA_BOUNCES")
    if not folder:
        print("skipped: ZGODA_BOUNCES names no folder")
        return 0
    mails = sorted(Path(folder, "bounces").glob("*.eml"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZGODA_")}
    told = subprocess.run([BINARY, "bounces", "--classify", *mails], check=True, text=True, capture_output=True,
                          env=environment).stdout
    verdicts = {}
    for line in told.splitlines():
        file, number, status, reply, verdict = line.split("\t")
        verdicts[Path(file).name, number] = verdict

    wrong, counts = [], {"hard": [0, 0], "other": [0, 0], "complaint": [0, 0], "no bounce": [0, 0]}

    def count(what, good, told_so):
        counts[what][0] += 1
        if not good:
            counts[what][1] += 1
            wrong.append(f"{what}: {told_so}")

    rows = [line.split("\t") for line in Path(folder, "bounces-truth.tsv").read_text().splitlines()[1:]]
    for file, number, status, reply, reason, hard in rows:
        verdict = verdicts.get((file, number), "missing")
        row = f"{file} {number}: {verdict}, truth {reason} {status} {reply}"
        if reason == "feedback": count("complaint", verdict == "complaint", row)
        elif reason == "vacation": count("no bounce", verdict == "none", row)
        elif reason != "filtered" and hard == "true": count("hard", verdict == "hard", row)
        elif reason != "filtered": count("other", verdict != "hard", row)
    known = {row[0] for row in rows}
    for (file, number), verdict in verdicts.items():
        if file not in known: count("no bounce", verdict == "none", f"{file}: {verdict}")

    if "-v" in sys.argv: print("\n".join(wrong))
    share = {what: bad / max(all_, 1) for what, (all_, bad) in counts.items()}
    print("; ".join(f"{what}: {bad} of {all_} wrong ({share[what]:.1%})" for what, (all_, bad) in counts.items()))
    good = share["other"] <= 0.02 and share["hard"] <= 0.10 and not share["complaint"] and not share["no bounce"]
    print("1 passed, 0 failed" if good and verdicts else "0 passed, 1 failed")
    return 0 if good and verdicts else 1


if __name__ == "__main__":
    sys.exit(main())
