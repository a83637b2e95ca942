"""The command line: what it prints, how it ends, and how the shell answers keys."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import publish_echo
from echo import Echo
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.cells import cell_len
from rich.console import Console

import thanosql_dbapi
from thanosql_dbapi import Connection, assets
from thanosql_dbapi.cli import arguments_parser, curve, main
from thanosql_dbapi.cli.completion import SqlCompleter, read_names
from thanosql_dbapi.cli.demo import STORY
from thanosql_dbapi.cli.run import pieces
from thanosql_dbapi.cli.screen import Screen
from thanosql_dbapi.cli.shell import COMMANDS, Shell, history, is_complete
from thanosql_dbapi.cli.tables import cell, table
from thanosql_dbapi.journal import Journal, RunState, Step
from thanosql_dbapi.models import families
from thanosql_dbapi.types import column

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"
DOCS = Path(__file__).parent.parent / "docs" / "cli.md"


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "script.sql"
        path.write_text(text, "utf-8")
        return str(path)

    return write


# Run


def test_each_statement_shows_its_own_rows_in_order(script, capsys) -> None:
    file = script("CREATE TABLE t AS SELECT 'one' AS a;\nFROM t; SELECT 'two;2'; -- the end\n")
    assert main(["run", file]) == 0
    out, err = capsys.readouterr()
    assert re.findall(r"^\| (one|two;2) ", out, re.MULTILINE) == ["one", "two;2"]
    assert not err


def test_an_error_names_the_line_shows_the_caret_and_keeps_what_ran(
    script, capsys, tmp_path: Path
) -> None:
    database = str(tmp_path / "d.db")
    file = script("CREATE TABLE t (i INT);\n\nSELECT 1\n;\n\n SELECT nope\n FROM t;\nDROP TABLE t;")
    assert main(["run", file, "--database", database]) == 1
    err = capsys.readouterr().err
    lines = err.splitlines()
    assert "in the statement that begins in line 6:" in lines[0]
    assert '"nope"' in lines[1]
    assert lines[-1].strip(" ^") == ""
    assert lines[-1].index("^") == lines[-2].index("nope")
    assert len(lines) <= 6
    assert "Traceback" not in err
    with thanosql_dbapi.connect(database) as connection:
        assert connection.execute("FROM t").fetchall() == []


def test_a_syntax_error_of_ours_shows_its_caret(script, capsys) -> None:
    assert main(["run", script("SELECT 1;\nPREDICT USIN m AS SELECT 1;")]) == 1
    err = capsys.readouterr().err.splitlines()
    assert "line 2:" in err[0]
    assert "Did you mean 'USING'?" in err[1]
    assert err[3].index("^") == err[2].index("USIN")


def test_a_transaction_that_is_not_committed_leaves_nothing(script, tmp_path: Path) -> None:
    database = str(tmp_path / "d.db")
    assert main(["run", script("BEGIN; CREATE TABLE t (i INT)"), "--database", database]) == 0
    with thanosql_dbapi.connect(database) as connection:
        assert connection.execute("LIST TABLE").fetchall() == []


def test_model_statements_run_where_root_and_workspace_say(
    script, capsys, tmp_path: Path, echo: Echo
) -> None:
    workspace = tmp_path / "models"
    with thanosql_dbapi.connect(workspace=workspace) as connection:
        publish_echo(connection, "m")
    (tmp_path / "calls.csv").write_text("audio_path\na.wav\n")
    file = script("COPY calls FROM 'calls.csv';\nPREDICT USING m AS SELECT * FROM calls;")
    flags = ["--root", str(tmp_path), "--workspace", str(workspace), "--device", "cpu"]
    assert main(["run", file, *flags]) == 0
    assert "A.WAV" in capsys.readouterr().out


def test_only_the_rows_shown_are_read(script, capsys) -> None:
    # A result that was read to its end would never be shown.
    assert main(["run", script("FROM range(1_000_000_000_000)"), "--rows", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "the first 3 rows; more rows follow"
    assert [line.strip("| ") for line in lines if re.match(r"\|\s+\d", line)] == ["0", "1", "2"]


@pytest.mark.parametrize(("limit", "shown"), [("2", 2), ("3", 3), ("4", 3), ("0", 3)])
def test_more_rows_are_announced_only_where_there_are_some(
    limit: str, shown: int, script, capsys
) -> None:
    assert main(["run", script("FROM range(3)"), "--rows", limit]) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"^\|\s+\d", out, re.MULTILINE)) == shown
    assert ("more rows follow" in out) == (shown < 3)


def test_a_script_that_cannot_be_read_is_an_error(capsys, tmp_path: Path) -> None:
    assert main(["run", str(tmp_path / "nowhere.sql")]) == 1
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "latin.sql").write_bytes("SELECT 1;\nSELECT 'é'".encode("latin-1"))
    assert main(["run", str(tmp_path / "latin.sql")]) == 1
    assert "not UTF-8: see line 2" in capsys.readouterr().err


@pytest.fixture
def press_ctrl_c() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C in a moment, unless the test is over by then."""
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    yield timer.start
    timer.cancel()


