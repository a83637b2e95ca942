"""The datasets that GET THANOSQL DATASET knows, and where each comes from: one table.

It fetches nothing: `fetching` does. What a dataset's folder holds is its layout's to say.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

#: Where archives come from, unless `THANOSQL_MIRROR` names another place.
OPENSLR: Final = "https://www.openslr.org"


@dataclass(frozen=True, slots=True)
class Table:
    """A csv file of a dataset, its columns and rows."""

    file: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What a layout wrote: tables, recordings and their seconds.

    `origins` says of each recording what it was in the archive; `unverified` are those that carried
    no digest of their samples.
    """

    tables: Sequence[Table]
    files: int
    audio_seconds: float
    origins: Mapping[str, str]
    unverified: int = 0


class Layout(Protocol):
    """Writes a dataset's recordings into `folder`; tables name them below `place`.

    `archive` opens the archive from its start, as often as wanted; `told` is given how many
    recordings are there.
    """

    def __call__(
        self,
        archive: Callable[[], BinaryIO],
        folder: Path,
        place: str,
        told: Callable[[int], None],
    ) -> LaidOut:
        """Write them.

        Raises:
            OperationalError: the archive is not what it should be.
        """


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset and its source.

    `archive` is a path below `OPENSLR`, and `md5` what was published for it, of `size_bytes`; a
    dataset without one is in the package. Of a `streamed` archive only the beginning is read, until
    `files` recordings are there, so its MD5 cannot be checked. `most_bytes` bounds what is read,
    packed and unpacked. `layout` is where the function lies that writes the folder.
    """

    name: str
    data_type: str
    title: str
    page: str
    licence: str
    credit: str
    layout: str
    files: int
    archive: str | None = None
    md5: str | None = None
    size_bytes: int | None = None
    most_bytes: int = 0
    streamed: bool = False
    notes: str = ""

    def lay_out(self) -> Layout:
        """Return the function that writes its folder."""
        module, _, name = self.layout.partition(":")
        found: Layout = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return found


_CC_BY: Final = "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)"

#: The one table of sources. The MD5s are those that OpenSLR publishes beside its archives.
DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="calls_data",
            data_type="audio",
            title="Calls to an order desk, in synthetic English",
            page="the package thanosql-dbapi",
            licence="Apache-2.0",
            credit="the authors of thanosql-dbapi",
            layout="calls:lay_out",
            files=80,
        ),
        Dataset(
            name="korean_voice_data",
            data_type="audio",
            title="Zeroth-Korean, its first 100 utterances",
            page="https://www.openslr.org/40/",
            licence=_CC_BY,
            credit="Zeroth project, Lucas Jo and Wonkyum Lee",
            layout="zeroth:lay_out",
            files=100,
            archive="resources/40/zeroth_korean.tar.gz",
            md5="8e0a4268bb8e80db3773c331025ef1e2",
            size_bytes=10_339_720_618,
            most_bytes=3_000_000_000,
            streamed=True,
            notes=(
                "The corpus has one transcript of each utterance: both columns carry it. The FLAC"
                " files are as they were."
            ),
        ),
        Dataset(
            name="librispeech_data",
            data_type="audio",
            title="mini LibriSpeech, 100 utterances of its part dev-clean-2",
            page="https://www.openslr.org/31/",
            licence=_CC_BY,
            credit="Vassil Panayotov, Guoguo Chen, Daniel Povey and Sanjeev Khudanpur",
            layout="librispeech:lay_out",
            files=100,
            archive="resources/31/dev-clean-2.tar.gz",
            md5="6d7ab67ac6a1d2c993d050e16d61080d",
            size_bytes=126_046_265,
            most_bytes=1_000_000_000,
            notes=(
                "The recordings were decoded from FLAC to WAV, sample by sample the same, and given"
                " numbers; the texts were put in lower case. No speaker of the test table is in the"
                " training table."
            ),
        ),
    )
}

#: The vendor's datasets that there are none of here, by what they hold.
ELSEWHERE: Final[Mapping[str, str]] = {
    "bike_sharing_data": "tables",
    "coco_person_data": "images",
    "diet_data": "images",
    "electricity_usage_data": "tables",
    "healthcare_data": "tables",
    "mnist_data": "images",
    "movie_review_data": "text",
    "nsmc_data": "text",
    "product_image_data": "images",
    "titanic_data": "tables",
    "unsplash_data": "images",
}
