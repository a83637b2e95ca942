"""EXPLAIN of a statement with a PREDICT: DuckDB's plan, and what the model has before it.

EXPLAIN runs the query under each PREDICT for its paths, and reads headers and the cache: no model
is loaded, none runs. EXPLAIN ANALYZE runs the statement and tells where its time went. This module
knows no plan of DuckDB's; it adds rows below it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .engine import SOURCE_ROWS, Engine, Result
from .exceptions import MediaError, MediaReason, MissingExtra
from .language.statements import Evaluate, ListObjects, Predict, Query, Relation, Span, Sql
from .language.tokens import tokenise
from .lowering import Scope, lower, pick_column, placeholders
from .media.audio import probe_audio
from .media.sources import Media, RemoteFile, media_of
from .models.stack import resolve_device
from .predicting import Call, call_of
from .quoting import quote_name
from .relations.predict import predict_options
from .session import Execution
from .streaming import changes_rows, counts_on, streamable, survives

if TYPE_CHECKING:
    from .cache import PredictionCache, Settings

#: Rows of a query that are looked at, and at once.
_MOST_ROWS: Final = 1_000_000
_ROWS: Final = 2048
_READERS: Final = 4

#: The steps of a prediction, as a reader knows them.
_STEPS: Final[Mapping[str, str]] = {
    "decode": "decode audio",
    "wait": "wait for audio",
    "forward": "model forward",
    "text": "decode to text",
}


def is_explain(query: Query, scope: Scope) -> bool:
    """Tell whether a statement is an EXPLAIN in which a relation of ours stands."""
    start = scope.text[query.span.start : query.span.end].lstrip()
    return bool(query.relations) and start[:7].upper() == "EXPLAIN"


def explain(statement: Sql, scope: Scope, engine: Engine, execution: Execution) -> Result:
    """Run an EXPLAIN, or EXPLAIN ANALYZE; the rows are DuckDB's, then ours.

    Raises:
        Error: as of the statement itself.
    """
    query = statement.query
    sql, values = lower(query, scope), scope.parameters.bind(placeholders(query))
    result = engine.execute(sql, values, execution)
    rows = result.fetch_all()
    if not statement.explains:
        if any(isinstance(relation, Predict | Evaluate) for relation in _relations(query)):
            rows.append(("predict", _split(execution)))
    else:
        explained = _explained(query, scope)
        for predict in (each for each in _relations(query) if isinstance(each, Predict)):
            key = f"predict {execution.version(predict.model.text)}"
            rows.append((key, _outlook(predict, explained, scope, engine, execution)))
    return Result(engine, result.columns, -1, execution).hold(rows)


def _relations(query: Query) -> Iterator[Relation]:
    for relation in query.relations:
        yield relation
        if not isinstance(relation, ListObjects):
            yield from _relations(relation.query)


def _explained(query: Query, scope: Scope) -> Query:
    """Return the statement that an EXPLAIN explains."""
    start, text = query.span.start, scope.text
    head = tokenise(text[start : query.relations[0].span.start])
    after = len("EXPLAIN")
    # Its options; a parenthesis that is not closed here belongs to the statement.
    closed = next((token.end for token in head if token.word == ")"), None)
    if [token.word for token in head[1:2]] == ["("] and closed is not None:
        after = closed
    return Query(Span(start + after, query.span.end), query.relations, query.placeholders)


# --- EXPLAIN --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Census:
    """What a column of media comes to; `contents` are digests, or names of what was never read."""

    rows: int = 0
    absent: int = 0
    whole: bool = True
    names: set[str] = field(default_factory=set)
    contents: set[str] = field(default_factory=set)
    unread: int = 0
    distant: int = 0
    cached: int = 0
    computed: int = 0
    seconds: float = 0.0
    failed: Counter[MediaReason] = field(default_factory=Counter)


def _outlook(
    predict: Predict, explained: Query, scope: Scope, engine: Engine, execution: Execution
) -> str:
    """Return what a PREDICT has before it, one figure a line."""
    columns = scope.columns(predict, predict.query)
    if columns is None:
        return "its query refers to the row beside it, and cannot be counted alone"
    if any(not isinstance(relation, ListObjects) for relation in predict.query.relations):
        return "a model runs in its query, which is not run to explain it"
    sql, values = scope.alone(predict, predict.query)
    if counts_on(sql):
        return "a sequence counts on in its query, which is not run to explain it"
    if changes_rows(sql):
        return "rows change in its query, which is not run to explain it"
    _, options = predict_options(predict, scope)
    audio = pick_column(columns, options["audio_col"], "audio_col", fallback="audio")
    call = call_of(execution.version(predict.model.text), options)
    settings = call.settings(execution.session)
    census = _Census()
    with engine.without_models():
        paths = _values(f"SELECT {quote_name(audio)} FROM (\n{sql}\n)", values, census, engine)
        with closing(paths):
            _count(paths, call, settings, census, execution)
        if engine.source_asks_model:
            return "a model runs in a view of its query, which is not run to explain it"
    small = (
        census.rows <= SOURCE_ROWS
        and streamable(explained, scope) is predict
        and survives(explained, predict, scope, engine)
        and engine.fits_source(sql, values, execution)
    )
    return _table(_figures(census, settings, execution, small=small))


def _values(sql: str, parameters: Any, census: _Census, engine: Engine) -> Generator[list[Any]]:
    result = engine.execute(sql, parameters)
    try:
        while rows := result.fetch_many(_ROWS):
            if engine.source_asks_model:
                return
            if census.rows >= _MOST_ROWS:
                census.whole = False
                return
            yield [value for (value,) in rows]
    finally:
        result.close()


def _count(
    batches: Iterable[list[Any]],
    call: Call,
    settings: Settings,
    census: _Census,
    execution: Execution,
) -> None:
    cache = execution.session.workspace.cache
    with ThreadPoolExecutor(_READERS) as readers:
        for values in batches:
            execution.check()
            census.rows += len(values)
            census.absent += values.count(None)
            fresh = _fresh(values, cache, census, execution)
            known = cache.known(settings, fresh) if call.cached and cache.limit_bytes else {}
            census.cached += len(known)
            ahead = [medium for content, medium in fresh.items() if content not in known]
            # The header of a URL is as dear as all of it: it would be fetched.
            distant = [medium for medium in ahead if isinstance(medium, RemoteFile)]
            census.distant += len(distant)
            ahead = [medium for medium in ahead if not isinstance(medium, RemoteFile)]
            for found in readers.map(_seconds, ahead):
                if isinstance(found, MediaReason):
                    census.failed[found] += 1
                else:
                    census.computed += 1
                    census.seconds += found


def _fresh(
    values: Iterable[Any], cache: PredictionCache, census: _Census, execution: Execution
) -> dict[str, Media]:
    """Return the media that did not occur yet, by content where that is known."""
    media: dict[str, Media] = {}
    for value in values:
        if value is not None:
            medium = media_of(value, execution.session.root)
            name = value if isinstance(value, str) else medium.digest()
            if name not in census.names:
                census.names.add(name)
                media[name] = medium
    identities = {name: m.identity() for name, m in media.items() if m.name == name}
    noted = cache.digests({each for each in identities.values() if each is not None})
    fresh = {}
    for name, medium in media.items():
        identity = identities.get(name)
        content = noted.get(identity, name) if identity is not None else name
        if content not in census.contents:
            census.contents.add(content)
            # A digest has 64 digits, and a path is not likely to.
            census.unread += name in identities and content == name
            fresh[content] = medium
    return fresh


def _seconds(medium: Media) -> float | MediaReason:
    try:
        return probe_audio(medium).duration_s
    except MediaError as error:
        return error.reason
    finally:
        medium.release()


def _figures(
    census: _Census, settings: Settings, execution: Execution, *, small: bool
) -> Iterator[tuple[str, str]]:
    session = execution.session
    failed = census.failed.total()
    yield "rows", _number(census.rows, "" if census.whole else "or more; the rest was not read")
    yield "files", _number(len(census.names), _without(census.absent))
    yield "distinct", _number(len(census.contents), _unread(census.unread))
    yield "cached", _number(census.cached)
    yield "to compute", _number(census.computed)
    if failed:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in census.failed.most_common())
        yield "unusable", f"{failed:,}: {reasons}"
    if census.distant:
        yield "not fetched", f"{census.distant:,} URLs, which may be known or not"
    yield "audio", f"{census.seconds:,.1f} s to compute"
    speed = session.workspace.cache.speed(settings.model, session.device, settings.precision)
    yield "expected", _expected(census.seconds, speed)
    yield "rows come", _SMALL if small else _VECTORS
    yield "device", _device(session.device)
    yield "precision", settings.precision


_SMALL: Final = "in small batches, from 16 rows to 2,048"
_VECTORS: Final = "by vectors of 2,048, one for each thread"


def _number(count: int, more: str = "") -> str:
    return f"{count:,} {more}".rstrip()


def _without(rows: int) -> str:
    return f"(and {rows:,} NULL)" if rows else ""


def _unread(files: int) -> str:
    return f"({files:,} never read: copies among them count apart)" if files else ""


def _expected(seconds: float, speed: float | None) -> str:
    if not seconds:
        return "0.0 s"
    if speed is None:
        return "unknown: this model has not run here yet"
    return f"{seconds / speed:,.1f} s, at {speed:,.1f} x real time as here before"


def _device(device: str) -> str:
    if device != "auto":
        return device
    try:
        return f"{resolve_device(device)} (auto)"
    except MissingExtra:
        return device


# --- EXPLAIN ANALYZE ------------------------------------------------------------------------


def _split(execution: Execution) -> str:
    """Return where the time of a run's predictions went; the steps overlap, on several threads."""
    spent = execution.spent
    total = sum(spent[step] for step in _STEPS)
    lines = [
        ("computed", _number(execution.computed)),
        ("cached", _number(execution.cached)),
    ]
    for step, name in _STEPS.items():
        share = spent[step] / total if total else 0.0
        lines.append((name, f"{spent[step]:,.3f} s {share:6.1%}"))
    return _table(lines)


def _table(lines: Iterable[tuple[str, str]]) -> str:
    lines = list(lines)
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)