def test_ctrl_c_ends_a_run_with_130(script, capsys, press_ctrl_c) -> None:
    press_ctrl_c()
    assert main(["run", script(f"{ENDLESS};SELECT 1;")]) == 130
    assert capsys.readouterr().err == "thanosql: interrupted\n"


def test_ctrl_c_in_a_training_says_how_to_go_on(script, capsys, monkeypatch) -> None:
    def stopped(*_: object) -> None:
        interrupt = KeyboardInterrupt()
        interrupt.add_note("the same statement goes on from there")
        raise interrupt

    monkeypatch.setattr("thanosql_dbapi.cli.run.run_script", stopped)
    assert main(["run", script("SELECT 1;")]) == 130
    assert capsys.readouterr().err == (
        "thanosql: interrupted\nthe same statement goes on from there\n"
    )


def test_letters_that_the_output_lacks_are_shown_by_their_codes(script) -> None:
    done = program(
        "run",
        script("SELECT 'né 한' AS n;"),
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert r"n\xe9 \ud55c" in done.stdout


def test_a_warning_is_one_line(script, capsys, echo: Echo, tmp_path: Path) -> None:
    with thanosql_dbapi.connect(workspace=tmp_path / "w") as connection:
        publish_echo(connection, "m")
    file = script("PREDICT USING m OPTIONS (epochs=1) AS SELECT 'a' AS audio_path;")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["run", file, "--workspace", str(tmp_path / "w")]) == 0
    assert re.fullmatch(r"thanosql: .*epochs.*\n", capsys.readouterr().err)


ENDLESS = "SELECT count(*) FROM range(1_000_000_000) a(i), range(1000) b(j) WHERE i * j % 7 = 3"

# The cuts

_STATEMENTS = st.sampled_from(
    [
        "SELECT 1",
        "SELECT ';'",
        'SELECT 1 AS "a;b"',
        "SELECT $$;$$",
        "SELECT 1 -- ;\n + 1",
        "/* ; */ SELECT\n2",
        "PREDICT USING m AS SELECT ';' AS audio_path",
        "COPY t FROM 'a;b.csv'",
        "",
    ]
)


