"""Print what the check for statements of ours costs on texts that hold none, in microseconds."""

from __future__ import annotations

import timeit

from thanosql_dbapi.language import parse

STATEMENTS = {
    "SELECT 1": "SELECT 1",
    "200 characters": (
        "SELECT c.name, sum(o.amount) AS total FROM customers c JOIN orders o ON c.id = o.customer "
        "WHERE o.day >= DATE '2026-01-01' AND c.country IN ('KR', 'FR') GROUP BY ALL "
        "ORDER BY total DESC LIMIT 10"
    ),
    "JOIN … USING": "SELECT a.id, b.name FROM a JOIN b USING (id) WHERE a.x > 3 ORDER BY b.name",
    "INSERT": "INSERT INTO t VALUES (?, ?, ?)",
    "our words as names": "SELECT predict, list FROM build JOIN search USING (id)",
    "DELETE FROM": "DELETE FROM t WHERE id = 3;",
    "COPY … TO": "COPY t TO 'x.csv'",
    "COPY … FROM (tokenised)": "COPY t FROM 'x.csv' (FORMAT csv)",
    "a string with our words (tokenised)": "SELECT 'BUILD MODEL m' FROM t",
    "10,000 values": "INSERT INTO t VALUES "
    + ", ".join(f"({i}, 'name {i}')" for i in range(10_000)),
}


def main() -> None:
    for label, sql in STATEMENTS.items():
        assert parse(sql) is None
        timer = timeit.Timer(lambda sql=sql: parse(sql))
        number, _ = timer.autorange()
        best = min(timer.repeat(5, max(1, number // 4))) / max(1, number // 4)
        print(f"{best * 1e6:10.2f} µs  {label} ({len(sql):,} characters)")


if __name__ == "__main__":
    main()
