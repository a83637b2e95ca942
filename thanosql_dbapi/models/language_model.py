"""A small word n-gram model of a training's own texts, with its lexicon.

Smoothing: interpolated Kneser-Ney with modified discounts (Chen and Goodman, "An Empirical Study of
Smoothing Techniques for Language Modeling", 1999). Words outside the lexicon stay possible: `<unk>`
has the probability that Good and Turing give the unseen, and spells by a letter bigram over the
lexicon (Witten and Bell, 1991). The order is as high as texts that were left out are better told
by. Large models are pruned by weighted difference (Seymore and Rosenfeld, "Scalable Backoff
Language Models", 1996) and renormalised.

It is stored in the ARPA format. Texts arrive in the letters that the model writes, words parted by
white space. This module knows no audio, no labels and no search.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from ..exceptions import OperationalError

FILE: Final = "language_model.arpa"

START: Final = "<s>"
END: Final = "</s>"
UNKNOWN: Final = "<unk>"

_ORDER: Final = 3
#: At most so many words, and so many n-grams of each higher order.
_MOST_WORDS: Final = 50_000
_MOST_NGRAMS: Final = 50_000

#: A higher order must tell left-out words better by so many nats each.
_GAIN: Final = 0.01
#: Texts to choose the order by, and the fewest to ask them.
_MOST_LEFT_OUT: Final = 2_000
_FEWEST: Final = 20

#: The discount where counts of counts are too few to estimate one.
_DISCOUNT: Final = 0.5
#: What stands in ARPA files for the logarithm of nothing.
_NEVER: Final = -99.0
_LN10: Final = math.log(10)

_Ngram: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LanguageModel:
    """Words with their probabilities after other words; natural logarithms.

    `probabilities` and `backoffs` go by n-grams, their words joined by spaces; `words` is the
    lexicon in the order of its letters' code points.
    """

    order: int
    words: tuple[str, ...]
    probabilities: Mapping[str, float]
    backoffs: Mapping[str, float]
    letters: Letters

    @classmethod
    def of(cls, texts: Iterable[str]) -> LanguageModel:
        """Return the model of texts; the same for the same texts, in any order.

        Raises:
            ValueError: the texts hold no word.
        """
        sentences = sorted(words for text in texts if (words := _words(text)))
        if not sentences:
            raise ValueError("a language model needs texts, and these hold no word")
        lexicon = _lexicon(sentences)
        order = _best_order(sentences, lexicon)
        return _of_tables(_estimated(sentences, lexicon, order))

    @classmethod
    def read(cls, folder: Path) -> LanguageModel:
        """Return the model that `write` left in a folder.

        Raises:
            OperationalError: there is none, or its file is broken.
        """
        path = folder / FILE
        try:
            tables = _parsed(path.read_bytes().decode())
        except FileNotFoundError as error:
            raise OperationalError(f"{folder} holds no {FILE}: no language model") from error
        except (ValueError, IndexError) as error:
            raise OperationalError(f"{path} is no ARPA language model: {error}") from error
        return _of_tables(tables)

    def write(self, folder: Path) -> None:
        """Write the model into a folder."""
        (folder / FILE).write_bytes("".join(self._lines()).encode())

    def knows(self, word: str) -> bool:
        """Return whether a word is in the lexicon."""
        place = bisect_left(self.words, word)
        return place < len(self.words) and self.words[place] == word

    def log_prob(self, word: str, history: str) -> float:
        """Return how likely a word follows others, which `after` joined.

        A word outside the lexicon is as likely as the whole of them: `<unk>`.
        """
        total = 0.0
        while True:
            found = self.probabilities.get(f"{history} {word}" if history else word)
            if found is not None:
                return total + found
            if not history:
                return total + self.probabilities[UNKNOWN]
            total += self.backoffs.get(history, 0.0)
            history = history.partition(" ")[2]

    def after(self, history: str, word: str) -> str:
        """Return the history for the word that follows `word`: as much of it as is listed."""
        if self.order == 1:
            return ""
        kept = history.split(" ") if history else []
        kept = [*kept, word if word == START or self.knows(word) else UNKNOWN][1 - self.order :]
        while kept:
            joined = " ".join(kept)
            if joined in self.backoffs:
                return joined
            del kept[0]
        return ""

    def coverage(self, texts: Iterable[str]) -> float:
        """Return the share of the texts' words that are in the lexicon; 1 where there is none."""
        words = [word for text in texts for word in text.split()]
        return sum(map(self.knows, words)) / len(words) if words else 1.0

    def _lines(self) -> Iterator[str]:
        tables: dict[int, list[str]] = defaultdict(list)
        for ngram in sorted(self.probabilities):
            tables[ngram.count(" ") + 1].append(ngram)
        yield "\\data\\\n"
        for size in range(1, self.order + 1):
            yield f"ngram {size}={len(tables[size])}\n"
        for size in range(1, self.order + 1):
            yield f"\n\\{size}-grams:\n"
            for ngram in tables[size]:
                backoff = self.backoffs.get(ngram)
                end = "" if backoff is None else f"\t{backoff / _LN10:.6f}"
                yield f"{self.probabilities[ngram] / _LN10:.6f}\t{ngram}{end}\n"
        yield "\n\\end\\\n"


