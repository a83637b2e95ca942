"""What a model in memory says of held-out rows, and which decoder they speak for.

Word error rates are EVALUATE's own. It writes no file, and knows no SQL.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from .alignment import Alphabet, text_of
from .beam import BeamDecoder
from .decoder_choice import DecoderChoice, read_decoder
from .frames import frames_of
from .language_model import UNKNOWN, LanguageModel
from .logits import logits_of, pad
from .metrics import error_rates
from .speech import likeliest, normalised
from .windows import Candidates

if TYPE_CHECKING:
    from transformers import Wav2Vec2ForCTC

__all__ = [
    "DecoderChoice",
    "choose_decoder",
    "emissions",
    "greedy_texts",
    "read_decoder",
    "wer",
    "wer_of",
]

#: Seconds of padded audio in a pass, on a CPU and elsewhere; and the samples a width grows by, as
#: a new shape costs the CPU's library more than padding does.
_BATCH_S: Final = {True: 20.0, False: 240.0}
_STEP: Final = 1.12
_SHORTEST: Final = 8_000

#: The beam's weights, and what is tried in their place, one after the other.
_DEFAULT: Final = DecoderChoice("beam")
_TRIED: Final = (
    ("lm_weight", (0.25, 0.75, 1.0, 1.5)),
    ("temperature", (1.0, 3.0)),
    ("unknown_penalty", (0.0, 8.0)),
    ("word_bonus", (0.0, 2.0)),
)
#: Fewer word errors that other weights spare are chance.
_SPARED: Final = 3

#: Labels to search are at most so many, those less likely than that left out: some seconds of work
#: for each weight. A frame of a model that is sure has one, and a frame of a bad one a dozen.
_MOST_LABELS: Final = 40_000
_LIKELY: Final = math.log(1e-3)

#: A language is closed whose next word is new in so few of the cases.
_CLOSED: Final = 0.01

#: Noise is as strong as makes so many of the words wrong; it is alike over so many frames, and
#: what is less likely than the floor may come up by it.
_STRENGTHS: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
_WRONG: Final = 0.3
_ALIKE: Final = 5
_FLOOR: Final = -12.0


def emissions(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[NDArray[np.float32]],
    *,
    normalise: bool,
    sampling_rate: int = 16000,
    check: Callable[[], None] | None = None,
) -> list[Candidates]:
    """Return what a model hears in waveforms: each frame's likeliest labels.

    The waveforms are mono, at the model's rate in hertz; each is heard as if alone. One too short
    for a frame has none. `check` is called between passes, to raise when the run was stopped. The
    model is left in the mode it was in.
    """
    found: list[Candidates | None] = [None] * len(waveforms)
    for indexes, logits, counts in _passes(model, waveforms, normalise, sampling_rate, check):
        labels, log_probs = likeliest(logits)
        for index, count, *row in zip(indexes, counts, labels, log_probs, strict=True):
            found[index] = Candidates(*(np.ascontiguousarray(each[:count]) for each in row))
    nothing = Candidates(np.empty((0, 1), np.int32), np.empty((0, 1), np.float32))
    return [each or nothing for each in found]


def greedy_texts(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[NDArray[np.float32]],
    alphabet: Alphabet,
    *,
    normalise: bool,
    sampling_rate: int = 16000,
    check: Callable[[], None] | None = None,
) -> list[str]:
    """Return what a model's greedy paths say of waveforms; see `emissions`."""
    texts = [""] * len(waveforms)
    for indexes, logits, counts in _passes(model, waveforms, normalise, sampling_rate, check):
        for index, count, ids in zip(
            indexes, counts, logits.argmax(dim=-1).cpu().numpy(), strict=True
        ):
            texts[index] = text_of(ids[:count], alphabet)
    return texts


def wer(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[NDArray[np.float32]],
    references: Sequence[str],
    alphabet: Alphabet,
    *,
    normalise: bool,
    sampling_rate: int = 16000,
    check: Callable[[], None] | None = None,
) -> float:
    """Return the word error rate of a model's greedy paths, as EVALUATE counts it.

    Raises:
        ValueError: there are no references.
    """
    heard = greedy_texts(
        model,
        waveforms,
        alphabet,
        normalise=normalise,
        sampling_rate=sampling_rate,
        check=check,
    )
    return wer_of(references, heard)


