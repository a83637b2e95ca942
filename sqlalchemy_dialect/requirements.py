"""What DuckDB can do, for SQLAlchemy's compliance suite; and why not, where it cannot.

A capability stands here where SQLAlchemy's default answer is not DuckDB's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

#: What works, though SQLAlchemy takes it for rare.
OPEN = """
    aggregate_order_by array_type autocommit boolean_col_expressions
    cast_precision_numerics_many_significant_digits check_constraint_reflection
    comment_reflection comment_reflection_full_unicode computed_columns
    computed_columns_reflect_persisted computed_columns_virtual create_or_replace_view
    create_table_as create_temp_table_as ctes ctes_on_dml ctes_with_update_delete
    ctes_with_values date_historic datetime_historic datetime_interval datetime_literals
    datetime_timezone datetime_timezone_historic default_schema_name_switch delete_from except_
    expression_server_defaults fetch_expression fetch_first fetch_no_order_by
    fetch_offset_with_options fetch_percent float_or_double_precision_behaves_generically
    has_temp_table implicit_default_schema index_ddl_if_exists indexes_check_column_order
    indexes_with_expressions infinity_floats inline_check_constraint_reflection intersect
    isolation_level json_type legacy_unconditional_json_extract mod_operator_as_percent_sign
    nullsordering nvarchar_types order_by_label_with_expression percent_schema_names
    precision_numerics_enotation_small precision_numerics_many_significant_digits
    precision_numerics_retains_significant_digits reflect_indexes_with_expressions
    reflect_table_options regexp_match regexp_replace schema_create_delete server_defaults
    skip_autocommit_rollback supports_bitwise_and supports_bitwise_not supports_bitwise_or
    supports_bitwise_shift supports_bitwise_xor supports_distinct_on table_ddl_if_exists
    table_value_constructor temp_table_comment_reflection temp_table_names temporary_views
    time_timezone timestamp_microseconds tuple_in unicode_ddl update_from uuid_data_type views
    window_functions window_range_non_numeric
""".split()  # noqa: SIM905 - a list of words

#: What DuckDB 2.0 cannot do, with its own words where it has any.
CLOSED: Mapping[str, str] = {
    "async_dialect": "DuckDB runs in this process; there is nothing to wait for",
    "column_collation_reflection": "DuckDB's catalogue functions do not tell a column's collation",
    "computed_columns_default_persisted": "as computed_columns_stored",
    "computed_columns_stored": "Can not create a STORED generated column!",
    "constraint_comment_reflection": "DuckDB has no comments on constraints",
    "cross_schema_fk_reflection": "Creating foreign keys across different schemas is not supported",
    "dbapi_lastrowid": "keys come by RETURNING",
    "deferrable_fks": "DEFERRABLE is a syntax error",
    "emulated_lastrowid": "as dbapi_lastrowid",
    "emulated_lastrowid_even_with_sequences": "as dbapi_lastrowid",
    "fetch_ties": "WITH TIES is a syntax error",
    "fk_constraint_option_reflection_ondelete_noaction": "DuckDB keeps no actions of foreign keys",
    "fk_constraint_option_reflection_ondelete_restrict": "as …_noaction; RESTRICT is all it does",
    "fk_constraint_option_reflection_onupdate_restrict": "as …_ondelete_restrict",
    "foreign_key_constraint_name_reflection": "as named_constraints",
    "foreign_key_constraint_option_reflection_ondelete": "constraints cannot use CASCADE",
    "foreign_key_constraint_option_reflection_onupdate": "as …_ondelete",
    "foreign_keys_reflect_as_index": "DuckDB's catalogue does not list the indexes of constraints",
    "identity_columns": "GENERATED … AS IDENTITY is a syntax error; keys count by sequences",
    "identity_columns_standard": "as identity_columns",
    "index_reflects_included_columns": "INCLUDE is a syntax error",
    "json_deserializer_binary": "DuckDB's JSON arrives as text",
    "materialized_views": "CREATE MATERIALIZED VIEW is a syntax error",
    "materialized_views_reflect_pk": "as materialized_views",
    "named_constraints": "DuckDB keeps no name of a constraint; it makes names up when asked",
    "non_updating_cascade": "no cascades at all",
    "reflect_indexes_with_ascdesc_as_expression": "DuckDB's indexes keep no direction",
    "reflect_tables_no_columns": "Table must have at least one column!",
    "reflects_pk_names": "as named_constraints",
    "repeated_column_foreign_keys": "duplicate key specified in FOREIGN KEY constraint",
    "repeated_remote_col_foreign_keys": "as repeated_column_foreign_keys",
    "savepoints": "SAVEPOINT is a syntax error",
    "server_side_cursors": "they work; the suite's test knows the cursors of six drivers by name",
    "two_phase_transactions": "PREPARE TRANSACTION is a syntax error",
    "unique_constraints_reflect_as_index": "as foreign_keys_reflect_as_index",
    "unique_index_reflect_as_unique_constraints": "DuckDB tells a unique index from a constraint",
    "window_range": "it works; the suite's test wants an order without ORDER BY",
    "window_range_numeric": "as window_range",
}


class Requirements(SuiteRequirements):
    """DuckDB's capabilities."""

    def get_order_by_collation(self, config: object) -> str:
        """Return a collation that sorts without regard to case."""
        return "NOCASE"


def _open(_: Any) -> Any:
    return exclusions.open()


def _closed(_: Any) -> Any:
    return exclusions.closed()


for _name in OPEN:
    setattr(Requirements, _name, property(_open))
for _name in CLOSED:
    setattr(Requirements, _name, property(_closed))
