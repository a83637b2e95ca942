"""The folder where models and predictions live, and the models that are loaded from it.

A workspace belongs to a DuckDB instance: all its connections in this process share it. It
knows files and how to keep a few models in memory, and nothing of SQL.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from .assets import bundled_models
from .cache import PredictionCache, version_digest
from .exceptions import OperationalError
from .models import families
from .registry import Registry, Version
from .registry.names import folder_name

if TYPE_CHECKING:
    from .models.base import Model

#: Models kept in memory at once. Two are compared in one query; each next one costs its weights.
LOADED_MODELS = 4

#: Bytes that the predictions of a workspace may take, unless `connect` says otherwise.
CACHE_LIMIT = 1 << 30


class Workspace:
    """Models on disk and in memory."""

    def __init__(self, folder: Path | None) -> None:
        if folder is None:
            temporary = tempfile.mkdtemp(prefix="thanosql-")
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
            folder = Path(temporary)
        self.folder = folder
        #: The journals of trainings, and what they go on from.
        self.training = folder / "training"
        self.registry = Registry(folder, bundled_models())
        self.cache = PredictionCache(folder, CACHE_LIMIT)
        self._loaded: OrderedDict[tuple[Path, str | None, str], Model] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, version: Version, device: str) -> Model:
        """Return a version's model, loaded on `device`, from memory where it is there already.

        Raises:
            OperationalError: its files cannot be loaded.
        """
        # A model that was deleted and made again has the folder of the one before.
        key = (version.folder, version.facts.get("created_utc"), device)
        with self._lock:
            if key not in self._loaded:
                family = families.family(version.base)
                self._loaded[key] = family.load(version, device)
                while len(self._loaded) > LOADED_MODELS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]

    def training_folder(self, name: str) -> Path:
        """Return the folder of a model's runs; what those that came to a version left goes."""
        self.registry.sweep_runs()
        return self.training / folder_name(name)

    def digest(self, version: Version) -> str:
        """Return what tells a version's weights and vocabulary from all others.

        Raises:
            OperationalError: its files cannot be read.
        """
        try:
            return version_digest(self.cache, version)
        except OSError as error:
            raise OperationalError(f"model '{version}' cannot be read: {error}") from error


def default_folder(database: str) -> Path | None:
    """Return the folder beside a database file; None for a database in memory."""
    if database == "" or database.startswith(":memory:"):
        return None
    path = Path(database).absolute()
    return path.with_name(path.name + ".thanosql")
