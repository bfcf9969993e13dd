"""Make .venv hold what requirements-dev.lock names, hash by hash, and this project, editable.

Runs on a bare Python >= 3.11. Where `venv` cannot bring pip (Debian without python3-venv), pip comes from virtualenv,
from this Python's own pip, or from Debian's wheel of it, which is unpacked here and installed nowhere.

What was done stands in .venv/.complete, written last: a second run takes milliseconds, an interrupted one starts
afresh, a changed pyproject.toml only installs the project again, and two runs at once wait for each other.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
COMPLETE = VENV / ".complete"
PYTHON = str(VENV / "bin" / "python")
DEBIAN_WHEELS = "usr/share/python-wheels"


def main() -> None:
    """Bring .venv up to date, or stop with the one command that helps."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs on whatever python3 is
        sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}; use 3.11 or newer: make PYTHON=python3.11")
    tree = os.open(ROOT, os.O_RDONLY)
    os.set_inheritable(tree, True)  # noqa: FBT003 - so a pip that outlives this process still holds the lock
    fcntl.flock(tree, fcntl.LOCK_EX)
    wanted = [_digest(LOCK), _digest(ROOT / "pyproject.toml")]
    present = COMPLETE.read_text().split() if COMPLETE.exists() else ["", ""]
    if present == wanted:
        return
    COMPLETE.unlink(missing_ok=True)
    if present[0] != wanted[0]:
        print("making .venv from requirements-dev.lock, some 15 s", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            _run(*_empty_venv(Path(scratch)), "install", "-qq", "--require-hashes", "--requirement", str(LOCK))
    _run(PYTHON, "-m", "pip", "install", "-qq", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    COMPLETE.write_text("\n".join(wanted))


def _digest(file: Path) -> str:
    """Also of where .venv is and which Python it is for: it survives neither moving nor an upgrade."""
    parts = [str(VENV).encode(), sys.version.encode(), file.read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _empty_venv(scratch: Path) -> list[str]:
    """Make an empty .venv and return the command of a pip that installs into it."""
    if importlib.util.find_spec("ensurepip"):
        _run(sys.executable, "-m", "venv", "--clear", str(VENV))
        return [PYTHON, "-m", "pip"]
    if virtualenv := shutil.which("virtualenv"):
        _run(virtualenv, "--quiet", "--clear", "--python", sys.executable, str(VENV))
        return [PYTHON, "-m", "pip"]
    _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV))
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", PYTHON]
    for wheel in [*Path("/", DEBIAN_WHEELS).glob("pip-*.whl"), *_unpacked_wheels(scratch)]:
        return [PYTHON, str(wheel / "pip")]
    sys.exit("this Python has neither ensurepip nor pip; as root, type: apt-get install python3-venv")


def _unpacked_wheels(scratch: Path) -> list[Path]:
    """Debian's pip, downloaded and checked by apt; root may need the package lists first."""
    if not shutil.which("apt-get"):
        return []
    attempts = ["apt-get download python3-pip-whl"]
    if os.geteuid() == 0:
        attempts.append("apt-get update && apt-get download python3-pip-whl")
    for attempt in attempts:
        script = f"{attempt} && dpkg-deb --extract python3-pip-whl_*.deb ."
        if subprocess.run(["sh", "-c", script], cwd=scratch, capture_output=True, check=False).returncode == 0:
            break
    return list((scratch / DEBIAN_WHEELS).glob("pip-*.whl"))


def _run(*command: str) -> None:
    if code := subprocess.run(command, cwd=ROOT, close_fds=False, check=False).returncode:
        sys.exit(f"{' '.join(command[:4])} … ended with exit code {code}")


if __name__ == "__main__":
    main()
