"""From the frames of a CTC model to a transcript with a score, words and chunks in seconds.

A path takes one label a frame; its text is what is left when repeats are merged and blanks dropped
(Graves et al., "Connectionist Temporal Classification", 2006). The greedy path takes each frame's
likeliest label. No other path of any text is likelier, so none of its own text is: it already is
the Viterbi alignment of that text. Another text's alignment is `forced_alignment`'s to find.

Scores. A letter's probability is that of the label in the frame of its run where the model is
surest of it; single frames at the edge of a run, where letter and blank are near a tie, therefore
do not move it. A score is the geometric mean of the probabilities of the letters in question: a
word's over its own letters, a chunk's and a transcript's over the letters of all their words. A
transcript of no word has the geometric mean of its frames' probabilities. So a score is how sure
the model is of an average letter, not how likely the whole text is: it does not fall with length.

This module knows arrays and letters; no torch, no audio and no file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .base import Prediction, Timed
from .frames import samples_for
from .vocabulary import in_case

if TYPE_CHECKING:
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

#: A silence of so many seconds between two words parts two chunks.
PAUSE_S: Final = 0.5

#: Times are shown to a tenth of a millisecond.
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Alphabet:
    """What the labels of a CTC model write; made by `alphabet_of`.

    `pieces` are the texts by label, and `spaces` tells which of them part words. Labels that write
    the same are one label to the tokenizer: `same_as` maps each to the first of them. `blank` is
    the label that writes nothing, or -1.
    """

    pieces: tuple[str, ...]
    spaces: NDArray[np.bool_]
    same_as: NDArray[np.int64]
    blank: int
    tokenizer: Wav2Vec2CTCTokenizer
    text_case: str | None

    def text(self, written: str) -> str:
        """Return what was written as the tokenizer would, in the case of the model's answers."""
        text = self._folded(written.strip())
        if self.tokenizer.clean_up_tokenization_spaces:
            text = self.tokenizer.clean_up_tokenization(text)
        return in_case(text, self.text_case)

    def word(self, written: str) -> str:
        """Return a word in the case of the model's answers."""
        return in_case(self._folded(written), self.text_case)

    def _folded(self, written: str) -> str:
        return written.lower() if self.tokenizer.do_lower_case else written


def alphabet_of(
    tokenizer: Wav2Vec2CTCTokenizer, labels: int, text_case: str | None = None
) -> Alphabet:
    """Return what a tokenizer writes for so many labels: the last dimension of the logits.

    `text_case` is 'lower', 'upper' or None, as `vocabulary.majority_case` found it in training.
    """
    tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(list(range(labels)))]
    space = tokenizer.replace_word_delimiter_char
    pieces = [space if token == tokenizer.word_delimiter_token else token for token in tokens]
    first: dict[str, int] = {}
    for label, token in enumerate(tokens):
        first.setdefault(token, label)
    return Alphabet(
        tuple(pieces),
        np.array([piece == space for piece in pieces], dtype=np.bool_),
        np.array([first[token] for token in tokens], dtype=np.int64),
        first.get(tokenizer.pad_token, -1),
        tokenizer,
        text_case,
    )


def seconds_per_frame(model: Wav2Vec2ForCTC, sampling_rate: int) -> float:
    """Return the time from one frame of a model's logits to the next, in seconds.

    It is the product of all strides, an adapter's too, which `inputs_to_logits_ratio` leaves out.
    """
    return (samples_for(model, 2) - samples_for(model, 1)) / sampling_rate


