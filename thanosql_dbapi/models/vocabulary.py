"""Fitting text to the letters that a speech model can write, and its answers to the text's case.

A model whose letters are upper case learns nothing from lower-case text: every letter would
become the unknown token. So text is brought into the vocabulary's case, digits are spelled,
punctuation is dropped. Pure text: no model and no file is known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u00b4": "'", "`": "'"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class UnfitText(ValueError):
    """A text that the vocabulary cannot write; the message says why."""


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
        cased = self._in_case(unicodedata.normalize("NFC", text).translate(_APOSTROPHES))
        spelled = _NUMBER.sub(self._spell, cased)
        fitted = " ".join("".join(map(self._fit_character, spelled)).split())
        if not any(c.isalnum() for c in fitted):
            raise UnfitText(f"no letter of the text {text!r} is in the model's vocabulary")
        return fitted

    def _in_case(self, text: str) -> str:
        has_lower = any(letter.islower() for letter in self.letters)
        has_upper = any(letter.isupper() for letter in self.letters)
        if has_lower and not has_upper:
            return text.lower()
        return text.upper() if has_upper and not has_lower else text

    def _spell(self, number: re.Match[str]) -> str:
        digits = number[0]
        if all(c in self.letters for c in digits if c.isdigit()):
            return digits
        if self.language is None:
            raise UnfitText(
                f"the model's vocabulary has no digits and cannot spell {digits!r}:"
                " write it in words"
            )
        from num2words import num2words

        plain = digits.replace(",", "")
        if plain.count(".") > 1:
            raise UnfitText(f"cannot spell {digits!r}: write it in words")
        value = float(plain) if "." in plain else int(plain)
        return f" {self._in_case(num2words(value, lang=self.language))} "

    def _fit_character(self, character: str) -> str:
        if character in self.letters:
            return character
        if character == "'":
            return ""
        bare = unicodedata.normalize("NFD", character)[0]
        if character.isalpha():
            return bare if bare in self.letters else ""
        return " "


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
