"""COPY: a table from files, whatever holds the rows. One file a kind of source."""

from __future__ import annotations

from .command import copy_table
from .kinds import SUFFIXES
from .options import OPTIONS

__all__ = ["OPTIONS", "SUFFIXES", "copy_table"]
