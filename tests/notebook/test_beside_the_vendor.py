"""The name `thanosql`: ours where nobody else has it, the vendor's where its package is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent.parent

#: What the vendor's packages install at the top: `thanosql-magic` 0.3.9 and `thanosql` 1.0.11.
VENDORS = {
    "thanosql/__init__.py": "MARK = 'theirs'\n",
    "thanosql/magic.py": "",
    "thanosql/util.py": "",
}


def our_files() -> set[str]:
    """Return what the wheel installs, as pyproject.toml says it."""
    wheel = tomllib.loads((HOUSE / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]
    packages = {
        str(path.relative_to(HOUSE))
        for package in wheel["packages"]
        for path in (HOUSE / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return packages | set(wheel["force-include"].values())


def loads(folder: Path, module: str) -> str:
    """Return what loading an extension does, where `folder` is where packages are installed."""
    code = (
        "import sys, importlib; sys.path.insert(0, sys.argv[1]);"
        "module = importlib.import_module(sys.argv[2]);"
        "whose = getattr(module, 'MARK', None) or module.load_ipython_extension.__module__;"
        "print(whose, module.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(folder), module],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=folder,
    )
    return done.stdout


def install(folder: Path, *, ours: bool, theirs: bool) -> None:
    if ours:
        (folder / "thanosql.py").write_bytes((HOUSE / "thanosql.py").read_bytes())
        (folder / "thanosql_dbapi").symlink_to(HOUSE / "thanosql_dbapi")
    if theirs:
        for name, text in VENDORS.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def test_no_file_of_ours_has_a_name_of_theirs() -> None:
    ours = our_files()
    assert "thanosql.py" in ours
    assert "thanosql_dbapi/__init__.py" in ours
    assert ours & set(VENDORS) == set()
    assert {path.partition("/")[0] for path in ours} == {
        *("thanosql.py", "thanosql_dbapi", "sqlalchemy_dialect"),
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "module", "whose"),
    [
        (True, False, "thanosql", "thanosql_dbapi.notebook"),
        (True, True, "thanosql", "theirs"),
        (False, True, "thanosql", "theirs"),
        (True, False, "thanosql_dbapi", "thanosql_dbapi"),
        (True, True, "thanosql_dbapi", "thanosql_dbapi"),
    ],
)
def test_the_name_is_theirs_where_they_are_installed(
    tmp_path: Path, *, ours: bool, theirs: bool, module: str, whose: str
) -> None:
    install(tmp_path, ours=ours, theirs=theirs)
    name, file = loads(tmp_path, module).split()
    assert name == whose
    assert Path(file).is_relative_to(tmp_path)


def test_without_pandas_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pandas'] = None; import thanosql_dbapi as t\n"
        "try: t.load_ipython_extension(None)\n"
        "except t.MissingExtra as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "a notebook needs pandas: pip install 'thanosql-dbapi[notebook]'\n"