def wer_of(references: Sequence[str], heard: Sequence[str]) -> float:
    """Return the word error rate of texts, as EVALUATE counts it.

    Raises:
        ValueError: there are no references.
    """
    rate = error_rates(references, heard)["wer"]
    if rate is None:
        raise ValueError("there is no held-out row to score")
    return rate


def _passes(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[NDArray[np.float32]],
    normalise: bool,
    sampling_rate: int,
    check: Callable[[], None] | None,
) -> Iterator[tuple[list[int], torch.Tensor, list[int]]]:
    """Yield rows' indexes, their logits, (rows, frames, labels), and how many frames count."""
    most = int(_BATCH_S[model.device.type == "cpu"] * sampling_rate)
    for indexes, width in _batches(model, waveforms, most):
        if check is not None:
            check()
        rows = [waveforms[index] for index in indexes]
        counts = [frames_of(model, len(row)) for row in rows]
        if normalise:
            rows = [normalised(row) for row in rows]
        with _evaluating(model):
            logits = logits_of(model, pad(rows, width), [len(row) for row in rows]).float()
        yield indexes, logits, counts


def _batches(
    model: Wav2Vec2ForCTC, waveforms: Sequence[NDArray[np.float32]], most: int
) -> Iterator[tuple[list[int], int]]:
    """Yield the rows of each pass, of similar lengths, and the samples they are padded to."""
    lengths = [len(waveform) for waveform in waveforms]
    heard = [index for index, length in enumerate(lengths) if frames_of(model, length) > 0]
    for width, group in itertools.groupby(
        sorted(heard, key=lambda index: (lengths[index], index)),
        key=lambda index: _width(lengths[index]),
    ):
        rows = list(group)
        size = max(1, most // width)
        for first in range(0, len(rows), size):
            yield rows[first : first + size], width


def _width(samples: int) -> int:
    steps = max(0, math.ceil(math.log(samples / _SHORTEST, _STEP) - 1e-9))
    return math.ceil(_SHORTEST * _STEP**steps)


@contextmanager
def _evaluating(model: Wav2Vec2ForCTC) -> Iterator[None]:
    """Leave dropout and layer drop out, and no gradient behind; then as it was."""
    training = model.training
    model.train(False)
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


@dataclass(frozen=True, slots=True)
class _Tried:
    """A decoder's weights with the word error rates that they came to."""

    choice: DecoderChoice
    wer: float
    shaken: float


def choose_decoder(
    heard: Sequence[Candidates],
    references: Sequence[str],
    language_model: LanguageModel,
    alphabet: Alphabet,
    *,
    check: Callable[[], None] | None = None,
) -> DecoderChoice:
    """Return the decoder that held-out rows speak for, with the beam's weights.

    `heard` are the rows' `emissions` and `references` what was said; `language_model` must come of
    other texts. A model that is nearly right on them leaves little to tell decoders by, so each is
    also tried on a copy that is shaken until the greedy path errs in a third of the words: a
    stand-in for voices that the model hears less well. The beam's weights are the defaults, but for
    those that spare some errors on both when they are altered. The beam is chosen where it errs
    less on the rows, or, where both err the same, on the shaken copy.

    Without held-out rows the beam is chosen where the training's own words show a closed language:
    less than one word in a hundred is to be expected outside the lexicon.
    """
    if not heard:
        return _unmeasured(language_model)
    rows = _spread(heard)
    heard, references = [heard[row] for row in rows], [references[row] for row in rows]
    shaken = _shaken(heard, references, alphabet)
    greedy = [wer_of(references, _greedy(each, alphabet)) for each in (heard, shaken)]

    def tried(choice: DecoderChoice) -> _Tried:
        decoder = BeamDecoder(alphabet, language_model, choice)
        rates = [
            wer_of(references, list(_searched(decoder, each, check))) for each in (heard, shaken)
        ]
        return _Tried(choice, *rates)

    best = _best(tried, sum(len(text.split()) for text in references))
    return replace(
        best.choice,
        decoder="beam" if (best.wer, best.shaken) < (greedy[0], greedy[1]) else "greedy",
        wer_greedy=round(greedy[0], 6),
        wer_beam=round(best.wer, 6),
        coverage=round(_coverage(references, language_model), 6),
        evidence=(
            f"WER on {len(heard)} held-out rows: greedy {greedy[0]:.2%}, beam {best.wer:.2%};"
            f" on a shaken copy of them: greedy {greedy[1]:.2%}, beam {best.shaken:.2%}"
        ),
    )


def _searched(
    decoder: BeamDecoder, heard: Sequence[Candidates], check: Callable[[], None] | None
) -> Iterator[str]:
    for row in heard:
        if check is not None:
            check()
        yield decoder.text(row)


def _best(tried: Callable[[DecoderChoice], _Tried], words: int) -> _Tried:
    """Return the weights with the least errors: each is altered in turn where that spares some."""
    best = tried(_DEFAULT)
    for name, values in _TRIED:
        found = [tried(_altered(best.choice, name, value)) for value in values]
        least = min(found, key=_rate)
        if round((_rate(best) - _rate(least)) * words) >= _SPARED:
            best = least
    return best


def _altered(choice: DecoderChoice, name: str, value: float) -> DecoderChoice:
    changes: dict[str, Any] = {name: value}
    return replace(choice, **changes)


def _rate(tried: _Tried) -> float:
    return tried.wer + tried.shaken


def _unmeasured(language_model: LanguageModel) -> DecoderChoice:
    unknown = math.exp(language_model.probabilities[UNKNOWN])
    return replace(
        _DEFAULT,
        decoder="beam" if unknown < _CLOSED else "greedy",
        evidence=(
            "there were no held-out rows; of the words to come"
            f" {unknown:.2%} are to be expected outside the lexicon"
        ),
    )


def _spread(heard: Sequence[Candidates]) -> list[int]:
    """Return the rows to search: all, or so many, evenly spread, as have `_MOST_LABELS`."""
    labels = sum(int(np.count_nonzero(row.log_probs > _LIKELY)) for row in heard)
    stride = max(1, math.ceil(labels / _MOST_LABELS))
    return list(range(0, len(heard), stride))


def _greedy(heard: Sequence[Candidates], alphabet: Alphabet) -> list[str]:
    return [text_of(row.labels[:, 0], alphabet) for row in heard]


def _coverage(references: Sequence[str], language_model: LanguageModel) -> float:
    """Return the share of the words said that are in the lexicon, whatever their case."""
    lexicon = {word.casefold() for word in language_model.words}
    words = [word for text in references for word in text.casefold().split()]
    return sum(word in lexicon for word in words) / len(words)


def _shaken(
    heard: Sequence[Candidates], references: Sequence[str], alphabet: Alphabet
) -> list[Candidates]:
    """Return the rows with noise on their logits, as much as makes a third of the words wrong."""
    shaken = list(heard)
    for strength in _STRENGTHS:
        shaken = [_shake(row, strength, seed) for seed, row in enumerate(heard)]
        if wer_of(references, _greedy(shaken, alphabet)) >= _WRONG:
            break
    return shaken


def _shake(heard: Candidates, strength: float, seed: int) -> Candidates:
    """Add to each label's logits noise that is alike over `_ALIKE` frames."""
    frames = len(heard.labels)
    labels = int(heard.labels.max(initial=0)) + 1
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((frames + _ALIKE - 1, labels)).cumsum(axis=0)
    drawn = np.concatenate((np.zeros((1, labels)), drawn))
    noise = (drawn[_ALIKE:] - drawn[:-_ALIKE]) / math.sqrt(_ALIKE)
    logits = np.maximum(heard.log_probs, _FLOOR) + strength * np.take_along_axis(
        noise, heard.labels.astype(np.int64), axis=1
    )
    order = np.argsort(-logits, axis=1, kind="stable")
    logits = np.take_along_axis(logits, order, axis=1)
    told = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return Candidates(np.take_along_axis(heard.labels, order, axis=1), told.astype(np.float32))
