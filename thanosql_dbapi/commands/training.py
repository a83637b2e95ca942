"""What BUILD and FIT share: the rows, the run that outlives a crash, and what comes of it.

The queries are read to their ends first; then the training runs without DuckDB and without a
lock, so other cursors, threads and processes go on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from ..exceptions import (
    ColumnNotFound,
    DataError,
    MediaError,
    MediaReason,
    ModelRefused,
    OptionError,
    ProgrammingError,
    QueryInterrupted,
    callers_level,
)
from ..functions.versions import FINDINGS
from ..journal import Journal, RunState, discard, read_run
from ..language import parse
from ..language.statements import Query, Sql
from ..lowering import SOURCE, lower, pick_column, placeholders
from ..media.sources import Media, media_of
from ..models.base import Family, Finding, Prepared, Severity, Trained, Training
from ..parameters import Parameters
from ..quoting import quote_name
from ..registry import Version
from .base import Answer, Surroundings, one_row

#: Options that change nothing of what is learnt.
_DECIDE_NOTHING: Final = frozenset({"overwrite", "resume", "publish", "check_only"})

#: What a version keeps of its making; no prediction depends on it.
ABOUT: Final = "about"


@dataclass(frozen=True, slots=True)
class Rows:
    """Recordings with what is said in them; a digest tells a recording's content."""

    media: Sequence[Media]
    texts: Sequence[str]
    digests: Sequence[str]

    def said(self) -> list[tuple[str, str]]:
        """Return each row's content and text."""
        return list(zip(self.digests, self.texts, strict=True))


@dataclass(frozen=True, slots=True)
class Order:
    """What a statement asks to be trained.

    `base` is the folder of weights to start from; `parent` the version it is of, for a FIT;
    `checkpoint` what the new version keeps of where a BUILD's weights are from.
    """

    name: str
    family: Family
    base: Path
    parent: Version | None
    options: Mapping[str, Any]
    query: Query
    checkpoint: Mapping[str, Any] = field(default_factory=dict)


def train(order: Order, around: Surroundings) -> Answer:
    """Train, keep the version, and bring it into force if it is good enough; answer what it is.

    Raises:
        ModelExists: the name is taken and `overwrite` is not set; nothing was trained.
        DataError: rows cannot be trained on; nothing was trained.
        TrainingError: the run could not go on; the same statement goes on from what is kept.
        ModelRefused: the version is kept, and not in force.
    """
    options = order.options
    held_out = _held_out_rows(options, around)  # few rows: a mistake in it is told at once
    rows = read_rows(*_sql_of(order.query, around), options, around, "the query")
    if options.get("check_only"):
        return _checked(order, rows, held_out, around)
    started = time.monotonic()
    key = _key(order, rows, held_out)
    folder = around.session.workspace.training_folder(order.name) / key[:16]
    if not options.get("resume", True):
        _forget(folder, order.name)
    try:
        with _run(order, folder, key, rows) as journal:
            version, trained = _train(order, journal, rows, held_out, around)
    except DataError:
        _discard_untrained(folder, around)
        raise
    around.session.workspace.registry.sweep_runs()
    if trained.refusal and options.get("publish") != "always":
        raise _refused(version, trained.refusal, around)
    if trained.refusal:
        warnings.warn(
            f"{trained.refusal}; it is in force all the same, by publish='always'",
            stacklevel=callers_level(),
        )
    if trained.remark:
        warnings.warn(trained.remark, stacklevel=callers_level())
    return describe(version, len(rows.media), time.monotonic() - started)


def require_free(name: str, options: Mapping[str, Any], around: Surroundings) -> None:
    """Refuse a name that is taken, before anything is read.

    Raises:
        ModelExists: it is, and `overwrite` is not set.
    """
    overwrite = options["overwrite"] or options.get("check_only", False)
    around.session.workspace.registry.require_free(name, overwrite)


# --- the rows -------------------------------------------------------------------------------


