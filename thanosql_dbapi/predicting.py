"""From the inputs in a column to what a model says of each: out of the memo, the cache, the model.

What was ever predicted of the same content, by the same weights, options and precision, is not
predicted again: the memo serves one run of a statement, the cache all of them. This module knows
media, models and the workspace, and neither Arrow nor SQL.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .cache import Settings, canonical
from .exceptions import MediaError, MediaReason, OptionError
from .media.sources import Media, media_of
from .models import families
from .models.base import Prediction, Verb
from .models.seen import read_seen
from .options import OptionSpec

if TYPE_CHECKING:
    from .cache import PredictionCache
    from .models.base import Model, Outcome
    from .registry import Version
    from .session import Execution, Session

ON_ERROR = OptionSpec(
    "on_error",
    str,
    "raise",
    "what a file does that cannot be predicted: end the statement, or give NULL",
    choices=("raise", "null"),
    to_model=False,
)
CACHE = OptionSpec(
    "cache", bool, True, "use what was predicted before, and keep what is new", to_model=False
)
#: Options of PREDICT and EVALUATE that are the run's, not a model's.
RUN_OPTIONS: Final = (ON_ERROR, CACHE)

#: Seconds after which finished predictions are written: what a kill costs.
_FLUSH_S: Final = 0.25
_READERS: Final = 4

#: In a call's options: what is predicted is scored, one file after the other.
SCORED: Final = "scored"


@dataclass(frozen=True, slots=True)
class Call:
    """A model with complete options."""

    version: Version
    options: Mapping[str, Any]
    on_error: str
    cached: bool
    #: Whether to tell of files that the model was trained on.
    scored: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from calls that predict something else."""
        return str(self.version.folder), canonical(self.options)

    def settings(self, session: Session) -> Settings:
        """Return what its predictions go by in the cache, but for the audio.

        Raises:
            NotSupportedError: the device has no such precision.
        """
        family = families.family(self.version.base)
        decides = {spec.name for spec in family.options(Verb.PREDICT) if spec.decides}
        options = {name: value for name, value in self.options.items() if name in decides}
        return Settings(
            session.workspace.digest(self.version),
            canonical(options),
            family.precision(self.options, session.device),
            family.revision,
        )


@dataclass(frozen=True, slots=True)
class Input:
    """One value that a model is asked for, and the place among the rows that first had it."""

    media: Media
    place: int


def read_call(version: Version, option_text: str | None) -> Call:
    """Complete the options of a call, given as a JSON object.

    Raises:
        OptionError: it is none, or an option is unknown or wrong.
    """
    try:
        given = json.loads(option_text) if option_text is not None else {}
    except json.JSONDecodeError as error:
        raise OptionError(f"the options {option_text!r} are no JSON object: {error}") from error
    if not isinstance(given, dict):
        raise OptionError(f"the options {option_text!r} are no JSON object")
    scored = given.get(SCORED) is True and given.pop(SCORED)
    family = families.family(version.base)
    complete = families.read_verb_options(family, Verb.PREDICT, given.items(), *RUN_OPTIONS)
    return call_of(version, complete, scored=scored)


def call_of(version: Version, complete: Mapping[str, Any], *, scored: bool = False) -> Call:
    """Return the call that a PREDICT's complete options come to."""
    specs = families.family(version.base).options(Verb.PREDICT)
    options = {spec.name: complete[spec.name] for spec in specs if spec.to_model}
    return Call(version, options, complete["on_error"], complete["cache"], scored)


def real_time_factor(
    execution: Execution, version: Version, option_text: str | None
) -> float | None:
    """Return the seconds a call's model took a second of audio; None where it had nothing to do.

    What counts is the time on the clock, decoding included and loading the model not, and the
    audio that the model truly read in this run: not copies, nor what was predicted before.
    """
    with execution.lock:
        took, done = execution.worked[read_call(version, option_text).key]
    return took / done if done else None


