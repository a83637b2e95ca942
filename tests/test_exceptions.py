"""Errors: PEP 249's tree, and DuckDB's classes translated at one seam."""

from __future__ import annotations

import inspect
import threading
from pathlib import Path

import duckdb
import pytest

import thanosql_dbapi
from thanosql_dbapi import Connection, ThanoSQLSyntaxError, exceptions
from thanosql_dbapi.engine.errors import translated

TREE = {
    "Warning": "Exception",
    "Error": "Exception",
    "InterfaceError": "Error",
    "DatabaseError": "Error",
    "DataError": "DatabaseError",
    "OperationalError": "DatabaseError",
    "IntegrityError": "DatabaseError",
    "InternalError": "DatabaseError",
    "ProgrammingError": "DatabaseError",
    "NotSupportedError": "DatabaseError",
    "MediaError": "DataError",
    "CheckpointUnavailable": "OperationalError",
    "TrainingError": "OperationalError",
    "ModelRefused": "TrainingError",
    "QueryInterrupted": "OperationalError",
    "ThanoSQLSyntaxError": "ProgrammingError",
    "OptionError": "ProgrammingError",
    "ColumnNotFound": "ProgrammingError",
    "ModelNotFound": "ProgrammingError",
    "ModelExists": "ProgrammingError",
    "MissingExtra": "NotSupportedError",
}


def classes_of(module: object) -> dict[str, str]:
    return {
        name: found.__mro__[1].__name__
        for name, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, Exception)
    }


def test_the_tree_is_pep_249s_with_the_products_leaves() -> None:
    assert classes_of(exceptions) == TREE
    assert classes_of(thanosql_dbapi) == TREE
    drawn = inspect.getdoc(exceptions) or ""
    assert all(name in drawn for name in TREE)


def test_connections_carry_the_tree() -> None:
    for name in list(TREE)[:10]:
        assert getattr(Connection, name) is getattr(thanosql_dbapi, name)


# --- DuckDB's, in life ----------------------------------------------------------------------

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, CHECK (n > 0))"


@pytest.mark.parametrize(
    ("sql", "error", "theirs"),
    [
        ("INSERT INTO t VALUES (1, 1), (1, 1)", "IntegrityError", "ConstraintException"),
        ("INSERT INTO t VALUES (1, NULL)", "IntegrityError", "ConstraintException"),
        ("INSERT INTO t VALUES (1, -1)", "IntegrityError", "ConstraintException"),
        ("SELEC 1", "ProgrammingError", "ParserException"),
        ("SELECT 1 +", "ProgrammingError", "ParserException"),
        ("FROM nowhere", "ProgrammingError", "CatalogException"),
        ("SELECT nothing FROM t", "ProgrammingError", "BinderException"),
        ("SELECT nothing(1)", "ProgrammingError", "CatalogException"),
        ("CREATE TABLE t (a INT)", "ProgrammingError", "CatalogException"),
        ("SELECT error('boom')", "ProgrammingError", "InvalidInputException"),
        ("SELECT 'x'::INT", "DataError", "ConversionException"),
        ("SELECT 9223372036854775807 + 1::BIGINT", "DataError", "OutOfRangeException"),
        ("FROM 'nowhere.csv'", "OperationalError", "IOException"),
        ("ATTACH '/nowhere/at/all.db'", "OperationalError", "IOException"),
        ("BEGIN; BEGIN", "OperationalError", "TransactionException"),
        ("COMMIT", "OperationalError", "TransactionException"),
    ],
)
def test_duckdbs_errors_become_pep_249s(sql: str, error: str, theirs: str) -> None:
    with thanosql_dbapi.connect() as db:
        db.execute(TABLE)
        with pytest.raises(thanosql_dbapi.Error) as caught:
            db.execute(sql).fetchall()
        assert type(caught.value) is getattr(thanosql_dbapi, error)
        assert type(caught.value.__cause__) is getattr(duckdb, theirs)
        assert str(caught.value) == str(caught.value.__cause__)
        db.rollback()


def test_each_class_of_duckdb_has_a_class_of_ours() -> None:
    theirs = [
        found
        for _, found in inspect.getmembers(duckdb, inspect.isclass)
        if issubclass(found, duckdb.Error)
    ]
    assert len(theirs) > 20
    for found in theirs:
        with pytest.raises(exceptions.Error) as caught, translated():
            raise found("why")
        ours = type(caught.value)
        if issubclass(found, duckdb.InterruptException):
            assert ours is exceptions.QueryInterrupted
            continue
        # The first class of PEP 249's own names among its ancestors.
        named = next(c.__name__ for c in found.__mro__ if c.__name__ in TREE)
        assert ours.__name__ == ("DatabaseError" if named == "Error" else named)


def test_what_is_not_duckdbs_passes_through() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError("mine")


def test_an_interrupted_query_is_an_operational_error() -> None:
    with thanosql_dbapi.connect() as db:
        timer = threading.Timer(0.3, db.interrupt)
        timer.start()
        with pytest.raises(thanosql_dbapi.QueryInterrupted) as caught:
            db.execute("SELECT sum(sqrt(a.i * b.i)) FROM range(1000000) a(i), range(100000) b(i)")
        timer.join()
        assert isinstance(caught.value, thanosql_dbapi.OperationalError)
        assert isinstance(caught.value.__cause__, duckdb.InterruptException)


# --- ours -----------------------------------------------------------------------------------


def test_a_syntax_error_points_at_its_place() -> None:
    with thanosql_dbapi.connect() as db, pytest.raises(ThanoSQLSyntaxError) as caught:
        db.execute("SELECT 1;\n\tPREDICT USNG m AS SELECT 1")
    problem, shown, caret = str(caught.value).splitlines()
    assert (caught.value.line, caught.value.column) == (2, 10)
    assert "(line 2, column 10)" in problem
    assert shown[caret.index("^") :].startswith("USNG")
    assert caret == "\t        ^"


def test_an_error_of_a_model_comes_as_itself_with_duckdbs_as_cause(
    connection: Connection, tmp_path: Path
) -> None:
    with pytest.raises(thanosql_dbapi.MediaError, match="row 1: 'bad.wav'") as caught:
        connection.execute("PREDICT USING m AS SELECT 'bad.wav' AS audio_path").fetchall()
    chain, found = [], caught.value
    while found is not None:
        chain.append(type(found).__name__)
        found = found.__cause__
    assert chain[0] == "MediaError"
    assert {"InvalidInputException", "InputError"} & set(chain)


def test_nearest_names_are_offered_whatever_their_case() -> None:
    assert exceptions.nearest("Modle", ["model", "other"]) == " Did you mean 'model'?"
    assert exceptions.nearest("xyz", ["model", "other"]) == ""
