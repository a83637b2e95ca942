"""Searching the likeliest text of a CTC model's frames with a language model beside it.

Prefix beam search (Graves et al., 2006; Hannun et al., "First-Pass Large Vocabulary Continuous
Speech Recognition using Bi-Directional Recurrent DNNs", 2014): each prefix of a text keeps the
probability of all its paths, those that end in a blank apart from those that end in its last
letter. Inside a word a prefix is weighed by the likeliest word that it may become (look-ahead:
Steinbiss et al., "Improvements in Beam Search", 1994), or by what a word outside the lexicon
costs; at its end by the language model. What is found is laid over the frames by the Viterbi
alignment of its letters.

The model's log-probabilities are divided by a temperature first: networks trained with CTC are
surer than they should be (Guo et al., "On Calibration of Modern Neural Networks", 2017), and of
voices they do not know most of all. A frame's labels below `_LEAST` are then not looked at. Where
one label is left in a run of frames, the run is one step, and where that holds for a whole file
its greedy path is all that the search could find: it is taken without a search. Frames are
prepared as arrays; the search itself keeps masses in plain floats, not logarithms, because the
beams of speech hold a handful of prefixes, and a step over them costs less than one array's
operation.

It knows labels and letters; no torch and no audio.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..exceptions import NotSupportedError
from .alignment import Alphabet, collapsed
from .decoder_choice import DecoderChoice, read_decoder
from .forced_alignment import align
from .language_model import END, START, UNKNOWN, LanguageModel, Letters
from .language_model import FILE as LANGUAGE_MODEL
from .windows import Candidates

#: So many labels of a frame are kept, at most.
CANDIDATES: Final = 8

#: Labels of a frame less likely than that are not followed.
_LEAST: Final = 1e-2
#: Prefixes less likely than that against the best are dropped.
_BEHIND: Final = 1e-4
#: After so many frames without a decision the best prefix is believed, at the next sure blank.
_UNDECIDED: Final = 1_500
#: After so many it is believed wherever it is: a model that is never sure would be searched, and
#: aligned, in time and memory that grow with the square of the file's length.
_LONGEST: Final = 2_000
#: A word with so many letters is none: a new one is begun at the next decision.
_LONGEST_WORD: Final = 1_000
#: Words weigh no more than this against their beginnings, in nats: the rest is no float any more.
_MOST_GAINED: Final = 300.0
#: Searches with other weights that are kept ready.
_MOST_DECODERS: Final = 4
#: States of words that are remembered: about 100 MB at most.
_MOST_STATES: Final = 200_000


class Beams:
    """The beam searches of a version's folder: its language model is read when one is asked for.

    It may be used from several threads at once.
    """

    def __init__(self, folder: Path, alphabet: Alphabet) -> None:
        self._folder = folder
        self._alphabet = alphabet
        self._chosen = read_decoder(folder)
        self._lock = threading.Lock()
        self._model: LanguageModel | None = None
        self._decoders: dict[DecoderChoice, BeamDecoder] = {}

    def choice(self, options: Mapping[str, Any]) -> DecoderChoice | None:
        """Return the beam search that options come to; None is the greedy path.

        Raises:
            NotSupportedError: a beam search is asked for, and the version has no language model.
        """
        asked = options.get("decoder", "auto")
        if asked == "auto":
            asked = self._chosen.decoder if self._chosen else "greedy"
        if asked == "greedy":
            return None
        if not (self._folder / LANGUAGE_MODEL).is_file():
            raise NotSupportedError(
                "decoder='beam' needs a language model, and this model has none: BUILD makes one"
                " of its own texts; 'greedy' needs none"
            )
        chosen = self._chosen or DecoderChoice("beam")
        weight = options.get("lm_weight", "auto")
        return replace(
            chosen,
            decoder="beam",
            beam_width=options.get("beam_width") or chosen.beam_width,
            lm_weight=chosen.lm_weight if weight == "auto" else weight,
        )

    def decoder(self, choice: DecoderChoice) -> BeamDecoder:
        """Return the search of a choice, made once.

        Raises:
            OperationalError: the language model is broken.
        """
        with self._lock:
            if choice not in self._decoders:
                if self._model is None:
                    self._model = LanguageModel.read(self._folder)
                if len(self._decoders) >= _MOST_DECODERS:
                    self._decoders.clear()
                self._decoders[choice] = BeamDecoder(self._alphabet, self._model, choice)
            return self._decoders[choice]


class BeamDecoder:
    """A beam search with a language model, for the labels of an alphabet.

    It may be used from several threads at once.
    """

    def __init__(
        self, alphabet: Alphabet, language_model: LanguageModel, choice: DecoderChoice
    ) -> None:
        self._alphabet = alphabet
        self._width = choice.beam_width
        self._temperature = choice.temperature
        self._words = _Words(alphabet, language_model, choice)

    def path(self, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the labels that the frames have in the best text, with their log-probabilities.

        Both are (frames,), as `alignment.transcript` takes them.
        """
        labels = self._alphabet.same_as[candidates.labels]
        ids, log_probs = labels[:, 0].copy(), candidates.log_probs[:, 0].copy()
        for part in self._parts(labels, candidates.log_probs):
            frames = slice(part.start, part.end)
            # Where both write the same, the greedy path is the likeliest of that text.
            if part.labels != collapsed(ids[frames], self._alphabet):
                ids[frames], log_probs[frames] = align(
                    labels[frames], candidates.log_probs[frames], part.labels, self._alphabet.blank
                )
        return ids, log_probs

    def text(self, candidates: Candidates) -> str:
        """Return the best text, in the case of the model's answers."""
        labels = self._alphabet.same_as[candidates.labels]
        written: list[int] = []
        for part in self._parts(labels, candidates.log_probs):
            written += part.labels
        return self._alphabet.text("".join(self._alphabet.pieces[label] for label in written))

    def _parts(self, labels: NDArray[np.int64], log_probs: NDArray[np.float32]) -> list[_Part]:
        blank = self._alphabet.blank
        if self._temperature != 1:
            log_probs = log_probs / self._temperature
            log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
        followed = log_probs >= math.log(_LEAST)
        if not followed[:, 1:].any():
            written = collapsed(labels[:, 0], self._alphabet)
            return [_Part(0, len(labels), self._single_spaced(written))]
        steps = _steps(labels, log_probs, followed, blank)
        return _Search(self._words, self._width).parts(steps, len(labels))

    def _single_spaced(self, written: Sequence[int]) -> list[int]:
        """Leave one space between words, and none around them, as the search does."""
        spaces = self._alphabet.spaces
        kept: list[int] = []
        for label in written:
            if not spaces[label] or (kept and not spaces[kept[-1]]):
                kept.append(label)
        return kept[:-1] if kept and spaces[kept[-1]] else kept


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of frames, its end exclusive, and what is written in it."""

    start: int
    end: int
    labels: list[int]


class _Step(NamedTuple):
    """A frame to search, or a run of them that says one thing.

    `blank` is the blank's probability, 0 where it is not followed; `letters` are the other labels
    with theirs.
    """

    frame: int
    blank: float
    letters: list[tuple[int, float]]


def _steps(
    labels: NDArray[np.int64],
    log_probs: NDArray[np.float32],
    followed: NDArray[np.bool_],
    blank: int,
) -> Iterator[_Step]:
    """Yield the frames with the labels to follow; a sure label's run is one step.

    Its later frames would multiply all prefixes by the same.
    """
    counts = np.maximum(followed.sum(axis=1), 1)
    alone = counts == 1
    again = alone[1:] & alone[:-1] & (labels[1:, 0] == labels[:-1, 0])
    frames = np.flatnonzero(~np.concatenate(([False], again)))
    probabilities = np.exp(log_probs[frames].astype(np.float64))
    columns = (each.tolist() for each in (frames, counts[frames], labels[frames], probabilities))
    for frame, count, row, known in zip(*columns, strict=True):
        silence = 0.0
        letters = []
        for label, probability in zip(row[:count], known, strict=False):
            if label == blank:
                silence += probability
            else:
                letters.append((label, probability))
        yield _Step(frame, silence, letters)


class _State:
    """Where a prefix is in its words: what was said before, and the letters of the word so far.

    `pending` is what the word so far is weighed by; `spelling` how likely its letters are.
    """

    __slots__ = ("history", "next", "pending", "spelling", "word")

    def __init__(self, history: str, word: str, spelling: float, pending: float) -> None:
        self.history = history
        self.word = word
        self.spelling = spelling
        self.pending = pending
        self.next: dict[int, tuple[_State, float]] = {}


class _Words:
    """The states of words, made as they are met; what weighs one depends on nothing else."""

    def __init__(self, alphabet: Alphabet, model: LanguageModel, choice: DecoderChoice) -> None:
        self._pieces = alphabet.pieces
        self._spaces = alphabet.spaces.tolist()
        self._model = model
        self._choice = choice
        self._unigrams = np.array([model.probabilities[word] for word in model.words])
        self._start = model.after("", START)
        self._states: dict[tuple[str, str], _State] = {}
        self._ahead: dict[str, float] = {}

    def first(self) -> _State:
        """Return the state before the first letter."""
        self._forget()
        return self._state(self._start, "", 0.0)

    def decided(self, state: _State) -> _State:
        """Return the state to go on from where all before is decided."""
        self._forget()
        return state if len(state.word) < _LONGEST_WORD else self.first()

    def _forget(self) -> None:
        if len(self._states) > _MOST_STATES:
            # States that are in use stay whole: they are only no longer found.
            self._states, self._ahead = {}, {}

    def follow(self, state: _State, label: int) -> tuple[_State, float]:
        """Return the state after a label, and by what the prefix is multiplied."""
        if not self._spaces[label]:
            return self._spell(state, self._pieces[label])
        if not state.word:
            return state, 1.0
        following = self._state(self._model.after(state.history, state.word), "", 0.0)
        return following, _factor(self._finished(state) - state.pending)

    def ended(self, state: _State) -> float:
        """Return by what a prefix in this state is multiplied when the text ends."""
        history, gained = state.history, 0.0
        if state.word:
            gained = self._finished(state) - state.pending
            history = self._model.after(history, state.word)
        return _factor(gained + self._choice.lm_weight * self._model.log_prob(END, history))

    def _spell(self, state: _State, piece: str) -> tuple[_State, float]:
        before = state.word[-1:] or Letters.EDGE
        spelling = state.spelling
        for letter in piece:
            spelling += self._model.letters.log_prob(letter, before)
            before = letter
        following = self._state(state.history, state.word + piece, spelling)
        return following, _factor(following.pending - state.pending)

    def _state(self, history: str, word: str, spelling: float) -> _State:
        state = self._states.get((history, word))
        if state is None:
            pending = self._pending(word, spelling) if word else 0.0
            state = self._states[history, word] = _State(history, word, spelling, pending)
        return state

    def _pending(self, word: str, spelling: float) -> float:
        """Return what the best word that begins so is weighed by, without regard to its place."""
        known = self._ahead.get(word)
        if known is None:
            unknown = self._unknown(self._model.probabilities[UNKNOWN] + spelling)
            low = bisect_left(self._model.words, word)
            high = bisect_left(self._model.words, word + "\U0010ffff", low)
            if low < high:
                likeliest = float(self._unigrams[low:high].max())
                unknown = max(unknown, self._known(likeliest))
            known = self._ahead[word] = unknown
        return known

    def _finished(self, state: _State) -> float:
        """Return what a whole word is weighed by after its history."""
        if self._model.knows(state.word):
            return self._known(self._model.log_prob(state.word, state.history))
        end = self._model.letters.log_prob(Letters.EDGE, state.word[-1])
        told = self._model.log_prob(UNKNOWN, state.history)
        return self._unknown(told + state.spelling + end)

    def _known(self, log_prob: float) -> float:
        return self._choice.lm_weight * log_prob + self._choice.word_bonus

    def _unknown(self, log_prob: float) -> float:
        return self._known(log_prob) - self._choice.unknown_penalty


def _factor(gained: float) -> float:
    return math.exp(min(gained, _MOST_GAINED))


class _Prefix:
    """A beginning of the text: `blank` and `letter` are the masses of its paths, by their ends.

    `mass` is their sum. `fresh` is the step that the masses to come belong to, and `factor` what
    the words weigh it by against its parent.
    """

    __slots__ = (
        "blank",
        "children",
        "factor",
        "fresh",
        "label",
        "letter",
        "mass",
        "next_blank",
        "next_letter",
        "parent",
        "state",
    )

    def __init__(self, parent: _Prefix | None, label: int, state: _State, factor: float) -> None:
        self.parent = parent
        self.label = label
        self.state = state
        self.factor = factor
        self.children: dict[int, _Prefix] = {}
        self.blank = self.letter = self.mass = self.next_blank = self.next_letter = 0.0
        self.fresh = -1

    def labels(self) -> list[int]:
        """Return the labels from the last decision on."""
        found: list[int] = []
        prefix = self
        while prefix.parent is not None:
            found.append(prefix.label)
            prefix = prefix.parent
        return found[::-1]


class _Search:
    """One file's search."""

    def __init__(self, words: _Words, width: int) -> None:
        self._words = words
        self._width = width

    def parts(self, steps: Iterator[_Step], frames: int) -> list[_Part]:
        """Return what is written, in parts that were decided one after the other."""
        parts: list[_Part] = []
        start = 0
        beam = [_root(self._words.first())]
        for step in steps:
            beam = self._advance(beam, step)
            # After a sure blank nothing before can be heard in what follows.
            if not step.letters:
                if step.frame - start > _UNDECIDED:
                    del beam[1:]
                if len(beam) == 1 and beam[0].parent is not None:
                    parts.append(_Part(start, step.frame + 1, beam[0].labels()))
                    start = step.frame + 1
                    beam = [_root(self._words.decided(beam[0].state))]
            elif step.frame - start >= _LONGEST:
                parts.append(_Part(start, step.frame + 1, beam[0].labels()))
                start = step.frame + 1
                beam = [_rest(beam[0], self._words.decided(beam[0].state))]
        if start < frames:
            parts.append(_Part(start, frames, self._best(beam).labels()))
        return parts

    def _best(self, beam: Sequence[_Prefix]) -> _Prefix:
        """Return what is likeliest when the text ends here; a space at its end says nothing."""
        totals: dict[_Prefix, float] = {}
        for prefix in beam:
            at_word = prefix if prefix.state.word or prefix.parent is None else prefix.parent
            mass = prefix.mass * self._words.ended(prefix.state)
            totals[at_word] = totals.get(at_word, 0.0) + mass
        return max(totals, key=lambda prefix: totals[prefix])

    def _advance(  # noqa: PLR0912 - calls would double what a step costs
        self, beam: Sequence[_Prefix], step: _Step
    ) -> list[_Prefix]:
        """Return the prefixes after a step, each with the mass of all its paths, the best first."""
        frame, blank, letters = step.frame, step.blank, step.letters
        reached: list[_Prefix] = []
        # What one prefix has for certain: of others, less than a part of it is not followed.
        most = 0.0
        for prefix in beam:
            mass, state, last = prefix.mass, prefix.state, prefix.label
            kept = 0.0
            for label, probability in letters:
                if label == last:
                    kept += prefix.letter * probability
                    given = prefix.blank * probability
                else:
                    given = mass * probability
                following = state.next.get(label)
                if following is None:
                    following = state.next[label] = self._words.follow(state, label)
                if following[0] is state:  # a space after a space says nothing new
                    kept += given
                    continue
                child = prefix.children.get(label)
                if child is None:
                    if given * following[1] <= most * _BEHIND:
                        continue
                    child = prefix.children[label] = _Prefix(prefix, label, *following)
                given *= child.factor
                if child.fresh == frame:
                    child.next_letter += given
                else:
                    child.fresh = frame
                    child.next_blank = 0.0
                    child.next_letter = given
                    reached.append(child)
                if given > most:  # noqa: PLR1730
                    most = given
            if prefix.fresh != frame:
                prefix.fresh = frame
                prefix.next_letter = 0.0
                reached.append(prefix)
            prefix.next_blank = mass * blank
            prefix.next_letter += kept
            if prefix.next_blank > most:  # noqa: PLR1730
                most = prefix.next_blank
        return self._kept(reached)

    def _kept(self, reached: list[_Prefix]) -> list[_Prefix]:
        best = 0.0
        for prefix in reached:
            prefix.blank, prefix.letter = prefix.next_blank, prefix.next_letter
            prefix.mass = mass = prefix.blank + prefix.letter
            if mass > best:  # noqa: PLR1730
                best = mass
        least = best * _BEHIND
        kept = [prefix for prefix in reached if prefix.mass > least]
        kept.sort(key=_mass, reverse=True)
        del kept[self._width :]
        if not 1e-100 < best < 1e100 and kept:
            for prefix in kept:
                prefix.blank /= best
                prefix.letter /= best
                prefix.mass /= best
        return kept or reached[:1]


def _mass(prefix: _Prefix) -> float:
    return prefix.mass


def _root(state: _State) -> _Prefix:
    root = _Prefix(None, -1, state, 1.0)
    root.blank = root.mass = 1.0
    return root


def _rest(decided: _Prefix, state: _State) -> _Prefix:
    """Return a root that knows the letter before it: it may sound on."""
    root = _Prefix(None, decided.label, state, 1.0)
    root.blank, root.letter, root.mass = decided.blank, decided.letter, decided.mass
    return root
