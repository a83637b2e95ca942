"""Run the notebooks that are stored with their outputs, and store what they say now.

    python examples/run_notebooks.py            all of them
    python examples/run_notebooks.py calls      one

Each runs from its first cell to its last in a kernel of its own and in a folder that goes
afterwards. A cell that fails leaves the stored notebook as it is. What differs from run to run and
tells nothing (execution counts, times of execution) is not stored.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

EXAMPLES = Path(__file__).parent
STORED = ("calls", "guide")

#: Longest that a cell may take, in seconds.
TIMEOUT_S = 600


def run(path: Path) -> NotebookNode:
    """Return a notebook as it is after it has run."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": folder}}
        )
        client.execute()
    return clean(notebook)


def clean(notebook: NotebookNode) -> NotebookNode:
    """Leave out what differs from run to run, and join what a cell printed in pieces."""
    notebook.metadata = NotebookNode(
        kernelspec=NotebookNode(display_name="Python 3", language="python", name="python3"),
        language_info=NotebookNode(name="python"),
    )
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [_clean_output(output) for output in cell.outputs]
    return notebook


def _clean_output(output: NotebookNode) -> NotebookNode:
    if output.output_type == "execute_result":
        output.execution_count = None
    if output.output_type == "stream":
        # A bar goes back to the start of its line and writes it anew; the last one counts.
        lines = output.text.split("\n")
        output.text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return output


def main() -> None:
    """Run the notebooks that are named, or all that are stored with outputs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="*", metavar="name", help=" or ".join(STORED))
    for name in parser.parse_args().name or STORED:
        path = EXAMPLES / f"{name}.ipynb"
        done = run(path)
        path.write_text(nbformat.writes(done, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
