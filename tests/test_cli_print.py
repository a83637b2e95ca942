"""PRINT in a terminal and in a pipe: small tables, with waveforms in block characters."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from media_fixtures import write_picture, write_video
from rich.cells import cell_len
from rich.console import Console
from speech_fixtures import write_tones

import thanosql_dbapi
from thanosql_dbapi.cli import main
from thanosql_dbapi.cli.media import for_terminal
from thanosql_dbapi.cli.screen import Screen
from thanosql_dbapi.language.statements import MediaKind

BLOCKS = "[▁▂▃▄▅▆▇█]"
Show = Callable[..., list[str]]


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """Return what a statement shows, in a terminal `width` cells wide."""

    def run(sql: str, width: int = 100, rows: int = 0, encoding: str = "utf-8") -> list[str]:
        raw = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        out = Console(file=raw, force_terminal=True, color_system=None, width=width)
        screen = Screen(rows, out)
        with thanosql_dbapi.connect(root=tmp_path, progress=False) as connection:
            text, printed = for_terminal(sql, rows)
            with connection.execute(text) as cursor:
                screen.show(cursor, printed)
        raw.flush()
        return raw.buffer.getvalue().decode(encoding).splitlines()

    return run


def cells(line: str) -> list[str]:
    return [text.strip() for text in re.split("[│┃|]", line)[1:-1]]


def test_a_recording_is_path_waveform_facts_and_text(show: Show, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 1.5, 8000, channels=2)
    lines = show("PRINT AUDIO AS SELECT 'a.wav' AS audio_path, 'hello' AS text")
    assert cells(lines[1]) == ["audio_path", "waveform", "length", "rate", "channels", "text"]
    path, waveform, *facts = cells(lines[3])
    assert path == "a.wav"
    assert re.fullmatch(BLOCKS + "{24}", waveform)
    assert facts == ["1.50 s", "8 kHz", "stereo", "hello"]


def test_images_and_videos(show: Show, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", 640, 480)
    write_video(tmp_path / "b.mp4", "libx264")
    lines = show("PRINT IMAGE AS SELECT 'a.jpg'")
    size = f"{(tmp_path / 'a.jpg').stat().st_size / 1000:.1f} kB"
    assert cells(lines[1]) == ["image_path", "pixels", "format", "size"]
    assert cells(lines[3]) == ["a.jpg", "640 \N{MULTIPLICATION SIGN} 480", "JPEG", size]
    lines = show("PRINT VIDEO AS SELECT 'b.mp4'")
    assert cells(lines[3])[:-1] == [
        "b.mp4",
        "1.00 s",
        "160 \N{MULTIPLICATION SIGN} 120",
        "25",
        "h264",
        "no",
    ]


def test_a_file_that_cannot_be_read_says_so_in_its_row(show: Show, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    query = "SELECT unnest(['gone.wav', 'a.wav', NULL]) AS audio_path"
    lines = show(f"PRINT AUDIO AS {query}")
    assert cells(lines[1])[-1] == "error"
    assert cells(lines[3]) == ["gone.wav", "", "", "", "", "no such file"]
    assert cells(lines[4])[-2:] == ["mono", ""]
    assert cells(lines[5]) == ["NULL", "", "", "", "", ""]
    with pytest.raises(thanosql_dbapi.DataError, match="gone.wav"):
        show(f"PRINT AUDIO OPTIONS (on_error='fail') AS {query}")


@pytest.mark.parametrize("width", [120, 100, 80, 60, 45])
def test_it_fits_every_terminal_and_the_end_of_a_path_is_kept(
    show: Show, tmp_path: Path, width: int
) -> None:
    name = f"{'folder-' * 9}/the-call.wav"
    write_tones(tmp_path / name, 0.5)
    text = "무엇을 도와드릴까요? " * 20
    lines = show(f"PRINT AUDIO AS SELECT '{name}' AS audio_path, '{text}' AS text, 7 AS n", width)
    assert all(cell_len(line) <= width for line in lines)
    shown = cells(lines[3])
    assert shown[0].startswith("…")
    assert shown[0].endswith("call.wav")
    assert re.fullmatch(BLOCKS + "{8,24}", shown[1])
    left_out = [line for line in lines if "columns fit here" in line]
    assert bool(left_out) == (len(shown) < 7)


def test_a_text_that_is_no_path_is_cut_at_once(show: Show) -> None:
    lines = show("PRINT AUDIO AS SELECT repeat('x', 1000000) || '.wav' AS audio_path", 80)
    assert cells(lines[3])[0].endswith("xx.wav")
    assert all(cell_len(line) <= 80 for line in lines)


def test_an_output_without_blocks_gets_plain_characters(show: Show, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    lines = show("PRINT AUDIO AS SELECT 'a.wav'", encoding="ascii")
    assert "\\u" not in "".join(lines)
    waveform = next(line for line in lines if "a.wav" in line)
    assert set("#*+=") & set(waveform)


def test_no_more_files_are_read_than_are_shown(show: Show, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 0.1)
    # The fifth is not even looked at.
    query = "SELECT CASE WHEN i < 4 THEN 'a.wav' ELSE error('read') END AS f FROM range(9) r(i)"
    lines = show(f"PRINT AUDIO AS {query}", rows=3)
    assert sum("a.wav" in line for line in lines) == 3


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1", None),
        ("PREDICT USING m AS SELECT 1", None),
        ("print  audio as select 1", MediaKind.AUDIO),
        ("SELECT 'PRINT AUDIO AS SELECT 1'", None),
    ],
)
def test_other_statements_are_left_alone(sql: str, kind: MediaKind | None) -> None:
    text, printed = for_terminal(sql, 10)
    assert printed is kind
    assert kind is not None or text == sql


def test_options_and_comments_stay(show: Show, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    lines = show(
        "PRINT AUDIO OPTIONS (audio_col='f', -- where\n waveform_col='wave') AS -- these\n"
        "(SELECT 'a.wav' AS f, 1 AS one) -- the end"
    )
    assert cells(lines[1]) == ["audio_path", "length", "rate", "channels", "wave", "one"]


def test_run_shows_the_same_in_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    script = tmp_path / "s.sql"
    script.write_text("PRINT AUDIO AS SELECT 'a.wav';\nPRINT AUDIO AS SELECT 1 AS a, 2 AS b;")
    assert main(["run", str(script), "--root", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    row = r"^\| a\.wav +\| " + BLOCKS + r"{24} \| 0\.50 s \| 16 kHz \| +mono \|$"
    assert re.search(row, out, re.MULTILINE)
    assert "in line 2:" in err
    assert "no column 'audio_path' (audio_col)" in err
