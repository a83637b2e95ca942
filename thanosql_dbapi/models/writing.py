"""What a Whisper model wrote of a file's windows, as a prediction: its text, chunks and words.

Scores. A token's probability is what the decoder gives it among the tokens that it may write. A
score is the geometric mean of the probabilities of the tokens in question, without those of time:
a word's, a chunk's, a file's. A file without text has that of all its tokens, the end's too.

It knows the tokenizer, and no model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from transformers import WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import (
    LANGUAGES,
    _combine_tokens_into_words,
)

from .base import Prediction, Timed
from .precision import require_numbers
from .windows import Window


@dataclass(slots=True)
class Opening:
    """The first sounding window of a file: the language of all of the file is heard in it."""

    features: NDArray[np.float32]
    language: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Spoken(Window):
    """A window of speech; its `features` are log-mel of (bins, frames), always 30 s of them.

    `frames` of them are the file's own.
    """

    frames: int
    opening: Opening


@dataclass(frozen=True, slots=True)
class Said:
    """A stretch of what a model wrote: its text tokens, in seconds from the window's start.

    `log_probs` are by token. `times` are the start of the first token and the ends of all; None
    where they were not asked for.
    """

    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]
    start_s: float
    end_s: float
    times: tuple[float, ...] | None


@dataclass(slots=True)
class Written:
    """What a model wrote of one window; `emitted` are the log-probabilities of all tokens."""

    said: list[Said] = field(default_factory=list)
    emitted: list[float] = field(default_factory=list)


class Writer:
    """Writes predictions with a tokenizer, of windows cut at a sampling rate in hertz."""

    def __init__(self, tokenizer: WhisperTokenizer, sampling_rate: int) -> None:
        self._tokenizer = tokenizer
        self._sampling_rate = sampling_rate

    def prediction(
        self, pieces: Sequence[tuple[Window, Written]], seconds: float, language: str | None
    ) -> Prediction:
        """Return what a file of so many seconds says, of which these are the windows, in order.

        Where its tokens are timed, `language` is the code of what the text is written in; else
        there are no words.

        Raises:
            MediaError: a probability is no number.
        """
        emitted = [p for _, written in pieces for p in written.emitted]
        require_numbers(emitted)
        chunks: list[Timed] = []
        words: list[Timed] = []
        for window, written in pieces:
            start_s = window.first / self._sampling_rate
            end_s = min(start_s + window.samples / self._sampling_rate, seconds)
            for said in written.said:
                chunks += self._chunk(said, start_s, end_s)
                if language is not None:
                    words += self._words(said, language, start_s, end_s)
        texts = [[token for said in each.said for token in said.tokens] for _, each in pieces]
        said_log_probs = [p for _, each in pieces for said in each.said for p in said.log_probs]
        return Prediction(
            "".join(map(self._text, texts)).strip(),
            _mean_probability(said_log_probs or emitted),
            seconds,
            None if language is None else tuple(words),
            tuple(chunks),
        )

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def _chunk(self, said: Said, start_s: float, end_s: float) -> list[Timed]:
        """Return a stretch of a window from `start_s` to `end_s` as a chunk, if it has any text."""
        text = self._text(said.tokens).strip()
        start = min(_rounded(start_s + said.start_s), end_s)
        end = min(max(_rounded(start_s + said.end_s), start), end_s)
        return [Timed(text, start, end, _mean_probability(said.log_probs))] if text else []

    def _words(self, said: Said, language: str, start_s: float, end_s: float) -> list[Timed]:
        """Return the words of a stretch whose tokens are timed, with their punctuation."""
        assert said.times is not None
        name = LANGUAGES.get(language, "english")
        texts, _, places = _combine_tokens_into_words(self._tokenizer, list(said.tokens), name)
        return [
            Timed(
                text.strip(),
                min(_rounded(start_s + said.times[at[0]]), end_s),
                min(_rounded(start_s + said.times[at[-1] + 1]), end_s),
                _mean_probability([said.log_probs[i] for i in at]),
            )
            for text, at in zip(texts, places, strict=True)
            if text.strip()
        ]


def _rounded(seconds: float) -> float:
    """Return seconds to a tenth of a millisecond."""
    return round(seconds, 4)


def _mean_probability(log_probs: Sequence[float]) -> float:
    """Return the geometric mean of probabilities, from 0 to 1."""
    return math.exp(min(sum(log_probs) / len(log_probs), 0.0))
