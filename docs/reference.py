"""The tables of the language's page that the code itself decides: options, bases, catalogue.

    python docs/reference.py            rewrites docs/language.md where it has become untrue
    python docs/reference.py --check    changes nothing; exit status 1 if it would

The tables stand in the page and not in the site alone, so that it reads the same on a code host,
and a change of an option shows as a change of the page. `tests/test_docs.py` runs the check. What
comes above and below a table is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

PAGE = Path(__file__).parent / "language.md"
sys.path.insert(0, str(PAGE.parent.parent))

from thanosql_dbapi import assets  # noqa: E402 - from this checkout, whatever is installed
from thanosql_dbapi.commands.copying import OPTIONS as COPY_OPTIONS  # noqa: E402
from thanosql_dbapi.commands.get_dataset import OPTIONS as DATASET_OPTIONS  # noqa: E402
from thanosql_dbapi.commands.get_model import OPTIONS as MODEL_OPTIONS  # noqa: E402
from thanosql_dbapi.commands.print_media import OPTIONS as PRINT_OPTIONS  # noqa: E402
from thanosql_dbapi.commands.upload_model import OPTIONS as UPLOAD_OPTIONS  # noqa: E402
from thanosql_dbapi.models import families  # noqa: E402
from thanosql_dbapi.models.base import Verb  # noqa: E402
from thanosql_dbapi.options import OptionSpec  # noqa: E402
from thanosql_dbapi.predicting import RUN_OPTIONS  # noqa: E402
from thanosql_dbapi.relations.evaluate import EVALUATE_OPTIONS  # noqa: E402
from thanosql_dbapi.relations.predict import ERROR_COL, TABLE_NAME  # noqa: E402

#: A table in the page: the line above it names it, and it ends with its last row.
_TABLE = re.compile(r"(?P<mark><!-- reference\.py: (?P<name>[^\n]+) -->\n)(?:\|[^\n]*\n)+")

#: The families' options by family, or those of a statement that has no family under "".
Options = Mapping[str, Sequence[OptionSpec]]


# --- options --------------------------------------------------------------------------------


def verb_options(verb: Verb, *extra: OptionSpec) -> Options:
    """Return the options of a verb, of each built-in family that has it."""
    found = {name: families.family(name) for name in sorted(families.BUILT_IN)}
    return {
        name: (*family.options(verb), *extra)
        for name, family in found.items()
        if verb in family.verbs
    }


def options() -> dict[str, Options]:
    """Return each statement's options."""
    return {
        "PREDICT": verb_options(Verb.PREDICT, *RUN_OPTIONS, ERROR_COL, TABLE_NAME),
        "EVALUATE": verb_options(Verb.EVALUATE, *RUN_OPTIONS, *EVALUATE_OPTIONS),
        "BUILD MODEL": verb_options(Verb.BUILD),
        "FIT MODEL": verb_options(Verb.FIT),
        "COPY": {"": COPY_OPTIONS},
        "GET THANOSQL MODEL": {"": MODEL_OPTIONS},
        "GET THANOSQL DATASET": {"": DATASET_OPTIONS},
        "PRINT": {"": PRINT_OPTIONS},
        "UPLOAD MODEL": {"": UPLOAD_OPTIONS},
    }


def option_table(by_family: Options) -> str:
    """Write an option table: the options of all families first, then those of some."""
    by_name: dict[str, dict[str, OptionSpec]] = {}
    for family, specs in by_family.items():
        for spec in specs:
            by_name.setdefault(spec.name, {})[family] = spec
    shared = [name for name, specs in by_name.items() if len(specs) == len(by_family)]
    rows = [
        _option_row(by_name[name], everywhere=name in shared)
        for name in (*shared, *(name for name in by_name if name not in shared))
    ]
    return table(("option", "takes", "default", "meaning", "older spelling"), rows)


