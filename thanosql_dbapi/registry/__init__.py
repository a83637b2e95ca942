"""Models by name and version, on disk.

    <workspace>/models/<name>/versions/3/     one immutable version: weights, vocabulary, facts
                              current         the version in force: `{"version": 3}`, or null
    <workspace>/trash/<name>/<time>/          a model that was deleted, with all its versions
    <workspace>/training/<name>/<key>/        a training that goes on, or can be gone on with
    <workspace>/staging/<random>/             a version that is being written
    <workspace>/locks/<name>.lock             held while a name comes to mean something else

A version is written under `staging`, and becomes one of the model's by a rename; it comes into
force by the atomic replacement of `current`. A process that dies in between leaves a folder in
`staging`, which nobody reads and which goes as soon as its writer's lock is gone. The registry
knows files, and nothing of what a model is.
"""

from __future__ import annotations

from .collecting import Collected
from .registry import Ancestor, Listed, Registry
from .version import ABOUT, FACTS, Version, read_version

__all__ = [
    "ABOUT",
    "FACTS",
    "Ancestor",
    "Collected",
    "Listed",
    "Registry",
    "Version",
    "read_version",
]
