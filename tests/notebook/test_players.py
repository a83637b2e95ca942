"""PRINT in a notebook: what the page says, and in a real browser, whether it plays."""

from __future__ import annotations

import base64
import errno
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import browsing
import numpy as np
import pytest
import soundfile
from conftest import publish_echo
from echo import Echo
from media_fixtures import write_picture, write_video
from speech_fixtures import write_tones

import thanosql_dbapi
from thanosql_dbapi import Connection, assets
from thanosql_dbapi.exceptions import ColumnNotFound, MissingExtra, OptionError
from thanosql_dbapi.language import parse
from thanosql_dbapi.language.statements import PrintMedia
from thanosql_dbapi.notebook import players
from thanosql_dbapi.notebook.players import Printed, printed

Show = Callable[[str], Printed]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path, progress=False) as opened:
        yield opened


@pytest.fixture
def show(connection: Connection) -> Show:
    def run(sql: str) -> Printed:
        script = parse(sql)
        assert script is not None
        (statement,) = script.statements
        assert isinstance(statement, PrintMedia)
        return printed(connection, statement, sql)

    return run


class Page(HTMLParser):
    """An output, taken apart as a browser would."""

    VOID = frozenset({"img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(output: Printed) -> Page:
    return Page(output._repr_html_())


def content_of(url: str | None) -> tuple[str, bytes]:
    match = re.fullmatch(r"data:([\w/+-]+);base64,([\w+/=]*)", url or "")
    assert match
    return match[1], base64.b64decode(match[2])


def test_a_card_has_path_drawings_player_facts_and_texts(show: Show, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 1.0, 8000, channels=2)
    output = show("PRINT AUDIO AS SELECT 'a.wav' AS audio_path, 'hello' AS text, 0.5 AS score")
    page = page_of(output)
    for said in ("a.wav", "1.00 s · 8 kHz · stereo · WAV 16-bit · 32 kB", "text", "hello", "0.5"):
        assert said in page.said
    assert [image["alt"] for image in page.all("img")] == [
        "waveform of a.wav",
        "spectrogram of a.wav",
    ]
    kinds = [content_of(image["src"])[0] for image in page.all("img")]
    assert kinds == ["image/svg+xml", "image/png"]
    (player,) = page.all("audio")
    assert "controls" in player
    assert content_of(player["src"]) == ("audio/wav", (tmp_path / "a.wav").read_bytes())
    text = repr(output)
    assert text.startswith("a.wav  ")
    assert "1.00 s  8 kHz  stereo" in text
    assert "text: hello" in text
    assert len(text.splitlines()) == 1


def test_nothing_runs_and_nothing_is_fetched(show: Show, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    write_picture(tmp_path / "a.jpg")
    write_video(tmp_path / "a.webm")
    for kind, name in (("AUDIO", "a.wav"), ("IMAGE", "a.jpg"), ("VIDEO", "a.webm")):
        page = page_of(show(f"PRINT {kind} AS SELECT '{name}'"))
        assert not {"script", "style", "link", "iframe"} & {tag for tag, _ in page.tags}
        for _, attributes in page.tags:
            assert not any(name.startswith("on") for name in attributes)
            for source in ("src", "poster"):
                assert (attributes.get(source) or "data:").startswith("data:")


def test_everything_is_escaped(show: Show, tmp_path: Path, connection: Connection) -> None:
    names = ['it\'s "q" <b>&.wav', "<img src=x onerror=alert(1)>.wav", "소리 ✓.wav"]
    for name in names:
        write_tones(tmp_path / name, 0.2)
    connection.execute('CREATE TABLE t (audio_path VARCHAR, "<i>" VARCHAR)')
    evil = '</div><script>window.hacked = 1</script>"'
    for name in [*names, "gone<script>.wav"]:
        connection.execute("INSERT INTO t VALUES (?, ?)", [name, evil])
    page = page_of(show("PRINT AUDIO AS FROM t"))
    assert {tag for tag, _ in page.tags} <= {"div", "bdi", "img", "audio", "a", "i"}
    assert not page.all("i")
    said = "".join(page.said)
    assert all(name in said for name in names)
    assert said.count(evil) == 4
    assert said.count("<i>") == 4


def test_what_cannot_be_read_says_so_in_its_place(show: Show, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    output = show(
        "PRINT AUDIO AS SELECT unnest(['broken.wav', 'a.wav', 'gone.wav', NULL]) AS audio_path,"
        " unnest(['w', 'x', 'y', NULL]) AS text"
    )
    page = page_of(output)
    assert len(page.all("audio")) == 1
    assert "✗ not audio in a format that can be read" in page.said
    assert "✗ no such file" in page.said
    assert "NULL" in page.said
    lines = repr(output).splitlines()
    assert len(lines) == 4
    assert " ".join(lines[2].split()) == "gone.wav ✗ no such file text: y"


def test_a_disk_that_fails_and_a_loop_of_links_are_told_in_their_place(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "loop.wav").symlink_to("loop.wav")
    assert "symbolic links" in repr(show("PRINT AUDIO AS SELECT 'loop.wav'"))
    monkeypatch.setattr(players, "probe_audio", fail)
    said = repr(show("PRINT AUDIO AS SELECT 'a.wav'"))
    assert said == "a.wav  ✗ the file cannot be read (Input/output error)"


def test_a_text_that_is_no_path_does_not_fill_the_page(show: Show) -> None:
    page = show("PRINT AUDIO AS SELECT repeat('x', 1000000) || '.wav'")._repr_html_()
    assert len(page) < 5000
    assert "x.wav" in page
    assert "href" not in page


def test_at_most_so_many_files_are_read_and_a_line_says_so(show: Show, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 4, 4)
    for rows, said in ((20, False), (21, True), (3000, True)):
        page = page_of(show(f"PRINT IMAGE AS SELECT 'a.png' FROM range({rows})"))
        assert len(page.all("img")) == 20
        line = "The first 20 files are shown, and there are more: LIMIT 20 OFFSET 20"
        assert any(line in text for text in page.said) == said
    assert "no image to show" in repr(show("PRINT IMAGE AS SELECT 'a.png' WHERE false"))


def test_no_more_rows_are_predicted_than_are_shown(echo: Echo, tmp_path: Path) -> None:
    with thanosql_dbapi.connect(root=tmp_path, progress=False) as opened:
        publish_echo(opened, "m")
        opened.execute("CREATE TABLE t AS SELECT 'p' || i AS audio_path FROM range(20000) r(i)")
        sql = "PRINT AUDIO AS PREDICT USING m AS SELECT * FROM t"
        script = parse(sql)
        assert script is not None
        (statement,) = script.statements
        assert isinstance(statement, PrintMedia)
        output = printed(opened, statement, sql)
    assert len(echo.asked) == players.FILES + 1
    assert output.cards[0].beside == {"predicted": "P0"}


def test_what_browsers_lack_is_transcoded_and_says_so(show: Show, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((800, 2)), 8000, subtype="ALAW")
    page = page_of(show("PRINT AUDIO AS SELECT 'a.wav'"))
    (player,) = page.all("audio")
    kind, content = content_of(player["src"])
    assert kind == "audio/flac"
    assert content.startswith(b"fLaC")
    assert "played as FLAC: not every browser has WAV A-law" in page.said
    soundfile.write(tmp_path / "b.wav", np.zeros((800, 6)), 384_000)
    page = page_of(show("PRINT AUDIO AS SELECT 'b.wav'"))
    assert "played as FLAC, in mono of 48 kHz, which every browser has" in page.said


def test_files_are_embedded_up_to_a_size_each_and_in_all(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(players, "FILE_BYTES", 40_000)
    monkeypatch.setattr(players, "EXCERPT_S", 0.25)
    write_tones(tmp_path / "short.wav", 1.0)
    write_tones(tmp_path / "long.wav", 4.0)
    query = "SELECT unnest(['short.wav', 'long.wav', 'short.wav'])"
    page = page_of(show(f"PRINT AUDIO AS {query}"))
    sounds = [content_of(player["src"]) for player in page.all("audio")]
    assert [kind for kind, _ in sounds] == ["audio/wav", "audio/flac", "audio/wav"]
    assert "the first 0.25 s: the file has 128 kB, and up to 40 kB are embedded" in page.said
    (tmp_path / "excerpt.flac").write_bytes(sounds[1][1])
    assert soundfile.info(tmp_path / "excerpt.flac").duration == 0.25
    monkeypatch.setattr(players._Reader.__init__, "__defaults__", (35_000,))
    page = page_of(show(f"PRINT AUDIO AS {query}"))
    assert len(page.all("audio")) == 1
    assert len(page.all("img")) == 6
    assert any(text.startswith("no player: the files above have taken") for text in page.said)


def test_a_video_that_does_not_play_is_a_frame_with_a_reason(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.avi", "mpeg4")
    write_video(tmp_path / "a.webm")
    page = page_of(show("PRINT VIDEO AS SELECT unnest(['a.avi', 'a.webm'])"))
    assert len(page.all("img")) == 1
    assert "one frame: not every browser plays mpeg4 in this container" in page.said
    (player,) = page.all("video")
    assert content_of(player["src"])[0] == "video/webm"
    assert content_of(player["poster"])[0] == "image/jpeg"
    monkeypatch.setattr(players, "FILE_BYTES", 100)
    page = page_of(show("PRINT VIDEO AS SELECT 'a.webm'"))
    assert not page.all("video")
    assert any("up to 100 B are embedded" in text for text in page.said)


def test_files_below_the_notebook_s_folder_are_links(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "a b.png")
    assert not page_of(show("PRINT IMAGE AS SELECT 'a b.png'")).all("a")
    monkeypatch.chdir(tmp_path)
    (link,) = page_of(show("PRINT IMAGE AS SELECT 'a b.png'")).all("a")
    assert link["href"] == "a%20b.png"


def test_blobs_options_and_errors(show: Show, connection: Connection, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    content = (tmp_path / "a.wav").read_bytes()
    connection.execute("CREATE TABLE t AS SELECT ?::BLOB AS sound, 'x' AS text", [content])
    page = page_of(show("PRINT AUDIO OPTIONS (audio_col='sound') AS SELECT * FROM t -- all"))
    assert f"<{len(content)} bytes>" in page.said
    assert content_of(page.all("audio")[0]["src"])[1] == content
    with pytest.raises(ColumnNotFound, match="Its columns: sound, text"):
        show("PRINT AUDIO AS SELECT * FROM t")
    with pytest.raises(OptionError, match="no option 'sound_col'"):
        show("PRINT AUDIO OPTIONS (sound_col='sound') AS SELECT * FROM t")


@pytest.mark.parametrize("kind", ["AUDIO", "IMAGE", "VIDEO"])
def test_without_pillow_the_extra_is_named(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    write_picture(tmp_path / "a.jpg")
    write_video(tmp_path / "a.webm")
    name = {"AUDIO": "a.wav", "IMAGE": "a.jpg", "VIDEO": "a.webm"}[kind]
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"thanosql-dbapi\[images\]"):
        show(f"PRINT {kind} AS SELECT '{name}'")


# In a browser


def test_all_of_it_plays_in_a_browser(show: Show, tmp_path: Path, connection: Connection) -> None:
    browsing.chromium()
    shutil.copytree(assets.RECORDINGS, tmp_path, dirs_exist_ok=True)
    samples, rate = soundfile.read(tmp_path / "test_00.flac")
    soundfile.write(tmp_path / "a-law.wav", samples, rate, subtype="ALAW")
    soundfile.write(tmp_path / "<b>'\".aiff", samples, rate)
    write_tones(tmp_path / "low.ogg", 1.0, 8000, channels=2)
    write_picture(tmp_path / "a.jpg", 640, 480)
    write_video(tmp_path / "a.webm", sound=True)
    write_video(tmp_path / "b.mp4", "libx264")
    connection.execute("CREATE TABLE t (audio_path VARCHAR, text VARCHAR)")
    names = ["test_00.flac", "test_02.mp3", "a-law.wav", "<b>'\".aiff", "low.ogg", "gone.wav"]
    for name in names:
        connection.execute("INSERT INTO t VALUES (?, '<script>window.hacked=1</script>')", [name])
    facts = dict(
        connection.execute(
            "SELECT audio_path, thanosql_audio_facts(audio_path, on_error := 'null').duration_s"
            " FROM t UNION ALL SELECT f, thanosql_video_facts(f).duration_s"
            " FROM (SELECT unnest(['a.webm', 'b.mp4']) AS f)"
        ).fetchall()
    )
    outputs = [
        show("PRINT AUDIO AS FROM t"),
        show("PRINT IMAGE AS SELECT 'a.jpg'"),
        show("PRINT VIDEO AS SELECT unnest(['a.webm', 'b.mp4'])"),
    ]
    told = browsing.play("".join(output._repr_html_() for output in outputs))
    assert [player["label"] for player in told["players"]] == [*names[:-1], "a.webm", "b.mp4"]
    for player in told["players"]:
        assert player["error"] is None, player
        assert player["played"] > 0
        assert player["painted"] > 5000
        assert player["duration"] == pytest.approx(facts[player["label"]], abs=0.05)
        assert player["width"] == (160 if player["kind"] == "VIDEO" else 0)
    # Two drawings a recording, and the image.
    assert len(told["pictures"]) == 2 * 5 + 1
    assert all(picture["shown"] > 30 for picture in told["pictures"])
    assert told["pictures"][-1]["width"] == 640
    assert not told["scrolls"]
    assert not told["hacked"]