def predict_rows(
    execution: Execution,
    calls: Sequence[tuple[str, str | None] | None],
    values: Sequence[str | bytes | None],
    *,
    details: bool,
) -> list[Outcome | None]:
    """Predict each row's value by the call beside it, a model's name and its options.

    A NULL call or value gives None. `details` keeps words and chunks.

    Raises:
        MediaError: a value cannot be predicted, and its call's `on_error` is `raise`.
    """
    first_row = execution.see_rows(len(values), frozenset(calls))
    keys = [None if value is None else _key(value) for value in values]
    wanted: dict[tuple[str, str | None], dict[str, Input]] = {}
    root = execution.session.root
    for place, (call, value, key) in enumerate(zip(calls, values, keys, strict=True)):
        if call is not None and value is not None and key is not None:
            inputs = wanted.setdefault(call, {})
            if key not in inputs:
                inputs[key] = Input(media_of(value, root), place)
    outcomes = {}
    for (name, text), inputs in wanted.items():
        model = read_call(execution.version(name), text)
        known = _known(execution, model.version, inputs) if model.scored else {}
        outcomes[name, text] = _outcomes(execution, model, inputs, first_row, details=details)
        if known:
            _count_files(execution, model, known, outcomes[name, text])
    return [
        None if call is None or key is None else outcomes[call][key]
        for call, key in zip(calls, keys, strict=True)
    ]


def trained_on(
    execution: Execution, names: Sequence[str | None], values: Sequence[str | bytes | None]
) -> list[bool | None]:
    """Tell of each row's value whether its content was in the training of the model beside it.

    As far as the training was noted; what cannot be read was not in it. A NULL gives None.
    """
    root = execution.session.root
    keys = [None if value is None else _key(value) for value in values]
    wanted: dict[str, dict[str, Input]] = {}
    for place, (name, value, key) in enumerate(zip(names, values, keys, strict=True)):
        if name is not None and value is not None and key is not None:
            inputs = wanted.setdefault(name, {})
            if key not in inputs:
                inputs[key] = Input(media_of(value, root), place)
    known = {
        name: _known(execution, execution.version(name), inputs) for name, inputs in wanted.items()
    }
    return [
        None if name is None or key is None else known[name].get(key, False)
        for name, key in zip(names, keys, strict=True)
    ]


def knows_training(execution: Execution, version: Version) -> bool:
    """Tell whether it was noted what a version was trained on."""
    return bool(_seen(execution, version))


def _seen(execution: Execution, version: Version) -> frozenset[str]:
    return execution.once(("seen", version.folder), lambda: read_seen(version.folder))


def _known(
    execution: Execution, version: Version, inputs: Mapping[str, Input]
) -> Mapping[str, bool]:
    """Tell which inputs were in a version's training; nothing where no training was noted."""
    seen = _seen(execution, version)
    if not seen:
        return {}
    with execution.lock:
        known: dict[str, bool] = execution.once(("trained on", version.folder), dict)
        fresh = {key: each for key, each in inputs.items() if key not in known}
        digests = _digests(execution, execution.session.workspace.cache, fresh) if fresh else {}
        known.update({key: digests.get(key) in seen for key in fresh})
        return known


def _count_files(
    execution: Execution, call: Call, known: Mapping[str, bool], outcomes: Mapping[str, Outcome]
) -> None:
    """Count what is scored, once each: DuckDB may ask for a row twice, or once for many alike."""
    with execution.lock:
        counted: set[str] = execution.once(("scored", call.key), set)
        fresh = [key for key in outcomes if key not in counted]
        counted.update(fresh)
        scored = [known[key] for key in fresh if isinstance(outcomes[key], Prediction)]
        execution.score(str(call.version), "files", len(scored), sum(scored))


def _key(value: str | bytes) -> str:
    """Return what tells one value from another; bytes are not kept."""
    if isinstance(value, str):
        return value
    import hashlib

    return "\0" + hashlib.sha256(value).hexdigest()