@given(st.lists(_STATEMENTS))
def test_a_script_is_cut_at_its_semicolons_and_nowhere_else(statements: list[str]) -> None:
    text = "".join(f"{statement}\n;\n" for statement in statements)
    cut = list(pieces(text))
    expected = [re.sub(r"\A/\*.*?\*/ ", "", statement) for statement in statements if statement]
    assert [piece.text for piece in cut] == expected
    for piece in cut:
        assert text.splitlines()[piece.line - 1].endswith(piece.text.splitlines()[0])


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1", False),
        ("SELECT ';", False),
        ("SELECT 1 -- ;", False),
        ("/* a ;", False),
        ("SELECT 'a;\n", True),  # an empty line after it: let DuckDB say what is wrong
        ("", True),
        (".tables", True),
        ("quit", True),
    ],
)
def test_enter_runs_what_a_semicolon_ends(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


# Tables


def test_null_is_apart_from_the_empty_string(script, capsys) -> None:
    main(["run", script("SELECT NULL AS a, '' AS b, true AS c, '\\xAA'::BLOB AS d;")])
    assert re.search(r"^\| NULL +\| +\| true +\| \\xAA +\|$", capsys.readouterr().out, re.MULTILINE)


def test_a_plan_is_drawn_over_its_lines(script, capsys) -> None:
    assert main(["run", script("EXPLAIN SELECT 42")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    assert not any("\\n" in line for line in lines)


def test_control_characters_reach_no_terminal() -> None:
    assert cell("a\x1b[31m\nb\x9b").plain == "a\\x1b[31m\\nb\\x9b"


def test_long_text_is_cut_in_a_terminal_only() -> None:
    assert cell("x" * 100, 10).plain == "x" * 9 + "…"
    assert cell("x" * 10, 10).plain == "x" * 10
    assert cell("x" * 100).plain == "x" * 100


_VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=80), st.text("한字e", max_size=40))


@settings(deadline=None)
@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.lists(st.text(max_size=30), min_size=n, max_size=n),
            st.lists(st.lists(_VALUES, min_size=n, max_size=n), max_size=4),
        )
    ),
    st.integers(24, 200),
)
def test_a_table_fits_the_terminal(content, width: int) -> None:
    names, rows = content
    out = terminal(width)
    columns = [column(name, "STRUCT(a INTEGER, b VARCHAR)[]") for name in names]
    laid, hidden = table(columns, rows, width)
    out.print(laid, crop=False)
    lines = printed(out).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0].count("┬") + 1 == len(columns) - hidden + (hidden > 0)


def test_columns_that_do_not_fit_are_counted(connection: Connection) -> None:
    out = terminal(60)
    columns = ", ".join(f"{i} AS column_{i}" for i in range(30))
    with connection.execute(f"SELECT {columns}") as cursor:
        Screen(10, out).show(cursor)
    text = printed(out)
    assert "column_0" in text
    assert "column_29" in text
    assert re.search(r"\d of 30 columns fit here", text)


def terminal(width: int = 80) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        legacy_windows=False,
        color_system=None,
    )


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[\d;]*m", "", console.file.getvalue())


# Shell


@pytest.fixture
def talk(connection: Connection) -> Callable[[str], str]:
    """Type keys into a shell, and return what it shows."""
    out = terminal()

    def type_keys(keys: str) -> str:
        with create_pipe_input() as typed:
            typed.send_text(keys)
            with create_app_session(input=typed, output=DummyOutput()):
                Shell(connection, Screen(40, out, out), InMemoryHistory()).talk()
        return printed(out)

    return type_keys


def test_a_statement_over_two_lines_shows_rows_types_count_and_time(talk) -> None:
    shown = talk(f"SELECT id{ENTER}FROM t WHERE id < 2;{ENTER}{CTRL_D}")
    assert re.search(r"│ +id │\n│ BIGINT │\n.*\n│ +0 │\n│ +1 │", shown)
    assert re.search(r"2 rows \(\d+\.\d\d s\)", shown)


def test_statements_without_rows_say_what_they_did(talk) -> None:
    shown = talk(f"CREATE TABLE u (i INT);{ENTER}INSERT INTO u VALUES (1);{ENTER}{CTRL_D}")
    assert re.search(r"done \(.*\n1 row changed \(", shown)


def test_an_error_leaves_the_shell_open(talk) -> None:
    shown = talk(f"SELECT nope FROM t;{ENTER}SELECT 42;{ENTER}{CTRL_D}")
    assert '"nope" not found' in shown
    assert "42" in shown
    assert "Traceback" not in shown


def test_long_results_say_that_more_rows_follow(talk) -> None:
    shown = talk(f"SELECT * FROM range(1_000_000_000_000);{ENTER}{CTRL_D}")
    assert "the first 40 rows; more rows follow (" in shown


def test_ctrl_c_clears_what_is_typed(talk) -> None:
    assert "│ 7 │" in talk(f"SELECT 'lost'{CTRL_C}SELECT 7 AS n;{ENTER}{CTRL_D}").replace(
        "      7", "7"
    )


