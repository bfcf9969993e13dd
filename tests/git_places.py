"""Real remotes and real clones on the disk, and what git does in them."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def git(folder: Path, *arguments: str, feed: str = "") -> str:
    """What git prints, in a world that knows no user."""
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environ, input=feed, capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


def bare(folder: Path) -> Path:
    """A remote."""
    git(folder.parent, "init", "--quiet", "--bare", "--initial-branch=main", folder.name)
    return folder


def cloned(folder: Path, remote: Path | str, *options: str) -> Path:
    """A clone."""
    git(folder.parent, "clone", "--quiet", *options, str(remote), folder.name)
    return folder


def working_in(root: Path) -> list[str]:
    """The git processes at work in the clone `root` or beside it, where its remote is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = (process / "cwd").readlink().is_relative_to(root.parent)
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if inside and command.startswith("git"):
            found.append(command)
    return found


def commits(remote: Path, branch: str = "reconciler-state") -> list[str]:
    """The first lines of what was said about every commit, newest first."""
    return git(remote, "log", "--format=%s", branch).splitlines()


def hook(remote: Path, name: str, script: str) -> None:
    """Makes the remote run a shell script whenever something is pushed."""
    file = remote / "hooks" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@contextmanager
def over_http(folder: Path) -> Iterator[str]:
    """The address under which the repositories in `folder` are served by git's own CGI program."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            environ = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REMOTE_USER": "tester",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            done = subprocess.run(["git", "http-backend"], env=environ, input=body, capture_output=True, check=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
