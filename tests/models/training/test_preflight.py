"""What is found about the rows of a training before it begins."""

from __future__ import annotations

import string
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speech_fixtures import write_tones

from thanosql_dbapi.exceptions import MediaReason
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models.base import Finding, Severity
from thanosql_dbapi.models.training.preflight import Kind, Rows, examine, summary, usable
from thanosql_dbapi.models.training.recordings import Recording
from thanosql_dbapi.models.training.waveforms import LONGEST_S, WaveformStore
from thanosql_dbapi.models.vocabulary import Fitting, Vocabulary, fit_all

LETTERS = frozenset(string.ascii_lowercase + "'")
VOCABULARY = Vocabulary(LETTERS, "en")
ENOUGH = [
    *(f"this is row {word}" for word in ("one", "two", "three", "four", "five", "six")),
    "and this is row seven",
    "eight comes after it",
    "nine is the last but one",
    "the quick brown fox jumps over a lazy dog",
]


def frames_of(samples: int) -> int:
    """Count frames as Wav2Vec2 does: 25 ms wide, every 20 ms."""
    return (samples - 400) // 320 + 1


@dataclass
class Data:
    """Audio files of a test, and what is said of them."""

    folder: Path

    def write(self, name: str, waveform: np.ndarray, rate: int = 16000) -> str:
        soundfile.write(self.folder / name, waveform, rate)
        return name

    def tones(self, count: int) -> list[str]:
        for number in range(count):
            write_tones(self.folder / f"good{number}.wav", 2.0 + number / 100, seed=number)
        return [f"good{number}.wav" for number in range(count)]

    def examine(
        self,
        names: Sequence[str],
        texts: Sequence[str | None],
        *,
        training: int | None = None,
        max_duration_s: float = 0.0,
        vocabulary: Vocabulary = VOCABULARY,
    ) -> list[Finding]:
        media = [media_of(name, self.folder) for name in names]
        store = WaveformStore.fill(
            self.folder / "s", media, 16000, lambda: None, longest_s=max_duration_s or LONGEST_S
        )
        fittings = fit_all(vocabulary, texts)
        labels = [label_of(fitted) for fitted in fittings]
        rows = Rows(store, names, fittings, labels, len(names) if training is None else training)
        return examine(rows, vocabulary.letters, frames_of, max_duration_s)


def label_of(fitted: object) -> list[int] | None:
    return list(map(ord, fitted.text)) if isinstance(fitted, Fitting) else None


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


def of_kind(findings: Sequence[Finding], kind: Kind) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind]


def only(findings: Sequence[Finding], kind: Kind) -> Finding:
    (found,) = of_kind(findings, kind)
    return found


def bad(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is not Severity.NOTE]


def test_good_rows_give_figures_alone(data: Data) -> None:
    findings = data.examine(data.tones(10), ENOUGH)
    assert [finding.kind for finding in findings] == [
        Kind.COVERAGE,
        Kind.ROWS,
        Kind.DURATIONS,
        Kind.SAMPLING_RATES,
        Kind.CHANNELS,
        Kind.FORMATS,
    ]
    assert all(finding.severity is Severity.NOTE for finding in findings)
    details = [finding.detail for finding in findings]
    assert details[0] == "100% of 162 letters can be written by the model, which has 27"
    assert details[1:] == [
        "10 rows, 0.01 hours of audio",
        "2.00 s to 2.09 s, half of them 2.02 s to 2.06 s, median 2.04 s; 2 to 5 s: 10",
        "16000 Hz: 10 rows",
        "1 channel: 10 rows",
        "WAV PCM_16: 10 rows",
    ]
    assert usable(findings, 10) == list(range(10))


def test_a_kind_is_a_plain_text(data: Data) -> None:
    for finding in data.examine(data.tones(1), ["hello"]):
        assert type(finding.kind) is str


