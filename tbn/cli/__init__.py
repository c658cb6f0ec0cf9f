"""The command line: ``tbn train eval summary runs zoo sweep bench quantise export fit build flash boards doctor``.

With ``--json`` one JSON object goes to stdout and everything else to stderr. Exit status: 0 done, 1 failed (one line
with its fix), 2 wrong usage, 130 interrupted. Commands import what they need when they run, so that help is instant.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import typer

from tbn.cli import benchmarks, firmware, fit, quantise, results, sweep, training, zoo
from tbn.cli.common import speaks
from tbn.errors import TBNError

app = typer.Typer(
    help="Tiled Bit Networks: train, compress below one bit a weight, and put on a board.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (training, results, zoo, sweep, benchmarks, quantise, fit, firmware):
    app.add_typer(part.app)


def _stop(*_: object) -> None:
    """Stop as Ctrl-C does. (A process started in the background ignores SIGINT itself.)"""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    # torch's threads wait asleep, not spinning: ten times faster when the app and a second job share the cores
    if arguments[:1] != ["bench"]:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _stop)
    try:
        status = app(args=arguments, standalone_mode=False) or 0
        if status == 130:  # typer's answer to Ctrl-C
            raise KeyboardInterrupt
        sys.exit(status)
    except TBNError as error:
        if "--json" in arguments and speaks():
            more = {name: getattr(error, name) for name in ("code", "log") if getattr(error, name, "")}
            print(json.dumps({"error": error.message, "fix": error.fix} | more, ensure_ascii=False))
        if speaks():
            print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted; a training run goes on with: tbn train --resume RUN", file=sys.stderr)
        sys.exit(130)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # click's usage errors
            error.show()
            sys.exit(error.exit_code)
        raise
