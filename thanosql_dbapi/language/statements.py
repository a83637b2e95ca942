"""What a ThanoSQL script says, as frozen values.

Every piece keeps its place in the script (`Span`), because the user's text is never printed
anew: what is not ours reaches DuckDB as the very characters that were written. These classes
know no behaviour, no model, no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the script, in characters: `script[start:end]`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A parameter's place: `?` (an int counted from 1 across the script), `$1` (its int), `$name`.

    `positional` tells `?` from `$1`.
    """

    key: int | str
    span: Span
    positional: bool


OptionValue: TypeAlias = "str | int | float | bool | Placeholder | tuple[OptionValue, ...] | None"


@dataclass(frozen=True, slots=True)
class Option:
    """One `name=value` of an OPTIONS clause; the name folded to lower case."""

    name: str
    value: OptionValue
    span: Span


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a model, base, table or dataset, unquoted, as it was written."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Query:
    """DuckDB text that returns rows, with the relations that stand in it.

    `relations` are the outermost ones in the order of the text; `placeholders` those of the text
    outside these relations.
    """

    span: Span
    relations: tuple[Relation, ...] = ()
    placeholders: tuple[Placeholder, ...] = ()


@dataclass(frozen=True, slots=True)
class CommonTable:
    """One `name [(columns)] AS [[NOT] MATERIALIZED] ( query )` of a WITH clause.

    The span of `query` is that of the whole definition, from the name to the last parenthesis.
    """

    query: Query
    recursive: bool


@dataclass(frozen=True, slots=True)
class Predict:
    """`PREDICT USING model [OPTIONS (...)] AS query`.

    `visible` on every relation: the common table expressions of the statement around it that its
    query may name, outermost and earliest first.
    """

    span: Span
    model: Name
    options: tuple[Option, ...]
    query: Query
    visible: tuple[CommonTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluate:
    """`EVALUATE USING model [OPTIONS (...)] AS query`."""

    span: Span
    model: Name
    options: tuple[Option, ...]
    query: Query
    visible: tuple[CommonTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Convert:
    """`CONVERT USING model [OPTIONS (...)] AS query`."""

    span: Span
    model: Name
    options: tuple[Option, ...]
    query: Query
    visible: tuple[CommonTable, ...] = ()


class SearchKind(StrEnum):
    """What SEARCH looks for."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    KEYWORD = "keyword"


@dataclass(frozen=True, slots=True)
class Search:
    """`SEARCH kind USING model [OPTIONS (...)] AS query`."""

    span: Span
    kind: SearchKind
    model: Name
    options: tuple[Option, ...]
    query: Query
    visible: tuple[CommonTable, ...] = ()


class ListKind(StrEnum):
    """What LIST lists."""

    TABLE = "table"
    MODEL = "model"
    THANOSQL_MODEL = "thanosql_model"
    THANOSQL_DATASET = "thanosql_dataset"


@dataclass(frozen=True, slots=True)
class ListObjects:
    """`LIST (TABLE | MODEL | THANOSQL MODEL | THANOSQL DATASET)`."""

    span: Span
    kind: ListKind
    visible: tuple[CommonTable, ...] = ()


Relation: TypeAlias = Predict | Evaluate | Convert | Search | ListObjects


@dataclass(frozen=True, slots=True)
class BuildModel:
    """`BUILD MODEL name USING base [OPTIONS (...)] AS query`."""

    span: Span
    name: Name
    base: Name
    options: tuple[Option, ...]
    query: Query


@dataclass(frozen=True, slots=True)
class FitModel:
    """`FIT MODEL name USING model [OPTIONS (...)] AS query`."""

    span: Span
    name: Name
    model: Name
    options: tuple[Option, ...]
    query: Query


@dataclass(frozen=True, slots=True)
class CopyTable:
    """`COPY table [OPTIONS (...)] FROM source`.

    `table` is the text of the table's name as written, qualified and quoted as it was.
    `source` is the path, or the JSON array, or a placeholder. `has_options` False means that the
    statement is DuckDB's own append when the table exists.
    """

    span: Span
    table: Name
    options: tuple[Option, ...]
    source: str | Placeholder
    has_options: bool


class GetKind(StrEnum):
    """What GET brings."""

    DATASET = "dataset"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class GetAsset:
    """`GET THANOSQL (DATASET | MODEL) name [OPTIONS (...)] [AS new_name]`."""

    span: Span
    kind: GetKind
    name: Name
    options: tuple[Option, ...]
    new_name: Name | None


@dataclass(frozen=True, slots=True)
class UploadModel:
    """`UPLOAD MODEL name [OPTIONS (...)] FROM path`."""

    span: Span
    name: Name
    options: tuple[Option, ...]
    source: str | Placeholder


@dataclass(frozen=True, slots=True)
class DeleteModel:
    """`DELETE MODEL name`."""

    span: Span
    name: Name


class MediaKind(StrEnum):
    """What PRINT shows."""

    AUDIO = "audio"
    IMAGE = "image"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class PrintMedia:
    """`PRINT (AUDIO | IMAGE | VIDEO) [OPTIONS (...)] AS query`."""

    span: Span
    kind: MediaKind
    options: tuple[Option, ...]
    query: Query


Command: TypeAlias = (
    BuildModel | FitModel | CopyTable | GetAsset | UploadModel | DeleteModel | PrintMedia
)


@dataclass(frozen=True, slots=True)
class Sql:
    """One DuckDB statement in which relations may stand; with none it goes through unread.

    A relation at top level is an `Sql` whose query is that relation alone. `explains` is True
    for EXPLAIN without ANALYZE: nothing of it may run.
    """

    query: Query
    explains: bool = False


Statement: TypeAlias = Sql | Command


@dataclass(frozen=True, slots=True)
class Script:
    """The statements of one text, in order."""

    text: str
    statements: tuple[Statement, ...]
