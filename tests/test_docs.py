"""The documentation, held to the code: what it shows runs, and what it lists is what there is.

A page's `sql` and `python` blocks run in order, in one folder, as a reader would type them. A note
above a block changes that: `<!-- not run: why -->` or `<!-- raises SomeError -->`. Blocks of other
languages are not run.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

import thanosql_dbapi
from thanosql_dbapi import Connection, assets, exceptions
from thanosql_dbapi.cli import main
from thanosql_dbapi.cli.run import pieces
from thanosql_dbapi.commands.copy_table import _READERS
from thanosql_dbapi.commands.copy_table import OPTIONS as COPY_OPTIONS
from thanosql_dbapi.commands.get_asset import OPTIONS as GET_OPTIONS
from thanosql_dbapi.commands.print_media import OPTIONS as PRINT_OPTIONS
from thanosql_dbapi.commands.upload_model import OPTIONS as UPLOAD_OPTIONS
from thanosql_dbapi.functions import AUDIO_FACTS, FUNCTIONS
from thanosql_dbapi.language import statements
from thanosql_dbapi.media import audio
from thanosql_dbapi.models import families
from thanosql_dbapi.models.base import Verb
from thanosql_dbapi.options import OptionSpec
from thanosql_dbapi.predicting import RUN_OPTIONS
from thanosql_dbapi.relations.evaluate import EVALUATE_OPTIONS
from thanosql_dbapi.relations.predict import ERROR_COL, TABLE_NAME

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
LANGUAGE = ROOT / "docs" / "language.md"
DRIVER = ROOT / "docs" / "driver.md"
TRANSCRIBING = ROOT / "docs" / "transcribing.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_EXAMPLES = [
    README,
    ROOT / "docs" / "quickstart.md",
    LANGUAGE,
    DRIVER,
    ROOT / "docs" / "sqlalchemy.md",
    ROOT / "docs" / "tools.md",
    ROOT / "docs" / "training.md",
    ROOT / "docs" / "transcribing.md",
    ROOT / "docs" / "views.md",
]

_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def section(page: Path, title: str) -> str:
    """Return what stands under a heading, up to the next one."""
    match = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text_of(page), re.MULTILINE | re.DOTALL
    )
    assert match, f"{page.name} has no section '{title}'"
    return match[1]


# --- examples -------------------------------------------------------------------------------


class Block(NamedTuple):
    language: str
    text: str
    note: str


def blocks(page: Path) -> Iterator[Block]:
    for match in _BLOCK.finditer(text_of(page)):
        note = match["note"] or ""
        assert not note or note.startswith(("not run: ", "raises "))
        # One pass over the rows runs the statement as well as ten do.
        text = re.sub(r"max_epochs=\d+", "max_epochs=1", match["text"])
        yield Block(match["language"], text, note)


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A reader's place: the recordings in `demo`, and a database beside them."""
    shutil.copytree(assets.RECORDINGS, tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    with thanosql_dbapi.connect("calls.db", root="demo", progress=False) as opened:
        yield opened


@pytest.mark.filterwarnings("ignore:.* gave no prediction")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.stem)
def test_examples_run(page: Path, connection: Connection) -> None:
    names: dict[str, object] = {"connection": connection}
    ran = 0
    for block in blocks(page):
        if block.language not in ("sql", "python") or block.note.startswith("not run"):
            continue
        ran += 1
        if block.note:
            with pytest.raises(getattr(exceptions, block.note.removeprefix("raises "))):
                run(block, connection, names)
        else:
            run(block, connection, names)
    assert ran


def run(block: Block, connection: Connection, names: dict[str, object]) -> None:
    if block.language == "python":
        exec(compile(block.text, "example", "exec"), names)
        return
    for piece in pieces(block.text):
        cursor = connection.execute(piece.text)
        if cursor.description is not None:
            cursor.fetchall()


def test_the_example_script_is_the_readme_s(connection: Connection) -> None:
    shown = [block.text for block in blocks(README) if block.language == "sql"]
    assert text_of(ROOT / "examples" / "calls.sql") in shown


def test_the_readme_shows_what_the_script_prints(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(ROOT / "examples" / "calls.sql"), "--root", "demo"]) == 0
    printed = capsys.readouterr().out.splitlines()
    # The facts of the recordings alone: a transcript may differ by a letter on another processor.
    shown = [line for line in text_of(README).splitlines() if line.startswith("| test_")]
    assert shown
    assert [line for line in printed if line.startswith("| test_")] == shown


# --- the language ---------------------------------------------------------------------------


def verb_options(verb: Verb, *extra: OptionSpec) -> dict[str, Sequence[OptionSpec]]:
    found = {name: families.family(name) for name in families.names()}
    return {
        name: (*family.options(verb), *extra)
        for name, family in found.items()
        if verb in family.verbs
    }


OPTION_TABLES: dict[str, dict[str, Sequence[OptionSpec]]] = {
    "PREDICT": verb_options(Verb.PREDICT, *RUN_OPTIONS, ERROR_COL, TABLE_NAME),
    "EVALUATE": verb_options(Verb.EVALUATE, *RUN_OPTIONS, *EVALUATE_OPTIONS),
    "BUILD MODEL": verb_options(Verb.BUILD),
    "FIT MODEL": verb_options(Verb.FIT),
    "COPY": {"": COPY_OPTIONS},
    "GET THANOSQL": {"": GET_OPTIONS},
    "PRINT": {"": PRINT_OPTIONS},
    "UPLOAD MODEL": {"": UPLOAD_OPTIONS},
}


