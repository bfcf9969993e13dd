"""`reconciler demo`."""

import os
import sys
from pathlib import Path

import click

from reconciler.cli import Globals, pass_globals
from reconciler.sandbox import require_extra


@click.command
@pass_globals
def demo(options: Globals) -> None:
    """See the whole cycle against a sandbox on this machine.

    Runs validate, plan and apply as you would, on a temporary copy of the example inventory: nothing of yours is
    touched, and nothing leaves this machine. Exits 1 if any step does not do what it should.
    """
    require_extra()
    from reconciler.sandbox.demo import demonstrate

    color = sys.stdout.isatty() if options.color is None else options.color
    demonstrate([sys.executable, str(Path(sys.argv[0]).absolute())], os.environ, color=color)
