"""`thanosql export` and `thanosql push`: a model as a folder, and in a repository of a hub.

Models lie in the workspace, so the database file is not opened: another process may have it.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from ..connection import connect
from ..exceptions import OperationalError
from ..workspace import default_folder


def export(given: argparse.Namespace) -> int:
    """Write a model as a folder that transformers loads; print the folder."""
    folder = str(Path(given.folder).expanduser())
    return _print(
        given,
        "SELECT thanosql_export(?, ?, overwrite := ?, lineage := ?)",
        [given.model, folder, given.overwrite, given.lineage],
    )


def push(given: argparse.Namespace) -> int:
    """Push a model to a repository of a hub; print the commit's URL."""
    return _print(
        given,
        "SELECT thanosql_push(?, ?, private := ?, branch := ?, message := ?, lineage := ?)",
        [
            given.model,
            given.repository,
            not given.public,
            given.branch,
            given.message,
            given.lineage,
        ],
    )


def workspace_of(given: argparse.Namespace) -> Path | None:
    """Return the folder that the flags name; None where they name none.

    Raises:
        OperationalError: there is no such folder.
    """
    folder = default_folder(given.database)
    if given.workspace is not None:
        folder = Path(given.workspace).expanduser()
    if folder is not None and not folder.is_dir():
        raise OperationalError(
            f"there is no workspace '{folder}': --database names the database file that it lies"
            " beside, or --workspace the folder"
        )
    return folder


def _print(given: argparse.Namespace, sql: str, parameters: list[object]) -> int:
    with closing(connect(workspace=workspace_of(given))) as connection:
        (shown,) = connection.execute(sql, parameters).fetchone() or ("",)
    sys.stdout.write(f"{shown}\n")
    return 0
