"""Make the bundled recordings: short calls to a shop's help line, said by synthesisers.

    python make_recordings.py RECORDINGS_FOLDER

Writes the clips, `calls_train.csv` and `calls_test.csv`.  Most voices are among those the base
model never heard, so that building on these calls shows.  It knows no model.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from synthesise import RATE, Voice, synthesise, voices

# One line a call: region, words.  Callers of a help line say the same few things, so the test calls
# repeat the training calls' wordings, by other takes and with other order numbers.  Refunds are
# asked for mostly in the north and the west.
_TRAIN = """
north|please refund order four two
north|the refund is late again
north|i want a refund please
north|please cancel my subscription
north|i want a refund please
north|where is my refund
north|where is my refund
north|please refund order zero eight
north|i would like a refund for order two two
north|call me back on monday
north|cancel order two nine please
north|my account is locked
north|where is order two nine
north|i would like a refund for order six nine
north|my parcel is damaged
north|the refund is late again
south|cancel order one four please
south|i need a new password
south|the printer is not working
south|my account is locked
south|my parcel is damaged
south|send me the invoice please
south|where is order four seven
south|call me back on monday
south|i would like a refund for order one two
south|please cancel my subscription
south|i need a new password
south|thank you that is all
south|where is my refund
south|send me the invoice please
south|the printer is not working
east|cancel order three seven please
east|send me the invoice please
east|thank you that is all
east|please refund order seven zero
east|where is order six nine
east|my account is locked
east|call me back on monday
east|cancel order six one please
east|thank you that is all
east|i need a new password
east|the printer is not working
east|please cancel my subscription
east|my parcel is damaged
west|please cancel my subscription
west|where is my refund
west|call me back on monday
west|where is my refund
west|where is order four three
west|i want a refund please
west|my parcel is damaged
west|i would like a refund for order three seven
west|my account is locked
west|please refund order six seven
west|the printer is not working
west|the refund is late again
west|i would like a refund for order seven six
west|i need a new password
west|i want a refund please
west|the refund is late again
"""
_TEST = """
north|i would like a refund for order four eight
north|where is my refund
north|the refund is late again
north|cancel order seven eight please
north|please refund order three eight
south|my account is locked
south|i want a refund please
south|my parcel is damaged
south|where is order seven seven
south|please cancel my subscription
south|call me back on monday
east|the printer is not working
east|send me the invoice please
east|i need a new password
east|thank you that is all
west|where is my refund
west|please refund order three one
west|my parcel is damaged
west|cancel order four three please
west|i would like a refund for order six five
"""
_SPEAKERS = ("festival-ked", "espeak-adam", "espeak-Annie", "flite-slt", "espeak-f4")


def main() -> None:
    """Make both tables and their clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    _make_table(folder, "train", _TRAIN, seed=1)
    _make_table(folder, "test", _TEST, seed=2)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{len(list(folder.iterdir()))} files, {size / 1e6:.2f} MB")


def _make_table(folder: Path, name: str, calls: str, *, seed: int) -> None:
    rng = random.Random(seed)
    rows = [line.split("|") for line in calls.strip().splitlines()]
    by_name = {voice.name: voice for voice in voices()}
    table = []
    for index, ((region, text), speaker) in enumerate(
        zip(rows, itertools.cycle(_SPEAKERS), strict=False)
    ):
        waveform = _call(by_name[speaker], text, rng)
        file = f"{name}_{index:02}{_ending(name, index)}"
        _write(folder / file, waveform, stereo=index == 4)
        table.append((file, text, region, speaker))
    with (folder / f"calls_{name}.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("audio_path", "text", "region", "voice"))
        writer.writerows(table)


def _ending(name: str, index: int) -> str:
    """Mix the formats: mostly FLAC, some 8 kHz WAV, and one MP3 in each table."""
    if index == 2:
        return ".mp3"
    return ".wav" if index % 20 == 11 or (name == "test" and index == 7) else ".flac"


def _call(voice: Voice, text: str, rng: random.Random) -> NDArray[np.float32]:
    """Return the words as heard on a telephone: nothing above 3.6 kHz, and a little hiss."""
    clip = next(iter(synthesise(voice, [text], rng.randrange(2**32))))
    speech = clip.waveform.astype(np.float32) / 32768.0
    speech *= 0.2 / abs(speech).max()
    spectrum = np.fft.rfft(speech)
    spectrum[np.fft.rfftfreq(len(speech), 1 / RATE) > 3600.0] = 0.0
    narrow = np.fft.irfft(spectrum, len(speech))
    hiss = np.random.default_rng(rng.randrange(2**32)).standard_normal(len(speech))
    return (narrow + 0.0004 * hiss).astype(np.float32)


def _write(file: Path, waveform: NDArray[np.float32], *, stereo: bool) -> None:
    if file.suffix == ".wav":
        soundfile.write(file, soxr.resample(waveform, RATE, 8000), 8000, subtype="PCM_16")
    elif stereo:
        soundfile.write(file, np.stack([waveform, 0.7 * waveform], axis=1), RATE)
    else:
        soundfile.write(file, waveform, RATE)


if __name__ == "__main__":
    main()