def _sql_of(query: Query, around: Surroundings) -> tuple[str, Any]:
    scope = around.scope
    return lower(query, scope), scope.parameters.bind(placeholders(query))


def _held_out_rows(options: Mapping[str, Any], around: Surroundings) -> Rows | None:
    """Return the rows of a validation query; None where `validation` is none."""
    given = options.get("validation")
    if not isinstance(given, str) or given.casefold() == "auto":
        return None
    try:
        sql = _sql_of_validation(given, around)
        return read_rows(sql, None, options, around, "the query of validation")
    except ProgrammingError as error:
        if type(error) not in (ColumnNotFound, ProgrammingError):
            raise  # it says itself where it is from
        raise type(error)(f"validation={given!r}: {error}") from error


def _sql_of_validation(given: str, around: Surroundings) -> str:
    scope = around.scope
    sql = given.rstrip().removesuffix(";")
    script = parse(given)
    if script is not None:
        if len(script.statements) != 1 or not isinstance(script.statements[0], Sql):
            raise OptionError("validation takes a part of the rows, such as 0.1, or one query")
        query = script.statements[0].query
        sql = lower(
            query,
            type(scope)(given, Parameters(None), scope.columns_of, scope.resolve, scope.to_sql),
        )
    return sql


def read_rows(
    sql: str, values: Any, options: Mapping[str, Any], around: Surroundings, what: str
) -> Rows:
    """Read the rows to train on: path, or the bytes themselves, and text. A NULL text is empty.

    Raises:
        ColumnNotFound: the query lacks a column.
        ProgrammingError: there is no row.
        DataError: a medium is neither path nor BLOB, or a text is none; with the row.
    """
    columns = around.scope.columns_of(f"SELECT * FROM (\n{sql}\n)", values)
    audio = pick_column(columns, options["audio_col"], "audio_col", fallback="audio")
    text = pick_column(columns, options["text_col"], "text_col")
    shown = f"{quote_name(audio)}, {quote_name(text)}"
    read = f"SELECT {shown} FROM (\n{sql}\n) AS {SOURCE}"
    rows = around.engine.execute(read, values, around.execution).fetch_all()
    if not rows:
        raise ProgrammingError(f"there is nothing to train on: {what} returns no rows")
    for number, (medium, said) in enumerate(rows, 1):
        if not isinstance(medium, str | bytes | None):
            raise DataError(
                f"row {number} of {what}: the column '{audio}' is {medium!r}, no path and no BLOB"
            )
        if not isinstance(said, str | None):
            raise DataError(f"row {number} of {what}: the column '{text}' is {said!r}, not a text")
    root = around.session.root
    media = [NoMedia() if medium is None else media_of(medium, root) for medium, _ in rows]
    return Rows(media, [said or "" for _, said in rows], _digests(media, around))


class NoMedia(Media):
    """What stands in a row whose path is NULL: it is found missing, as a file is."""

    @property
    def name(self) -> str:
        """What SQL calls it."""
        return "NULL"

    def identity(self) -> None:
        """Return None: there is none."""

    def digest(self) -> NoReturn:
        """See `Media`."""
        raise MediaError("the path is NULL", MediaReason.MISSING)

    def open(self) -> NoReturn:
        """See `Media`."""
        self.digest()


def _digests(media: Sequence[Media], around: Surroundings) -> list[str]:
    """Return what tells each recording's content; its name, where it cannot be read."""
    from ..models.training.waveforms import content_tokens

    tokens = content_tokens(media, around.execution.check)
    pairs = zip(tokens, media, strict=True)
    return [token or f"unreadable {medium.name}" for token, medium in pairs]


# --- the run --------------------------------------------------------------------------------


def _key(order: Order, rows: Rows, held_out: Rows | None) -> str:
    """Return what tells a training from all others: base, options that matter, and data."""
    decides = {k: v for k, v in order.options.items() if k not in _DECIDE_NOTHING}
    if held_out is not None:
        decides["validation"] = held_out.said()
    facts = {
        "family": [order.family.name, order.family.revision],
        "base": _folder_digest(order.base),
        "options": decides,
        "rows": rows.said(),
    }
    return _digest_of(facts)


