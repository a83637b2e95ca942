"""The verbs of the language, and the cheap check whether a text may hold one.

Everything here works on the text alone, without tokens: it may say yes wrongly (a verb within a
string), never no. It does not know what the words mean, and loads no library.
"""

from __future__ import annotations

import re

FOLLOWERS: dict[str, tuple[str, ...]] = {
    "PREDICT": ("USING",),
    "EVALUATE": ("USING",),
    "CONVERT": ("USING",),
    "SEARCH": ("IMAGE", "AUDIO", "VIDEO", "TEXT", "KEYWORD"),
    "LIST": (
        *("TABLE", "MODEL", "THANOSQL", "THANOSQL_MODEL", "THANOSQL_DATASET"),
        *("TABLES", "MODELS", "THANOSQL_MODELS", "THANOSQL_DATASETS"),
    ),
    "PRINT": ("AUDIO", "IMAGE", "VIDEO"),
    "BUILD": ("MODEL",),
    "FIT": ("MODEL",),
    "UPLOAD": ("MODEL",),
    "DELETE": ("MODEL",),
    "GET": ("THANOSQL",),
}
"""Each verb with the words one of which follows it. COPY is ours by more than its next word."""

DUCKDB_STATEMENTS = frozenset(
    """
    ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT COMMENT COMMIT CONNECT COPY CREATE DEALLOCATE
    DELETE DESC DESCRIBE DETACH DISCONNECT DROP END EXECUTE EXPLAIN EXPORT FORCE FROM IMPORT INSERT
    INSTALL LOAD MERGE PIVOT PIVOT_LONGER PIVOT_WIDER PRAGMA PREPARE RESET ROLLBACK SELECT SET SHOW
    START SUMMARIZE TABLE TRUNCATE UNPIVOT UPDATE USE VACUUM VALUES WITH
    """.split()  # noqa: SIM905 - a list of quoted words is longer and says no more
)
"""The words with which DuckDB 2.0 opens a statement. A word missing here costs time, no more."""

_BLANK = r"(?:\s|--[^\r\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)*+"
# A comment within a comment ends the pattern before any word, and the text is then read in full.
_OPENING = re.compile(rf"{_BLANK}(?:(\w+)|(;)|(\()|\Z)")
# A comment after the verb counts as a follower: what stands behind it is for the tokens to say.
_VERB = re.compile(
    "|".join(
        rf"\b{verb}(?:\s+(?:{'|'.join(words)})\b|\s*(?:--|/\*))"
        for verb, words in FOLLOWERS.items()
    ).lower()
)


def find(sql: str) -> bool:
    """Tell cheaply whether the text may hold a statement of ours, or a near miss of one."""
    folded = sql.lower()
    if _may_open(sql, 0, folded) or (_holds_word(folded) and _VERB.search(folded) is not None):
        return True
    return any(_may_open(sql, position, folded) for position in _later_starts(sql))


def opens_with_verb(sql: str) -> bool:
    """Tell whether a statement begins with a verb of ours and a word that may follow it."""
    folded = sql.lower()
    starts = (0, *_later_starts(sql))
    openings = (_OPENING.match(folded, start) for start in starts)
    return any(_VERB.match(folded, found.start(1)) for found in openings if found and found[1])


def _holds_word(folded: str) -> bool:
    # Plain substrings first: several times faster than the pattern, which tries every position.
    return (
        "model" in folded
        or "thanosql" in folded
        or "print" in folded
        or "search" in folded
        or ("list" in folded and "table" in folded)
        or (
            "using" in folded
            and ("predict" in folded or "evaluate" in folded or "convert" in folded)
        )
    )


def _later_starts(sql: str) -> list[int]:
    starts = []
    position = sql.find(";") + 1
    while position:
        starts.append(position)
        position = sql.find(";", position) + 1
    return starts


def _may_open(sql: str, position: int, folded: str) -> bool:
    opening = _OPENING.match(sql, position)
    if opening is None:
        return sql[position : position + 1] in "-/" or sql[position : position + 1].isspace()
    word = opening[1]
    if word is None:
        return False
    word = word.upper()
    if word == "COPY":
        return "from" in folded or "option" in folded
    if word == "DELETE":
        return "from" not in folded
    return word not in DUCKDB_STATEMENTS
