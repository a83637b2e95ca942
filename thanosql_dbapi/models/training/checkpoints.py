"""Checkpoints of a training: tensors in safetensors, the rest in JSON, each visible when whole.

A checkpoint is written to a folder of its own and renamed; the one before is kept until the next
stands, and what is damaged is passed over. It knows names and tensors, not what they mean.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

_FACTS: Final = "checkpoint.json"
_WRITING: Final = "writing"
_NAME: Final = "checkpoint-"
_KEPT: Final = 2

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved: groups of tensors on the CPU, and facts."""

    groups: Mapping[str, Tensors]
    facts: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one training, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: Checkpoints that were passed over, and why.
        self.damaged: list[str] = []

    def save(self, groups: Mapping[str, Tensors], same: frozenset[str], facts: Any) -> None:
        """Write a checkpoint, which is there as a whole or not at all.

        A group in `same` is as the last checkpoint has it: its file is linked, not written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        staged = self._folder / _WRITING
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        before = next(iter(self._found()), None)
        number = 1 + int(before.name.rpartition("-")[2]) if before else 1
        files = {
            f"{name}.safetensors": _write(
                staged / f"{name}.safetensors", tensors, before if name in same else None
            )
            for name, tensors in groups.items()
        }
        content = json.dumps({"facts": facts, "files": files})
        # The sum comes first, so that a file cut short is told from a whole one.
        (staged / _FACTS).write_text(f"{zlib.crc32(content.encode()):08x}\n{content}\n")
        _flush(staged / _FACTS)
        _flush(staged)
        staged.rename(self._folder / f"{_NAME}{number:09}")
        _flush(self._folder)
        for old in self._found()[_KEPT:]:
            shutil.rmtree(old)

    def load(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole; None where there is none."""
        for folder in self._found():
            try:
                return _read(folder)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                self.damaged.append(f"{folder.name}: {error}")
        return None

    def clear(self) -> None:
        """Remove all checkpoints."""
        for folder in [*self._found(), self._folder / _WRITING]:
            shutil.rmtree(folder, ignore_errors=True)

    def _found(self) -> list[Path]:
        """Return the checkpoints' folders, the newest first."""
        return sorted(self._folder.glob(f"{_NAME}*"), reverse=True)


def _write(path: Path, tensors: Tensors, before: Path | None) -> int:
    """Write tensors, or link the file that has them; return the file's checksum."""
    if before is not None:
        try:
            os.link(before / path.name, path)
        except OSError:  # a file system without links, or no such file
            save_file(dict(tensors), path)
    else:
        save_file(dict(tensors), path)
    _flush(path)
    return _checksum(path)


def _read(folder: Path) -> Checkpoint:
    found, _, content = (folder / _FACTS).read_text().partition("\n")
    content = content.removesuffix("\n")
    if found != f"{zlib.crc32(content.encode()):08x}":
        raise ValueError(f"{_FACTS} is damaged")
    saved = json.loads(content)
    for name, checksum in saved["files"].items():
        if _checksum(folder / name) != checksum:
            raise ValueError(f"{name} is damaged")
    groups = {
        name.removesuffix(".safetensors"): load_file(folder / name) for name in saved["files"]
    }
    return Checkpoint(groups, saved["facts"])


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _flush(path: Path) -> None:
    """Bring a file, or a folder's entries, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders, and writes their entries itself
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
