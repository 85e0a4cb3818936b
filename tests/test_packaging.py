"""The wheel has everything, and importing it loads nothing heavy."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "graph", "index", "tools")
HEAVY = {
    "torch",
    "transformers",
    "faiss",
    "sentence_transformers",
    "onnxruntime",
    "rapidocr",
    "cv2",
    "PIL",
    "pyarrow",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that no build products are left in the source tree, and without the network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    subprocess.run([*build, "--wheel-dir", str(out), str(source)], check=True)
    return next(out.glob("hugginggpt-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel alone, in an empty folder."""
    target = tmp_path_factory.mktemp("installed")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
    ]
    subprocess.run([*install, str(wheel)], check=True)
    return target


def isolated(installed, code, *args):
    """Stdout of a Python that sees the installed wheel and the dependencies, and not this source tree."""
    lean = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
    path = f"sys.path.insert(0, {str(installed)!r})\n"
    run = [sys.executable, "-I", "-c", lean + path + code, *args]
    return subprocess.run(run, check=True, capture_output=True, text=True, cwd=installed).stdout


def modules(folder):
    return sorted(
        f"hugginggpt.{file.parent.name}.{file.stem}" for p in PACKAGES for file in (folder / p).glob("*.py")
    )


def test_every_module_can_be_imported_from_the_wheel(installed):
    code = (
        "import importlib, json\n"
        "print(json.dumps([importlib.import_module(name).__file__ for name in sys.argv[1:]]))"
    )
    found = json.loads(isolated(installed, code, *modules(ROOT)))
    assert all(Path(file).is_relative_to(installed) for file in found)
    assert len(found) > 20


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    expected = {
        f"hugginggpt/{file.relative_to(ROOT).as_posix()}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert expected == {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_ships_its_type_marker(wheel, package):
    assert f"hugginggpt/{package}/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_has_the_program(installed):
    assert (
        "hugginggpt = hugginggpt.app.cli:process"
        in next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    )


@pytest.mark.parametrize(
    "statement", ["import hugginggpt.graph.app", "from hugginggpt.app.cli import main; main(['--help'])"]
)
def test_importing_loads_no_heavy_library(statement):
    code = f"import sys\n{statement}\nprint('\\n', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not HEAVY & set(done.stdout.splitlines()[-1].split())


def test_the_command_line_starts_without_langgraph_and_pydantic():
    code = "import sys\nfrom hugginggpt.app.cli import main\nmain(['--help'])\nprint('\\n', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"langgraph", "langchain_core", "pydantic", "numpy"} & set(
        done.stdout.splitlines()[-1].split()
    )


def test_an_index_is_searched_without_langgraph():
    code = (
        "import sys\nimport hugginggpt.graph.resources, hugginggpt.index.opening\nprint('\\n', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"langgraph", "langsmith"} & set(done.stdout.splitlines()[-1].split())