def best_path(
    logits: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each frame's likeliest label and that label's log-probability.

    `logits` are (frames, labels), and finite.
    """
    ids = logits.argmax(axis=1)
    highest = np.take_along_axis(logits, ids[:, None], axis=1)
    rest = np.exp((logits - highest).astype(np.float32)).sum(axis=1)
    return ids, -np.log(rest)


def collapsed(ids: NDArray[np.integer[Any]], alphabet: Alphabet) -> list[int]:
    """Return what a path writes: its labels, repeats merged, and blanks dropped then."""
    labels = alphabet.same_as[ids]
    firsts = labels[np.flatnonzero(np.diff(labels, prepend=-1))]
    written: list[int] = firsts[firsts != alphabet.blank].tolist()
    return written


def text_of(ids: NDArray[np.integer[Any]], alphabet: Alphabet) -> str:
    """Return the text of a path, as `transcript` has it; none for no frames."""
    return alphabet.text("".join(alphabet.pieces[label] for label in collapsed(ids, alphabet)))


def transcript(
    ids: NDArray[np.integer[Any]],
    log_probs: NDArray[np.floating[Any]],
    alphabet: Alphabet,
    *,
    frame_s: float,
    seconds: float,
) -> Prediction:
    """Return what a path says: its text, and its words and chunks in seconds.

    `ids` and `log_probs` are (frames,), at least one, as `best_path` returns them: the logits
    themselves need not be kept. Frames are `frame_s` apart, and the audio lasts `seconds`. The
    text is the tokenizer's own, in the alphabet's case. A word starts with the first frame of its
    first letter, and ends after the last frame of its last. Joined by spaces the words are the
    text, but for runs of spaces and for what the tokenizer's cleaning removes.
    """
    letters = _letters(ids, np.minimum(log_probs, 0), alphabet)
    pieces = [alphabet.pieces[label] for label in letters.labels]
    words = _words(letters, pieces, alphabet, frame_s, seconds)
    return Prediction(
        alphabet.text("".join(pieces)),
        _score(words) if words else float(np.exp(np.minimum(log_probs, 0).mean())),
        seconds,
        tuple(word.timed for word in words),
        tuple(_chunk(group) for group in _grouped(words)),
    )


@dataclass(frozen=True, slots=True)
class _Letters:
    """The runs of a path that write something, spaces too: (letters,) each, ends exclusive."""

    labels: NDArray[np.int64]
    log_probs: NDArray[np.float64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def _letters(
    ids: NDArray[np.integer[Any]], log_probs: NDArray[np.floating[Any]], alphabet: Alphabet
) -> _Letters:
    labels = alphabet.same_as[ids]
    starts = np.concatenate(([0], np.flatnonzero(np.diff(labels)) + 1))
    ends = np.append(starts[1:], len(labels))
    surest = np.maximum.reduceat(log_probs, starts).astype(np.float64)
    written = labels[starts] != alphabet.blank
    return _Letters(labels[starts][written], surest[written], starts[written], ends[written])


@dataclass(frozen=True, slots=True)
class _Word:
    """A word, with what the score of several words is made from."""

    timed: Timed
    letters: int
    log_prob: float


def _words(
    letters: _Letters, pieces: Sequence[str], alphabet: Alphabet, frame_s: float, seconds: float
) -> list[_Word]:
    """Return the runs of letters between spaces."""
    if not pieces:
        return []
    inside = np.concatenate(([False], ~alphabet.spaces[letters.labels], [False]))
    edges = np.flatnonzero(np.diff(inside))
    starts = np.minimum(np.round(letters.starts * frame_s, _DIGITS), seconds).tolist()
    ends = np.minimum(np.round(letters.ends * frame_s, _DIGITS), seconds).tolist()
    words = []
    for first, end in edges.reshape(-1, 2).tolist():
        log_prob = float(letters.log_probs[first:end].sum())
        timed = Timed(
            alphabet.word("".join(pieces[first:end])),
            starts[first],
            ends[end - 1],
            math.exp(log_prob / (end - first)),
        )
        words.append(_Word(timed, end - first, log_prob))
    return words


def _grouped(words: Sequence[_Word]) -> Iterator[list[_Word]]:
    """Part words where a pause stands between them."""
    group: list[_Word] = []
    for word in words:
        if group and word.timed.start_s - group[-1].timed.end_s >= PAUSE_S:
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _chunk(words: Sequence[_Word]) -> Timed:
    text = " ".join(word.timed.text for word in words)
    return Timed(text, words[0].timed.start_s, words[-1].timed.end_s, _score(words))


def _score(words: Sequence[_Word]) -> float:
    return math.exp(sum(word.log_prob for word in words) / sum(word.letters for word in words))
