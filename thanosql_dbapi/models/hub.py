"""Pushing a folder to a model repository of a hub, through huggingface_hub.

Which hub is `HF_ENDPOINT`'s to say, and who pushes the token's: `HF_TOKEN`, or what
`hf auth login` keeps. It knows folders, and no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import MissingExtra, OperationalError, ProgrammingError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: What an earlier push may have left, and would change what the model predicts.
_REPLACED: Final = ("*.json", "*.txt", "*.safetensors", "*.arpa")
_HOW_TO_LOG_IN: Final = "set HF_TOKEN to one that may write, or run `hf auth login`"


def require_hub() -> str:
    """Return the user's token for the hub.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        OperationalError: there is no token.
    """
    try:
        from huggingface_hub import get_token
    except ImportError as error:
        raise MissingExtra(
            "pushing needs huggingface_hub: pip install 'thanosql-dbapi[speech]'"
        ) from error
    token = get_token()
    if not token:
        raise OperationalError(f"there is no token for the hub: {_HOW_TO_LOG_IN}")
    return token


def push(
    folder: Path,
    repository: str,
    token: str,
    *,
    private: bool,
    branch: str | None,
    message: str,
) -> str:
    """Make `folder` the content of a model repository; return the URL of the commit.

    The repository, and the branch, are made where they are not there; a new one is private where
    `private` is set, and one that all can read is refused then.

    Raises:
        ProgrammingError: `repository` is no name of one.
        OperationalError: the hub cannot be reached, or does not let the user.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    # An address may hold a password.
    endpoint = re.sub(r"//[^/]*@", "//", api.endpoint)
    with _plain_errors(repository, endpoint, token), _quiet():
        api.create_repo(repository, private=private, exist_ok=True)
        if private:
            _require_private(api, repository)
        if branch is not None:
            api.create_branch(repository, branch=branch, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=branch,
            commit_message=message,
            delete_patterns=list(_REPLACED),
        )
    return str(commit.commit_url)


def _require_private(api: HfApi, repository: str) -> None:
    if api.repo_info(repository).private is False:
        raise OperationalError(
            f"the repository '{repository}' is there already, and all can read it: nothing was"
            " pushed. private := false says that this is meant."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave progress to our own bars."""
    from huggingface_hub import utils

    bars: Any = utils  # it exports them without saying so
    before = bars.are_progress_bars_disabled()
    bars.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            bars.enable_progress_bars()


@contextmanager
def _plain_errors(repository: str, endpoint: str, token: str) -> Iterator[None]:
    """Say in one sentence what went wrong with a hub; never the token."""
    from huggingface_hub import errors

    # The client's library, and with it the class of what a network does, changes with versions.
    network: type[Exception] = getattr(errors, "HTTPError", OSError)
    try:
        yield
    except errors.HFValidationError as error:
        raise ProgrammingError(
            f"'{repository}' names no repository: it is written owner/name"
            f" ({first_line(error, token)})"
        ) from error
    except errors.HfHubHTTPError as error:
        raise OperationalError(_refused(repository, endpoint, error, token)) from error
    except (network, OSError) as error:
        line = first_line(error, token)
        # The client asks for storage of the hub's own, which a hub of somebody else may not have.
        hint = " (HF_HUB_DISABLE_XET=1 is for a hub without Xet storage)" if "/xet-" in line else ""
        raise OperationalError(
            f"the hub at {endpoint} cannot be reached, or broke off: {line}{hint}"
        ) from error
    except (ValueError, RuntimeError, KeyError) as error:
        raise OperationalError(
            f"pushing to '{repository}' failed: {first_line(error, token)}"
        ) from error


def _refused(repository: str, endpoint: str, error: OSError, token: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return f"the hub at {endpoint} does not know this token: {_HOW_TO_LOG_IN}"
    if status == 403:
        return (
            f"this token may not write to '{repository}' at {endpoint}: it needs the right to write"
            " there"
        )
    return f"the hub at {endpoint} refused to take '{repository}': {first_line(error, token)}"


def first_line(error: BaseException, token: str) -> str:
    """Return an error's first line, without a token."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = lines[0].strip().rstrip(".")
    return line.replace(token, "…") if token else line
