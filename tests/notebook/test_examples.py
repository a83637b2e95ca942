"""Every notebook of the examples runs as it is printed, and every tutorial of every era runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import nbformat
import openslr
import pytest
from nbformat import NotebookNode
from speech_fixtures import make_checkpoint, make_whisper_checkpoint, write_tones
from transformers import WhisperFeatureExtractor

import thanosql_dbapi
from thanosql_dbapi import Connection

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"
CORPUS: Final = ROOT / "tests" / "language" / "corpus" / "tutorials"

#: A notebook of the tutorials, and the script of the corpus that it prints.
TUTORIALS: Final = {
    "1_existing_tables": "speech_recognition_03",
    "2_tutorial_data": "speech_recognition_12",
    "3_get_as": "speech_recognition_14",
    "4_librispeech": "speech_recognition_24",
    "5_korean_whisper": "speech_recognition_25",
}
#: Cells of the tutorials that are ours: what was there already, and what follows.
OURS: Final = ("tables", "account", "evaluate")
TOKEN: Final = "a-token-that-nobody-may-see"

#: Those that need no network are stored with what they said, and may be so large, in bytes.
STORED: Final = {"calls": 1_500_000, "guide": 1_000_000}

#: What is said in the utterances of the mirror. Of so few different texts nobody can tell whether
#: they belong to their recordings, and these are tones.
TEXTS: Final = ("one two", "no", "yes sir", "three", "go on")

#: Frames of 80 ms rather than 20: a random model hears nothing in either, and is four times faster.
FRAMES: Final = {"conv_kernel": (10, 16, 16), "conv_stride": (10, 16, 8)}

#: A random Whisper is as good with windows of four seconds, and much faster.
WINDOW_S: Final = 4


# --- a small world --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random checkpoints in the published layout, and a mirror of OpenSLR."""
    folder = tmp_path_factory.mktemp("speech")
    make_checkpoint(
        folder / "wav2vec2", group_norm=True, letters="EGHINORSTWY", **FRAMES, hidden_size=64
    )
    make_whisper_checkpoint(
        folder / "whisper", max_source_positions=50 * WINDOW_S, max_target_positions=12
    )
    extractor = WhisperFeatureExtractor(feature_size=16, chunk_length=WINDOW_S)
    extractor.save_pretrained(folder / "whisper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openslr, "recording", lambda index: utterance(folder / "tones.flac", index))
        openslr.make_mirror(folder / "mirror")
    return folder


def utterance(path: Path, index: int) -> tuple[bytes, str]:
    """Return a FLAC of little more than a second, and its text; no two are the same."""
    write_tones(path, 1.01 + index % 20 / 100, seed=index)
    return path.read_bytes(), TEXTS[index % len(TEXTS)]


@pytest.fixture(scope="module")
def environment(speech: Path) -> Iterator[dict[str, str]]:
    """What stands in for the internet: OpenSLR's mirror on loopback, and the hub's checkpoints."""
    with openslr.serve(speech / "mirror") as server:
        checkpoints = {"Wav2Vec2En": speech / "wav2vec2", "Whisper": speech / "whisper"}
        yield {
            "THANOSQL_MIRROR": server.url,
            "THANOSQL_CHECKPOINTS": ",".join(f"{k}={v}" for k, v in checkpoints.items()),
            "HF_HUB_OFFLINE": "1",
            "IPYTHONDIR": str(speech / "ipython"),
            "OMP_NUM_THREADS": "1",
            "PYTHONUTF8": "1",
        }


# --- notebooks ------------------------------------------------------------------------------


def read(name: str) -> NotebookNode:
    (path,) = EXAMPLES.glob(f"**/{name}.ipynb")
    return nbformat.read(path, as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


class Kernels:
    """Notebooks that run, two at a time, each in a kernel and a folder of its own."""

    def __init__(self, names: Iterable[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.waiting = list(names)
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.folder = folder
        self.environment = {**os.environ, **environment}

    def start(self) -> None:
        while self.waiting and len(self.running) < 2:
            name = self.waiting.pop(0)
            path = self.folder / name / f"{name}.ipynb"
            path.parent.mkdir()
            nbformat.write(changed(read(name)), path)
            command = [sys.executable, "-c", "from nbclient.cli import main; main()"]
            self.running[name] = subprocess.Popen(
                [*command, "--inplace", "--timeout=200", path],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
            )

    def ran(self, name: str) -> Ran:
        """Wait until a notebook has run; return what its cells say."""
        while name not in self.running:
            self.start()
            if name not in self.running:
                next(iter(self.running.values())).wait()
        told, _ = self.running[name].communicate(timeout=400)
        code = self.running.pop(name).returncode
        self.start()
        assert code == 0, told
        return Ran(nbformat.read(self.folder / name / f"{name}.ipynb", as_version=4))

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
            process.communicate()


def changed(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook as it is run: with a token in its place, few epochs, and models listed."""
    for cell in code(notebook):
        cell.source = re.sub(r"<.*_API_TOKEN>", TOKEN, cell.source)
        cell.source = re.sub(r"max_epochs=\d+", "max_epochs=2", cell.source)
    notebook.cells.append(nbformat.v4.new_code_cell("%thanosql LIST MODEL", id="listed"))
    return notebook


@pytest.fixture(scope="module")
def kernels(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Kernels]:
    """The notebooks of the tests that were chosen, on their way."""
    chosen = [getattr(item, "callspec", None) for item in request.session.items]
    names = [each.params["ran"] for each in chosen if each is not None and "ran" in each.params]
    started = Kernels(names, tmp_path_factory.mktemp("notebooks"), environment)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def ran(kernels: Kernels, request: pytest.FixtureRequest) -> Ran:
    """What the cells of the notebook say that `runs` names."""
    told = kernels.ran(request.param)
    assert TOKEN not in told.everything()
    return told


def runs(name: str) -> pytest.MarkDecorator:
    """Give a test the notebook, run from its first cell to its last."""
    return pytest.mark.parametrize("ran", [name], indirect=True)


def said(cell: NotebookNode, mime: str | None = None) -> str:
    """Return what a cell says, of one kind or of all."""
    parts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        parts += [data.get(mime, "")] if mime else [*data.values(), output.get("text", "")]
    return "\n".join(map(str, parts))


class Ran:
    """A notebook that has run: what its cells say, by their ids."""

    def __init__(self, notebook: NotebookNode) -> None:
        self.cells = {cell.id: cell for cell in notebook.cells}

    def html(self, cell: str) -> str:
        return said(self.cells[cell], "text/html")

    def text(self, cell: str) -> str:
        return said(self.cells[cell], "text/plain")

    def everything(self) -> str:
        return "\n".join(map(said, self.cells.values()))


@runs("1_existing_tables")
def test_tutorial_over_tables_that_exist(ran: Ran) -> None:
    assert "80 rows" in ran.text("train")
    assert "20 rows" in ran.text("test")
    assert "audio_path" not in ran.text("train")
    assert "my_asr_model" in ran.text("build")
    assert "predicted" in ran.html("predict")
    assert "20 rows" in ran.text("predict")
    assert ran.text("result") == ran.text("predict")
    assert "my_asr_model" in ran.text("listed")


@runs("2_tutorial_data")
def test_tutorial_from_tutorial_data(ran: Ran) -> None:
    assert ran.html("listen").count("<audio") == 3
    assert "80 rows" in ran.text("ready")
    assert "epochs" in said(ran.cells["ready"])
    assert "text_col" in said(ran.cells["ready"])
    assert "20 rows" in ran.text("predict")
    assert {"my_speech_recognition_model", "tutorial_audio_recognition"} <= models(ran)


@runs("3_get_as")
def test_tutorial_with_get_as(ran: Ran) -> None:
    assert ran.html("listen").count("<audio") == 3
    assert "80 rows" in ran.text("ready")
    assert "20 rows" in ran.text("predict")
    assert {"my_speech_recognition_model", "tutorial_audio_recognition"} <= models(ran)


@runs("4_librispeech")
def test_tutorial_of_the_last_versions(ran: Ran) -> None:
    assert ran.html("listen").count("<audio") == 3
    assert "5 rows" in ran.text("look")
    assert "predict_result" in ran.html("predict")
    assert "predicted" not in ran.html("predict")
    assert "<svg" in ran.html("build")
    assert "against" in ran.text("evaluate")
    assert {"my_speech_recognition_model", "tutorial_audio_recognition"} <= models(ran)


@runs("5_korean_whisper")
def test_korean_tutorial(ran: Ran) -> None:
    assert "100 rows" not in ran.text("look")
    assert "커피" in ran.html("look")
    assert ran.html("listen").count("<audio") == 3
    for cell in ("transcribe", "translate"):
        assert "100 rows" in ran.text(cell)
        assert "predict_result" in ran.html(cell)
    assert ran.text("transcribe") != ran.text("translate")
    assert "tutorial_whisper_small" in models(ran)


def models(ran: Ran) -> set[str]:
    """Return the names that LIST MODEL showed."""
    return set(re.findall(r"^(\w+)", ran.text("listed"), re.MULTILINE))


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_is_as_it_was_printed(name: str) -> None:
    notebook = read(name)
    cells = [cell for cell in code(notebook) if cell.id not in OURS]
    magics = [cell.source for cell in cells if cell.source.startswith("%load_ext")]
    assert re.fullmatch(r"%load_ext thanosql(\n%thanosql API_TOKEN=<\S+_API_TOKEN>)?", magics[0])
    statements = [
        " ".join(cell.source.removeprefix("%%thanosql").split())
        for cell in cells
        if cell.source.startswith("%%thanosql\n")
    ]
    assert statements == script(TUTORIALS[name])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("**/*.ipynb")), ids=lambda path: path.stem)
def test_notebook_is_stored_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebook.cells[0].source.startswith("# ")
    assert all(not cell.metadata for cell in notebook.cells)
    assert all(cell.execution_count is None for cell in code(notebook))
    if path.stem not in STORED:
        assert path.stem in TUTORIALS
        assert not any(cell.outputs for cell in code(notebook))


# --- those that are stored with what they said ----------------------------------------------


@pytest.mark.parametrize("name", STORED)
def test_stored_outputs_tell_of_no_error_and_no_machine(name: str) -> None:
    path = EXAMPLES / f"{name}.ipynb"
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < STORED[name]
    assert '"output_type": "error"' not in text
    notebook = nbformat.read(path, as_version=4)
    shown = "\n".join([*map(said, notebook.cells), *(cell.source for cell in notebook.cells)])
    assert not re.findall(r"(?<![\w.:/+=])/(?:home|Users|tmp|var|root|work|mnt|opt)/\w+", shown)
    assert "Traceback" not in shown


def assert_stored(name: str, ran: Ran) -> None:
    """Assert that a notebook is stored with things of the kinds that it says now."""
    for cell in code(read(name)):
        assert kinds(ran.cells[cell.id]) == kinds(cell), f"{name}, cell {cell.id}: run it again"


def kinds(cell: NotebookNode) -> set[tuple[str, ...]]:
    """Return what kinds of things a cell shows; a bar comes and goes with the machine's speed."""
    return {
        (output.output_type, *sorted(output.get("data", {})))
        for output in cell.outputs
        if output.output_type == "execute_result" or "<audio" in said(cell)
    }


@runs("calls")
def test_calls(ran: Ran) -> None:
    assert_stored("calls", ran)
    assert ran.html("listen").count("<audio") == 3
    assert ran.html("worst").count("<audio") == 2
    assert "my_voice" in models(ran)


@runs("guide")
def test_guide(ran: Ran) -> None:
    assert_stored("guide", ran)
    assert "8 kHz" in ran.html("listen")
    assert "8000 Hz: 60 rows" in ran.html("check")
    assert "telephone" in models(ran)


# --- scripts of every era -------------------------------------------------------------------


def script(name: str) -> list[str]:
    return (CORPUS / f"{name}.sql").read_text(encoding="utf-8").removesuffix(";\n").split(";\n")


def prepare(connection: Connection, statements: list[str]) -> None:
    """Make what was there already when the tutorial was written: tables and models."""
    said = "\n".join(statements)
    if "GET THANOSQL DATASET" not in said:
        connection.execute("GET THANOSQL DATASET librispeech_data")
        if "audio_path" not in said:
            name_as_it_was(connection.root / "thanosql-dataset" / "librispeech_data")
    for table in ("librispeech_train", "librispeech_test"):
        if f"COPY {table}" not in said and table in said:
            connection.execute(f"COPY {table} FROM 'thanosql-dataset/librispeech_data/{table}.csv'")
    used = set(re.findall(r"PREDICT USING (\w+)", said))
    made = set(re.findall(r"(?:BUILD MODEL |model_name='|AS )(\w+)", said))
    for model in used - made:
        connection.execute(f"GET THANOSQL MODEL wav2vec2 AS {model}")


def name_as_it_was(folder: Path) -> None:
    """Name the column with the paths as the oldest csv files did."""
    for path in folder.glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("audio_path", "audio", 1), encoding="utf-8")


def check(statement: str, columns: list[str], rows: list[Any], table_rows: int | None) -> None:
    """Assert that a statement of the tutorials answered what it should."""
    verb = statement.split(maxsplit=1)[0]
    if verb == "PREDICT":
        named = re.search(r"(?:result_col|column_name)=.(\w+)", statement)
        assert columns[-1] == (named[1] if named else "predicted")
        assert len(rows) == table_rows
        assert all(isinstance(row[-1], str) for row in rows)
        assert len({row[-1] for row in rows}) > 1
    elif verb == "SELECT":
        assert len(rows) == (5 if "LIMIT 5" in statement else table_rows)
    elif verb == "PRINT":
        assert len(rows) == 3
        assert {row[columns.index("sampling_rate")] for row in rows} == {16_000}
    elif verb == "COPY":
        assert rows == [(statement.split()[1], table_rows)]
    else:
        assert verb in {"BUILD", "GET"}
        assert len(rows) == 1


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.sql")), ids=lambda path: path.stem)
def test_script_of_each_era_runs_as_it_stands(
    path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    statements = script(path.stem)
    with (
        warnings.catch_warnings(record=True) as warned,
        thanosql_dbapi.connect(root=tmp_path, progress=False) as connection,
    ):
        warnings.simplefilter("always")
        prepare(connection, statements)
        for statement in statements:
            cursor = connection.execute(statement)
            rows = cursor.fetchall()
            columns = [column[0] for column in cursor.description or ()]
            check(statement, columns, rows, rows_of(connection, statement))
            if stored := re.search(r"table_name='(\w+)'", statement):
                kept = connection.execute(f"SELECT * FROM {stored[1]}")
                assert [column[0] for column in kept.description or ()] == columns
        models = {row[0] for row in connection.execute("LIST MODEL").fetchall()}
    assert models >= set(re.findall(r"BUILD MODEL (\w+)", path.read_text(encoding="utf-8")))
    told = [str(warning.message) for warning in warned if "PREDICT" in str(warning.message)]
    assert bool(told) == any(re.match(r"PREDICT.*epochs", one, re.DOTALL) for one in statements)


def rows_of(connection: Connection, statement: str) -> int | None:
    """Return how many rows the table has that a statement reads or makes."""
    named = re.search(r"^COPY (\w+)|SELECT \* FROM (\w+)", statement)
    if named is None:
        return None
    return connection.execute(f"SELECT count(*) FROM {named[1] or named[2]}").fetchone()[0]