def broken_files(data: Data) -> list[tuple[str, Kind, str]]:
    whole = (data.folder / data.tones(1)[0]).read_bytes()
    (data.folder / "empty.wav").write_bytes(b"")
    (data.folder / "text.wav").write_text("some text that is no audio")
    (data.folder / "cut.wav").write_bytes(whole[:20_000])
    data.write("header.wav", np.zeros(0, np.float32))
    data.write("short.wav", np.linspace(-0.5, 0.5, 300, dtype=np.float32))
    data.write("silent.wav", np.zeros(32_000, np.float32))
    nan = np.zeros(16_000, np.float32)
    nan[8000] = np.nan
    soundfile.write(data.folder / "nan.wav", nan, 16000, subtype="FLOAT")
    return [
        ("missing.wav", Kind.MISSING, "no such file"),
        ("empty.wav", Kind.EMPTY, "the file is empty"),
        ("header.wav", Kind.EMPTY, "0 samples"),
        ("text.wav", Kind.NOT_AUDIO, "not audio in a format that can be read"),
        ("cut.wav", Kind.TRUNCATED, "the file is cut short"),
        ("nan.wav", Kind.BROKEN, "a sample at 0.500 s is not a finite number"),
        ("short.wav", Kind.TOO_SHORT, "0.019 s are too short"),
        ("silent.wav", Kind.SILENT, "all samples are the same"),
    ]


def test_a_file_without_audio_is_an_error_of_its_row(data: Data) -> None:
    broken = broken_files(data)
    names = [*data.tones(10), *(name for name, _, _ in broken)]
    findings = data.examine(names, [*ENOUGH, *["hello"] * len(broken)])
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    assert [(found.name, found.kind, found.row) for found in errors] == [
        (name, kind, row) for row, (name, kind, _) in enumerate(broken, 11)
    ]
    for finding, (_, _, detail) in zip(errors, broken, strict=True):
        assert detail in finding.detail
    assert usable(findings, len(names)) == list(range(10))


def test_clipped_audio_is_told(data: Data) -> None:
    time_s = np.arange(32_000) / 16_000
    voice = np.sin(2 * np.pi * 220 * time_s).astype(np.float32)
    names = [
        *data.tones(10),
        data.write("clipped.wav", np.clip(3 * voice, -1, 1)),
        data.write("loud.wav", voice),
        # At another rate the flat tops are not flat any more after resampling.
        data.write("resampled.wav", np.clip(3 * voice, -1, 1), 8000),
    ]
    texts = [*ENOUGH, "one clipped", "one loud", "one resampled"]
    found = of_kind(data.examine(names, texts), Kind.CLIPPED)
    assert [finding.name for finding in found] == ["clipped.wav", "resampled.wav"]
    assert found[0].severity is Severity.WARNING
    share = np.mean(np.abs(3 * voice) >= 0.9995)
    assert found[0].detail == f"{share:.1%} of the samples are cut off at full scale"


def test_quiet_audio_is_told(data: Data) -> None:
    noise = np.random.default_rng(0).uniform(-0.0009, 0.0009, 32_000)
    names = [*data.tones(10), data.write("quiet.wav", noise)]
    found = only(data.examine(names, [*ENOUGH, "so quiet"]), Kind.QUIET)
    assert (found.row, found.severity) == (11, Severity.WARNING)
    assert "0.09% of full scale" in found.detail


@pytest.mark.parametrize(
    ("text", "kind", "detail"),
    [
        (None, Kind.NO_TEXT, "there is no text"),
        ("", Kind.NO_TEXT, "there is no text"),
        (" \t\n", Kind.NO_TEXT, "there is no text"),
        ("안녕", Kind.UNFIT_TEXT, "no letter of the text '안녕' is in the model's vocabulary"),
        ("...", Kind.UNFIT_TEXT, "no letter of the text '...'"),
        ("version 1.2.3", Kind.UNFIT_TEXT, "cannot spell '1.2.3'"),
    ],
)
def test_a_text_that_cannot_be_written_is_an_error(
    data: Data, text: str | None, kind: Kind, detail: str
) -> None:
    findings = data.examine(data.tones(11), [*ENOUGH, text])
    (found,) = bad(findings)
    assert (found.kind, found.severity, found.row, found.name) == (
        kind,
        Severity.ERROR,
        11,
        "good10.wav",
    )
    assert detail in found.detail
    assert usable(findings, 11) == list(range(10))


