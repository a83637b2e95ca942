"""SQLAlchemy's dialect for ThanoSQL: DuckDB with model statements, as `thanosql://`.

from sqlalchemy import create_engine, select
from sqlalchemy_dialect import predict

engine = create_engine("thanosql:///calls.db")
"""

from __future__ import annotations

from .base import ThanoSQLDialect, dialect
from .statements import Insert, insert, insert_rows, predict

__all__ = ["Insert", "ThanoSQLDialect", "dialect", "insert", "insert_rows", "predict"]
