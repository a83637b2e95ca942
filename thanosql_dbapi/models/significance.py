"""How sure an error rate is, and the difference of two: what other utterances could have made it.

Both methods take the utterances to be independent of each other: where a few speakers say many of
them each, the truth is less sure than this. They look at counts alone, whatever the order of the
rows, so the same rows give the same figures. This module knows no texts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: How often a corpus is drawn anew, and what the drawing begins with.
DRAWS: Final = 1000
SEED: Final = 0

#: What is smaller cannot be told from the rounding of floating point.
LEAST_P_VALUE: Final = 1e-12

#: No sum with random signs is so many standard deviations away, but for a chance of 1e-17
#: (Hoeffding's inequality).
_REACH: Final = 9

#: The middle 95 %.
_TAILS: Final = (2.5, 97.5)
#: Numbers that a step of the drawing holds at once.
_ROOM: Final = 4_000_000


def rate_interval(errors: NDArray[np.int64], of: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the bootstrap's 95 % interval of an error rate; None for fewer than two utterances.

    Utterances are drawn with replacement, and each draw's rate is all its errors over all its
    words (M. Bisani, H. Ney: Bootstrap estimates for confidence intervals in ASR performance
    evaluation, ICASSP 2004). `errors` and `of` have the shape (utterances,).
    """
    if len(errors) < 2:
        return None
    drawn = _resampled(np.stack([errors, of], axis=1))
    return _middle(_rates(drawn[:, 0], drawn[:, 1]))


def difference_interval(
    errors: NDArray[np.int64], others: NDArray[np.int64], of: NDArray[np.int64]
) -> tuple[float, float] | None:
    """Return the bootstrap's 95 % interval of `errors`' rate less that of `others`.

    Both rates are taken of the same drawn utterances. None for fewer than two utterances.
    """
    if len(errors) < 2:
        return None
    drawn = _resampled(np.stack([errors, others, of], axis=1))
    return _middle(_rates(drawn[:, 0], drawn[:, 2]) - _rates(drawn[:, 1], drawn[:, 2]))


def paired_p_value(errors: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Return how likely so great a difference of errors is if the two models are equally good.

    The paired permutation test, two-sided: if the models are equal, each utterance's two counts
    may as well be swapped. Of all 2^n swappings, it is the share in which the corpus's error rates
    are at least as far apart as they are (E. J. G. Pitman 1937; E. W. Noreen 1989, whose
    approximate randomisation draws some of the swappings). The share is exact, but never below
    `LEAST_P_VALUE`: as the words are the same for both, the difference is a sum of whole numbers
    with random signs, whose distribution is a Fourier transform of its characteristic function.
    The field's other test, MAPSSWE (L. Gillick, S. Cox 1989), needs segments within utterances.
    """
    apart = np.abs(errors - others)
    apart = apart[apart > 0]
    observed = abs(int(np.sum(errors - others)))
    reach = min(int(apart.sum()), math.ceil(_REACH * math.sqrt(float(np.sum(apart**2)))))
    if observed == 0:
        return 1.0
    if observed > reach:
        return LEAST_P_VALUE
    sizes, counts = np.unique(apart, return_counts=True)
    period = 2 * reach + 1
    frequencies = np.arange(reach + 1)
    characteristic = np.ones(reach + 1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        angles = (2 * np.pi / period) * (frequencies * size % period)
        characteristic *= np.cos(angles) ** count
    chances = np.fft.irfft(characteristic, n=period)
    # A sum of s stands at s, one of -s as far from the end; both tails are alike.
    share = 2 * float(chances[observed : reach + 1].sum())
    return min(max(share, LEAST_P_VALUE), 1.0)


def _resampled(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums of counts, of the shape (utterances, k), over each draw of utterances.

    Utterances of the same counts are alike: how many of each kind a draw has is multinomial, which
    costs one number a kind and not one an utterance.
    """
    kinds, frequencies = np.unique(counts, axis=0, return_counts=True)
    generator = np.random.default_rng(SEED)
    step = max(1, _ROOM // len(kinds))
    shares = frequencies / frequencies.sum()
    return np.concatenate(
        [
            generator.multinomial(len(counts), shares, size=min(step, DRAWS - done)) @ kinds
            for done in range(0, DRAWS, step)
        ]
    )


def _rates(errors: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.float64]:
    # As `metrics.rate`: without words, the number of errors.
    return errors / np.maximum(of, 1)


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, _TAILS)
    return float(low), float(high)
