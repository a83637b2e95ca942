"""The options that all speech recognisers share, and what `precision` comes to on a device.

It knows no model, and loads no torch where it need not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ..exceptions import NotSupportedError
from ..options import OptionSpec
from . import stack

AUDIO: Final = OptionSpec(
    "audio_col",
    str,
    "audio_path",
    "the column with the audio: paths, URLs, or the bytes themselves",
    aliases=("audio_column",),
    to_model=False,
)
TEXT: Final = OptionSpec("text_col", str, "text", "the column with what is said", to_model=False)
#: In a training each row of a batch has its say in a step.
BATCH: Final = OptionSpec("batch_size", int, 16, "at most so many utterances at once", minimum=1)
#: In a prediction it is only a limit: what goes together is measured.
ROWS: Final = OptionSpec(
    "batch_size", int, 16, "at most so many utterances at once", minimum=1, decides=False
)
#: It decides, but what it comes to on a device does: `Family.precision`.
PRECISION: Final = OptionSpec(
    "precision",
    str,
    "auto",
    "the numbers to compute in; auto is full on a CPU and half on a GPU",
    choices=("auto", "full", "half", "int8"),
    decides=False,
)
RESULT: Final = OptionSpec(
    "result_col",
    str,
    "predicted",
    "the name of the result column",
    aliases=("column_name",),
    to_model=False,
)
SCORE: Final = OptionSpec(
    "score_col",
    str,
    "",
    "the name of a column for the score, from 0 to 1; none where it is empty",
    to_model=False,
)
WORDS: Final = OptionSpec(
    "words_col",
    str,
    "",
    "the name of a column for the words with their times; none where it is empty",
    to_model=False,
)
RETURN: Final = OptionSpec(
    "return",
    str,
    "text",
    "what the result column holds: a text, or its chunks with their times",
    choices=("text", "chunks"),
    to_model=False,
)
OVERWRITE: Final = OptionSpec(
    "overwrite", bool, False, "make a new version of a model that exists", to_model=False
)

DECODER: Final = OptionSpec(
    "decoder",
    str,
    "auto",
    "take each frame's likeliest letter, or search the likeliest words by the model's language"
    " model; auto is what its BUILD chose",
    choices=("auto", "greedy", "beam"),
)
BEAM_WIDTH: Final = OptionSpec(
    "beam_width", int, 0, "how many beginnings a beam search follows; 0 is the model's", minimum=0
)
LM_WEIGHT: Final = OptionSpec(
    "lm_weight",
    (float, str),
    "auto",
    "how much the language model counts in a beam search; auto is the model's",
    minimum=0,
    choices=("auto",),
)

#: What every speech recogniser has.
SHARED_PREDICT: Final = (AUDIO, ROWS, PRECISION, RESULT, SCORE, WORDS, RETURN)
SHARED_EVALUATE: Final = (AUDIO, TEXT, ROWS, PRECISION)

#: What one with a CTC head has.
DECODING: Final = (DECODER, BEAM_WIDTH, LM_WEIGHT)
PREDICT: Final = (*SHARED_PREDICT, *DECODING)
EVALUATE: Final = (*SHARED_EVALUATE, *DECODING)

#: On Linux a GPU that torch can use shows itself by one of these.
_DRIVERS: Final = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))


def resolve_precision(asked: str, device: str) -> str:
    """Return `full`, `half` or `int8` for what was asked on a device.

    `full` is float32 without shortcuts, `half` float16, `int8` quantised layers.

    Raises:
        NotSupportedError: the device has no such precision.
    """
    on_cpu = _is_cpu(device)
    if asked == "auto":
        return "full" if on_cpu else "half"
    if asked == "half" and on_cpu:
        raise NotSupportedError("precision='half' needs a GPU; 'full' is for CPUs too")
    if asked == "int8" and not on_cpu:
        raise NotSupportedError("precision='int8' is for CPUs: on a GPU use 'half' or 'full'")
    return asked


def _is_cpu(device: str) -> bool:
    # A statement that the cache answers whole asks this, and should not have to load torch.
    no_driver = sys.platform == "linux" and not any(path.exists() for path in _DRIVERS)
    if device == "auto" and not no_driver:
        device = stack.resolve_device(device)
    return device == "auto" or device.partition(":")[0] == "cpu"
