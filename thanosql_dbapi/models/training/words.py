"""The words of a training: what its texts, and those of the version it goes on from, teach.

    <version>/about/texts.txt      the texts, in the model's letters, one a line

A training on few rows must not forget the words of the many before it, so their texts stay with a
version, and the next one's language model is of both. It knows no audio and no SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..alignment import Alphabet
from ..decoder_choice import DecoderChoice
from ..held_out import choose_decoder
from ..language_model import FILE, LanguageModel
from ..windows import Candidates

_TEXTS: Final = Path("about", "texts.txt")

#: Of words that a language model from elsewhere knows so many, it knows the language.
_KNOWN: Final = 0.99


def learn_words(
    base: Path,
    folder: Path,
    trained: Sequence[str],
    held_out: Sequence[str],
    heard: Sequence[Candidates],
    alphabet: Alphabet,
    check: Callable[[], None],
) -> DecoderChoice:
    """Write a language model and the choice of a decoder into a version's folder; return that.

    `base` is the folder of the version or checkpoint that was gone on from; `heard` are the
    emissions of the held-out rows, or none. Where the base has a language model and its texts are
    not known, as in one from elsewhere, the better of both is taken.
    """
    before = _read_texts(base)
    learnt = LanguageModel.of([*before, *trained])
    choice = choose_decoder(heard, held_out if heard else [], learnt, alphabet, check=check)
    if not before and (base / FILE).is_file():
        known = LanguageModel.read(base)
        other = choose_decoder(heard, held_out if heard else [], known, alphabet, check=check)
        if _is_better(other, choice, known, trained):
            return _write(folder, [*trained, *held_out], known, other)
    # What was held out has told what it can; its words are the language's too.
    texts = [*before, *trained, *held_out]
    return _write(folder, texts, LanguageModel.of(texts), choice)


def _is_better(
    other: DecoderChoice, choice: DecoderChoice, known: LanguageModel, trained: Sequence[str]
) -> bool:
    if other.wer_beam is None or choice.wer_beam is None:
        return known.coverage(trained) >= _KNOWN
    return other.wer_beam <= choice.wer_beam


def _write(
    folder: Path, texts: Sequence[str], model: LanguageModel, choice: DecoderChoice
) -> DecoderChoice:
    model.write(folder)
    choice.write(folder)
    file = folder / _TEXTS
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    return choice


def _read_texts(folder: Path) -> list[str]:
    try:
        return (folder / _TEXTS).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
