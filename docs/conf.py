"""The documentation as a site: what Sphinx must know, and no more.

The pages are plain Markdown that a code host shows as well as Sphinx does, so nothing in them is
Sphinx's own. What that costs is here: the navigation is read from the lists on the start page, the
files that lie elsewhere in the repository are copied in, and links to them are turned.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

from pygments.lexer import RegexLexer, bygroups, using  # noqa: E402
from pygments.lexers.python import PythonLexer  # noqa: E402
from pygments.token import Error, Keyword, Punctuation, _TokenType  # noqa: E402

import thanosql_dbapi  # noqa: E402 - from this checkout, whatever is installed
from thanosql_dbapi.cli.highlighting import ThanoSQLLexer  # noqa: E402

project = "ThanoSQL"
author = "the ThanoSQL authors"
project_copyright = author
release = thanosql_dbapi.__version__

extensions = ["myst_nb"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"ThanoSQL {release}"
html_static_path = ["style"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
highlight_language = "text"
#: A quote that is copied into SQL must be a quote.
smartquotes = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

# The notebooks are run by the tests and shown as they are stored.
nb_execution_mode = "off"
nb_merge_streams = True
myst_heading_anchors = 4
#: `fieldlist` and the like would make markup of what a code host shows as text.
myst_enable_extensions: list[str] = []
#: Types that a notebook's results have besides the usual ones are shown as their HTML or text.
suppress_warnings = ["mystnb.unknown_mime_type"]

#: Pages with the lists that the navigation is made of, and how deep it goes below them.
LISTS = {"index": 2, "tutorials": 1}

_LINK = re.compile(r"(?P<before>!?\[[^\]\n]*\]\()(?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")
_FILE_LINK = re.compile(
    r"""<a\s[^>]*href="(?![a-z]+:|\#)[^"]*"[^>]*>(?P<says>.*?)</a>""", re.DOTALL
)
_SECTION = re.compile(r"^## (?P<title>.+)\n(?P<body>(?:(?!## ).*\n?)*)", re.MULTILINE)
_ITEM = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<target>[^)\s#]+)\)", re.MULTILINE)


# --- files from elsewhere -------------------------------------------------------------------


def copies() -> dict[Path, Path]:
    """Return the pages of the site that lie outside this folder, with their copies."""
    found = {
        ROOT / "CHANGELOG.md": DOCS / "copied" / "changelog.md",
        ROOT / "examples" / "voice_tiny" / "README.md": DOCS / "copied" / "voice.md",
        ROOT / "thanosql_dbapi" / "assets" / "voice_tiny" / "README.md": DOCS
        / "copied"
        / "card.md",
    }
    for notebook in sorted((ROOT / "examples").glob("**/*.ipynb")):
        if ".ipynb_checkpoints" not in notebook.parts:
            found[notebook] = DOCS / "tutorials" / notebook.name
    return found


def copy_in(_app: Sphinx, _config: Config) -> None:
    """Bring the copies up to date; what is the same stays, so that it is not read again."""
    wanted = copies()
    for folder in {copy.parent for copy in wanted.values()}:
        folder.mkdir(exist_ok=True)
        for stale in set(folder.iterdir()) - set(wanted.values()):
            stale.unlink()
    for original, copy in wanted.items():
        content = _without_front_matter(original) if copy.suffix == ".md" else original.read_bytes()
        if not copy.is_file() or copy.read_bytes() != content:
            # Whole or not at all: two builds may be at it.
            fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
            fresh.write_bytes(content)
            fresh.replace(copy)


def _without_front_matter(page: Path) -> bytes:
    """Return a page without the lines that a model hub reads at its top."""
    return re.sub(r"\A---\n.*?\n---\n", "", page.read_text("utf-8"), flags=re.DOTALL).encode()


# --- pages ----------------------------------------------------------------------------------