def _digest_of(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _folder_digest(folder: Path) -> str:
    """Return the digest of a model's files, but for what says how it was made."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".safetensors", ".json", ".txt"):
            if path.name == "thanosql.json":
                continue
            with path.open("rb") as file:
                digest.update(path.name.encode() + b"\0")
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _discard_untrained(folder: Path, around: Surroundings) -> None:
    """Remove the waveforms of rows that cannot be trained on: the same rows end the same way."""
    run = read_run(folder)
    if run is None or run.points:
        return
    with around.session.workspace.registry.staging() as grave, contextlib.suppress(OSError):
        discard(folder, grave / folder.name)
        folder.parent.rmdir()  # unless the model has other runs


def _forget(folder: Path, name: str) -> None:
    """Remove what an earlier run left, once nobody is at it."""
    if folder.exists():
        with Journal(folder, {"model": name}):
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != "lock":
                    path.unlink(missing_ok=True)


@contextlib.contextmanager
def _run(order: Order, folder: Path, key: str, rows: Rows) -> Iterator[Journal]:
    """Open the journal of a run, and say in it, and to the user, how the run ended."""
    facts = {
        "model": order.name,
        "key": key,
        "base": order.family.name,
        "options": dict(order.options),
        "rows": len(rows.media),
        # So that the parent is not collected while there is something to go on with.
        "parent": None if order.parent is None else str(order.parent),
    }
    with Journal(folder, facts) as journal:
        try:
            yield journal
        except (KeyboardInterrupt, QueryInterrupted) as error:
            text = _how_to_go_on(order, journal)
            journal.finish(RunState.INTERRUPTED, text)
            if isinstance(error, QueryInterrupted):
                raise QueryInterrupted(text) from error
            error.add_note(text)
            raise
        except BaseException as error:
            journal.finish(RunState.FAILED, str(error))
            raise


def _how_to_go_on(order: Order, journal: Journal) -> str:
    points = journal.points
    if not points:
        return f"the training of '{order.name}' was interrupted before its first step"
    return (
        f"the training of '{order.name}' was interrupted after step {points[-1].step}"
        f" of {points[-1].steps}; the same statement goes on from there, and"
        " OPTIONS (resume=False) starts over"
    )


def _train(
    order: Order, journal: Journal, rows: Rows, held_out: Rows | None, around: Surroundings
) -> tuple[Version, Trained]:
    options, registry = order.options, around.session.workspace.registry
    started = time.monotonic()
    with registry.staging() as staged:
        prepared = order.family.prepare(_training(order, journal, rows, held_out, around))
        _judge(prepared, options)
        trained = prepared.train(staged)
        around.execution.check()
        facts = {
            "base": order.family.name,
            **order.checkpoint,
            **trained.facts,
            "lineage": {
                "parent": None if order.parent is None else str(order.parent),
                "base": order.family.name,
                "options": dict(options),
                "seed": options.get("seed"),
                "query": around.scope.text[order.query.span.start : order.query.span.end],
                "data_digest": _digest_of(rows.said()),
                "rows": len(rows.media),
                "refusal": trained.refusal,
                "seconds": round(time.monotonic() - started, 3),
                **trained.lineage,
            },
        }
        kept = trained.refusal is None or options.get("publish") == "always"
        state = RunState.FINISHED if kept else RunState.REFUSED
        _write_about(staged, order, prepared)
        journal.copy_to(staged / ABOUT, state, trained.refusal or "")
        version = registry.publish(
            order.name, staged, facts, overwrite=options["overwrite"], in_force=kept
        )
        journal.finish(state, trained.refusal or "")
    return version, trained


def _training(
    order: Order,
    journal: Journal,
    rows: Rows,
    held_out: Rows | None,
    around: Surroundings,
) -> Training:
    return Training(
        base=order.base,
        inputs=rows.media,
        labels=rows.texts,
        held_out_inputs=held_out.media if held_out else (),
        held_out_labels=held_out.texts if held_out else (),
        options=order.options,
        device=around.session.device,
        folder=journal.folder,
        journal=journal,
        check=around.execution.check,
        progress=around.session.progress,
    )


def _judge(prepared: Prepared, options: Mapping[str, Any]) -> None:
    """Refuse data that doom the training, and warn of what is only odd.

    Raises:
        DataError: a row cannot be trained on, and `on_error` is `raise`; or no row is left.
    """
    from ..models.training.findings import summary

    errors = [each for each in prepared.findings if each.severity is Severity.ERROR]
    doomed = any(each.row is None for each in errors)
    if doomed or (errors and options.get("on_error", "raise") == "raise"):
        skip = " and OPTIONS (on_error='skip') leaves out those that cannot be trained on"
        raise DataError(
            f"{summary(errors)}\nOPTIONS (check_only=True) returns all that is found about the"
            f" rows{'' if doomed else f',{skip}'}."
        )
    odd = [each for each in prepared.findings if each.severity is not Severity.NOTE]
    if odd:
        warnings.warn(summary(odd), stacklevel=callers_level())


def _write_about(staged: Path, order: Order, prepared: Prepared) -> None:
    from ..models.seen import read_seen, write_seen

    about = staged / ABOUT
    about.mkdir(exist_ok=True)
    found = [asdict(finding) for finding in prepared.findings]
    (about / "findings.json").write_text(json.dumps(found, ensure_ascii=False) + "\n", "utf-8")
    if order.parent is not None:
        # What the weights have heard before, they have heard.
        write_seen(staged, read_seen(order.parent.folder) | read_seen(staged))


def _refused(version: Version, reason: str, around: Surroundings) -> ModelRefused:
    registry = around.session.workspace.registry
    number = registry.in_force_number(version.name)
    stays = (
        f"'{version.name}' has no version in force"
        if number is None
        else f"'{version.name}' still means version {number}"
    )
    return ModelRefused(
        f'{reason}. The model is kept as "{version}", and {stays}.'
        f' PREDICT USING "{version}" uses it nevertheless;'
        f" thanosql_rollback('{version.name}', {version.number}) or OPTIONS (publish='always')"
        " brings it into force.",
        str(version),
    )


# --- the answers ----------------------------------------------------------------------------


def _checked(order: Order, rows: Rows, held_out: Rows | None, around: Surroundings) -> Answer:
    """Answer what is found about the rows; nothing is kept."""
    with around.session.workspace.registry.staging() as folder:
        journal = Journal(folder, {})
        prepared = order.family.prepare(_training(order, journal, rows, held_out, around))
        return findings(prepared.findings)


def findings(found: Sequence[Finding]) -> Answer:
    """Answer one row a finding."""
    shown = ", ".join(f"found.{quote_name(name)} AS {quote_name(name)}" for name in FINDINGS)
    kind = json.dumps([FINDINGS])
    text = json.dumps([asdict(each) for each in found])
    return Answer(f"SELECT {shown} FROM (SELECT unnest(from_json(?, '{kind}')) AS found)", [text])


def describe(version: Version, rows: int | None, seconds: float) -> Answer:
    """Answer one row that describes a new version."""
    lineage = version.facts.get("lineage", {})
    metrics = lineage.get("metrics", {})
    return one_row(
        {
            "name": ("VARCHAR", version.name),
            "version": ("INTEGER", version.number),
            "class_name": ("VARCHAR", version.base),
            "rows": ("BIGINT", rows),
            "audio_seconds": ("DOUBLE", lineage.get("audio_seconds")),
            "seconds": ("DOUBLE", round(seconds, 3)),
            "wer": ("DOUBLE", metrics.get("wer")),
            "greedy_wer": ("DOUBLE", metrics.get("greedy_wer")),
            "base_wer": ("DOUBLE", metrics.get("base_wer")),
            "decoder": ("VARCHAR", lineage.get("decoder")),
        }
    )