def _option_row(by_family: Mapping[str, OptionSpec], *, everywhere: bool) -> Sequence[str]:
    spec = next(iter(by_family.values()))
    default = f"`{spec.default!r}`" if spec.default != "" else "none"
    default += "".join(
        f" (`{name}`: `{other.default!r}`)"
        for name, other in by_family.items()
        if other.default != spec.default
    )
    meaning = spec.help if everywhere else f"{', '.join(f'`{n}`' for n in by_family)}: {spec.help}"
    aliases = ", ".join(f"`{alias}`" for alias in spec.aliases)
    return f"`{spec.name}`", spec.accepts(), default, meaning, aliases


def spellings_table() -> str:
    """Write the older spellings of options, each once."""
    found: dict[str, dict[str, None]] = {}
    for by_family in options().values():
        for specs in by_family.values():
            for spec in specs:
                for alias in spec.aliases:
                    found.setdefault(spec.name, {})[alias] = None
    rows = [
        (f"`{name}`", ", ".join(f"`{alias}`" for alias in aliases))
        for name, aliases in sorted(found.items())
    ]
    return table(("option", "also"), rows)


# --- models and data ------------------------------------------------------------------------


def bases_table() -> str:
    """Write the base models: what they can do, and where their weights come from."""
    rows = []
    for name in sorted(families.BUILT_IN):
        family = families.family(name)
        verbs = ", ".join(verb for verb in Verb if verb in family.verbs)
        weights = f"`{family.checkpoint}`" if family.checkpoint else "in the package"
        rows.append((f"`{name}`", verbs, weights))
    return table(("base model", "verbs", "weights by default"), rows)


def catalogue_table() -> str:
    """Write what GET THANOSQL MODEL knows."""
    rows = []
    for model in assets.CATALOGUE.values():
        checkpoint = model.checkpoint or families.family(model.base).checkpoint
        weights = f"`{checkpoint}`" if checkpoint else "in the package"
        rows.append((f"`{model.name}`", f"`{model.base}`", weights))
    return table(("name", "base model", "weights by default"), rows)


def datasets_table() -> str:
    """Write what GET THANOSQL DATASET knows."""
    rows = []
    for dataset in assets.DATASETS.values():
        size = f"{dataset.size_bytes / 1e6:,.0f} MB" if dataset.size_bytes else "in the package"
        size = f"the beginning of {size}" if dataset.streamed else size
        page = f"[{dataset.page.split('/')[2]}]({dataset.page})" if "://" in dataset.page else ""
        licence = dataset.licence.partition(" (")[0]
        credit = f"{dataset.credit}{', ' if page else ''}{page}"
        rows.append((f"`{dataset.name}`", dataset.title, size, licence, credit))
    return table(("name", "what", "is fetched", "licence", "by"), rows)


def planned_table() -> str:
    """Write the base models of the language that this version has not."""
    by_kind: dict[str, list[str]] = {}
    for name, kind in families.PLANNED.items():
        by_kind.setdefault(kind, []).append(f"`{name}`")
    return table(("for", "base models"), [(kind, ", ".join(by_kind[kind])) for kind in by_kind])


# --- the page -------------------------------------------------------------------------------


def tables() -> dict[str, str]:
    """Return all tables by their names in the page."""
    return {
        **{f"options of {name}": option_table(each) for name, each in options().items()},
        "spellings": spellings_table(),
        "base models": bases_table(),
        "catalogue": catalogue_table(),
        "datasets": datasets_table(),
        "planned": planned_table(),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line).rstrip() + " |\n" for line in lines)


def rewritten(page: str) -> str:
    """Return the page with its tables as the code has them.

    Raises:
        KeyError: a mark names no table.
    """
    known = tables()
    return _TABLE.sub(lambda match: match["mark"] + known[match["name"]], page)


def named(page: str) -> list[str]:
    """Return the names of the tables that the page has."""
    return [match["name"] for match in _TABLE.finditer(page)]


def main(arguments: Sequence[str]) -> int:
    """Bring the page up to date, or say whether it is."""
    page = PAGE.read_text("utf-8")
    fresh = rewritten(page)
    if fresh == page:
        return 0
    if "--check" in arguments:
        print(f"{PAGE} is not what the code says: run python docs/reference.py")
        return 1
    PAGE.write_text(fresh, "utf-8")
    print(f"{PAGE} rewritten")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