def test_ctrl_c_stops_a_statement_and_the_shell_goes_on(talk, press_ctrl_c) -> None:
    press_ctrl_c()
    shown = talk(f"{ENDLESS};{ENTER}SELECT 'still here';{ENTER}{CTRL_D}")
    assert shown.splitlines()[0] == "interrupted"
    assert "still here" in shown


def test_ctrl_c_stops_a_model_and_the_shell_goes_on(talk, echo: Echo) -> None:
    def wait_for_ctrl_c(names: list[str]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.3)

    echo.on_predict = wait_for_ctrl_c
    shown = talk(f"PREDICT USING m AS FROM t;{ENTER}SELECT 'still here';{ENTER}{CTRL_D}")
    assert "interrupted" in shown
    assert "still here" in shown


def test_dot_commands(talk, tmp_path: Path) -> None:
    (tmp_path / "s.sql").write_text("SELECT 'from a script';\nSELECT nope;")
    shown = talk(
        f".tables{ENTER}.models{ENTER}.read {tmp_path / 's.sql'}{ENTER}.read{ENTER}"
        f".read /nowhere.sql{ENTER}.tabels{ENTER}.help{ENTER}.quit{ENTER}"
    )
    for expected in (
        "table_name",
        "│ t ",
        "from a script",
        "s.sql, in the statement that begins in line 2:",
        ".read needs a file",
        "cannot read the script",
        "there is no .tabels. Did you mean '.tables'?",
        *COMMANDS,
    ):
        assert expected in shown
    assert re.search(r"│ m +│ Echo +│", shown)


@pytest.mark.parametrize("word", [".quit", "quit", "exit;"])
def test_words_that_leave(talk, word: str) -> None:
    assert talk(f"{word}{ENTER}") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM odd", '"odd name"'),
        ("PREDICT USING Wav2Vec2T", "Wav2Vec2Tiny"),
        ("PREDICT USING v", "voice_tiny"),
        ("PREDICT USING m", "mine"),
        ("evalu", "evaluate"),
        ("EVALU", "EVALUATE"),
        ("SELECT reg", "region"),
        ("SELECT x qual", "qualify"),
        (".ta", ".tables"),
    ],
)
def test_completion(connection: Connection, text: str, expected: str) -> None:
    connection.execute('CREATE TABLE "odd name" (i INT)')
    publish_echo(connection, "mine")
    completer = SqlCompleter(COMMANDS)
    completer.names = read_names(connection, completer.names)
    found = completer.get_completions(Document(text), CompleteEvent())
    assert expected in [completion.text for completion in found]


def test_completion_outlives_a_failed_transaction(connection: Connection) -> None:
    names = read_names(connection, SqlCompleter(()).names)
    connection.execute("CREATE TABLE k (i INT PRIMARY KEY); BEGIN; INSERT INTO k VALUES (1)")
    with pytest.raises(thanosql_dbapi.IntegrityError):
        connection.execute("INSERT INTO k VALUES (1)")
    assert read_names(connection, names) == names
    connection.rollback()


def test_history_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("THANOSQL_HISTORY", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    def file() -> str | None:
        kept = history()
        return os.fspath(kept.filename) if isinstance(kept, FileHistory) else None

    assert file() == str(tmp_path / ".thanosql_history")
    assert (tmp_path / ".thanosql_history").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert file() == str(tmp_path / "state" / "thanosql" / "history")
    monkeypatch.setenv("THANOSQL_HISTORY", str(tmp_path / "mine"))
    assert file() == str(tmp_path / "mine")
    monkeypatch.setenv("THANOSQL_HISTORY", str(tmp_path))  # a folder: nothing can be written
    assert file() is None
    monkeypatch.setenv("THANOSQL_HISTORY", "")
    assert file() is None


# Demo


@pytest.fixture
def stub_voice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, echo: Echo) -> Echo:
    """The bundled model and its family, without weights."""
    folder = tmp_path / "voice"
    folder.mkdir()
    (folder / "echo.json").write_text(json.dumps({"prefix": "refund "}))
    monkeypatch.setattr(assets, "VOICE_TINY", folder)
    monkeypatch.setattr(
        families, "BUILT_IN", {**families.BUILT_IN, "Wav2Vec2Tiny": "echo_family:ECHO"}
    )
    echo.name = "Wav2Vec2Tiny"
    return echo


