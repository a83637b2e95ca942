"""The magics in a real kernel: what cells show, keep and refuse, and how they are stopped."""

from __future__ import annotations

import math
import queue
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from thanosql_dbapi.assets import RECORDINGS

TESTS = Path(__file__).parent.parent

#: The echo family in a kernel, as the fixture `echo` has it here.
ECHO = f"""
import sys, time
sys.path.insert(0, {str(TESTS)!r})
from echo import Echo
from thanosql_dbapi.models import families
family = Echo()
sys.modules["echo_family"] = type(sys)("echo_family")
sys.modules["echo_family"].ECHO = family
families.BUILT_IN = {{**families.BUILT_IN, "Echo": "echo_family:ECHO"}}
"""
#: No cell takes longer than this: a guard against hanging, no measure.
GUARD_S = 120


@dataclass
class Output:
    """What a cell showed, in order, as a page would have it in the end."""

    shown: list[dict[str, str]] = field(default_factory=list)
    streams: str = ""
    error: dict[str, Any] | None = None
    updates: int = 0

    @property
    def texts(self) -> list[str]:
        return [each["text/plain"] for each in self.shown]

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    @property
    def traceback(self) -> list[str]:
        assert self.error is not None, self.text
        return list(self.error["traceback"])


class Kernel:
    """A kernel that runs cells."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jupyter_client's own
            self.manager, self._client = start_new_kernel(cwd=str(folder))

    def run(self, code: str, *, interrupt_after_s: float | None = None) -> Output:
        """Run a cell; interrupt it so long after its first output."""
        asked = self._client.execute(code)
        output, places = Output(), {}
        interrupt_at = math.inf
        began = time.monotonic()
        while time.monotonic() - began < GUARD_S:
            if time.monotonic() >= interrupt_at:
                self.manager.interrupt_kernel()
                interrupt_at = math.inf
            try:
                message = self._client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if interrupt_after_s is not None and kind == "display_data":
                interrupt_at, interrupt_after_s = time.monotonic() + interrupt_after_s, None
            if kind in ("display_data", "execute_result"):
                if name := content.get("transient", {}).get("display_id"):
                    places[name] = len(output.shown)
                output.shown.append(content["data"])
            elif kind == "update_display_data":
                output.updates += 1
                output.shown[places[content["transient"]["display_id"]]] = content["data"]
            elif kind == "stream":
                output.streams += content["text"]
            elif kind == "error":
                output.error = content
            elif kind == "status" and content["execution_state"] == "idle":
                return output
        raise TimeoutError(code)

    def close(self) -> None:
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("notebook"))
    kernel.run("import torch; torch.set_num_threads(1)")
    assert kernel.run("%load_ext thanosql_dbapi").error is None
    assert kernel.run(ECHO).error is None
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(loaded: Kernel) -> Kernel:
    """A kernel with a new database in memory, with an echo model `m` and 3,000 paths `t`."""
    loaded.run("%reset -f\n" + ECHO)
    output = loaded.run(
        "%%thanosql thanosql://\n"
        "CREATE TABLE t AS SELECT i AS id, 'p' || i AS audio_path, 'x' AS text"
        " FROM range(3000) r(i);\n"
        "BUILD MODEL m USING Echo AS SELECT * FROM t LIMIT 1"
    )
    assert output.error is None, output.error
    return loaded


# --- loading --------------------------------------------------------------------------------


def test_both_names_load_one_extension(kernel: Kernel) -> None:
    before = kernel.run("%thanosql SELECT count(*) AS n FROM t").text
    assert kernel.run("%load_ext thanosql").error is None
    assert kernel.run("%thanosql SELECT count(*) AS n FROM t").text == before
    assert kernel.run("%reload_ext thanosql").error is None
    assert kernel.run("%thanosql thanosql://").error is None
    assert kernel.run("%unload_ext thanosql").error is None
    assert "not found" in kernel.run("%thanosql SELECT 1").streams
    assert kernel.run("%unload_ext thanosql_dbapi").error is None
    assert kernel.run("%load_ext thanosql_dbapi").error is None
    assert kernel.run("%thanosql thanosql://").error is None


def test_a_token_is_needless_and_never_repeated(kernel: Kernel) -> None:
    outputs = [
        kernel.run(code)
        for code in (
            "%thanosql API_TOKEN=s3cret",
            "%thanosql API_TOKEN='s3cret'",
            "%thanosql API_TOKN=s3cret",
            "%thanosql API_TOKEN s3cret",
            "%thanosql api-token: s3cret",
            "%thanosql thanosql:// API_TOKEN=s3cret",
            "%%thanosql\n\nAPI_TOKEN = s3cret",
            "%thanosql ws://1.2.3.4/ws/v1/query?api_token=s3cret",
            "%thanosql thanosql:///x.db?api_token=s3cret",
            "%thanosql",
            "import os; [v for v in os.environ.values() if 's3cret' in v]",
        )
    ]
    assert "no token is needed" in outputs[0].text
    assert "Did you mean 'API_TOKEN'" in outputs[2].traceback[0]
    for output in outputs[3:7]:
        assert (output.error, "no token is needed" in output.text) == (None, True)
    said = [str((each.shown, each.streams, each.error)) for each in outputs]
    assert [text for text in said if "s3cret" in text] == []


def test_alone_it_says_where_it_is_and_how_to_use_it(kernel: Kernel) -> None:
    text = kernel.run("%thanosql").text
    assert "in memory" in text
    assert "%%thanosql" in text
    assert "thanosql:///other.db" in text


def test_python_has_the_same_connection(kernel: Kernel) -> None:
    code = (
        "import thanosql_dbapi.notebook as n;"
        " n.connection().execute('SELECT count(*) FROM t').fetchone()"
    )
    assert kernel.run(code).text == "(3000,)"


def test_a_database_of_another_process_is_told_in_three_lines(
    kernel: Kernel, tmp_path: Path
) -> None:
    url = f"thanosql:///{tmp_path}/calls.db"
    assert kernel.run(f"%thanosql {url}").error is None
    other = Kernel(tmp_path)
    try:
        other.run("%load_ext thanosql_dbapi")
        lines = other.run(f"%thanosql {url}").traceback
        assert len(lines[0].splitlines()) + len(lines) - 1 <= 3
        assert "calls.db' cannot be opened" in lines[0]
        assert "%thanosql thanosql:///other.db" in lines[-1]
        output = other.run("%%thanosql\nCREATE TABLE t AS SELECT 1 AS a")
        assert "'thanosql.db'" in output.texts[0]
        assert (tmp_path / "thanosql.db").is_file()
    finally:
        other.close()


# --- cells and lines ------------------------------------------------------------------------


def test_each_statement_of_a_cell_shows_its_result(kernel: Kernel) -> None:
    output = kernel.run(
        "%%thanosql\n"
        "-- a comment; with a semicolon\n"
        "CREATE TABLE a AS SELECT 1 AS one;\n"
        "INSERT INTO a VALUES (2), (3);;\n"
        "UPDATE a SET one = 5 WHERE one = 2; DELETE FROM a WHERE one = 3;\n"
        "DROP TABLE IF EXISTS nothing;\n"
        "SELECT ';' AS semicolon; /* and */ SELECT * FROM a ORDER BY one"
    )
    assert output.error is None
    assert output.texts[:5] == [
        *("1 row written", "2 rows inserted", "1 row updated", "1 row deleted", "Success"),
    ]
    assert "semicolon" in output.texts[5]
    assert output.texts[6].splitlines()[-1] == "2 rows"


@pytest.mark.parametrize("cell", ["\n", "  \n\n", "-- nothing", "/* nothing */;"])
def test_a_cell_without_a_statement_does_nothing(kernel: Kernel, cell: str) -> None:
    output = kernel.run(f"%%thanosql\n{cell}")
    assert (output.error, output.shown) == (None, [])


def test_a_cell_may_begin_in_its_first_line(kernel: Kernel) -> None:
    assert "42" in kernel.run("%%thanosql SELECT 40\n+ 2 AS a").text


def test_a_line_gives_a_frame_and_a_cell_keeps_its_last_result(kernel: Kernel) -> None:
    kernel.run("df = %thanosql SELECT id, audio_path FROM t")
    assert kernel.run("import pandas; isinstance(df, pandas.DataFrame), df.shape").text == (
        "(True, (3000, 2))"
    )
    kernel.run("%%thanosql\nSELECT 7 AS seven")
    assert kernel.run("int(_.seven[0])").text == "7"


def test_a_cell_puts_its_last_result_into_a_variable(kernel: Kernel) -> None:
    output = kernel.run("%%thanosql kept <<\nSELECT 'nan'::FLOAT AS a;\nSELECT id FROM t")
    assert "nan" in output.texts[0]  # DuckDB's own value, which pandas takes for a missing one
    assert output.texts[-1] == "kept: 3,000 rows, 1 column"
    assert kernel.run("len(kept)").text == "3000"
    assert kernel.run("%thanosql line << SELECT 5 AS a").error is None
    assert kernel.run("int(line.a[0])").text == "5"
    assert "returned no rows" in kernel.run("%thanosql line << SET threads = 2").traceback[0]


def test_a_cell_may_name_its_database(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    kernel.run(f"folder = {str(tmp_path)!r}; url = f'thanosql:///{{folder}}/my data/b.db'")
    output = kernel.run(
        '%%thanosql "thanosql:///{folder}/my data/a.db"\nCREATE TABLE t AS SELECT 1 AS a'
    )
    assert output.error is None, output.error
    assert kernel.run("%thanosql $url CREATE TABLE t AS SELECT 2 AS a").error is None
    assert kernel.run("%thanosql SELECT a FROM t").texts[0].splitlines()[3].strip() == "2"
    kernel.run('%thanosql "thanosql:///{folder}/my data/a.db"')
    assert (tmp_path / "my data" / "a.db").is_file()
    assert kernel.run("%thanosql SELECT a FROM t").texts[0].splitlines()[3].strip() == "1"


def test_rows_sets_how_much_is_shown(kernel: Kernel) -> None:
    kernel.run("%thanosql ROWS=4")
    try:
        assert len(kernel.run("%%thanosql\nSELECT id FROM t").text.splitlines()) == 3 + 5 + 1
        assert "ROWS=50" in kernel.run("%thanosql ROWS=s3cret").traceback[0]
    finally:
        kernel.run("%thanosql ROWS=20")


def test_a_plan_is_shown_as_it_is_drawn(kernel: Kernel) -> None:
    (plan,) = kernel.run("%%thanosql\nEXPLAIN SELECT * FROM t").shown
    assert plan["text/html"].startswith("<pre")
    assert len(plan["text/plain"].splitlines()) > 3


# --- variables ------------------------------------------------------------------------------


def test_variables_are_values_names_and_texts(kernel: Kernel) -> None:
    kernel.run("wanted, model, table, column = [3, 5], 'm', 't', 'id'; quote = \"it's\"")
    assert "it's" in kernel.run("%%thanosql\nSELECT $quote AS a, '$quote' AS b").text
    text = kernel.run(
        "%%thanosql\nPREDICT USING $model OPTIONS (result_col=$column) AS"
        " SELECT audio_path FROM $table WHERE {column} IN ($wanted)"
    ).text
    assert "x:P3" in text
    assert "x:P5" in text
    assert text.endswith("2 rows")
    assert "{'a': 1}" not in kernel.run("%thanosql SELECT {'a': 1} AS s, 7 % 4 AS m").streams


def test_a_variable_of_a_function_is_seen(kernel: Kernel) -> None:
    code = "def f(inner):\n    a = %thanosql SELECT $inner AS a\n    return a\nint(f(12).a[0])"
    assert kernel.run(code).text == "12"


def test_frames_are_tables_where_no_table_has_the_name(kernel: Kernel) -> None:
    kernel.run("import pandas, polars, pyarrow\ndata = {'a': [1, 2, None], 'b': ['x', None, '']}")
    for made in ("pandas.DataFrame(data)", "polars.DataFrame(data)", "pyarrow.table(data)"):
        kernel.run(f"frame = {made}")
        output = kernel.run("%%thanosql\nSELECT count(*) AS n, count(b) AS b FROM frame")
        assert output.texts[0].splitlines()[3].split() == ["3", "2"], output.error
    kernel.run("t = pandas.DataFrame(data)")
    assert kernel.run("%%thanosql\nSELECT count(*) AS n FROM t").text.split()[-3] == "3000"
    assert "nowhere" in kernel.run("%%thanosql\nSELECT * FROM nowhere").traceback[0]
    # A frame is there for its statement, and what was made of it stays.
    kernel.run("%%thanosql\nCREATE TABLE kept AS SELECT * FROM frame")
    kernel.run("del frame")
    assert "3 rows" in kernel.run("%%thanosql\nSELECT * FROM kept").text
    assert kernel.run("%%thanosql\nSELECT * FROM frame").error is not None


def test_a_view_over_a_frame_is_refused_for_a_table(kernel: Kernel) -> None:
    kernel.run("import pandas; frame = pandas.DataFrame({'a': [1]})")
    told = kernel.run("%%thanosql\nCREATE OR REPLACE VIEW v AS SELECT * FROM frame").traceback
    assert "CREATE TABLE t AS SELECT * FROM frame" in told[0]
    assert told[2].index("^") == told[1].index("frame")
    assert kernel.run("%%thanosql\nCREATE TABLE v AS SELECT * FROM frame").error is None


def test_a_frame_feeds_a_model(kernel: Kernel) -> None:
    kernel.run("import pandas; calls = pandas.DataFrame({'audio_path': ['a', 'b']})")
    text = kernel.run("%%thanosql\nPREDICT USING m AS SELECT * FROM calls").text
    assert "x:A" in text
    assert "x:B" in text


# --- errors and warnings --------------------------------------------------------------------


def test_an_error_is_three_lines_of_the_cell(kernel: Kernel) -> None:
    output = kernel.run("%%thanosql\nSELECT 1 AS a;\n\nSELECT *\n  FROM nowhere")
    assert len(output.texts) == 1
    what, line, caret = output.traceback
    assert what.startswith("ProgrammingError: Catalog Error")
    assert what.endswith("(line 5)")
    assert line == "  FROM nowhere"
    assert caret == "       ^"
    assert output.error is not None
    assert output.error["ename"] == "ProgrammingError"


def test_the_exception_is_the_drivers_and_tb_shows_all_of_it(kernel: Kernel) -> None:
    code = (
        "import thanosql_dbapi\n"
        "try:\n    %thanosql PREDICT USING nobody AS SELECT 1 AS audio_path\n"
        "except thanosql_dbapi.ModelNotFound as error:\n    print('caught', error)"
    )
    assert kernel.run(code).streams.startswith("caught there is no model 'nobody'")
    assert len(kernel.run("%thanosql SELECT nothing").traceback) <= 3
    assert "connection.py" in str(kernel.run("%tb").traceback)


def test_at_the_end_no_error_holds_the_database(kernel: Kernel) -> None:
    kernel.run("%thanosql SELECT nothing")
    code = (
        "import sys; shell = get_ipython(); before = sys.last_value is not None;"
        " shell.magics_manager.registry['ThanoSQLMagics'].leave();"
        " before, sys.last_value, sys.last_traceback, shell.InteractiveTB.etb"
    )
    assert kernel.run(code).text == "(True, None, None, None)"


def test_a_mistake_in_python_keeps_its_traceback(kernel: Kernel) -> None:
    kernel.run("class Bad:\n    @property\n    def name(self): return 1 / 0\nbad = Bad()")
    output = kernel.run("%%thanosql\nSELECT {bad.name}")
    assert output.error is not None
    assert output.error["ename"] == "ZeroDivisionError"
    assert len("\n".join(output.traceback).splitlines()) > 5


def test_a_warning_is_one_line(kernel: Kernel) -> None:
    output = kernel.run("%%thanosql\nPREDICT USING m OPTIONS (epochs=3) AS SELECT * FROM t LIMIT 1")
    assert output.texts[0] == "⚠ PREDICT ignores options of other verbs: epochs"
    assert output.streams == ""
    again = kernel.run("%%thanosql\nPREDICT USING m OPTIONS (epochs=3) AS SELECT * FROM t LIMIT 1")
    assert again.texts[0] == output.texts[0]


# --- long work ------------------------------------------------------------------------------

SLOW = "family.on_predict = lambda names: [time.sleep(0.001) for _ in names]"


def test_a_bar_becomes_a_line(kernel: Kernel) -> None:
    kernel.run(SLOW)
    output = kernel.run("%%thanosql\nPREDICT USING m AS SELECT * FROM t LIMIT 2000")
    assert output.error is None
    assert output.updates >= 2
    assert output.texts[0].startswith("predict: 2,000 of 2,000 rows, ")
    assert output.texts[1].endswith("2,000 rows")
    assert output.streams == ""


def test_work_that_is_done_at_once_shows_no_bar(kernel: Kernel) -> None:
    output = kernel.run("%%thanosql\nPREDICT USING m AS SELECT * FROM t LIMIT 3")
    assert len(output.shown) == 1


@pytest.mark.parametrize("line", [False, True])
def test_an_interrupt_stops_a_predict(kernel: Kernel, *, line: bool) -> None:
    sql = "PREDICT USING m OPTIONS (batch_size=1) AS SELECT * FROM t"
    kernel.run("family.on_predict = lambda names: [time.sleep(0.005) for _ in names]")
    code = f"df = %thanosql {sql}" if line else f"%%thanosql\n{sql}; SELECT 1"
    started = time.monotonic()
    output = kernel.run(code, interrupt_after_s=0.3)
    took = time.monotonic() - started
    assert output.error is not None
    assert output.error["ename"] in ("KeyboardInterrupt", "QueryInterrupted")
    assert output.traceback[0] == "interrupted"
    assert len(output.traceback) <= 3
    assert "stopped after" in output.texts[0]
    assert took < 15 - 1  # all of it takes 15 s
    kernel.run("family.on_predict = lambda names: None")
    assert kernel.run("%%thanosql\nPREDICT USING m AS SELECT * FROM t LIMIT 3").error is None


def test_an_interrupt_stops_a_build(kernel: Kernel) -> None:
    kernel.run(
        "def forever(training):\n"
        "    bar = training.progress.bar('train', 'steps')\n"
        "    for step in range(1, 10**6):\n"
        "        training.check(); time.sleep(0.01); bar.update(step, 10**6, loss=1 / step)\n"
        "family.on_train = forever"
    )
    sql = "BUILD MODEL b USING Echo AS SELECT * FROM t LIMIT 3"
    output = kernel.run(f"%%thanosql\n{sql}", interrupt_after_s=2.5)
    assert output.traceback[0] == "interrupted"
    assert output.texts[0].startswith("train: ")
    assert "svg" in output.shown[1]["text/html"]  # the curve grew meanwhile
    kernel.run("family.on_train = lambda training: None")
    assert kernel.run(f"%%thanosql\n{sql}").error is None


def test_a_training_leaves_its_curve_and_print_its_players(kernel: Kernel, tmp_path: Path) -> None:
    shutil.copytree(RECORDINGS, tmp_path / "demo")
    kernel.run(f"%thanosql thanosql://?root={tmp_path}/demo")
    kernel.run(f"%%thanosql\nCREATE TABLE calls AS SELECT * FROM '{tmp_path}/demo/calls_train.csv'")
    output = kernel.run(
        "%%thanosql\nBUILD MODEL mine USING Wav2Vec2Tiny OPTIONS"
        " (max_epochs=1, batch_size=10, publish='always') AS"
        " SELECT * FROM calls WHERE audio_path LIKE '%flac' LIMIT 20"
    )
    assert output.error is None, output.error
    curves = [each for each in output.shown if "<svg" in each.get("text/html", "")]
    assert len(curves) == 1
    assert "mine: step 2 of 2" in curves[0]["text/plain"]
    assert "mine" in output.texts[-1].splitlines()[3]
    output = kernel.run(
        "%%thanosql\nBUILD MODEL other USING Wav2Vec2Tiny OPTIONS (check_only=True) AS"
        " SELECT * FROM calls LIMIT 5"
    )
    assert not [each for each in output.shown if "<svg" in each.get("text/html", "")]
    output = kernel.run("wanted = 2\n%thanosql PRINT AUDIO AS SELECT * FROM calls LIMIT $wanted")
    assert output.error is None, output.error
    assert output.shown[-1]["text/html"].count("<audio") == 2
    kernel.run("%thanosql facts << PRINT AUDIO AS SELECT * FROM calls LIMIT 2")
    assert kernel.run("list(facts.columns[:2]), len(facts)").text == (
        "(['audio_path', 'duration_s'], 2)"
    )
