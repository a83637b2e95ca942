"""Runs a script: each statement lowered or handed to its command, one after the other."""

from __future__ import annotations

from typing import Any

from .commands import COMMANDS, Surroundings
from .engine import Engine, Result
from .engine import Parameters as Given
from .explaining import explain, is_explain
from .language.statements import Predict, Script, Sql, Statement
from .lowering import Scope, lower, placeholders, refuse_view_parameters
from .parameters import Parameters, script_placeholders
from .places import told_of
from .quoting import quote_name
from .registry import Version
from .relations import TO_SQL
from .relations.predict import predict_with_table
from .session import Execution, Session
from .streaming import stream


def run_script(
    script: Script,
    given: Given,
    engine: Engine,
    session: Session,
    messages: list[tuple[type[Exception], Exception]],
) -> Result | None:
    """Run the statements in order; return the last one's result, None where there is none.

    What any of them has to tell is added to `messages`.

    Raises:
        Error: of the first statement that fails; those before it stay done.
    """
    parameters = Parameters(given)
    parameters.require_all_used(script_placeholders(script))
    result = None
    for statement in script.statements:
        execution = engine.new_execution()
        execution.tell_to(messages)
        engine.running.add(execution)
        try:
            result = _run(statement, script.text, parameters, engine, session, execution)
        finally:
            engine.running.discard(execution)
    return result


def _run(
    statement: Statement,
    text: str,
    parameters: Parameters,
    engine: Engine,
    session: Session,
    execution: Execution,
) -> Result:
    def columns_of(query: str, values: Any) -> dict[str, str] | None:
        columns = engine.columns_of(query, values)
        return None if columns is None else {each.name: each.type_code for each in columns}

    def resolve(name: str) -> Version:
        return execution.version(name)

    scope = Scope(text, parameters, columns_of, resolve, TO_SQL)
    if isinstance(statement, Sql):
        with told_of(text):
            return _run_sql(statement, scope, engine, execution)
    answer = COMMANDS[type(statement)](statement, Surroundings(engine, session, scope, execution))
    return engine.execute(answer.sql, answer.parameters, execution)


def _run_sql(statement: Sql, scope: Scope, engine: Engine, execution: Execution) -> Result:
    query = statement.query
    refuse_view_parameters(query, scope)
    if is_explain(query, scope):
        return explain(statement, scope, engine, execution)
    values = scope.parameters.bind(placeholders(query))
    only = query.relations[0] if query.relations else None
    if isinstance(only, Predict) and only.span == query.span:
        sql, table = predict_with_table(only, scope)
        if table:
            engine.execute(
                f"CREATE OR REPLACE TABLE {quote_name(table)} AS {sql}", values, execution
            )
            sql, values = f"SELECT * FROM {quote_name(table)}", None
    else:
        sql = lower(query, scope)
    result = stream(query, sql, scope, engine, execution)
    return engine.stream(sql, values, execution) if result is None else result
