"""Fetching a dataset: from its source to a whole folder, or to nothing.

The archive is fetched and verified, its layout written beside the place it goes to, and put there
by one rename. What is on its way lies in a hidden folder beside, and goes when it is done.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ..exceptions import OperationalError, ProgrammingError, QueryInterrupted
from ..media.paths import DATASETS as HOME
from ..progress import Bar, Progress
from ..registry.files import size_of, staged_folder
from .datasets import Dataset, LaidOut, Table
from .downloading import Download
from .mirrors import Mirror, mirror, verify
from .placing import alone, put, restore

#: The hidden folder for what is on its way, below that of the datasets.
_ON_ITS_WAY: Final = ".fetching"

#: What stands for the MD5 of an archive that is not read to its end.
_BY_SAMPLES: Final = "the MD5 of its samples in each FLAC file"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A dataset's folder, relative to the root, and what is in it.

    `verified` says against what the recordings were held.
    """

    dataset: Dataset
    folder: str
    laid_out: LaidOut
    size_bytes: int
    verified: str


def fetch(
    dataset: Dataset,
    root: Path,
    *,
    overwrite: bool,
    check: Callable[[], None],
    progress: Progress,
) -> Fetched:
    """Fetch a dataset into its folder below the root.

    `check` raises where the work is to stop.

    Raises:
        ProgrammingError: the folder exists, and `overwrite` is not set.
        OperationalError: the source cannot be had or is not what it should be, or the disk is full;
            the folder is as it was.
    """
    home = root / HOME
    target, hidden = home / dataset.name, home / _ON_ITS_WAY
    aside = hidden / f"{dataset.name}.before"
    with _disk_told(home):
        hidden.mkdir(parents=True, exist_ok=True)
        with alone(hidden / f"{dataset.name}.lock", check):
            restore(target, aside)
            if os.path.lexists(target) and not overwrite:
                raise ProgrammingError(
                    f"the dataset '{dataset.name}' is there already, in {target};"
                    " OPTIONS (overwrite=True) fetches it again"
                )
            work = _Work(dataset, hidden, f"{HOME}/{dataset.name}", check, progress)
            with staged_folder(hidden / "staging") as staged:
                laid_out, verified = work.lay_out(staged, mirror(root))
                _write_tables(staged, laid_out.tables)
                _write_readme(staged, dataset, laid_out, verified)
                size = size_of(staged)
                check()
                put(staged, target, aside)
    return Fetched(dataset, f"{HOME}/{dataset.name}", laid_out, size, verified)


@dataclass(frozen=True, slots=True)
class _Work:
    """The fetching of one dataset; `place` is what its tables' paths begin with."""

    dataset: Dataset
    hidden: Path
    place: str
    check: Callable[[], None]
    progress: Progress

    def lay_out(self, staged: Path, source: Mirror) -> tuple[LaidOut, str]:
        """Write the recordings into `staged`; return them, and what they were held against."""
        path = self.dataset.archive
        if path is None:
            return self._write(staged, _no_archive), "nothing: it comes with the package"
        if source.folder is not None:
            archive = source.folder / path
            if not archive.is_file():
                raise OperationalError(f"there is no file {archive} (THANOSQL_MIRROR)")
            return self._from_file(staged, archive, source)
        return self._from_server(staged, path, source)

    def _from_file(self, staged: Path, archive: Path, source: Mirror) -> tuple[LaidOut, str]:
        verified = self._verify(archive, source)
        return self._write(staged, lambda: archive.open("rb")), verified

    def _from_server(self, staged: Path, path: str, source: Mirror) -> tuple[LaidOut, str]:
        """Fetch the archive, as much as is needed, and write what is in it.

        What came is kept where the network failed or the user stopped it, for the next run.
        """
        with (
            self._bar() as bar,
            Download(
                source.where(path),
                self.hidden / f"{self.dataset.name}.part",
                check=self.check,
                told=_nothing if self.dataset.streamed else _megabytes(bar),
                most_bytes=self.dataset.most_bytes,
            ) as download,
        ):
            try:
                if self.dataset.streamed:
                    done = self._write(staged, download.open), _BY_SAMPLES
                else:
                    whole = download.whole()
                    bar.close()
                    done = self._from_file(staged, whole, source)
            except QueryInterrupted:
                raise
            except OperationalError:
                download.keep = download.failed
                raise
            download.keep = False
        return done

    def _verify(self, archive: Path, source: Mirror) -> str:
        if self.dataset.streamed:
            return _BY_SAMPLES
        path = str(self.dataset.archive)
        return verify(archive, path, self.dataset.md5, source, self.check)

    def _write(self, staged: Path, archive: Callable[[], BinaryIO]) -> LaidOut:
        with self._bar("recordings") as bar:
            started = time.monotonic()

            def told(done: int) -> None:
                self.check()
                left = (time.monotonic() - started) / done * (self.dataset.files - done)
                bar.update(done, self.dataset.files, remaining_s=left)

            return self.dataset.lay_out()(archive, staged, self.place, told)

    @contextmanager
    def _bar(self, unit: str = "MB") -> Iterator[Bar]:
        bar = self.progress.bar(self.dataset.name, unit)
        try:
            yield bar
        finally:
            bar.close()


def _no_archive() -> BinaryIO:
    raise AssertionError("the dataset has no archive")


def _nothing(_have: int, _total: int | None) -> None:
    """Show nothing: how much of the archive is needed is not known."""


def _megabytes(bar: Bar) -> Callable[[int, int | None], None]:
    """Show bytes as megabytes, and how long the rest will take at the pace of this run."""
    first: list[tuple[float, int]] = []

    def told(have: int, total: int | None) -> None:
        now = time.monotonic()
        first.append((now, have)) if not first else None
        began, had = first[0]
        facts = {}
        if total is not None and have > had:
            facts["remaining_s"] = (now - began) / (have - had) * (total - have)
        bar.update(round(have / 1e6, 1), None if total is None else round(total / 1e6, 1), **facts)

    return told


def _write_tables(folder: Path, tables: Sequence[Table]) -> None:
    for table in tables:
        with (folder / table.file).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table.columns)
            writer.writerows(table.rows)


def _write_readme(folder: Path, dataset: Dataset, laid_out: LaidOut, verified: str) -> None:
    """Write where a dataset is from and what may be done with it: its licence asks for that."""
    lines = [
        f"# {dataset.name}",
        "",
        f"{dataset.title}.",
        "",
        f"- Source: {dataset.page}",
        f"- By: {dataset.credit}",
        f"- Licence: {dataset.licence}",
        f"- Verified against: {verified}",
    ]
    if dataset.notes:
        lines += ["", dataset.notes]
    if laid_out.unverified:
        lines += ["", f"{laid_out.unverified} recordings carried no digest of their samples."]
    if laid_out.origins:
        lines += ["", "| file | in the source |", "|---|---|"]
        lines += [f"| {file} | {name} |" for file, name in laid_out.origins.items()]
    (folder / "README.md").write_text("\n".join(lines) + "\n", "utf-8")


@contextmanager
def _disk_told(home: Path) -> Iterator[None]:
    """Say what the disk refuses."""
    try:
        yield
    except OSError as error:
        # Which file says more: it may be one of the mirror's folder, that may not be read.
        where = f" ({error.filename})" if error.filename else ""
        raise OperationalError(
            f"the dataset cannot be written below {home}: {error.strerror or error}{where}. What"
            " was there is as it was."
        ) from error
