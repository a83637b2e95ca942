"""The command line: `thanosql demo`, `run`, `shell`, `export`, `push` and `curve`.

It reads the arguments and turns errors into a few lines and an exit status. What the commands
do, and how results look, is for its modules to know; they are imported when a command needs them.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from io import TextIOWrapper

from .. import __version__
from ..exceptions import Error, QueryInterrupted
from .interruption import interruption

__all__ = ["arguments_parser", "main"]

#: The packages of the extra `cli`, by the names they are imported by.
_EXTRA = frozenset({"prompt_toolkit", "pygments", "rich"})

#: What a shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0, 1 after an error, 130 after Ctrl-C."""
    given = arguments_parser().parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        # Where the output's encoding lacks a character, its code is better than no answer.
        sys.stdout.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            command = _command(given.command)
            return command(given)
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in _EXTRA:
                raise
            return _fail(f"'{error.name}' is not installed; pip install 'thanosql-dbapi[cli]'")
        except (KeyboardInterrupt, QueryInterrupted) as error:
            _fail(interruption(error))
            return INTERRUPTED
        except (Error, OSError) as error:
            return _fail(str(error))


def arguments_parser() -> argparse.ArgumentParser:
    """Describe the commands and their flags."""
    parser = argparse.ArgumentParser(
        prog="thanosql", description="SQL with model statements, on embedded DuckDB."
    )
    parser.add_argument("--version", action="version", version=f"thanosql {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo", help="show the main job on bundled recordings, without a network"
    )
    demo.add_argument(
        "--keep",
        metavar="FOLDER",
        help="work in this new folder and leave database, recordings and model there",
    )
    _add_device(demo)
    run = commands.add_parser("run", help="run a script and print what its statements return")
    run.add_argument("file", metavar="FILE", help="the script; - is standard input")
    _add_database(run, rows=1000)
    shell = commands.add_parser(
        "shell", help="type statements and see their results; piped input runs as a script"
    )
    _add_database(shell, rows=40)
    _add_sharing(commands)
    curve = commands.add_parser("curve", help="show the learning curve of a training")
    curve.add_argument("model", metavar="MODEL", help="the model, or one version of it: m@3")
    curve.add_argument(
        "--follow", action="store_true", help="go on showing it until the training ends"
    )
    curve.add_argument("--svg", metavar="FILE", help="write the picture into this file, too")
    _add_workspace(curve)
    return parser


def _add_sharing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = commands.add_parser("export", help="write a model as a folder that transformers loads")
    export.add_argument("model", metavar="MODEL", help="the model, or one version of it: m@3")
    export.add_argument("folder", metavar="FOLDER", help="the folder to write")
    export.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    _add_lineage(export)
    _add_workspace(export)
    push = commands.add_parser("push", help="push a model to a repository of a hub")
    push.add_argument("model", metavar="MODEL", help="the model, or one version of it: m@3")
    push.add_argument("repository", metavar="REPOSITORY", help="the repository: owner/name")
    push.add_argument(
        "--public", action="store_true", help="all may read it (default: a new one is private)"
    )
    push.add_argument("--branch", metavar="B", help="the branch (default: the repository's own)")
    push.add_argument("--message", metavar="TEXT", help="the commit's message")
    _add_lineage(push)
    _add_workspace(push)


def _add_lineage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lineage",
        action="store_true",
        help="add how it was made in full: the query's text, findings, file names",
    )


def _add_workspace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        metavar="D",
        default=":memory:",
        help="the DuckDB file beside which models live; it is not opened",
    )
    parser.add_argument("--workspace", metavar="FOLDER", help="where models live, if not there")


def _add_database(parser: argparse.ArgumentParser, *, rows: int) -> None:
    parser.add_argument(
        "--database",
        metavar="D",
        default=":memory:",
        help="a DuckDB file, made if there is none (default: a database in memory)",
    )
    parser.add_argument(
        "--root",
        metavar="FOLDER",
        help="where relative paths in tables and statements start (default: the current folder)",
    )
    parser.add_argument(
        "--workspace",
        metavar="FOLDER",
        help="where models live (default: a folder beside the database file)",
    )
    parser.add_argument(
        "--rows",
        metavar="N",
        type=_row_count,
        default=rows,
        help="show at most N rows of a result, 0 for all (default: %(default)s)",
    )
    _add_device(parser)


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        default="auto",
        help="a torch device such as cpu or cuda:1 (default: the GPU where there is one)",
    )


def _row_count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of rows")
    return int(text)


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    if name == "demo":
        from .demo import demo

        return demo
    if name == "run":
        from .run import run

        return run
    if name == "export":
        from .share import export

        return export
    if name == "push":
        from .share import push

        return push
    if name == "curve":
        from .curve import curve

        return curve
    from .shell import shell

    return shell


def _fail(message: str) -> int:
    sys.stderr.write(f"thanosql: {message}\n")
    return 1


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    sys.stderr.write(f"thanosql: {message}\n")
