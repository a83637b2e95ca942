"""The documentation's site: it builds without a warning, and all that is in it can be reached.

It needs the extra `docs`, which `.ci/run` installs after the other tests have run.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
NOTEBOOKS = sorted(
    path
    for path in (ROOT / "examples").glob("**/*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)

if importlib.util.find_spec("sphinx") is None or importlib.util.find_spec("myst_nb") is None:
    pytest.skip("SKIPPED, no extra docs: the site is not built", allow_module_level=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning of Sphinx's is a failure."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    where = ["-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    done = subprocess.run([*build, *where], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "html"


class Html(NamedTuple):
    links: list[str]
    ids: set[str]
    text: str


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: Path) -> Html:
    reader = _Reader()
    reader.feed(page.read_text("utf-8"))
    return Html(reader.links, reader.ids, "".join(reader.text))


def sidebar(site: Path) -> set[str]:
    """The pages that the navigation leads to, as it stands beside the tutorials."""
    page = (site / "tutorials.html").read_text("utf-8")
    tree = page[page.index('class="sidebar-tree"') : page.index("</aside>")]
    targets = re.findall(r'href="([^"#]*)(?:#[^"]*)?"', tree)
    return {target or "tutorials.html" for target in targets}


def test_every_page_is_in_the_navigation(site: Path) -> None:
    wanted = {f"{page.stem}.html" for page in PAGES if page.stem != "index"}
    wanted |= {f"tutorials/{notebook.stem}.html" for notebook in NOTEBOOKS}
    assert wanted - sidebar(site) == set()


def test_all_that_the_navigation_leads_to_is_there(site: Path) -> None:
    assert len(sidebar(site)) > len(PAGES)
    assert [page for page in sidebar(site) if not (site / page).is_file()] == []


def test_internal_links_resolve(site: Path) -> None:
    pages = {path: read(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name in ("search.html", "genindex.html"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].ids if target in pages else set()
            fragment = unquote(parts.fragment)
            lost = fragment and target.suffix == ".html" and fragment not in known
            if not target.exists() or lost:
                broken.append((path.name, link))
    assert broken == []


def test_links_to_other_files_of_the_repository_lead_to_them(site: Path) -> None:
    links = [link for link in read(site / "extending.html").links if "thanosql_timbre" in link]
    assert links
    assert all((site / link).is_file() for link in links)


def test_the_reference_is_on_the_site(site: Path) -> None:
    page = read(site / "language.html")
    source = (DOCS / "language.md").read_text("utf-8")
    for heading in re.findall(r"^### (.+)$", source, re.MULTILINE):
        assert heading.lower().replace(" ", "-") in page.ids
    options = re.findall(r"^\| `(\w+)` \|", source, re.MULTILINE)
    assert options
    assert [option for option in options if option not in page.text] == []


def test_notebooks_are_shown_with_their_cells(site: Path) -> None:
    for notebook in NOTEBOOKS:
        shown = read(site / "tutorials" / f"{notebook.stem}.html").text
        assert "thanosql" in shown, notebook


def test_pages_hold_nothing_that_only_sphinx_understands() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        assert not re.search(r"^(```|:::)\{|\{(ref|doc|eval-rst|include)\}", text, re.MULTILINE), (
            page
        )
