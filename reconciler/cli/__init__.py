"""Options in, one call into reconcile.py or bookkeeping.py, a report function, an exit code out. Decides nothing.

Each command lives in a module of its own, imported when it is asked for, so that `--version` and `--help` stay quick.
"""

import gc
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from reconciler import __version__
from reconciler.cli.interrupt import interruptible
from reconciler.cli.streams import Stderr, Stdout
from reconciler.errors import InventoryError, ReconcilerError, Refused

if TYPE_CHECKING:
    from reconciler.cli.profile import Profile
    from reconciler.config import Settings
    from reconciler.model import Problem

COMMANDS = {
    "init": "Put settings, schemas, an example device and workflows into a repository.",
    "validate": "Check every inventory file; print all problems, each with its place and its fix.",
    "plan": "Show what apply would change. Needs no token and asks no API.",
    "apply": "Send the changed fields of the changed devices to the API.",
    "ci": "Plan a pull request, and apply a merged one, in a job of GitHub Actions or GitLab CI.",
    "show": "Print a saved plan.",
    "explain": "Show where each value of a device comes from, and since when.",
    "replace": "Declare another device in the place of one: a swap, not a release and an adoption.",
    "state": "Look at what was last applied; forget a device; free a lock.",
    "audit": "Read the journal, or check that nobody altered it.",
    "schemas": "Write the schemas by which editors check inventory files.",
    "sandbox": "Run a simulated device API on this machine.",
    "demo": "See the whole cycle against a sandbox, in half a minute.",
}

GARBAGE = 50_000
"""Objects between two looks for cycles. A fleet is many objects and no cycles: at Python's 700, a sixth of the time."""
TARGET_HELP = (
    "Only these: a serial, a glob such as 'AP-*', or FIELD=VALUE: status=active, $labels.site=paris, $group=NAME;"
    " repeatable."
)


@dataclass(frozen=True, slots=True)
class Globals:
    """The options before the command. The process runs in `directory`, whatever it was before."""

    directory: Path
    config: Path | None
    color: bool | None
    verbosity: int
    profile: "Profile | None" = None

    def settings(self, *, cache: bool = True) -> "Settings":
        """The settings of this run, without a `cache` if there is to be none. Raises ConfigError."""
        from reconciler.config import load

        found = load(Path.cwd(), os.environ, self.config)
        return found if cache else replace(found, cache=None)

    @property
    def command(self) -> list[str]:
        """What to type to get here again."""
        again = [] if self.directory == Path() else ["-C", str(self.directory)]
        return ["reconciler", *again, *(["--config", str(self.config)] if self.config else [])]

    def say(self, text: str) -> None:
        """A remark on stderr, unless --quiet."""
        if self.verbosity >= 0:
            click.echo(text, err=True, color=self.color)

    def warnings(self, problems: "Sequence[Problem]") -> None:
        """Warnings about the inventory on stderr, unless --quiet."""
        if problems and self.verbosity >= 0:
            from reconciler.report.problems import warnings as text

            click.echo(text(problems), err=True)

    def warn(self, text: str) -> None:
        """What must be known before the result is trusted, on stderr."""
        click.echo(f"warning: {text}", err=True)

    def trace(self, text: str) -> None:
        """A line about one request, or why a plan costs more, on stderr, with --verbose."""
        if self.verbosity > 0:
            click.echo(text, err=True)


