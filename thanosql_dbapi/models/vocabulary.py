"""Fitting text to the letters that a speech model can write, and its answers to the text's case.

A model whose letters are upper case learns nothing from lower-case text: every letter would
become the unknown token. So text is brought into the vocabulary's case, digits are spelled,
punctuation is dropped. Pure text: no model and no file is known here.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u00b4": "'", "`": "'"})

#: A number: with commas between its thousands, or with points.
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)*")

#: The same with what makes it an English ordinal, after the first group.
_ORDINAL = re.compile(rf"({_NUMBER.pattern})(?:(st|nd|rd|th)\b)?", re.IGNORECASE)

#: What is said as a word, beside what Unicode calls symbols and numbers.
_SAID = frozenset("%&@#\u00a7\u2030")


class UnfitText(ValueError):
    """A text that the vocabulary cannot write; the message says why."""


class NoText(UnfitText):
    """There is no text: it is NULL, or white space."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """A text in the letters of a vocabulary, and what was done to it.

    `folded` tells whether the case was changed; `spelled` are numbers with their words. `letters`
    counts the text's letters, and `dropped` holds those that the vocabulary lacks, each as often
    as it was dropped; `plain` those whose accent was. `symbols` are dropped too, although they are
    said as words: %, &, $; `punctuation` is what nobody says.
    """

    text: str
    folded: bool = False
    spelled: tuple[tuple[str, str], ...] = ()
    letters: int = 0
    dropped: str = ""
    plain: str = ""
    symbols: str = ""
    punctuation: str = ""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The letters a model writes (without its special tokens), and the language it spells in.

    `language` is a code that num2words knows, or None where digits cannot be spelled.
    """

    letters: frozenset[str]
    language: str | None

    def fit(self, text: str) -> str:
        """Return the text in the vocabulary's letters, words parted by single spaces.

        Raises:
            UnfitText: no letter of the text is in the vocabulary, or a number cannot be spelled.
        """
        return self.fitting(text).text

    def fitting(self, text: str) -> Fitting:
        """Return the text in the vocabulary's letters, with what was done to it.

        Raises:
            UnfitText: no letter of the text is in the vocabulary, or a number cannot be spelled.
        """
        plain = text if text.isascii() else unicodedata.normalize("NFC", text)
        plain = plain.translate(_APOSTROPHES)
        cased = self._in_case(plain)
        said: list[tuple[str, str]] = []
        spelled = self._spelled(cased, said)
        replacements = _replacements(self.letters)
        fitted = " ".join(spelled.translate(replacements).split())
        if not any(map(str.isalnum, fitted)):
            raise UnfitText(f"no letter of the text {_short(text)} is in the model's vocabulary")
        strange = {c for c in set(spelled) - self.letters if not c.isspace()}
        return Fitting(
            fitted,
            folded=cased != plain,
            spelled=tuple(said),
            letters=sum(map(str.isalpha, spelled)),
            **(_sorted_out(spelled, strange, replacements) if strange else {}),
        )

    def _in_case(self, text: str) -> str:
        case = _case_of(self.letters)
        if case == "lower":
            return text.lower()
        return text.upper() if case == "upper" else text

    def _spelled(self, text: str, said: list[tuple[str, str]]) -> str:
        """Return a text with its numbers in words; add each with its words to `said`."""

        def spell(found: re.Match[str]) -> str:
            words = self._spell(found)
            if words == found[0]:
                return words
            said.append((found[0], words))
            return f" {words} "

        pattern = _ORDINAL if self.language == "en" else _NUMBER
        return pattern.sub(spell, text)

    def _spell(self, number: re.Match[str]) -> str:
        digits = number[0]
        if all(c in self.letters for c in digits if c.isdigit()):
            return digits
        if self.language is None:
            raise UnfitText(
                f"the model's vocabulary has no digits and cannot spell {digits!r}:"
                " write it in words"
            )
        ordinal = number.re is _ORDINAL and number[2] is not None
        try:
            words = _in_words(number[1] if ordinal else digits, self.language, ordinal)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise UnfitText(f"cannot spell {_short(digits)}: write it in words") from error
        # The hyphens and commas between its words are not the text's.
        words = "".join(c if c in self.letters or c.isalnum() else " " for c in words)
        return " ".join(self._in_case(words).split())


def fit_all(vocabulary: Vocabulary, texts: Sequence[str | None]) -> list[Fitting | UnfitText]:
    """Fit texts; in the place of one that cannot be fitted stands why."""
    fitted: list[Fitting | UnfitText] = []
    for text in texts:
        try:
            if text is None or not text.strip():
                raise NoText("there is no text")
            fitted.append(vocabulary.fitting(text))
        except UnfitText as error:
            fitted.append(error)
    return fitted


@functools.lru_cache(maxsize=1 << 16)
def _in_words(digits: str, language: str, ordinal: bool) -> str:
    """Spell a number.

    Raises:
        ArithmeticError, TypeError, ValueError: it is no number, or too large for words.
    """
    from num2words import num2words

    plain = digits.replace(",", "")
    value = float(plain) if "." in plain else int(plain)
    return str(num2words(value, lang=language, to="ordinal" if ordinal else "cardinal"))


@functools.lru_cache(maxsize=16)
def _case_of(letters: frozenset[str]) -> str | None:
    """Return the case of a vocabulary; None where it has both, or none."""
    has_lower = any(map(str.islower, letters))
    has_upper = any(map(str.isupper, letters))
    if has_lower == has_upper:
        return None
    return "lower" if has_lower else "upper"


class _Replacements(dict[int, str]):
    """What each character becomes, by its code; found when it is first met."""

    def __init__(self, letters: frozenset[str]) -> None:
        self._letters = letters

    def __missing__(self, code: int) -> str:
        self[code] = found = self._fit(chr(code))
        return found

    def _fit(self, character: str) -> str:
        if character in self._letters:
            return character
        # Marks and invisible characters, a soft hyphen say, stand within a word.
        if character == "'" or unicodedata.category(character) in ("Mn", "Me", "Cf"):
            return ""
        if character.isalpha():
            bare = unicodedata.normalize("NFD", character)[0]
            return bare if bare in self._letters else ""
        return " "


@functools.lru_cache(maxsize=16)
def _replacements(letters: frozenset[str]) -> _Replacements:
    return _Replacements(letters)


def _sorted_out(text: str, strange: set[str], replacements: _Replacements) -> dict[str, str]:
    """Return the characters of a text that are not in the vocabulary, by what became of them."""
    kinds: dict[str, list[str]] = {}
    for character in text:
        if character in strange:
            kinds.setdefault(_kind(character, replacements), []).append(character)
    return {kind: "".join(found) for kind, found in kinds.items()}


def _kind(character: str, replacements: _Replacements) -> str:
    if character.isalpha():
        return "plain" if replacements[ord(character)] else "dropped"
    if character in _SAID or unicodedata.category(character)[0] in "SN":
        return "symbols"
    return "punctuation"


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}\u2026")


def majority_case(texts: Iterable[str]) -> str | None:
    """Return 'lower' or 'upper', as most letters of the texts are; None where none has a case."""
    lower = upper = 0
    for text in texts:
        lower += sum(map(str.islower, text))
        upper += sum(map(str.isupper, text))
    if lower == upper == 0:
        return None
    return "lower" if lower >= upper else "upper"


def in_case(text: str, case: str | None) -> str:
    """Return the text in the case that `majority_case` named."""
    if case == "lower":
        return text.lower()
    return text.upper() if case == "upper" else text