def _outcomes(
    execution: Execution,
    call: Call,
    inputs: Mapping[str, Input],
    first_row: Callable[[], int],
    *,
    details: bool,
) -> Mapping[str, Outcome]:
    # By `on_error` too: what one call may pass over is another one's to refuse.
    memo_key = (*call.key, call.on_error, details)
    # One thread at a time: what another one has just predicted is then in the memo.
    with execution.lock:
        found = execution.memo.known(memo_key, inputs)
        missing = {key: each for key, each in inputs.items() if key not in found}
        if missing:
            first = first_row()
            # Closed at once when something is raised: a traceback would keep it alive.
            with closing(_look_up_or_compute(execution, call, missing)) as outcomes:
                for key, outcome in outcomes:
                    kept = outcome if details else _without_details(outcome)
                    execution.memo.remember(memo_key, {key: kept})
                    found[key] = kept
                    if isinstance(outcome, MediaError):
                        _refuse_or_count(execution, call, missing[key], first, outcome)
    return found


def _without_details(outcome: Outcome) -> Outcome:
    if isinstance(outcome, MediaError):
        return outcome
    return Prediction(outcome.text, outcome.score, outcome.seconds)


def _refuse_or_count(
    execution: Execution, call: Call, each: Input, first: int, error: MediaError
) -> None:
    if call.on_error == "raise":
        message = (
            f"row {first + each.place}: '{each.media.name}': {error}"
            f"{looked_for(execution, each.media, error)}\n"
            "OPTIONS (on_error='null') gives such rows a NULL and goes on."
        )
        raise MediaError(message, error.reason) from error
    execution.failed[error.reason] += 1


def looked_for(execution: Execution, media: Media, error: MediaError) -> str:
    """Say where a file that is missing was looked for."""
    relative = media.path is not None and media.name != str(media.path)
    if error.reason is not MediaReason.MISSING or not relative:
        return ""
    return f" (relative paths start from {execution.session.root})"


def _look_up_or_compute(
    execution: Execution, call: Call, inputs: Mapping[str, Input]
) -> Generator[tuple[str, Outcome]]:
    """Yield what the cache has, then what the model says of the rest."""
    cache = execution.session.workspace.cache
    execution.expect(len(inputs))
    if not (call.cached and cache.limit_bytes):
        with closing(_compute(execution, call, [[key] for key in inputs], inputs)) as outcomes:
            yield from ((key, outcome) for (key,), outcome in outcomes)
        return
    settings = execution.once(
        ("settings", call.version.folder, canonical(call.options)),
        lambda: call.settings(execution.session),
    )
    digests = _digests(execution, cache, inputs)
    known = cache.known(settings, set(digests.values()))
    groups: dict[str, list[str]] = {}
    for key in inputs:
        digest = digests.get(key)
        if digest in known:
            execution.cached += 1
            execution.skip(1)
            yield key, known[digest]
        else:
            # Copies of a file are one to the model; what cannot be read is the model's to refuse.
            groups.setdefault(digest or key, []).append(key)
    if groups:
        _model(execution, call)  # how long it takes to load is no speed of its own
        with _keeping(cache, settings, call.version.name, execution.session.device) as keep:
            ahead = list(groups.values())
            while ahead:
                ahead = yield from _compute_copies(execution, call, ahead, inputs, digests, keep)


def _compute_copies(
    execution: Execution,
    call: Call,
    groups: Sequence[list[str]],
    inputs: Mapping[str, Input],
    digests: Mapping[str, str],
    keep: Callable[[str, Prediction], None],
) -> Generator[tuple[str, Outcome], None, list[list[str]]]:
    """Yield what the model says of groups of copies; return those that it must be asked for again.

    A file that changed before it was read would leave its text to another content: that of its
    copies, which then go by themselves.
    """
    left: list[list[str]] = []
    with closing(_compute(execution, call, groups, inputs)) as outcomes:
        for group, outcome in outcomes:
            keys, (key, *copies) = group, group
            if key not in digests or inputs[key].media.changed():
                left += [copies] if copies else []
                keys = [key]
            elif isinstance(outcome, Prediction) and outcome.repeatable:
                keep(digests[key], outcome)
            execution.computed += len(keys) - 1
            execution.skip(len(keys) - 1)
            for each in keys:
                inputs[each].media.release()
                yield each, outcome
    return left