def test_the_demo_shows_each_statement_and_its_result(stub_voice: Echo, capsys) -> None:
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    position = 0
    for purpose, sql in STORY:
        position = out.index(purpose, position)
        position = out.index(sql, position)
        position = out.index("+--", position)
    assert "\x1b" not in out
    assert out.splitlines()[-1].startswith("Done in ")


def test_the_demo_keeps_its_folder_on_request(stub_voice: Echo, capsys, tmp_path: Path) -> None:
    folder = tmp_path / "kept here"
    assert main(["demo", "--keep", str(folder)]) == 0
    assert f"--root '{folder}'" in capsys.readouterr().out.splitlines()[-1]
    with thanosql_dbapi.connect(folder / "demo.db", root=folder) as connection:
        assert connection.execute("SELECT name FROM (LIST MODEL)").fetchall() == [("my_voice",)]
    assert main(["demo", "--keep", str(folder)]) == 1
    assert "exists already" in capsys.readouterr().err


# The program


def program(*arguments: str, code: str = "", **more) -> subprocess.CompletedProcess[str]:
    start = f"{code}\nimport sys\nfrom thanosql_dbapi.cli import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", start, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


def test_a_shell_whose_input_is_piped_is_a_script() -> None:
    done = program("shell", input="SELECT 1 AS n;\nSELECT 'b' AS s;\nSELECT nope;")
    assert done.returncode == 1
    assert [line.split() for line in done.stdout.splitlines() if "b" in line] == [["|", "b", "|"]]
    assert "standard input, in the statement that begins in line 3:" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_version() -> None:
    done = program("--version")
    assert done.stdout == f"thanosql {thanosql_dbapi.__version__}\n"