def test_what_was_done_to_the_texts_is_told(data: Data) -> None:
    texts = [*ENOUGH[:8], "It\u2019s, well — 42 cafés!", "On the 3rd: 1,000"]
    findings = data.examine(data.tones(10), texts)
    assert not bad(findings)
    assert only(findings, Kind.FOLDED_CASE).detail == (
        "2 texts of 10 were brought into the model's case"
    )
    assert only(findings, Kind.SPELLED_NUMBERS).detail == (
        "numbers were spelled in 2 texts:"
        " 42 as 'forty two', 3rd as 'third', 1,000 as 'one thousand'"
    )
    assert only(findings, Kind.DROPPED_ACCENTS).detail == "'é' (1), in 1 text"
    assert "',' (1)" in only(findings, Kind.DROPPED_PUNCTUATION).detail


def test_dropped_letters_and_symbols_are_told_of_their_rows_and_of_all(data: Data) -> None:
    texts = [*ENOUGH[:7], "a Straße", "50% of 3 łodzi", "日本 日本語 go"]
    findings = data.examine(data.tones(10), texts)
    letters = of_kind(findings, Kind.DROPPED_LETTERS)
    assert [(found.row, found.detail) for found in letters] == [
        (8, "the model cannot write 'ß' (1): left out"),
        (9, "the model cannot write 'ł' (1): left out"),
        (
            None,
            "the model cannot write '日' (2), '本' (2), 'ß' (1), 'ł' (1), '語' (1),"
            " in 3 texts: left out",
        ),
    ]
    assert only(findings, Kind.MOSTLY_DROPPED).detail == (
        "of 7 letters 5 are not in the vocabulary"
    )
    symbols = of_kind(findings, Kind.DROPPED_SYMBOLS)
    assert [found.row for found in symbols] == [9, None]
    assert symbols[0].detail == "'%' (1): said as words, and left out of the text"
    assert symbols[1].detail.endswith("left out of the text; write them in words")
    assert {found.severity for found in (*letters, *symbols)} == {Severity.WARNING}
    assert only(findings, Kind.COVERAGE).detail.startswith("94.")


def test_letters_that_no_text_has_are_told(data: Data) -> None:
    findings = data.examine(data.tones(10), [f"{word} one" for word in ENOUGH[:9]] + ["zebra"])
    assert only(findings, Kind.UNUSED_LETTERS).detail.startswith("in no text: jkpqy;")


def test_a_text_longer_than_its_audio_is_an_error_with_the_numbers(data: Data) -> None:
    write_tones(data.folder / "short.wav", 0.2, seed=99)
    texts = [*ENOUGH, "hello"]
    assert not bad(data.examine([*data.tones(10), "short.wav"], texts))  # nine frames
    texts[-1] = "hello all"
    found = only(data.examine([*data.tones(10), "short.wav"], texts), Kind.TEXT_TOO_LONG)
    assert (found.row, found.severity) == (11, Severity.ERROR)
    assert found.detail == (
        "the text's 9 letters need 11 frames, and the 0.20 s of audio give 9:"
        " too short for what is said"
    )


def test_a_pace_that_nobody_speaks_at_is_told(data: Data) -> None:
    write_tones(data.folder / "fast.wav", 1.0, seed=98)
    write_tones(data.folder / "slow.wav", 12.0, seed=99)
    names = [*data.tones(10), "fast.wav", "slow.wav"]
    findings = data.examine(
        names, [*ENOUGH, "the quick brown fox jumps over a lazy dog and", "yes"]
    )
    assert only(findings, Kind.FAST).detail == "36 letters a second: is this what is said?"
    assert only(findings, Kind.FAST).severity is Severity.WARNING
    assert only(findings, Kind.SLOW).detail == (
        "0.25 letters a second, for 12 s: is that all that is said?"
    )


