"""How good transcripts are: word and character error rates over a whole corpus.

The counting is jiwer's. Case is folded, because models that write capitals are scored against
references in lower case. It knows texts, and nothing of models or audio.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..exceptions import MissingExtra


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float | None]:
    """Return `wer` and `cer` of the corpus, as fractions; None where the references are empty.

    All errors over all words (characters) of the corpus: not the mean of the rows' rates.
    """
    try:
        import jiwer
    except ImportError as error:
        raise MissingExtra(
            "scoring needs the package jiwer: pip install 'thanosql-dbapi[speech]'"
        ) from error
    folded = [" ".join(text.casefold().split()) for text in references]
    written = [" ".join(text.casefold().split()) for text in hypotheses]
    if not any(folded):
        return {"wer": None, "cer": None}
    return {"wer": float(jiwer.wer(folded, written)), "cer": float(jiwer.cer(folded, written))}
