"""Names and texts as DuckDB SQL writes them."""

from __future__ import annotations


def quote_name(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Quote a string literal."""
    return "'" + text.replace("'", "''") + "'"