def test_the_same_audio_with_another_text_is_a_contradiction(data: Data) -> None:
    names = [*data.tones(10), "good0.wav", "good1.wav", "good1.wav"]
    findings = data.examine(names, [*ENOUGH, "something else", ENOUGH[1].upper(), ENOUGH[1]])
    found = only(findings, Kind.OTHER_TEXT)
    assert (found.row, found.severity) == (11, Severity.WARNING)
    assert found.detail == (
        "the same audio as row 1, and not its text: 'something else' here, 'this is row one' there"
    )
    duplicates = of_kind(findings, Kind.DUPLICATE)
    assert [(found.row, found.severity) for found in duplicates] == [
        (12, Severity.NOTE),
        (13, Severity.NOTE),
    ]
    assert duplicates[0].detail == "the same audio and text as row 2"


def test_held_out_rows_count_from_one_and_leaks_are_told(data: Data) -> None:
    names = [*data.tones(12)[:10], "good10.wav", "good2.wav", "missing.wav", "good11.wav"]
    texts = [*ENOUGH, "a held out row", ENOUGH[2], "hello", None]
    findings = data.examine(names, texts, training=10)
    leak = only(findings, Kind.LEAK)
    assert (leak.row, leak.held_out, leak.severity) == (2, True, Severity.WARNING)
    assert leak.detail == "the same audio as row 3: what is measured on it is too good"
    assert not of_kind(findings, Kind.DUPLICATE)
    missing = only(findings, Kind.MISSING)
    assert (missing.row, missing.held_out, missing.severity) == (3, True, Severity.ERROR)
    assert only(findings, Kind.ROWS).detail == "10 rows, 0.01 hours of audio; 4 held-out rows"
    assert usable(findings, 10) == list(range(10))
    assert usable(findings, 4, held_out=True) == [0, 1]


def test_what_lasts_too_long_is_left_out(data: Data) -> None:
    write_tones(data.folder / "long.wav", 61, 8000, seed=99)
    names = [*data.tones(10), "long.wav"]
    texts = [*ENOUGH, "hello " * 60]
    found = only(data.examine(names, texts), Kind.LONG)
    assert (found.row, found.severity) == (11, Severity.WARNING)
    texts[-1] = ""  # what is left out need not be right
    findings = data.examine(names, texts, max_duration_s=20)
    assert not bad(findings)
    found = only(findings, Kind.TOO_LONG)
    assert (found.row, found.severity) == (11, Severity.NOTE)
    assert found.detail == "it lasts 61.0 s, and 20 s is the most: left out"
    assert usable(findings, 11) == list(range(10))


def test_few_rows_and_one_text_are_told(data: Data) -> None:
    findings = data.examine(data.tones(3), ["yes"] * 3)
    assert [(found.kind, found.detail) for found in bad(findings)] == [
        (Kind.FEW_ROWS, "3 rows to train on: a model will learn them by heart"),
        (Kind.ONE_TEXT, "all 3 texts are 'yes': a model will say it of any audio"),
    ]
    findings = data.examine(data.tones(10), ["yes"] * 6 + ENOUGH[:4])
    assert [found.detail for found in bad(findings)] == [
        "6 of 10 texts are 'yes': a model may say it too often"
    ]


def test_that_no_row_is_left_is_an_error_of_the_whole(data: Data) -> None:
    findings = data.examine(["a.wav", "b.wav"], ["hello", "you"])
    found = only(findings, Kind.NO_ROWS)
    assert (found.row, found.severity) == (None, Severity.ERROR)
    findings = data.examine([*data.tones(10), "a.wav"], [*ENOUGH, "hello"], training=10)
    assert only(findings, Kind.NO_ROWS).detail == "no row of the validation query can be used"


