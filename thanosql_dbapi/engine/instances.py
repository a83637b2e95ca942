"""DuckDB's instances in this process, and the functions that are registered in them.

A function belongs to an instance, and a call must find its way back to one connection of it.
"""

from __future__ import annotations

import atexit
import inspect
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from ..functions.base import Function

if TYPE_CHECKING:
    import pyarrow

    from .engine import Engine


class Instance:
    """One DuckDB instance of this process, and what belongs to it rather than to a connection.

    Functions are registered in the instance; they find the connection that calls them by a
    number, a constant argument which each connection's temporary macros fill in.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.lock = threading.RLock()
        #: What the product keeps for the instance: its workspace.
        self.shared: Any = None
        self._open = 0
        self._numbers = itertools.count(1)
        self._engines: weakref.WeakValueDictionary[int, Engine] = weakref.WeakValueDictionary()
        #: DuckDB 2.0 lets go of a function with the connection that registered it, and then calls
        #: it all the same for the others.
        self.kept: list[object] = []

    def add(self, engine: Engine) -> int:
        """Note a connection; return its number."""
        with self.lock:
            self._open += 1
            number = next(self._numbers)
            self._engines[number] = engine
            return number

    def remove(self, number: int) -> None:
        """Forget a connection; the last one takes along what was kept for all."""
        with self.lock:
            self._engines.pop(number, None)
            self._open -= 1
            if not self._open:
                self.shared = None

    def callback(self, function: Function) -> Callable[..., pyarrow.Array]:
        """Wrap a function for DuckDB: find the execution, and keep what it raises."""
        engines = self._engines  # and not the instance, which keeps this function

        def call(*columns: pyarrow.ChunkedArray) -> pyarrow.Array:
            *arguments, sessions = columns
            engine = engines[sessions[0].as_py()]
            execution = engine.execution
            if function.runs_model and engine.reads_source:
                engine.source_asks_model = True
                return _nulls(len(sessions))
            try:
                # What is volatile is not folded, and must not be begun twice either.
                if function.runs_model and not function.volatile and len(sessions) == 1:
                    execution.refuse_folding()
                execution.check()
                return function.call(execution, *arguments)
            except BaseException as failure:
                execution.fail(failure)
                raise

        # DuckDB counts the parameters of what it registers, and evaluates their annotations.
        names = [*function.parameters, *function.optional, "session"]
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
        )
        return call


def _nulls(count: int) -> pyarrow.Array:
    import pyarrow

    return pyarrow.nulls(count)


_instances: weakref.WeakValueDictionary[str, Instance] = weakref.WeakValueDictionary()
_instances_lock = threading.Lock()
#: What to close while Python can still call back, in this order.
open_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
open_readers: weakref.WeakSet[Generator[object, None, None]] = weakref.WeakSet()
_anonymous = itertools.count(1)


def _instance_key(database: str) -> str:
    """Return what tells DuckDB's instances apart: a file, a named memory, or this one alone."""
    if database in ("", ":memory:"):
        return f":memory: {next(_anonymous)}"
    if database.startswith(":memory:"):
        return database
    return os.path.realpath(database)


def instance_of(database: str) -> Instance:
    """Return the instance that a database, as `connect` takes it, belongs to."""
    key = _instance_key(database)
    with _instances_lock:
        instance = _instances.get(key)
        if instance is None:
            instance = _instances[key] = Instance(key)
        return instance


@atexit.register
def _close_engines() -> None:
    """Close what the program left open, while Python can still call back."""
    for engine in list(open_engines):
        engine.close()
    # What Arrow holds outlives the interpreter, and DuckDB's module with it, which complains.
    for batches in list(open_readers):
        batches.close()
