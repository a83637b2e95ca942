"""What a CTC model would hear of texts, and the alphabets that it would write them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import Wav2Vec2CTCTokenizer

from thanosql_dbapi.models.alignment import Alphabet, alphabet_of
from thanosql_dbapi.models.windows import Candidates

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def alphabet(folder: Path, letters: str) -> Alphabet:
    """Return an alphabet of letters; `_` is its blank, and `|` parts words."""
    folder.mkdir(exist_ok=True)
    tokens = {"_": "<pad>"}
    vocabulary = {tokens.get(letter, letter): label for label, letter in enumerate(letters)}
    path = folder / "vocab.json"
    path.write_text(json.dumps(vocabulary))
    return alphabet_of(Wav2Vec2CTCTokenizer(str(path)), len(letters))


def candidates(log_probs: NDArray[Any], most: int = 12) -> Candidates:
    """Return the likeliest labels of frames; `log_probs` are (frames, labels)."""
    order = np.argsort(-log_probs, axis=1, kind="stable")[:, :most]
    return Candidates(
        order.astype(np.int32), np.take_along_axis(log_probs, order, 1).astype(np.float32)
    )


def spoken(text: str, alphabet: Alphabet, mishears: dict[int, str] | None = None) -> Candidates:
    """Return what a model hears of a text: two frames a letter, and a blank between.

    `mishears` has letters by place that it hears rather than those that were said.
    """
    labels = {piece: label for label, piece in enumerate(alphabet.pieces)}
    rows = []
    for place, letter in enumerate(text):
        said = labels[letter]
        heard = labels[(mishears or {}).get(place, letter)]
        for _ in range(2):
            row = np.full(len(labels), 1e-6)
            row[said] += 0.3
            row[heard] += 0.6
            rows.append(row)
        rows.append(np.full(len(labels), 1e-6))
        rows[-1][alphabet.blank] += 0.9
    table = np.array(rows)
    return candidates(np.log(table / table.sum(axis=1, keepdims=True)))
