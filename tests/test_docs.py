"""The documentation, held to the code: what it shows runs, and what it lists is what there is.

A page's `sql` and `python` blocks run in order, in one folder, as a reader would type them. A note
above a block changes that: `<!-- not run: why -->` or `<!-- raises SomeError -->`. Blocks of other
languages are not run.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, get_args

import pytest
from timbre import installed

import thanosql_dbapi
from thanosql_dbapi import Connection, assets, exceptions
from thanosql_dbapi.cli import main
from thanosql_dbapi.cli.run import pieces
from thanosql_dbapi.commands.copying.kinds import MEDIA, SUFFIXES
from thanosql_dbapi.functions import AUDIO_FACTS, FUNCTIONS, IMAGE_FACTS, VIDEO_FACTS
from thanosql_dbapi.language import statements
from thanosql_dbapi.media import audio
from thanosql_dbapi.models import families
from thanosql_dbapi.models.base import Verb
from thanosql_dbapi.options import OptionSpec

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
LANGUAGE = ROOT / "docs" / "language.md"
DRIVER = ROOT / "docs" / "driver.md"
TRANSCRIBING = ROOT / "docs" / "transcribing.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
MODELS = ROOT / "docs" / "models.md"
EXTENDING = ROOT / "docs" / "extending.md"
NOTEBOOK = ROOT / "docs" / "notebook.md"
ERAS_PAGE = ROOT / "docs" / "eras.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_EXAMPLES = [
    README,
    ROOT / "docs" / "quickstart.md",
    ROOT / "docs" / "quickstart.ko.md",
    LANGUAGE,
    DRIVER,
    ROOT / "docs" / "sqlalchemy.md",
    ROOT / "docs" / "tools.md",
    ROOT / "docs" / "bi.md",
    ROOT / "docs" / "how-it-works.md",
    EXTENDING,
    NOTEBOOK,
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


#: How many rows of its tables a reader's `demo` has here. Choosing a decoder on the rows held out
#: takes most of a short training's time, and no page says what comes of a training this short.
ROWS = {"calls_train.csv": 20, "calls_test.csv": 6}


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A reader's place: the recordings in `demo`, and a database beside them."""
    demo = tmp_path / "demo"
    shutil.copytree(assets.RECORDINGS, demo)
    for name, rows in ROWS.items():
        lines = text_of(demo / name).splitlines(keepends=True)
        (demo / name).write_text("".join(lines[: rows + 1]), "utf-8")
    monkeypatch.chdir(tmp_path)
    with thanosql_dbapi.connect("calls.db", root="demo", progress=False) as opened:
        yield opened


@pytest.fixture
def timbre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example family of docs/extending.md, installed."""
    with installed(tmp_path / "site", monkeypatch):
        yield


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Run a cell in an IPython of its own; its errors are the test's."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False  # its thread would write after the folder is gone

    def run(text: str) -> None:
        shell.run_cell(text).raise_error()

    yield run
    shell.run_line_magic("unload_ext", "thanosql")
    InteractiveShell.clear_instance()


@pytest.mark.filterwarnings("ignore:.* gave no prediction")
@pytest.mark.filterwarnings("ignore:the model is worse than what it was trained from")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.stem)
def test_examples_run(page: Path, connection: Connection, request: pytest.FixtureRequest) -> None:
    if page == EXTENDING:
        request.getfixturevalue("timbre")
    names: dict[str, object] = {"connection": connection}
    if any(block.language == "ipython" for block in blocks(page)):
        names["cell"] = request.getfixturevalue("cell")
    ran = 0
    for block in blocks(page):
        if block.language not in ("sql", "python", "ipython") or block.note.startswith("not run"):
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
    if block.language == "ipython":
        cell = names["cell"]
        assert callable(cell)
        cell(block.text)
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


def load(path: Path) -> ModuleType:
    """Import a program of the repository that is in no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return load(ROOT / "docs" / "reference.py")


def test_the_reference_is_what_the_code_says(reference: ModuleType) -> None:
    page = text_of(LANGUAGE)
    assert sorted(reference.named(page)) == sorted(reference.tables())
    assert reference.rewritten(page) == page, "run python docs/reference.py"


def test_a_changed_option_changes_the_reference(reference: ModuleType) -> None:
    page = text_of(LANGUAGE)
    stale = page.replace("| `audio_col` | a text |", "| `audio_col` | a number |")
    assert stale != page
    assert reference.rewritten(stale) == page


def test_every_option_of_every_statement_is_in_the_reference(reference: ModuleType) -> None:
    # The names come from the code by a way of their own, not by that which writes the tables.
    for statement, specs in every_option().items():
        table = section(LANGUAGE, statement)
        for spec in specs:
            assert f"| `{spec.name}` |" in table, (statement, spec.name)


def every_option() -> dict[str, list[OptionSpec]]:
    bases = [families.family(name) for name in families.BUILT_IN]
    verbs = {"BUILD MODEL": Verb.BUILD, "FIT MODEL": Verb.FIT}
    verbs |= {"PREDICT": Verb.PREDICT, "EVALUATE": Verb.EVALUATE}
    return {
        statement: [spec for base in bases if verb in base.verbs for spec in base.options(verb)]
        for statement, verb in verbs.items()
    }