no_cache_option: Callable[[Any], Any] = click.option(
    "--no-cache", is_flag=True, help="Read every file, whatever the last plan knew; the result is the same."
)
pass_globals: Callable[[Any], Any] = click.make_pass_decorator(Globals)


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"reconciler.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-C",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="Run as if started in DIR.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Use this reconciler.toml or pyproject.toml, not the nearest one.",
)
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour the output.")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Print a line for every request, and why all files are read.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="How to write to stderr.")
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write where the time went, for chrome://tracing, Perfetto or speedscope.",
)
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
@click.pass_context
def cli(  # noqa: PLR0917 - click passes them all by name
    ctx: click.Context,
    directory: Path,
    config: Path | None,
    color: str,
    log_format: str,
    profile: Path | None,
    *,
    quiet: bool,
    verbose: bool,
) -> None:
    """Declare devices as YAML, see what would change, apply only that.

    Exit codes: 0 done or no changes · 1 error · 2 changes (with --detailed-exitcode) · 3 some device was not applied ·
    4 authentication · 5 locked or stale · 6 refused by a guard · 64 usage · 130 interrupted.
    """
    wanted = {"always": True, "never": False, "auto": False if os.environ.get("NO_COLOR") else None}[color]
    ctx.color = wanted
    if isinstance(sys.stderr, Stderr):
        sys.stderr.as_json = log_format == "json"
    os.chdir(directory)
    ctx.obj = Globals(directory, config, wanted, verbose - quiet, _profile(ctx, profile))


def _profile(ctx: click.Context, file: Path | None) -> "Profile | None":
    if file is None:
        return None
    from reconciler.cli.profile import profiled

    return ctx.with_resource(profiled(file, f"reconciler {ctx.invoked_subcommand}"))


def run() -> int:
    """The `reconciler` command: its documented exit code, never a traceback.

    SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt while a command runs, and end the process silently otherwise.
    """
    gc.set_threshold(GARBAGE)
    with redirect_stdout(Stdout(_stream(sys.stdout))) as stdout, redirect_stderr(Stderr(_stream(sys.stderr))) as stderr:
        stdout.no_commands = stderr.no_commands = os.environ.get("GITHUB_ACTIONS") == "true"
        code = _run()
        stderr.finish()
        stdout.finish()
    gc.freeze()  # or the end of Python looks through all of it once more
    return code


def _stream(stream: TextIO | None) -> TextIO:
    """The stream, able to write every character; or nowhere, if it is closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for the rest of the process
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _run() -> int:  # noqa: PLR0911 - one for each way to end
    try:
        with interruptible():
            code = cli.main(prog_name="reconciler", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        if isinstance(error, click.NoSuchOption) and any(error.option_name in option.opts for option in cli.params):
            click.echo(f"Write it before the command: reconciler {error.option_name} …", err=True)
        return 64
    except click.ClickException as error:
        error.show()
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except ReconcilerError as error:
        _explain(error)
        return error.exit_code
    except MemoryError:
        click.echo(
            "error: there is not enough memory; what an apply did is recorded: run it again where there is more, or"
            " with fewer processes (the setting `processes`)",
            err=True,
        )
        return 1
    except OSError as error:
        _explain_system(error)
        return 1
    except Exception as error:  # noqa: BLE001 - the last resort: a defect of ours, told without a traceback
        click.echo(f"internal error: {type(error).__name__}: {error}; this is a defect, please report it", err=True)
        if os.environ.get("RECONCILER_TRACEBACK"):
            from traceback import print_exc

            print_exc()
        return 1
    return code if isinstance(code, int) else 0


def _explain_system(error: OSError) -> None:
    """What has no name is a stream: files are opened by theirs."""
    from reconciler.printable import printable

    where = printable(str(error.filename)) if error.filename else "the output cannot be written"
    click.echo(f"error: {where}: {error.strerror or error}", err=True)


def _explain(error: ReconcilerError) -> None:
    from reconciler.printable import printable

    if isinstance(error, InventoryError):
        from reconciler.report.problems import text

        click.echo(text(error.problems), err=True)
    elif isinstance(error, Refused):
        for refusal in error.refusals:
            click.echo(f"refused by {refusal.rule}: {printable(refusal.message)}\n  {refusal.override}", err=True)
        click.echo("nothing was sent", err=True)
    else:
        click.echo(f"error: {printable(str(error))}", err=True)
