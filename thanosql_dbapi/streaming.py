"""Which statements have their first rows early, and how: over rows read before, in small batches.

DuckDB calls a model for vectors of 2,048 rows. Where a PREDICT stands at the top of a statement,
its query is run first, on the user's own connection and in the same transaction; then the model
gets its rows 16 at a time, later more. Everywhere else, and wherever there is a doubt, DuckDB's
vectors do: the rows are the same. This module decides by the words around the PREDICT, and knows
no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .engine import SOURCE_VIEW, Engine, Result
from .language.statements import Predict, Query
from .language.tokens import Token, tokenise
from .lowering import SOURCE, Scope, source
from .session import Execution

# With one of these in it a statement needs more than the rows as they come (an ORDER BY needs
# all), or holds something that these few rules do not understand.
_FOREIGN: Final = frozenset(
    """
    ALL ANY ARRAY BY CASE CUBE DISTINCT EXCEPT EXISTS FETCH FILTER GROUP GROUPING HAVING INTERSECT
    INTO JOIN LATERAL MATCH_RECOGNIZE ORDER OVER PIVOT POSITIONAL QUALIFY REPEATABLE ROLLUP SAMPLE
    SELECT FROM SETS SOME TABLE TABLESAMPLE UNION UNNEST UNPIVOT VALUES WINDOW WITH
    """.split()  # noqa: SIM905 - a list of quoted words is longer and says no more
)
#: A LIMIT that DuckDB pushes below the model, and that needs no batch smaller than itself.
_FIRST_BATCH: Final = 64

#: The options that name a column which a PREDICT adds to its query.
_RESULTS: Final = frozenset({"result_col", "column_name", "score_col", "words_col", "error_col"})

# Without a LIMIT of its own DuckDB would read the batches with several threads, and the model
# would have as many in hand before the first row is out.
_ONE_AFTER_THE_OTHER: Final = f"(SELECT * FROM {SOURCE_VIEW} LIMIT {2**63 - 1}) AS {SOURCE}"
# But DuckDB takes no condition through a LIMIT, and where one on other columns spares the model
# rows, that is worth more.
_SIDE_BY_SIDE: Final = f"{SOURCE_VIEW} AS {SOURCE}"


def stream(
    query: Query, sql: str, scope: Scope, engine: Engine, execution: Execution
) -> Result | None:
    """Run a lowered statement over its PREDICT's rows; None where it is not such a statement.

    The query of the PREDICT has run then, but for one that needs more memory than is allowed: that
    one has begun, and begins again.
    """
    predict = streamable(query, scope)
    if predict is None:
        return None
    placed = source(predict.query, scope)
    if sql.count(placed) != 1 or not survives(query, predict, scope, engine):
        return None
    alone, values = scope.alone(predict, predict.query)
    if counts_on(alone) or changes_rows(alone):
        return None
    rows = engine.read_source(alone, values, execution)
    if rows is None:
        return None
    # The functions in the query have counted its rows too.
    execution.rows_seen = 0
    # What is left of the statement has no place where a model could be folded.
    execution.may_fold = True
    if predict.span == query.span:
        execution.total = rows.rows.num_rows
    tail = tokenise(scope.text[predict.span.end : query.span.end])
    names = {name.casefold() for name in rows.rows.column_names}
    spared = _names(_split_limit(tail)[0], names)
    over = sql.replace(placed, _SIDE_BY_SIDE if spared else _ONE_AFTER_THE_OTHER)
    return engine.stream(over, scope.parameters.bind(query.placeholders), execution, rows)


def changes_rows(sql: str) -> bool:
    """Tell whether a query may change a table in its WITH: it must run once, with the statement."""
    return not {"INSERT", "UPDATE", "DELETE", "MERGE"}.isdisjoint(t.word for t in tokenise(sql))


def counts_on(sql: str) -> bool:
    """Tell whether a query may move a sequence, so that it must not run a second time."""
    return "nextval" in sql.lower()


def survives(query: Query, predict: Predict, scope: Scope, engine: Engine) -> bool:
    """Tell whether what stands around a PREDICT means the same over rows read before."""
    text = scope.text[query.span.start : query.span.end]
    is_all = text.strip() == scope.text[predict.span.start : predict.span.end].strip()
    return is_all or not engine.may_collate(text)


def streamable(query: Query, scope: Scope) -> Predict | None:
    """Return the PREDICT that a statement consists of, or is a plain SELECT from."""
    if len(query.relations) != 1 or not isinstance(query.relations[0], Predict):
        return None
    predict = query.relations[0]
    start = _after_tables(query, predict, scope.text)
    # A model within the source would run to its end before the first row.
    if start is None or predict.query.relations:
        return None
    head = tokenise(scope.text[start : predict.span.start])
    tail = tokenise(scope.text[predict.span.end : query.span.end])
    if not head and not tail:
        return predict
    if not (_opens_from(head) and _closes_from(tail)):
        return None
    return predict if _needs_result(head, tail, _result_columns(predict, scope)) else None


def _result_columns(predict: Predict, scope: Scope) -> set[str]:
    given = scope.option_values(predict.options)
    return {"predicted", *(str(value).casefold() for name, value in given if name in _RESULTS)}


def _after_tables(query: Query, predict: Predict, text: str) -> int | None:
    """Return where the statement goes on after its WITH; None where a WITH stands elsewhere."""
    if not predict.visible:
        return query.span.start
    spans = [table.query.span for table in predict.visible]
    places = [query.span.start, *(place for span in spans for place in (span.start, span.end))]
    between = [
        [token.word for token in tokenise(text[start:end])]
        for start, end in zip(places[:-1:2], places[1::2], strict=True)
    ]
    return spans[-1].end if between == [["WITH"], *[[","]] * (len(spans) - 1)] else None


def _opens_from(head: Sequence[Token]) -> bool:
    """Read `[SELECT list] FROM (`."""
    words = [token.word for token in head]
    if words[-2:] != ["FROM", "("] or words[0] not in ("SELECT", "FROM"):
        return False
    return _FOREIGN.isdisjoint(words[1:-2])


def _closes_from(tail: Sequence[Token]) -> bool:
    """Read `) [[AS] alias] [WHERE condition] [LIMIT rows [OFFSET rows]]`."""
    words = [token.word for token in tail]
    if words[:1] != [")"] or not _FOREIGN.isdisjoint(words):
        return False
    after = 1
    if words[after : after + 1] == ["AS"]:
        after += 1
    if words[after : after + 1] not in ([], ["WHERE"], ["LIMIT"], ["OFFSET"]):
        after += 1
    return words[after : after + 1] in ([], ["WHERE"], ["LIMIT"], ["OFFSET"])


def _needs_result(head: Sequence[Token], tail: Sequence[Token], shown: set[str]) -> bool:
    """Tell whether early rows are worth more than what DuckDB pushes below the model.

    A condition on other columns, or a LIMIT, spares the reading of rows, not only their
    prediction: then the query is not run as a whole beforehand.
    """
    condition, limit = _split_limit(tail)
    if any(token.word == "WHERE" for token in condition):
        return _names(condition, shown)
    if limit is not None and limit <= _FIRST_BATCH:
        return False
    listed = head[1:-2]
    return not listed or any(token.word == "*" for token in listed) or _names(listed, shown)


def _split_limit(tail: Sequence[Token]) -> tuple[Sequence[Token], int | None]:
    """Return what stands before LIMIT, and its number where it is one."""
    for index, token in enumerate(tail):
        if token.word == "LIMIT":
            number = tail[index + 1].text if index + 1 < len(tail) else ""
            return tail[:index], int(number) if number.isdecimal() else None
    return tail, None


def _names(tokens: Iterable[Token], columns: set[str]) -> bool:
    return any(token.text.casefold() in columns for token in tokens)