class Letters:
    """How words are spelled: a letter bigram over the words of a lexicon, each counted once."""

    #: Stands before and after a word.
    EDGE: Final = "\n"

    def __init__(self, words: Sequence[str]) -> None:
        text = self.EDGE + "".join(word + self.EDGE for word in words)
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
        letters, counts = np.unique(codes[1:], return_counts=True)
        total = int(counts.sum()) + len(letters) + 1
        self._unseen = 1 / total
        self._single = {
            chr(code): (count + 1) / total
            for code, count in zip(letters.tolist(), counts.tolist(), strict=True)
        }
        pairs, counts = np.unique((codes[:-1] << 32) + codes[1:], return_counts=True)
        self._pairs: dict[str, int] = {}
        follow: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            one, other = chr(pair >> 32), chr(pair & 0xFFFFFFFF)
            self._pairs[one + other] = count
            follow[one] += count
            kinds[one] += 1
        self._follow, self._kinds = follow, kinds

    def log_prob(self, letter: str, before: str) -> float:
        """Return how likely a letter follows another; `EDGE` stands for a word's two ends."""
        single = self._single.get(letter, self._unseen)
        follow, kinds = self._follow[before], self._kinds[before]
        if not follow:
            return math.log(single)
        return math.log((self._pairs.get(before + letter, 0) + kinds * single) / (follow + kinds))

    def spelling(self, word: str) -> float:
        """Return how likely a word of unknown spelling is this one."""
        ends = f"{self.EDGE}{word}{self.EDGE}"
        return sum(self.log_prob(letter, before) for before, letter in itertools.pairwise(ends))


@dataclass(frozen=True, slots=True)
class _Tables:
    """Logarithms by n-grams, joined by spaces."""

    order: int
    probabilities: dict[str, float]
    backoffs: dict[str, float]


def _of_tables(tables: _Tables) -> LanguageModel:
    reserved = {START, END, UNKNOWN}
    words = tuple(
        sorted(word for word in tables.probabilities if " " not in word and word not in reserved)
    )
    return LanguageModel(tables.order, words, tables.probabilities, tables.backoffs, Letters(words))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split() if word not in (START, END, UNKNOWN))


def _lexicon(sentences: Sequence[_Ngram]) -> frozenset[str]:
    counts = Counter(itertools.chain.from_iterable(sentences))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    return frozenset(ordered[:_MOST_WORDS])