@pytest.mark.parametrize(
    ("package", "command"), [("rich", ["run", "-"]), ("rich", ["demo"]), ("pygments", ["demo"])]
)
def test_a_missing_package_is_named_with_its_extra(package: str, command: list[str]) -> None:
    done = program(*command, code=f"import sys; sys.modules[{package!r}] = None", input="")
    assert done.returncode == 1
    assert "pip install 'thanosql-dbapi[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_driver_loads_no_package_of_the_command_line() -> None:
    code = (
        "import sys, thanosql_dbapi;"
        "sys.exit(any(name in sys.modules for name in ('rich', 'prompt_toolkit', 'pygments')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# The documentation


def test_the_documentation_names_every_command_and_flag() -> None:
    text = DOCS.read_text("utf-8")
    sections = dict(
        re.findall(r"^## thanosql (\w+).*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    )
    (commands,) = (
        action.choices
        for action in arguments_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    assert sections.keys() == commands.keys()
    for name, parser in commands.items():
        documented = re.findall(r"^\| `(--\w+)(?: (\w+))?` \|(.*)", sections[name], re.MULTILINE)
        expected = {f: a for a in parser._actions for f in a.option_strings if a.dest != "help"}
        assert {flag for flag, _, _ in documented} == expected.keys()
        for flag, placeholder, meaning in documented:
            action = expected[flag]
            if action.nargs == 0:
                assert not placeholder
                continue
            assert placeholder == (action.metavar or action.dest.upper())
            if isinstance(action.default, int):
                assert f"({action.default})" in meaning


def test_the_documentation_names_every_dot_command() -> None:
    documented = re.findall(r"^\| `(\.[^`]+)` \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert documented == list(COMMANDS)


# Export, push and curve


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Journal]:
    """A training of `m` that goes on, in the workspace `w`."""
    (tmp_path / "w").mkdir()
    with Journal(tmp_path / "w" / "training" / "m" / "0123", {"model": "m"}) as journal:
        for step in range(1, 11):
            journal.step(Step(step, 20, step / 10, 2, 3.0 / step, 1e-4, 1.0))
        journal.measured(10, 0.25)
        yield journal


def test_a_curve_is_shown_while_another_process_has_the_database(
    training: Journal, tmp_path: Path, capsys
) -> None:
    database = tmp_path / "d.db"
    holder = (
        "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "open\n"
        (tmp_path / "d.db.thanosql").symlink_to(tmp_path / "w")
        assert main(["curve", "m", "--database", str(database)]) == 0
        process.communicate("\n")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "m: step 10 of 20, best greedy WER 25.0 %"
    assert "training loss (left)" in lines[-2]
    assert lines[-1] == "training"


def test_a_curve_is_written_as_svg(training: Journal, tmp_path: Path, capsys) -> None:
    file = tmp_path / "curve.svg"
    flags = ["--workspace", str(tmp_path / "w"), "--svg", str(file)]
    assert main(["curve", "m", *flags]) == 0
    assert file.read_text("utf-8").startswith("<svg ")
    assert "m: step 10 of 20" in file.read_text("utf-8")
    assert main(["curve", "m", *flags[:-1], str(tmp_path / "no" / "curve.svg")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_curve_is_followed_until_its_training_ends(
    training: Journal, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            training.step(Step(11, 20, 1.1, 2, 0.2, 1e-4, 1.0))
        elif len(looks) == 3:
            training.finish(RunState.REFUSED, "it writes nothing")

    monkeypatch.setattr(curve, "time", SimpleNamespace(sleep=look))
    assert main(["curve", "m", "--follow", "--workspace", str(tmp_path / "w")]) == 0
    out = capsys.readouterr().out.splitlines()
    # In a pipe a picture, then a line for each change.
    assert out[0].startswith("m: step 10 of 20")
    said = "m: step 11 of 20, best greedy WER 25.0 %; "
    assert out[-2:] == [f"{said}training", f"{said}refused: it writes nothing"]
    assert len(looks) == 3


def test_a_terminal_draws_over_the_picture_before(
    training: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    ends = SimpleNamespace(sleep=lambda _: training.finish(RunState.FINISHED))
    monkeypatch.setattr(curve, "time", ends)
    assert main(["curve", "m", "--follow", "--workspace", str(tmp_path / "w")]) == 0
    before, after = re.split(r"\x1b\[(?:\d+)F\x1b\[J", screen.getvalue())
    assert f"\x1b[{len(before.splitlines())}F" in screen.getvalue()
    assert after.splitlines()[-1] == "finished"


def test_the_curve_of_a_version_is_kept_with_it(training: Journal, tmp_path: Path, capsys) -> None:
    workspace = tmp_path / "w"
    with thanosql_dbapi.connect(workspace=workspace) as connection:
        registry = connection._session.workspace.registry
        with registry.staging() as staged:
            training.copy_to(staged / "about", RunState.FINISHED)
            registry.publish("m", staged, {"base": "Wav2Vec2En"}, overwrite=True)
    training.step(Step(11, 20, 1.1, 2, 0.2, 1e-4, 1.0))
    for model, step in (("m@1", 10), ("m", 11)):
        assert main(["curve", model, "--workspace", str(workspace)]) == 0
        assert capsys.readouterr().out.startswith(f"m: step {step} of 20")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curve", "m"], "whose training? --database or --workspace names"),
        (["curve", "n", "--workspace", "w"], "there is no model 'n'"),
        (["curve", "voice_tiny", "--workspace", "w"], "nothing is kept of a training of"),
        (["curve", "m", "--workspace", "nowhere"], "there is no workspace 'nowhere'"),
        (["export", "m", "out", "--database", "none.db"], "none.db.thanosql'"),
        (["export", "m", "out", "--workspace", "w"], "there is no model 'm'"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").mkdir()
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("thanosql: ")
    assert message in err
    assert err.count("\n") == 1


def test_export_prints_the_folder_and_keeps_an_earlier_one(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "voice_tiny", "out"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert main(["export", "voice_tiny", "out"]) == 1
    assert "is not empty; overwrite := true" in capsys.readouterr().err
    assert main(["export", "voice_tiny", "out", "--overwrite", "--lineage"]) == 0
