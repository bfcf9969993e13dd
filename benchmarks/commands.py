"""The commands that are measured: our own, and the least that any program must do that looks at a whole fleet."""

import sys
from pathlib import Path

from measure import Command

_HASH = """
import hashlib, os
total = hashlib.sha256()
for folder, folders, files in os.walk("inventory"):
    folders.sort()
    for name in sorted(files):
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            total.update(file.read())
print(total.hexdigest())
"""
_PARSE = """
import multiprocessing, os, yaml

def parse(path):
    with open(path, "rb") as file:
        return sum(1 for event in yaml.parse(file.read(), Loader=yaml.CSafeLoader))

if __name__ == "__main__":
    files = [os.path.join(folder, name) for folder, _, names in os.walk("inventory") for name in names]
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        print("events", sum(pool.imap_unordered(parse, files, max(1, min(100, len(files) // cores // 4)))))
        pool.close()
        pool.join()
"""

PYTHON: Command = [sys.executable, "-c", "print('started')"]
IMPORTS: Command = [
    sys.executable,
    "-c",
    "import reconciler.cli, reconciler.cli.plan, reconciler.reconcile; print('imported')",
]
READ_AND_HASH: Command = [sys.executable, "-c", _HASH]
PARSE: Command = [sys.executable, "-c", _PARSE]
GIT_STATUS: Command = ["git", "status"]

RECONCILER = Path(sys.executable).with_name("reconciler")
VERSION: Command = [RECONCILER, "--version"]
HELP: Command = [RECONCILER, "--help"]
PLAN: Command = [RECONCILER, "plan"]
VALIDATE: Command = [RECONCILER, "validate"]