def on_read(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn a page's links to where the files are on the site, and add the navigation."""
    originals = {copy.relative_to(DOCS).with_suffix(""): file for file, copy in copies().items()}
    original = originals.get(Path(docname), DOCS / f"{docname}.md")
    text = turned(source[0], original, (DOCS / docname).parent)
    if original.suffix == ".ipynb":
        text = shown(text)
    if docname in LISTS:
        text += navigation(text, LISTS[docname])
    source[0] = text


def turned(text: str, original: Path, folder: Path) -> str:
    """Return the text of `original` with its links as they are from `folder`.

    A page of the site is a link to it, another file of the repository one to the file itself; a
    folder is named and not linked, as a site has none.
    """
    known = copies()

    def turn(match: re.Match[str]) -> str:
        target = match["target"]
        if not target or ":" in target:
            return match[0]
        file = (original.parent / target).resolve()
        file = (ROOT / "docs" / "index.md") if file == ROOT / "README.md" else file
        file = file / "README.md" if (file / "README.md").is_file() else file
        file = known.get(file, file)
        if file.is_dir() or not file.exists():
            return match["before"].strip("![](")
        reached = Path(os.path.relpath(file, folder)).as_posix()
        return f"{match['before']}{reached}{match['anchor'] or ''})"

    return _LINK.sub(turn, text)


def navigation(text: str, depth: int) -> str:
    """Return hidden tables of contents, one for each section of a page that lists pages."""
    trees = []
    for section in _SECTION.finditer(text):
        pages = [
            f"{item['title'].replace('`', '')} <{Path(item['target']).with_suffix('').as_posix()}>"
            for item in _ITEM.finditer(section["body"])
        ]
        if pages:
            options = [":hidden:", f":maxdepth: {depth}", f":caption: {section['title']}"]
            trees.append("\n".join(["```{toctree}", *options, "", *pages, "```"]))
    return "\n\n" + "\n\n".join(trees) + "\n"


def shown(notebook: str) -> str:
    """Return a notebook as the site shows it: coloured by `CellLexer`, its media as embedded.

    A result's link to a file beside the notebook leads nowhere from here; what it says stays.
    """
    content = json.loads(notebook)
    content["metadata"].setdefault("language_info", {"name": "python"})
    content["metadata"]["language_info"]["pygments_lexer"] = "ipython"
    for cell in content["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/html" in data:
                data["text/html"] = _FILE_LINK.sub(r"\g<says>", "".join(data["text/html"]))
    return json.dumps(content)


class SqlLexer(ThanoSQLLexer):
    """Our SQL, where `$name` and the like are no mistakes."""

    def get_tokens_unprocessed(
        self, text: str, stack: Iterable[str] = ("root",)
    ) -> Iterator[tuple[int, _TokenType, str]]:
        """Cut the text; what pygments does not know is punctuation."""
        for index, kind, value in super().get_tokens_unprocessed(text, stack):
            yield index, Punctuation if kind is Error else kind, value


class CellLexer(RegexLexer):
    """A notebook's cell: Python, and SQL where `%%thanosql` or `%thanosql` says so."""

    name = "ThanoSQL cells"
    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"(?s)(\s*%%\w+)(.*)", bygroups(Keyword.Namespace, using(SqlLexer))),
            (
                r"^([ \t]*\w+[ \t]*=[ \t]*)?(%\w+)(.*\n?)",
                bygroups(using(PythonLexer), Keyword.Namespace, using(SqlLexer)),
            ),
            # All lines up to the next of these, in one: a text may span lines.
            (r"(?:^(?![ \t]*(?:\w+[ \t]*=[ \t]*)?%\w).+\n?|\n)+", using(PythonLexer)),
            (r".+", using(PythonLexer)),
        ]
    }


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx, and teach it our words of SQL."""
    app.add_lexer("sql", SqlLexer)
    app.add_lexer("ipython", CellLexer)
    app.connect("config-inited", copy_in)
    app.connect("source-read", on_read)
