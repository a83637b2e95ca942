"""The import rules, read from the sources; and what `import thanosql_dbapi` loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import thanosql_dbapi

HOUSE = Path(__file__).parent.parent
PACKAGE = HOUSE / "thanosql_dbapi"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(HOUSE / "sqlalchemy_dialect").rglob("*.py")])

#: Where a package may be imported: a module or a folder, from the top of the house.
ONLY_IN: Mapping[str, tuple[str, ...]] = {
    # pandas and others load it; see thanosql_dbapi/adbc.py.
    "adbc_driver_manager": (),
    "duckdb": ("thanosql_dbapi/engine/",),
    "torch": ("thanosql_dbapi/models/",),
    "transformers": ("thanosql_dbapi/models/",),
    "torchaudio": ("thanosql_dbapi/models/",),
    "sqlalchemy": ("sqlalchemy_dialect/",),
    "alembic": ("sqlalchemy_dialect/migration",),
    "sqlglot": ("thanosql_dbapi/language/",),
    "soundfile": ("thanosql_dbapi/media/",),
    "fsspec": ("thanosql_dbapi/media/",),
    "aiohttp": ("thanosql_dbapi/media/",),
    "sqlite3": ("thanosql_dbapi/cache/",),
    "jiwer": ("thanosql_dbapi/models/",),
    "rich": ("thanosql_dbapi/cli/",),
    "IPython": ("thanosql_dbapi/notebook/",),
    "PIL": ("thanosql_dbapi/media/",),
    "av": ("thanosql_dbapi/media/",),
    "python_calamine": ("thanosql_dbapi/commands/",),
    "prompt_toolkit": ("thanosql_dbapi/cli/",),
    "pickle": (),
    "marshal": (),
    "shelve": (),
    "dill": (),
    "joblib": (),
}

#: From the ground up: a module imports from its own layer or from those before it. A name ending
#: in a dot stands for a folder.
LAYERS = (
    ("exceptions", "quoting", "types"),
    (
        "arrow",
        "journal.",
        "language.",
        "learning_curve",
        "options",
        "parameters",
        "places",
        "progress",
    ),
    ("media.", "registry."),
    ("assets.", "models."),
    ("cache.",),
    ("workspace",),
    ("session",),
    ("predicting",),
    ("functions.",),
    ("engine.",),
    ("lowering",),
    ("relations.",),
    ("commands.",),
    ("adbc", "bulk", "dispatch", "explaining", "streaming"),
    ("cursor",),
    ("connection",),
    ("notebook.",),
    ("",),
    ("cli.",),
)


def name_of(path: Path) -> str:
    """Return a module's name below the package: `models.base`, or `` for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in SOURCES if path.is_relative_to(PACKAGE)}


def imports(path: Path, *, typing_only: bool) -> Iterator[str]:
    """Yield the full names that a file imports, late ones too."""
    package = [*path.relative_to(HOUSE).parent.parts]

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                if typing_only:
                    yield from walk(child)
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *filter(None, [child.module])])
                yield from (f"{module}.{alias.name}" for alias in child.names)
            else:
                yield from walk(child)

    yield from walk(ast.parse(path.read_text("utf-8")))


def modules_imported(path: Path) -> set[str]:
    """Return the modules of the package that a file needs when it runs."""
    found = set()
    for full in imports(path, typing_only=False):
        parts = full.split(".")
        if parts[0] == PACKAGE.name:
            below = ".".join(parts[1:])
            found.add(below if below in NAMES else ".".join(parts[1:-1]))
    return found - {name_of(path)}


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_imported_only_where_it_belongs(package: str) -> None:
    strangers = [
        str(path.relative_to(HOUSE))
        for path in SOURCES
        if any(full.split(".")[0] == package for full in imports(path, typing_only=False))
        and not str(path.relative_to(HOUSE)).startswith(ONLY_IN[package] or ("nowhere",))
    ]
    assert strangers == []


def test_nothing_loads_a_pickle() -> None:
    loads = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                allows = any(
                    k.arg == "allow_pickle" and ast.unparse(k.value) != "False"
                    for k in node.keywords
                )
                if called in ("torch.load", "torch.save", "pd.read_pickle") or allows:
                    loads.append(f"{path.name}:{node.lineno}")
    assert loads == []


def layer(name: str) -> int:
    for index, members in enumerate(LAYERS):
        for member in members:
            if name == member or (member.endswith(".") and f"{name}.".startswith(member)):
                return index
    raise AssertionError(f"the module '{name}' has no layer yet: add it to LAYERS")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_module_imports_only_from_below(name: str) -> None:
    (path,) = (p for p in SOURCES if p.is_relative_to(PACKAGE) and name_of(p) == name)
    above = {other for other in modules_imported(path) if layer(other) > layer(name)}
    assert above == set()


def test_the_dialect_knows_the_driver_by_its_public_names_alone() -> None:
    private = [
        f"{path.relative_to(HOUSE)}: {full}"
        for path in (HOUSE / "sqlalchemy_dialect").rglob("*.py")
        for full in imports(path, typing_only=False)
        if full.split(".")[0] == PACKAGE.name
        and full.removeprefix(f"{PACKAGE.name}.") not in {*thanosql_dbapi.__all__, PACKAGE.name}
    ]
    assert private == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        name_of(path): modules_imported(path) - {""}
        for path in SOURCES
        if path.is_relative_to(PACKAGE)
    }
    # Each layer below the folders is checked by itself; a folder's own modules form no circle.
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {error.args[1]}")


def test_every_layer_has_modules() -> None:
    named = [member for members in LAYERS for member in members]
    for member in named:
        assert any(
            n == member or (member.endswith(".") and f"{n}.".startswith(member)) for n in NAMES
        )


# --- what an import costs -------------------------------------------------------------------

HEAVY = [
    "aiohttp",
    "fsspec",
    "sqlite3",
    "torch",
    "transformers",
    "torchaudio",
    "pandas",
    "polars",
    "adbc_driver_manager",
    "sqlalchemy",
    "pyarrow",
    "sqlglot",
    "numpy",
    "soundfile",
    "soxr",
    "jiwer",
    "rich",
    "prompt_toolkit",
    "tqdm",
    "huggingface_hub",
    "safetensors",
    "IPython",
    "PIL",
    "av",
    "python_calamine",
]


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_importing_loads_nothing_heavy() -> None:
    code = f"import sys, thanosql_dbapi; print([m for m in {HEAVY} if m in sys.modules])"
    assert fresh(code) == "[]\n"


def test_plain_sql_loads_nothing_heavy() -> None:
    code = (
        "import sys, thanosql_dbapi; c = thanosql_dbapi.connect();"
        " c.execute('CREATE TABLE t (a INT)'); c.execute('SELECT 1').fetchall();"
        # DuckDB loads numpy itself, where it is there, when a function is registered.
        f" print([m for m in {HEAVY} if m in sys.modules and m != 'numpy']); c.close()"
    )
    assert fresh(code) == "[]\n"


# --- the public surface ---------------------------------------------------------------------


def test_all_is_the_public_surface() -> None:
    listed = thanosql_dbapi.__all__
    assert len(listed) == len(set(listed))
    public = set()
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            public |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            public |= {ast.unparse(target) for target in node.targets}
    public = {name for name in public if not name.startswith("_")}
    assert public == set(listed)
    assert all(hasattr(thanosql_dbapi, name) for name in listed)


def test_module_globals_are_pep_249s() -> None:
    assert thanosql_dbapi.apilevel == "2.0"
    assert thanosql_dbapi.threadsafety == 2
    assert thanosql_dbapi.paramstyle == "qmark"