_RETURNS = re.compile(
    r"^<!-- returns: (?P<sql>.+) -->\n\|.+\n\|.+\n(?P<rows>(?:\|.+\n)+)", re.MULTILINE
)
RETURNED = [
    (match["sql"], match["rows"]) for match in _RETURNS.finditer(LANGUAGE.read_text("utf-8"))
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("sql", "rows"), RETURNED, ids=[sql[:40] for sql, _ in RETURNED])
def test_a_statement_returns_the_columns_that_the_reference_tells(
    sql: str, rows: str, connection: Connection
) -> None:
    connection.execute("COPY calls FROM 'calls_train.csv'; COPY calls_test FROM 'calls_test.csv'")
    told = [[cell.strip() for cell in row.split("|")[1:3]] for row in rows.splitlines()]
    cursor = connection.execute(sql)
    assert cursor.description is not None
    assert told == [[f"`{column.name}`", column.type_code] for column in cursor.description]


def test_every_statement_has_its_section() -> None:
    headings = re.findall(r"^### (.+)$", text_of(LANGUAGE), re.MULTILINE)
    for statement in get_args(statements.Command) + get_args(statements.Relation):
        grammar = (statement.__doc__ or "").removeprefix("`")
        assert any(grammar.startswith(f"{heading} ") for heading in headings), statement


def test_every_base_model_and_catalogue_name_is_told() -> None:
    bases = section(LANGUAGE, "Base models, catalogue and checkpoints")
    for page in (bases, text_of(MODELS)):
        for name in families.BUILT_IN:
            family = families.family(name)
            assert re.search(rf"\| `{name}` \|.*{family.checkpoint or 'in the package'}", page)
    for model in assets.CATALOGUE.values():
        assert re.search(rf"\| `{model.name}` \| `{model.base}`", bases)
    for name in (*assets.DATASETS, *families.PLANNED):
        assert f"`{name}`" in text_of(LANGUAGE)


def test_every_source_and_fact_of_media_is_told() -> None:
    copied = section(LANGUAGE, "COPY")
    assert all(f"`{suffix}`" in copied for suffix, kind in SUFFIXES.items() if kind not in MEDIA)
    predicted = section(LANGUAGE, "PREDICT")
    for suffix in audio.SUFFIXES - {".aif"}:
        assert suffix[1:] in predicted
    printed = section(LANGUAGE, "PRINT")
    for facts in (AUDIO_FACTS, IMAGE_FACTS, VIDEO_FACTS):
        assert all(f"`{fact}`" in printed for fact in facts)


#: The eras by the numbers of the speech tutorials, as docs/eras.md has them.
ERAS = (range(1, 13), range(13, 18), range(18, 21), range(21, 27))


@pytest.mark.parametrize(
    "spelling",
    ["epochs", "max_epochs", "column_name", "result_col", "table_name", "if_exists", "model_name"],
)
def test_the_eras_spellings_are_those_of_their_tutorials(spelling: str) -> None:
    tutorials = sorted((ROOT / "tests" / "language" / "corpus" / "tutorials").glob("*.sql"))
    assert len(tutorials) == ERAS[-1][-1]
    word = re.compile(rf"\b{spelling}\b")
    used = [any(word.search(text_of(tutorials[n - 1])) for n in era) for era in ERAS]
    rows = re.findall(r"^\|[^|]+\|(.+)\|[^|]+\|$", section(ERAS_PAGE, "Options"), re.MULTILINE)
    told = [any(word.search(row.split("|")[place]) for row in rows) for place in range(len(ERAS))]
    assert told == used


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


def test_the_drawing_names_modules_that_exist() -> None:
    drawing = text_of(ROOT / "docs" / "images" / "house.svg")
    names = re.findall(r'<text class="module"[^>]*>([^<]+)</text>', drawing)
    assert len(names) > 10
    package = ROOT / "thanosql_dbapi"
    there = {path.stem for path in package.glob("*.py")}
    there |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert [name for name in names if name not in there] == []


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


def test_every_page_is_on_the_start_page_and_every_notebook_on_that_of_tutorials() -> None:
    start = text_of(ROOT / "docs" / "index.md")
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md"]
    assert [name for name in pages if f"]({name})" not in start] == []
    tutorials = text_of(ROOT / "docs" / "tutorials.md")
    notebooks = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "examples").glob("**/*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    ]
    assert [name for name in notebooks if f"](../{name})" not in tutorials] == []


def test_both_quickstarts_show_the_same_statements() -> None:
    def statements(page: Path) -> list[str]:
        return [block.text for block in blocks(page) if block.language == "sql" and not block.note]

    korean = statements(ROOT / "docs" / "quickstart.ko.md")
    assert [
        text for text in korean if text not in statements(ROOT / "docs" / "quickstart.md")
    ] == []


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
