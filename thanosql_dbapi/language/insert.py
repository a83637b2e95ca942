"""The VALUES list of a plain INSERT, for handing many rows over at once.

It reads only as much of DuckDB's language as that needs, and gives up where it is not sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import TokenType

from .tokens import Token, Unreadable, tokenise

#: Words behind the list, or in it, that need DuckDB to see each row by itself.
_ROW_BY_ROW = frozenset({"DEFAULT", "SELECT", "VALUES"})


@dataclass(frozen=True, slots=True)
class Target:
    """The texts of `INTO table (columns)`; without a list of columns all of them are meant."""

    table: str
    columns: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class InsertValues:
    """Where `VALUES (…)` stands in an INSERT, and the placeholders in it.

    `text[values_start:tail_start]` is the whole of `VALUES (…)`, `text[tuple_start:tuple_end]`
    what stands between its parentheses. `placeholders` are (key, start, end). `returns` tells
    whether a RETURNING follows, `conflict` the text of an ON CONFLICT's target, empty where it
    names none. `plain` is where the values go, if they are bare placeholders, and `key` the columns
    of an ON CONFLICT (…) DO UPDATE of such values.
    """

    values_start: int
    tuple_start: int
    tuple_end: int
    tail_start: int
    placeholders: tuple[tuple[int | str, int, int], ...]
    returns: bool
    conflict: str | None
    plain: Target | None
    key: tuple[str, ...] | None


def insert_values(text: str) -> InsertValues | None:
    """Find the single VALUES tuple of an INSERT; None where the text is anything else."""
    try:
        tokens = [token for token in tokenise(text) if token.kind is not TokenType.SEMICOLON]
    except Unreadable:
        return None
    words = [token.word for token in tokens]
    if words[:2] != ["INSERT", "INTO"] or "VALUES" not in words:
        return None
    start = words.index("VALUES")
    end = _closing(tokens, start + 1)
    if end is None or _ROW_BY_ROW & set(words[start + 1 :]) or "ON" in words[:start]:
        return None
    after = tokens[end + 1 :]
    marks = {TokenType.PLACEHOLDER, TokenType.PARAMETER}
    if any(token.kind in marks for token in after) or (after and after[0].kind is TokenType.COMMA):
        return None
    places = _placeholders(tokens[start + 2 : end])
    spans = [(first, last) for _, first, last in places]
    plain = None
    if all(
        token.kind is TokenType.COMMA or any(a <= token.start < b for a, b in spans)
        for token in tokens[start + 2 : end]
    ):
        plain = _target(text, tokens[2:start])
    key = None
    if "UPDATE" in words[start:]:
        key = _upserted_key(text, plain, after)
        if key is None:
            return None
    return InsertValues(
        tokens[start].start,
        tokens[start + 1].end,
        tokens[end].start,
        tokens[end].end,
        places,
        "RETURNING" in words[end:],
        _conflict(text, after),
        plain,
        key,
    )


def _conflict(text: str, after: Sequence[Token]) -> str | None:
    if [token.word for token in after[:2]] != ["ON", "CONFLICT"]:
        return None
    closing = _closing(after, 2) if len(after) > 2 else None
    return text[after[2].start : after[closing].end] if closing is not None else ""


def _target(text: str, into: Sequence[Token]) -> Target | None:
    opening = next((i for i, t in enumerate(into) if t.kind is TokenType.L_PAREN), len(into))
    table = into[:opening]
    if not table or "AS" in [token.word for token in table]:
        return None
    columns = _names(text, into[opening + 1 : -1]) if opening < len(into) else None
    if opening < len(into) and columns is None:
        return None
    return Target(text[table[0].start : table[-1].end], columns)


def _upserted_key(
    text: str, plain: Target | None, after: Sequence[Token]
) -> tuple[str, ...] | None:
    """Read the key of an upsert into named columns; None where it says more than that."""
    if plain is None or plain.columns is None:
        return None
    words = [token.word for token in after]
    closing = _closing(after, 2) if words[:2] == ["ON", "CONFLICT"] and len(after) > 2 else None
    if closing is None or words[closing + 1 : closing + 3] != ["DO", "UPDATE"]:
        return None
    return _names(text, after[3:closing])


def _names(text: str, tokens: Sequence[Token]) -> tuple[str, ...] | None:
    """Return the names of a list as they are written; None where an item is more than one word."""
    names, commas = tokens[::2], tokens[1::2]
    if len(names) != len(commas) + 1 or any(t.kind is not TokenType.COMMA for t in commas):
        return None
    return tuple(text[token.start : token.end] for token in names)


def _closing(tokens: Sequence[Token], opening: int) -> int | None:
    """Return the index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(tokens)):
        depth += tokens[index].kind is TokenType.L_PAREN
        depth -= tokens[index].kind is TokenType.R_PAREN
        if depth == 0:
            return index if tokens[opening].kind is TokenType.L_PAREN else None
    return None


def _placeholders(tokens: Sequence[Token]) -> tuple[tuple[int | str, int, int], ...]:
    places: list[tuple[int | str, int, int]] = []
    for index, token in enumerate(tokens):
        if token.kind is TokenType.PLACEHOLDER:
            places.append((1 + len(places), token.start, token.end))
        elif token.kind is TokenType.PARAMETER and index + 1 < len(tokens):
            name = tokens[index + 1]
            key = int(name.text) if name.text.isdigit() else name.text
            places.append((key, token.start, name.end))
    return tuple(places)