def _best_order(sentences: Sequence[_Ngram], lexicon: frozenset[str]) -> int:
    """Return the order that tells a fifth of the texts best by the others.

    Texts are sorted, so each fifth is spread evenly over them.
    """
    if len(sentences) < _FEWEST:
        return 1
    left_out = sentences[::5]
    stride = max(1, len(left_out) // _MOST_LEFT_OUT)
    kept = [sentence for place, sentence in enumerate(sentences) if place % 5]
    known = lexicon & frozenset(itertools.chain.from_iterable(kept))
    best, best_gain = 1, -math.inf
    for order in range(1, _ORDER + 1):
        model = _of_tables(_estimated(kept, known, order))
        told = _told(model, left_out[::stride])
        if told > best_gain + _GAIN:
            best, best_gain = order, told
    return best


def _told(model: LanguageModel, sentences: Sequence[_Ngram]) -> float:
    """Return the mean logarithm of what the model gives each word, and each end."""
    total, count = 0.0, 0
    for sentence in sentences:
        history = model.after("", START)
        for word in (*sentence, END):
            total += model.log_prob(word, history)
            history = model.after(history, word) if word != END else ""
            count += 1
    return total / count


def _estimated(sentences: Sequence[_Ngram], lexicon: frozenset[str], order: int) -> _Tables:
    """Return the smoothed model of an order, pruned and normalised."""
    counts = _counts(sentences, lexicon, order)
    adjusted = _adjusted(counts)
    levels = [_unigrams(counts[0], adjusted[0])]
    for table in adjusted[1:]:
        levels.append(_interpolated(table, levels[-1]))
    return _normalised(_pruned(levels, counts))


def _counts(
    sentences: Sequence[_Ngram], lexicon: frozenset[str], order: int
) -> list[Counter[_Ngram]]:
    counts: list[Counter[_Ngram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        known = [word if word in lexicon else UNKNOWN for word in sentence]
        padded = [START, *known, END]
        counts[0].update(zip(padded[1:], strict=False))
        for size in range(2, order + 1):
            counts[size - 1].update(zip(*(padded[first:] for first in range(size)), strict=False))
    return counts


def _adjusted(counts: Sequence[Counter[_Ngram]]) -> list[Counter[_Ngram]]:
    """Return for each order but the highest how many words an n-gram was seen after.

    What begins a text has no word before it, and keeps its count.
    """
    adjusted = []
    for size in range(len(counts) - 1):
        table = Counter(ngram[1:] for ngram in counts[size + 1])
        for ngram, count in counts[size].items():
            if ngram[0] == START:
                table[ngram] = count
        adjusted.append(table)
    return [*adjusted, counts[-1]]


def _unigrams(counts: Counter[_Ngram], adjusted: Counter[_Ngram]) -> dict[_Ngram, float]:
    """Return the words' probabilities; `<unk>` has what words seen once suggest."""
    singles = sum(count == 1 for count in counts.values())
    seen = counts[UNKNOWN,]
    unknown = min(0.5, (singles + seen + 0.5) / (counts.total() + 1))
    total = adjusted.total() - adjusted[UNKNOWN,]
    table = {
        word: (1 - unknown) * count / total
        for word, count in adjusted.items()
        if word != (UNKNOWN,)
    }
    return table | {(UNKNOWN,): unknown}


def _interpolated(counts: Counter[_Ngram], lower: Mapping[_Ngram, float]) -> dict[_Ngram, float]:
    """Return the probabilities of the n-grams seen, interpolated with those of a word less."""
    discounts = _discounts(counts)
    totals: Counter[_Ngram] = Counter()
    freed: dict[_Ngram, float] = defaultdict(float)
    for ngram, count in counts.items():
        totals[ngram[:-1]] += count
        freed[ngram[:-1]] += discounts[min(count, 3)]
    return {
        ngram: (count - discounts[min(count, 3)] + freed[ngram[:-1]] * lower[ngram[1:]])
        / totals[ngram[:-1]]
        for ngram, count in counts.items()
    }


def _discounts(counts: Counter[_Ngram]) -> tuple[float, float, float, float]:
    """Return what is taken off counts of 0, 1, 2, and more."""
    of = Counter(min(count, 5) for count in counts.values())
    if not all(of[count] for count in (1, 2, 3, 4)):
        return (0.0, *(_DISCOUNT,) * 3)
    share = of[1] / (of[1] + 2 * of[2])
    wanted = [size - (size + 1) * share * of[size + 1] / of[size] for size in (1, 2, 3)]
    one, two, more = (
        each if 0 < each < size else _DISCOUNT for size, each in zip((1, 2, 3), wanted, strict=True)
    )
    return 0.0, one, two, more


def _pruned(
    levels: Sequence[dict[_Ngram, float]], counts: Sequence[Counter[_Ngram]]
) -> list[dict[_Ngram, float]]:
    """Leave out the n-grams that say least beyond what a word less says."""
    kept = [dict(level) for level in levels]
    for size in range(len(levels), 1, -1):
        level, lower = kept[size - 1], levels[size - 2]
        excess = len(level) - _MOST_NGRAMS
        if excess <= 0:
            continue
        needed = {ngram[:-1] for ngram in kept[size]} if size < len(levels) else set()
        seen = counts[size - 1]
        spare = [ngram for ngram in level if ngram not in needed]
        spare.sort(
            key=lambda ngram: (seen[ngram] * math.log(level[ngram] / lower[ngram[1:]]), ngram)
        )
        for ngram in spare[:excess]:
            del level[ngram]
    return kept


def _normalised(levels: Sequence[Mapping[_Ngram, float]]) -> _Tables:
    """Give each history the backoff by which all words that may follow sum to one."""
    probabilities = {" ".join(ngram): math.log(p) for level in levels for ngram, p in level.items()}
    probabilities[START] = _NEVER * _LN10
    backoffs: dict[str, float] = {}
    for size in range(1, len(levels)):
        left: dict[_Ngram, float] = defaultdict(lambda: 1.0)
        below: dict[_Ngram, float] = defaultdict(lambda: 1.0)
        for ngram, p in levels[size].items():
            left[ngram[:-1]] -= p
            below[ngram[:-1]] -= _listed(ngram[1:], probabilities, backoffs)
        for history, rest in left.items():
            # Where all that a word less allows was seen, nothing is left over but rounding.
            share = max(rest, 1e-9) / max(below[history], 1e-9)
            backoffs[" ".join(history)] = math.log(min(share, 1.0))
    return _Tables(len(levels), probabilities, backoffs)


def _listed(
    ngram: _Ngram, probabilities: Mapping[str, float], backoffs: Mapping[str, float]
) -> float:
    """Return an n-gram's probability, through backoffs where pruning left it out."""
    total = 0.0
    while (found := probabilities.get(" ".join(ngram))) is None:
        total += backoffs.get(" ".join(ngram[:-1]), 0.0)
        ngram = ngram[1:]
    return math.exp(total + found)


def _parsed(text: str) -> _Tables:
    """Read an ARPA file: logarithms to the base of ten, fields parted by tabs."""
    order = 0
    probabilities: dict[str, float] = {}
    backoffs: dict[str, float] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if line.endswith("-grams:") and line.startswith("\\"):
            break
        order += line.startswith("ngram ")
    for line in lines:
        fields = line.split("\t")
        if len(fields) >= 2:
            probabilities[fields[1]] = float(fields[0]) * _LN10
            if len(fields) == 3:
                backoffs[fields[1]] = float(fields[2]) * _LN10
        elif line == "\\end\\":
            break
        elif line and not line.endswith("-grams:"):
            raise ValueError(f"the line {line!r} is no n-gram")
    else:
        raise ValueError("it does not end")
    if not all(map(math.isfinite, itertools.chain(probabilities.values(), backoffs.values()))):
        raise ValueError("it has what is no number")
    if not order or UNKNOWN not in probabilities or END not in probabilities:
        raise ValueError(f"it lacks {UNKNOWN} or {END}")
    return _Tables(order, probabilities, backoffs)
