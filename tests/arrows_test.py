#!/usr/bin/python3
"""Fails on an #include that goes against the arrows of the house: api -> mailer, storage, config -> service.

Storage, mailer and config do not see each other. api/http sees only service and itself; nothing in http or below sees
the command line, and of that only serve sees http. The service does no input or output: it includes neither a network,
a database nor a file.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {  # longest prefix first: where a file lies, and what of the project it may include
    "api/http": ("api/http", "service"),
    "api/cli/serve.cpp": ("api", "mailer", "storage", "config", "service"),  # of the verbs, it alone starts http
    "api/cli": ("api/cli", "mailer", "storage", "config", "service"),
    "api": ("api", "mailer", "storage", "config", "service"),
    "storage": ("storage", "service"),
    "mailer": ("mailer", "service"),
    "config": ("config", "service"),
    "service": ("service",),
}
OUTSIDE_SERVICE = re.compile(  # what is input and output, or belongs to one floor above
    r"boost/(asio|beast|url)|sqlite|curl|CLI/|toml|spdlog|prometheus|libpq|pqxx"
    r"|(fstream|filesystem|iostream|thread|coroutine|semaphore|cstdio|stdio\.h|unistd\.h|fcntl\.h|netdb\.h|dirent\.h)$"
    r"|(sys|netinet|net)/")
ONE_FLOOR_ONLY = {  # a library that only one folder may know, so that it can be changed there alone
    "sqlite": "storage", "curl/": "mailer", "toml++": "config", "CLI/": "api/cli", "boost/beast": "api/http",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def lies_in(path, folder):
    return path == folder or path.startswith(folder + "/")


def complaint(file, quoted, target):
    """What is wrong with this include in this file (both by their paths from the root), or None."""
    floor, allowed = next((item for item in FLOORS.items() if lies_in(file, item[0])))
    if quoted:
        if not (ROOT / target).exists() and (ROOT / file).parent.joinpath(target).exists():
            target = str((ROOT / file).parent.joinpath(target).resolve().relative_to(ROOT))
        if any(lies_in(target, folder) for folder in FLOORS):
            return None if any(lies_in(target, folder) for folder in allowed) else f"{floor} must not see {target}"
    if floor == "service" and OUTSIDE_SERVICE.search(target):
        return f"service does no input or output: {target}"
    for library, home in ONE_FLOOR_ONLY.items():
        if target.startswith(library) and not lies_in(file, home):
            return f"only {home} may know {target}"
    return None


def main():
    checked, wrong = 0, []
    for folder in ("service", "storage", "mailer", "config", "api"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".h", ".hpp", ".cpp"):
                continue
            checked += 1
            file = str(path.relative_to(ROOT))
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if match := INCLUDE.match(line):
                    if trouble := complaint(file, match[1] == '"', match[2]):
                        wrong.append(f"{file}:{number}: {trouble}")
    print("\n".join(wrong) if wrong else f"{checked} files, every include goes with the arrows")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    # The check itself: each of these must be refused, or it checks nothing.
    for file, target in (("service/a.h", "storage/b.h"), ("storage/a.h", "mailer/b.h"), ("mailer/a.h", "config/b.h"),
                         ("api/http/a.h", "storage/b.h"), ("api/http/a.h", "api/cli/b.h"), ("config/a.h", "api/b.h"),
                         ("service/a.h", "fstream"), ("service/a.h", "boost/asio/post.hpp"), ("api/cli/a.h", "sqlite3.h")):
        assert complaint(file, "/" in target and not target.startswith("boost"), target), (file, target)
    sys.exit(main())
