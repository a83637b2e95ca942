"""Weights from a repository of a hub, through huggingface_hub, into its cache.

Which hub, whether it may be asked at all and where the cache is are `HF_ENDPOINT`'s,
`HF_HUB_OFFLINE`'s and `HF_HOME`'s to say. Weights in safetensors are fetched, and the JSON and text
around them; pickles are not. It knows repositories, and no model.
"""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from ..exceptions import CheckpointUnavailable, MissingExtra
from ..progress import Progress
from .hub import first_line

#: Of the weights, those that transformers loads: some repositories have others in other precisions.
_ONE_FILE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_AROUND: Final = ("*.json", "*.txt")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_POLL_S: Final = 0.1


def fetch_weights(
    repository: str,
    revision: str | None,
    progress: Progress,
    check: Callable[[], None],
) -> Path:
    """Return the folder in the hub's cache with a revision's weights, fetched where need be.

    The folder's name is the commit. `check` raises where the work is to stop; what came by then is
    kept, and the next call goes on from it.

    Raises:
        CheckpointUnavailable: they cannot be had, or are in no safetensors.
        MissingExtra: huggingface_hub is not installed.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "fetching weights needs huggingface_hub: pip install 'thanosql-dbapi[speech]'"
        ) from error
    fetching = _Fetching(repository, revision, progress)
    folder = fetching.run([*_AROUND, _ONE_FILE], check)
    if (folder / _ONE_FILE).exists():
        return folder
    shards = _shards(folder)
    if not shards:
        raise CheckpointUnavailable(_no_safetensors(repository, folder.name))
    if odd := [name for name in shards if not _SHARD.fullmatch(name)]:
        # transformers would open it wherever it is, outside of the folder too.
        raise CheckpointUnavailable(f"{_INDEX} speaks of '{odd[0]}', which is no part of weights")
    folder = fetching.run([*_AROUND, *shards], check)
    if lacking := [name for name in shards if not (folder / name).exists()]:
        raise CheckpointUnavailable(f"it lacks '{lacking[0]}', which its {_INDEX} speaks of")
    return folder


def _shards(folder: Path) -> list[str]:
    """Return the names of the files that an index of weights speaks of."""
    try:
        names = json.loads((folder / _INDEX).read_text("utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return []
    return sorted({name for name in names if isinstance(name, str)})


def _no_safetensors(repository: str, commit: str) -> str:
    pickles = sorted(name for name in _files(repository, commit) if name.endswith(_PICKLES))
    has = f"its weights are pickled ({', '.join(pickles[:3])})" if pickles else "it has no weights"
    return (
        f"{has} and not in safetensors: pickles are neither fetched nor read, since reading one"
        " runs whatever code is in it. A conversion that somebody proposed to the repository is had"
        f" by its revision: '{repository}@refs/pr/<number>'"
    )


def _files(repository: str, commit: str) -> Iterable[str]:
    from huggingface_hub import HfApi

    try:
        return list(HfApi().list_repo_files(repository, revision=commit))
    except Exception:  # noqa: BLE001 - it only says more of what is wrong already
        return []


class _Stopped(Exception):
    """Nobody waits for the download any more."""


class _Fetching:
    """One repository's download, in a thread: the client's own threads cannot be interrupted."""

    def __init__(self, repository: str, revision: str | None, progress: Progress) -> None:
        self._repository, self._revision = repository, revision
        self._progress = progress
        self._stopped = threading.Event()
        self._bytes: dict[int, tuple[float, float]] = {}
        self._result: Path | None = None
        self._error: BaseException | None = None

    def run(self, patterns: list[str], check: Callable[[], None]) -> Path:
        """Download the files that fit the patterns; return the folder."""
        self._bytes.clear()
        self._result = self._error = None
        thread = threading.Thread(target=self._download, args=(patterns,), daemon=True)
        bar = self._progress.bar(self._repository, "MB")
        started = time.monotonic()
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL_S)
                check()
                self._show(bar, started)
            self._show(bar, started)
        except BaseException:
            self._stopped.set()
            raise
        finally:
            bar.close()
        if self._error is not None:
            _raise_plainly(self._error, self._repository, self._revision)
        assert self._result is not None
        return self._result

    def _show(self, bar: Any, started: float) -> None:
        # One bar of the client's counts what came, another what was written: the same files.
        done, total = max(self._bytes.copy().values(), default=(0.0, 0.0))
        if total:
            left = (time.monotonic() - started) * (total - done) / done if done else None
            facts = {} if left is None else {"remaining_s": left}
            bar.update(round(done / 1e6, 1), round(total / 1e6, 1), **facts)

    def _download(self, patterns: list[str]) -> None:
        from huggingface_hub import snapshot_download

        try:
            folder = snapshot_download(
                self._repository,
                revision=self._revision,
                allow_patterns=patterns,
                tqdm_class=_told_bar(self._tell),
            )
            self._result = Path(folder)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._error = error

    def _tell(self, bar: int, done: float, total: float | None) -> None:
        if self._stopped.is_set():
            raise _Stopped
        self._bytes[bar] = done, total or done


def _told_bar(tell: Callable[[int, float, float | None], None]) -> Any:
    """Return a class of bars for the client, which show nothing and tell of bytes."""
    from tqdm.std import tqdm

    class Told(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **facts: Any) -> None:
            facts.pop("name", None)
            super().__init__(*args, **{**facts, "file": io.StringIO(), "disable": False})
            self._counts_bytes = facts.get("unit") == "B"

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if self._counts_bytes:
                tell(id(self), self.n, self.total)
            return shown

    return Told


def _raise_plainly(error: BaseException, repository: str, revision: str | None) -> None:
    """Say in one sentence why weights could not be fetched; never a token."""
    from huggingface_hub import constants, errors, get_token

    network: type[Exception] = getattr(errors, "HTTPError", OSError)
    endpoint = re.sub(r"//[^/]*@", "//", constants.ENDPOINT)
    if isinstance(error, errors.GatedRepoError):
        reason = (
            f"its owner asks for consent first: give it on {endpoint}/{repository}, and set"
            " HF_TOKEN to your token"
        )
    elif isinstance(error, errors.RevisionNotFoundError):
        reason = f"the repository has no revision '{revision}'"
    elif isinstance(error, errors.RepositoryNotFoundError) or _status(error) == 401:
        reason = f"the hub at {endpoint} has no such repository, or shows it to a token alone"
    elif _is_offline(error):
        reason = "HF_HUB_OFFLINE forbids to ask the hub, and they are not all in its cache"
    elif isinstance(error, errors.HfHubHTTPError | network | OSError | ValueError | RuntimeError):
        reason = first_line(error, get_token() or "")
    else:
        raise error
    raise CheckpointUnavailable(reason) from error


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_offline(error: BaseException) -> bool:
    from huggingface_hub import errors

    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, errors.OfflineModeIsEnabled):
            return True
        chain = chain.__cause__
    return False
