"""How good transcripts are: the errors of each utterance, and the error rates of a corpus.

jiwer aligns and counts. Case is folded, because models that write capitals are scored against
references in lower case, and any white space between two words is one space; nothing else is
changed. Letters with combining marks count as they are written: DuckDB's `nfc_normalize` makes two
ways of writing one. This module knows texts, and nothing of models or audio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Utterances that jiwer aligns at once: it keeps an object for each stretch of an alignment.
_AT_ONCE: Final = 2048


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """The errors of each utterance, as int64 arrays of the shape (utterances,).

    `words` and `characters` are the references'. A reference without words has no errors but the
    words that were inserted.
    """

    words: NDArray[np.int64]
    substitutions: NDArray[np.int64]
    insertions: NDArray[np.int64]
    deletions: NDArray[np.int64]
    characters: NDArray[np.int64]
    character_errors: NDArray[np.int64]

    @property
    def errors(self) -> NDArray[np.int64]:
        """The errors in words."""
        return self.substitutions + self.insertions + self.deletions


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word of the reference beside one of the hypothesis.

    `op` is `equal`, `substitute`, `insert` (`reference` is None) or `delete` (`hypothesis` is).
    """

    op: str
    reference: str | None
    hypothesis: str | None


def count_errors(
    references: Sequence[str],
    hypotheses: Sequence[str],
    check: Callable[[], None] = lambda: None,
) -> ErrorCounts:
    """Count the errors of each utterance, in words and in characters.

    `check` is called now and then, and ends it by what it raises.

    Raises:
        MissingExtra: jiwer is not installed.
    """
    import numpy as np

    words = _counts(map(_words, references), map(_words, hypotheses), check)
    letters = _counts(map(_characters, references), map(_characters, hypotheses), check)
    by_word = np.array(list(words), dtype=np.int64).reshape(-1, 4)
    by_letter = np.array(list(letters), dtype=np.int64).reshape(-1, 4)
    return ErrorCounts(
        words=by_word[:, 0],
        substitutions=by_word[:, 1],
        insertions=by_word[:, 2],
        deletions=by_word[:, 3],
        characters=by_letter[:, 0],
        character_errors=by_letter[:, 1:].sum(axis=1),
    )


def align(reference: str, hypothesis: str) -> list[AlignedWord]:
    """Align two texts word by word; the words are as they were written.

    Raises:
        MissingExtra: jiwer is not installed.
    """
    said, heard = reference.split(), hypothesis.split()
    chunks = next(_alignments([_words(reference)], [_words(hypothesis)]))
    return [
        AlignedWord(
            chunk.type,
            said[chunk.ref_start_idx + place] if chunk.type != "insert" else None,
            heard[chunk.hyp_start_idx + place] if chunk.type != "delete" else None,
        )
        for chunk in chunks
        for place in range(_length(chunk))
    ]


def rate(errors: int, of: int) -> float:
    """Return errors as a fraction of the words, or of the characters, of the references.

    Where the references have none it is the number of errors, as in jiwer.
    """
    return errors / of if of else float(errors)


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float | None]:
    """Return `wer` and `cer` of the corpus, as fractions; None where there is no utterance.

    All errors over all words (characters) of the corpus: not the mean of the rows' rates.
    """
    counts = count_errors(references, hypotheses)
    if not len(counts.words):
        return {"wer": None, "cer": None}
    return {
        "wer": rate(int(counts.errors.sum()), int(counts.words.sum())),
        "cer": rate(int(counts.character_errors.sum()), int(counts.characters.sum())),
    }


def _words(text: str) -> list[str]:
    return text.casefold().split()


def _characters(text: str) -> list[str]:
    return list(" ".join(_words(text)))


def _counts(
    references: Iterable[list[str]], hypotheses: Iterable[list[str]], check: Callable[[], None]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield how long each reference is, and its substitutions, insertions and deletions."""
    references, hypotheses = iter(references), iter(hypotheses)
    while said := list(islice(references, _AT_ONCE)):
        heard = list(islice(hypotheses, _AT_ONCE))
        check()
        for reference, chunks in zip(said, _alignments(said, heard), strict=True):
            found = {"equal": 0, "substitute": 0, "insert": 0, "delete": 0}
            for chunk in chunks:
                found[chunk.type] += _length(chunk)
            yield len(reference), found["substitute"], found["insert"], found["delete"]


def _alignments(references: list[list[str]], hypotheses: list[list[str]]) -> Iterator[list[Any]]:
    try:
        import jiwer
    except ImportError as error:
        raise MissingExtra(
            "scoring needs the package jiwer: pip install 'thanosql-dbapi[speech]'"
        ) from error

    # The texts are cut into words here; jiwer's transforms would do it again, and slower.
    def as_they_are(lists: list[list[str]]) -> list[list[str]]:
        return lists

    yield from jiwer.process_words(
        references,  # type: ignore[arg-type]
        hypotheses,  # type: ignore[arg-type]
        as_they_are,  # type: ignore[arg-type]
        as_they_are,  # type: ignore[arg-type]
    ).alignments


def _length(chunk: Any) -> int:
    said: int = chunk.ref_end_idx - chunk.ref_start_idx
    heard: int = chunk.hyp_end_idx - chunk.hyp_start_idx
    return max(said, heard)
