"""Rows to measure a model on: what it hears in them, letter by letter and as it is used.

It knows no SQL and no options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import Wav2Vec2ForCTC

from ..alignment import Alphabet
from ..beam import BeamDecoder
from ..decoder_choice import read_decoder
from ..held_out import emissions, greedy_texts, wer_of
from ..language_model import FILE, LanguageModel


@dataclass(frozen=True, slots=True)
class Judge:
    """Recordings with what is said in them, in a model's letters.

    `how` are the keywords of `held_out.emissions`.
    """

    waveforms: Sequence[Any]
    references: Sequence[str]
    alphabet: Alphabet
    how: dict[str, Any]

    @property
    def words(self) -> int:
        """How many words are said."""
        return sum(len(text.split()) for text in self.references)

    def heard(self, model: Wav2Vec2ForCTC) -> list[str]:
        """Return what a model's greedy paths say."""
        return greedy_texts(model, self.waveforms, self.alphabet, **self.how)

    def wer(self, model: Wav2Vec2ForCTC) -> float:
        """Return the word error rate of a model's greedy paths."""
        return wer_of(self.references, self.heard(model))

    def searched_wer(self, model: Wav2Vec2ForCTC, folder: Path) -> float | None:
        """Return the word error rate by the beam that a model's folder is used with; None without.

        A model without one is used letter by letter, which `wer` tells.
        """
        choice = read_decoder(folder)
        if choice is None or choice.decoder != "beam" or not (folder / FILE).is_file():
            return None
        decoder = BeamDecoder(self.alphabet, LanguageModel.read(folder), choice)
        rows = emissions(model, self.waveforms, **self.how)
        return wer_of(self.references, [decoder.text(row) for row in rows])