def _digests(
    execution: Execution, cache: PredictionCache, inputs: Mapping[str, Input]
) -> dict[str, str]:
    """Return the digests of what can be read; only what the cache has not met is read."""
    media = {key: each.media for key, each in inputs.items()}
    distant = {key: medium for key, medium in media.items() if medium.path is None}
    with ThreadPoolExecutor(_READERS) as readers:
        identities = _each(execution, readers, Media.identity, distant)
        for key, medium in media.items():
            if key not in distant and (identity := medium.identity()) is not None:
                identities[key] = identity
        noted = cache.digests(set(identities.values()))
        digests = {key: noted[name] for key, name in identities.items() if name in noted}
        unread = {
            key: medium
            for key, medium in media.items()
            # Not Path.is_file: that one raises where a name is too long.
            if key not in digests and (medium.path is None or os.path.isfile(medium.path))  # noqa: PTH113
        }
        read = _each(execution, readers, _digest, unread)
        # What a server has may have changed between its tag and its content.
        doubtful = {key: medium for key, medium in distant.items() if key in read}
        still = _each(execution, readers, Media.identity, doubtful)
    fresh = {
        identities[key]: digest
        for key, digest in read.items()
        if key in identities and (key not in doubtful or still.get(key) == identities[key])
    }
    cache.note_digests(fresh)
    return digests | read


def _each(
    execution: Execution,
    readers: ThreadPoolExecutor,
    ask: Callable[[Media], str | None],
    media: Mapping[str, Media],
) -> dict[str, str]:
    """Return what comes of asking each medium, side by side, without what comes to None."""
    futures = {key: readers.submit(ask, medium) for key, medium in media.items()}
    try:
        answers = {}
        for key, future in futures.items():
            execution.check()
            answers[key] = future.result()
    finally:
        for future in futures.values():
            future.cancel()
    return {key: answer for key, answer in answers.items() if answer is not None}


def _digest(media: Media) -> str | None:
    try:
        return media.digest()
    except MediaError:
        return None


def _compute(
    execution: Execution,
    call: Call,
    groups: Sequence[list[str]],
    inputs: Mapping[str, Input],
) -> Generator[tuple[list[str], Outcome]]:
    """Ask the model for the first of each group; yield the groups with what it says."""
    model = _model(execution, call)
    media = [inputs[keys[0]].media for keys in groups]
    started, seconds = time.monotonic(), 0.0
    try:
        with closing(model.predict(media, call.options, execution)) as outcomes:
            for index, outcome in outcomes:
                execution.computed += 1
                if isinstance(outcome, Prediction):
                    seconds += outcome.seconds or 0.0
                yield groups[index], outcome
    finally:
        execution.work(call.key, time.monotonic() - started, seconds)


def _model(execution: Execution, call: Call) -> Model:
    session = execution.session
    return execution.once(
        ("model", call.version.folder),
        lambda: session.workspace.load(call.version, session.device),
    )


@contextmanager
def _keeping(
    cache: PredictionCache, settings: Settings, name: str, device: str
) -> Iterator[Callable[[str, Prediction], None]]:
    """Give a function that keeps predictions in the cache; all that is done is kept at the end."""
    pending: dict[str, Prediction] = {}
    started = flushed = time.monotonic()
    seconds = 0.0

    def keep(digest: str, prediction: Prediction) -> None:
        nonlocal flushed, seconds
        seconds += 0.0 if digest in pending else prediction.seconds or 0.0
        pending[digest] = prediction
        if time.monotonic() - flushed > _FLUSH_S:
            cache.remember(settings, pending, name)
            pending.clear()
            flushed = time.monotonic()

    try:
        yield keep
    finally:
        if pending:
            cache.remember(settings, pending, name)
        if seconds:
            elapsed = time.monotonic() - started
            cache.note_speed(settings.model, device, settings.precision, seconds, elapsed)
