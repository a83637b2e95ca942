"""GET THANOSQL DATASET: fetch a dataset into its folder below the root."""

from __future__ import annotations

from ..assets import DATASETS
from ..assets.datasets import ELSEWHERE, Dataset
from ..exceptions import NotSupportedError, OptionError, ProgrammingError, nearest
from ..language.statements import GetAsset
from ..options import OptionSpec, read_options
from .base import Answer, Surroundings, one_row

OPTIONS = (
    OptionSpec(
        "overwrite", bool, False, "fetch a dataset again that is there; until then the old one is"
    ),
)


def get_dataset(statement: GetAsset, around: Surroundings) -> Answer:
    """Fetch a dataset; answer what it is, where its tables are, and what may be done with it.

    Raises:
        ProgrammingError: there is no such dataset, or its folder exists and `overwrite` is not set.
        NotSupportedError: the vendor has it, and there is none of it here.
        OperationalError: it cannot be fetched, or written; nothing is changed.
    """
    dataset = _dataset(statement.name.text)
    if statement.new_name is not None:
        raise OptionError(
            f"AS names a model; a dataset keeps its name: GET THANOSQL DATASET {dataset.name}"
        )
    given = around.scope.option_values(statement.options)
    options = read_options(given, OPTIONS, statement="GET THANOSQL DATASET")
    # Imported late: it brings all that HTTP and tar archives take.
    from ..assets.fetching import fetch

    fetched = fetch(
        dataset,
        around.session.root,
        overwrite=options["overwrite"],
        check=around.execution.check,
        progress=around.session.progress,
    )
    laid_out = fetched.laid_out
    return one_row(
        {
            "name": ("VARCHAR", dataset.name),
            "folder": ("VARCHAR", fetched.folder),
            "tables": ("VARCHAR[]", [f"{fetched.folder}/{t.file}" for t in laid_out.tables]),
            "rows": ("BIGINT", sum(len(table.rows) for table in laid_out.tables)),
            "files": ("BIGINT", laid_out.files),
            "audio_seconds": ("DOUBLE", round(laid_out.audio_seconds, 3)),
            "size_bytes": ("BIGINT", fetched.size_bytes),
            "source": ("VARCHAR", dataset.page),
            "licence": ("VARCHAR", dataset.licence),
            "verified": ("VARCHAR", fetched.verified),
        }
    )


def _dataset(name: str) -> Dataset:
    known = name.casefold()
    if known in DATASETS:
        return DATASETS[known]
    listed = ", ".join(DATASETS)
    if known in ELSEWHERE:
        raise NotSupportedError(
            f"the dataset '{known}' ({ELSEWHERE[known]}) is not supported yet; these are: {listed}"
        )
    raise ProgrammingError(
        f"the catalogue has no dataset '{name}'.{nearest(name, DATASETS)} It has {listed}."
    )
