"""The rooms of docs/architecture.md, held against the code."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "tools": {"tools"},
    "index": {"index", "tools.tasks", "tools.card", "tools.encoder", "tools.digest"},
    "graph": {"graph", "index", "tools"},
    "app": {"app", "graph", "index", "tools"},
}
HEAVY = {"torch", "transformers", "sentence_transformers", "faiss", "onnxruntime", "cv2", "rapidocr"}
FILES = [file for room in ROOMS for file in sorted((ROOT / room).glob("*.py"))]


def ours(file):
    """Modules of ours that a file imports anywhere, as `room.module`."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix("hugginggpt.") for name in names if name.startswith("hugginggpt."))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_table_allows(room):
    for file in (ROOT / room).glob("*.py"):
        for module in ours(file):
            allowed = any(module == door or module.startswith(f"{door}.") for door in ROOMS[room])
            assert allowed, f"{file.relative_to(ROOT)} imports {module}"


def test_only_the_context_reads_our_environment_variables():
    reading = re.compile(r"""(environ(\[|\.get\()|getenv\()(?!"RAY_)""")
    readers = [file.name for file in FILES if reading.search(file.read_text())]
    assert readers == ["context.py"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_file_stands_in_the_architecture(file):
    if file.name != "__init__.py":
        assert f"`{file.name}`" in (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("module", ["graph.app", "app.cli", "index", "tools"])
def test_importing_is_light(module):
    heavy = (
        "torch transformers sentence_transformers faiss onnxruntime cv2 rapidocr pyarrow soundfile PIL openai"
    )
    code = f"import sys, hugginggpt.{module}; print(*({heavy.split()} & sys.modules.keys()))".replace(
        str(heavy.split()), str(set(heavy.split()))
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "\n"
    )