def option_rows(by_family: dict[str, Sequence[OptionSpec]]) -> list[str]:
    """Write the rows of an option table: those of all families first, then those of some."""
    by_name: dict[str, dict[str, OptionSpec]] = {}
    for family, specs in by_family.items():
        for spec in specs:
            by_name.setdefault(spec.name, {})[family] = spec
    shared = [name for name, specs in by_name.items() if len(specs) == len(by_family)]
    return [
        option_row(by_name[name], everywhere=name in shared)
        for name in (*shared, *(name for name in by_name if name not in shared))
    ]


def option_row(by_family: dict[str, OptionSpec], *, everywhere: bool) -> str:
    spec = next(iter(by_family.values()))
    default = f"`{spec.default!r}`" if spec.default != "" else "none"
    default += "".join(
        f" (`{name}`: `{other.default!r}`)"
        for name, other in by_family.items()
        if other.default != spec.default
    )
    meaning = spec.help if everywhere else f"{', '.join(f'`{n}`' for n in by_family)}: {spec.help}"
    aliases = ", ".join(f"`{alias}`" for alias in spec.aliases)
    cells = (f"`{spec.name}`", spec.accepts(), default, meaning, aliases)
    return "| " + " | ".join(cells).rstrip() + " |"


@pytest.mark.parametrize("statement", OPTION_TABLES)
def test_option_tables_equal_the_code(statement: str) -> None:
    shown = section(LANGUAGE, statement).partition("| option |")[2].partition("\n\n")[0]
    assert shown.splitlines()[2:] == option_rows(OPTION_TABLES[statement])


def test_every_statement_has_its_section() -> None:
    headings = re.findall(r"^### (.+)$", text_of(LANGUAGE), re.MULTILINE)
    for statement in get_args(statements.Command) + get_args(statements.Relation):
        grammar = (statement.__doc__ or "").removeprefix("`")
        assert any(grammar.startswith(f"{heading} ") for heading in headings), statement


def test_every_base_model_and_catalogue_name_is_told() -> None:
    bases = section(LANGUAGE, "Base models, catalogue and checkpoints")
    for name in families.BUILT_IN:
        family = families.family(name)
        assert re.search(rf"\| `{name}` \|.*{family.checkpoint or 'in the package'}", bases)
    for model in assets.CATALOGUE.values():
        assert re.search(rf"\| `{model.name}` \| `{model.base}`", bases)
    for name in (*assets.DATASETS, *families.PLANNED):
        assert f"`{name}`" in text_of(LANGUAGE)


def test_every_source_and_fact_of_media_is_told() -> None:
    copied = section(LANGUAGE, "COPY")
    assert all(f"`{suffix}`" in copied for suffix in _READERS)
    predicted = section(LANGUAGE, "PREDICT")
    for suffix in audio.SUFFIXES - {".aif"}:
        assert suffix[1:] in predicted
    assert all(f"`{fact}`" in section(LANGUAGE, "PRINT") for fact in AUDIO_FACTS)


# --- the driver -----------------------------------------------------------------------------


def test_every_public_name_is_told() -> None:
    told = text_of(DRIVER)
    missing = [name for name in thanosql_dbapi.__all__ if not re.search(rf"\b{name}\b", told)]
    assert missing == []


def test_every_error_is_told() -> None:
    tree = section(DRIVER, "Errors")
    errors = [name for name, value in vars(exceptions).items() if _is_error(value)]
    assert [name for name in errors if not re.search(rf"\b{name}\b", tree)] == []


def test_every_reason_of_failing_media_is_told() -> None:
    told = section(TRANSCRIBING, "Rows that fail")
    assert [reason for reason in exceptions.MediaReason if f"| `{reason}` |" not in told] == []


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def test_every_parameter_of_connect_is_told_with_its_default() -> None:
    told = section(DRIVER, "Connecting")
    for parameter in inspect.signature(thanosql_dbapi.connect).parameters.values():
        assert f"| `{parameter.name}` | `{parameter.default!r}` |" in told


def test_every_method_is_told() -> None:
    told = text_of(DRIVER)
    for kind in (Connection, thanosql_dbapi.Cursor):
        public = [name for name in vars(kind) if not name.startswith("_")]
        assert [name for name in public if not re.search(rf"\b{name}\b", told)] == []


def test_every_function_is_told_with_its_parameters() -> None:
    told = section(DRIVER, "Functions in SQL")
    for function in FUNCTIONS:
        optional = [f"{name} := NULL" for name in function.optional]
        assert f"`{function.name}({', '.join([*function.parameters, *optional])})`" in told


# --- the house ------------------------------------------------------------------------------


def test_every_module_is_told_and_no_other() -> None:
    package, dialect = ROOT / "thanosql_dbapi", ROOT / "sqlalchemy_dialect"
    modules = {
        path.relative_to(base).with_suffix("").as_posix()
        for folder, base in ((package, package), (dialect, ROOT))
        for path in folder.rglob("*.py")
        if path.name != "__init__.py"
    }
    told = set(re.findall(r"^\| `([\w/]+)` \|", text_of(ARCHITECTURE), re.MULTILINE))
    assert told == modules


# --- the pages ------------------------------------------------------------------------------


def test_the_readme_s_commands_are_those_that_are_checked() -> None:
    checks = ROOT / ".ci" / "run"
    if not checks.is_file():
        pytest.skip("SKIPPED, no .ci/run: the README's commands are not compared with it")
    readme, checked = text_of(README).splitlines(), checks.read_text("utf-8").splitlines()
    install, tests = "pip install -c constraints.txt -e '.[speech]'", "'.[test]' && pytest"
    assert f"{install} && thanosql demo" in readme
    assert install in checked
    assert "thanosql demo" in checked
    assert f"pip install -c constraints.txt -e {tests}" in readme
    assert f"pip install -c constraints.txt -e {tests}" in checked
    assert (ROOT / "constraints.txt").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith(("http:", "https:")):
            continue
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