def test_rates_channels_and_formats_are_counted(data: Data) -> None:
    write_tones(data.folder / "a.flac", 2, 8000, seed=90)
    write_tones(data.folder / "b.ogg", 2, 44100, seed=91, channels=2)
    write_tones(data.folder / "c.wav", 2, 6000, seed=92)
    names = [*data.tones(10), "a.flac", "b.ogg"]
    findings = data.examine(names, [*ENOUGH, "one more", "and another"])
    assert only(findings, Kind.SAMPLING_RATES).detail == (
        "16000 Hz: 10 rows, 8000 Hz: 1 row, 44100 Hz: 1 row"
    )
    assert only(findings, Kind.CHANNELS).detail == (
        "1 channel: 11 rows, 2 channels: 1 row; they are averaged"
    )
    assert "OGG VORBIS: 1 row" in only(findings, Kind.FORMATS).detail
    assert only(findings, Kind.LOW_RATE).severity is Severity.NOTE
    findings = data.examine([*names, "c.wav"], [*ENOUGH, "one more", "and another", "third"])
    found = only(findings, Kind.LOW_RATE)
    assert found.severity is Severity.WARNING
    assert found.detail.startswith("2 rows below the model's 16000 Hz, the lowest 6000 Hz")


def test_the_worst_comes_first(data: Data) -> None:
    findings = data.examine([*data.tones(2), "missing.wav"], ["HELLO", "50% you", "there"])
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, key=list(Severity).index)
    assert len(set(severities)) == 3


def test_a_summary_has_a_line_for_each_kind_and_names_the_first_rows(data: Data) -> None:
    names = [*data.tones(2), *(f"m{number}.wav" for number in range(5)), "good0.wav"]
    texts = ["hello you", "hello", *["hello"] * 5, "other"]
    findings = data.examine(names, texts, training=7)
    assert summary(findings).splitlines()[:4] == [
        "missing audio in 5 rows (row 3 'm0.wav', row 4 'm1.wav', row 5 'm2.wav' and 2 more):"
        " no such file",
        "held-out audio in training in 1 row (held-out row 1 'good0.wav'): the same audio as row 1:"
        " what is measured on it is too good",
        "same audio, other text in 1 row (held-out row 1 'good0.wav'): the same audio as row 1,"
        " and not its text: 'other' here, 'hello you' there",
        "few rows: 2 rows to train on: a model will learn them by heart",
    ]
    assert summary([]) == ""


def test_a_summary_says_of_details_that_differ_that_it_gives_an_example() -> None:
    findings = [
        Finding("clipped audio", Severity.WARNING, row, f"{row}.wav", f"{row}%") for row in (1, 2)
    ]
    assert summary(findings) == (
        "clipped audio in 2 rows (row 1 '1.wav', row 2 '2.wav'): for example, 1%"
    )


def test_fifty_thousand_rows_are_looked_at_in_seconds(data: Data) -> None:
    store = WaveformStore.fill(
        data.folder / "s", [media_of(data.tones(1)[0], data.folder)], 16000, lambda: None
    )
    one: Recording = store.recordings[0]
    count = 50_000
    store.recordings = [
        replace(one, digest=str(row), samples=48_000 + row % 1000) for row in range(count)
    ]
    store.recordings[7] = replace(one, reason=str(MediaReason.MISSING), message="no such file")
    texts = [f"The {row % 100} quick brown foxes, naïve & sly" for row in range(count)]
    started = time.process_time()
    fittings = fit_all(VOCABULARY, texts)
    labels = [label_of(fitted) for fitted in fittings]
    rows = Rows(store, ["a.wav"] * count, fittings, labels, count)
    findings = examine(rows, LETTERS, frames_of)
    summary(findings)
    assert time.process_time() - started < 30  # 3 s where nothing else runs
    assert len(usable(findings, count)) == count - 1
