"""What to say of Ctrl-C. It knows exceptions alone."""

from __future__ import annotations


def interruption(error: BaseException) -> str:
    """Return what to say of Ctrl-C: a BUILD's tells in a note, or its text, how to go on."""
    said = [*getattr(error, "__notes__", ()), *([str(error)] if str(error) else [])]
    return "\n".join(["interrupted", *said])
