"""The model card of an exported version: what is known of it, for people, in Markdown.

The head between the dashes is for a hub: huggingface.co/docs/hub/model-cards. The license is left
to whoever shares the model. It knows facts, and no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_HEAD = """---
library_name: transformers
pipeline_tag: automatic-speech-recognition
tags:
- thanosql
---
"""

_USE = """
## Use

In Python, with `folder` the path of this folder or the name of its repository:

```python
import soundfile
from transformers import pipeline

recognise = pipeline("automatic-speech-recognition", model=folder)
waveform, rate = soundfile.read("recording.wav")  # mono, 16,000 Hz
recognise({"raw": waveform, "sampling_rate": rate})["text"]
```

Other rates want torchaudio, and the path of a file in place of its waveform wants ffmpeg.

In ThanoSQL, as a model of one's own:

```sql
UPLOAD MODEL my_model FROM 'folder';
PREDICT USING my_model AS SELECT 'recording.wav' AS audio_path;
```
"""

_LANGUAGE_MODEL = """
`language_model.arpa` and `decoder.json` are of ThanoSQL's beam search, which chooses words by a
language model learnt from the training texts, and may write them out: whoever has the file can read
words that the texts had. The pipeline above goes letter by letter, as `decoder='greedy'` does.
"""

_LICENSE = """
## License

Not said yet. It is for whoever shares the model to say, after the licenses of the base model and
of the recordings.
"""


def model_card(facts: Mapping[str, Any], *, has_language_model: bool, notes: str = "") -> str:
    """Return the card of a model with these facts; `notes` are the card its weights came with."""
    lineage = facts.get("lineage")
    lineage = lineage if isinstance(lineage, Mapping) else {}
    parts = [
        _HEAD,
        f"# {plain(facts['name'])}\n\nA speech recogniser, exported by ThanoSQL.\n",
        _USE,
        _LANGUAGE_MODEL if has_language_model else "",
        _made_from(facts, lineage),
        _LICENSE,
        _notes(notes),
    ]
    return "".join(parts)


def plain(text: object) -> str:
    """Return a text as one line in which nothing is Markdown or HTML."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", line)


def _made_from(facts: Mapping[str, Any], lineage: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {plain(value)} |" for name, value in _table(facts, lineage)]
    text = "\n".join(["\n## How it was made\n", "| | |", "|---|---|", *rows, ""])
    if facts.get("text_case") == "upper":
        text += "\nIts texts were in capitals, and ThanoSQL answers so; the pipeline may not.\n"
    if lineage.get("refusal"):
        text += f"\n**Not good enough to come into force:** {plain(lineage['refusal'])}.\n"
    return text


def _table(facts: Mapping[str, Any], lineage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "base model", str(facts["base"])
    yield "version", f"{facts['version']}, {_day(facts.get('created_utc'))}"
    metrics = lineage.get("metrics")
    metrics = metrics if isinstance(metrics, Mapping) else {}
    libraries = lineage.get("libraries") or facts.get("libraries") or {}
    known = {
        "trained on from": lineage.get("parent"),
        "recordings": lineage.get("rows"),
        "of them held out": lineage.get("held_out_rows"),
        "audio": _unit(lineage.get("audio_seconds"), "s"),
        "WER on held-out recordings": _percent(metrics.get("wer")),
        "WER letter by letter on them": _percent(metrics.get("greedy_wer")),
        "WER of the base on them": _percent(metrics.get("base_wer")),
        "CER on held-out recordings": _percent(metrics.get("cer")),
        "decoder": lineage.get("decoder"),
        "options": _listed((lineage.get("options") or {}).items()),
        "seed": lineage.get("seed"),
        "steps": lineage.get("steps"),
        "trained for": _unit(lineage.get("seconds"), "s"),
        "on": lineage.get("device"),
        "digest of the data": lineage.get("data_digest"),
        "digest of the weights": lineage.get("weights_digest"),
        "libraries": _listed(libraries.items()),
    }
    for name, value in known.items():
        if value not in (None, ""):
            yield name, str(value)


def _notes(notes: str) -> str:
    # What is between its dashes was for a hub.
    text = re.sub(r"\A---\n.*?\n---\n", "", notes, flags=re.DOTALL).strip()
    if not text:
        return ""
    deeper = re.sub(r"^(#+ )", r"##\1", text, flags=re.MULTILINE)
    return f"\n## What the weights came with\n\n{deeper}\n"


def _listed(pairs: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in pairs)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return " + ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _day(created: object) -> str:
    return str(created)[:10] if created else "of an unknown day"


def _unit(value: object, unit: str) -> str | None:
    return f"{value:,.1f} {unit}" if isinstance(value, int | float) else None


def _percent(value: object) -> str | None:
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else None
