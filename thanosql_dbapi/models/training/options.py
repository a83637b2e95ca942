"""The options of BUILD and FIT for a speech recogniser.

It knows no model, and loads no torch.
"""

from __future__ import annotations

from typing import Final

from ...options import OptionSpec
from ..speech_options import AUDIO, OVERWRITE, TEXT

#: The kinds of augmentation: see `augmentation`.
AUGMENTATIONS: Final = ("speed", "filter", "noise", "mask")


def training_options(
    learning_rate: float, *, freeze_feature_encoder: bool
) -> tuple[OptionSpec, ...]:
    """Return the options of a training, with the defaults that a base model wants."""
    return (
        AUDIO,
        TEXT,
        OptionSpec("batch_size", int, 16, "utterances a step of the optimiser", minimum=1),
        OptionSpec("max_epochs", int, 5, "passes over the rows", minimum=1, aliases=("epochs",)),
        OptionSpec("max_steps", int, 0, "at most so many steps; 0 is no limit", minimum=0),
        OptionSpec(
            "learning_rate",
            float,
            learning_rate,
            "the highest learning rate",
            minimum=0,
            above=True,
        ),
        OptionSpec(
            "warmup_ratio",
            float,
            0.1,
            "the part of the steps in which the learning rate rises",
            minimum=0,
            maximum=1,
        ),
        OptionSpec("weight_decay", float, 0.01, "AdamW's weight decay", minimum=0),
        OptionSpec(
            "freeze_feature_encoder",
            bool,
            freeze_feature_encoder,
            "leave the convolutions as they are",
        ),
        OptionSpec(
            "gradient_checkpointing",
            bool,
            False,
            "compute activations twice, to need less memory",
        ),
        OptionSpec(
            "precision",
            str,
            "auto",
            "the numbers to compute in; auto is full on a CPU and half on a GPU",
            choices=("auto", "full", "half"),
        ),
        OptionSpec("seed", int, 0, "what all that is random is drawn from", minimum=0),
        OptionSpec(
            "validation",
            (float, str),
            "auto",
            "the rows to measure on: a part of the rows, or a query; auto is a tenth",
            minimum=0,
            maximum=0.9,
        ),
        OptionSpec(
            "early_stopping",
            int,
            0,
            "stop after so many measurements in a row without a better WER; 0 never",
            minimum=0,
        ),
        OptionSpec(
            "max_duration_s",
            float,
            0.0,
            "leave out what lasts longer, in seconds; 0 leaves out nothing",
            minimum=0,
        ),
        OptionSpec(
            "augmentation",
            (str, tuple),
            "all",
            "what is altered anew in each epoch: all, none, or a list of"
            " 'speed', 'filter', 'noise' and 'mask'",
            choices=("all", "none", *AUGMENTATIONS),
        ),
        OptionSpec("devices", int, 1, "how many GPUs, or processes on a CPU", minimum=1),
        OptionSpec(
            "on_error",
            str,
            "raise",
            "what a row does that cannot be trained on: end the statement, or be left out",
            choices=("raise", "skip"),
        ),
        OptionSpec("check_only", bool, False, "return what is found about the rows; train nothing"),
        OptionSpec("resume", bool, True, "go on where the same training was cut off"),
        OptionSpec(
            "publish",
            str,
            "auto",
            "bring the model into force if it is good enough, or always",
            choices=("auto", "always"),
        ),
        OVERWRITE,
    )
