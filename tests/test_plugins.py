"""Runtimes of other packages: the documented example, built and installed as a package, and broken ones."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import RuntimeSettings, load_runtimes

ROOT = Path(__file__).parents[1]
CARD = ModelCard(id="acme/x", task="text-generation", summary="x")


def install(target, **packages):
    """Builds packages of these files and installs them into a folder, as pip does it, without the network."""
    sources = [target.with_name(name) for name in packages]
    for source, files in zip(sources, packages.values(), strict=True):
        source.mkdir()
        for name, text in files.items():
            (source / name).write_text(text, encoding="utf-8")
    how = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *how, *map(str, sources)], check=True)


def package(name, code, points):
    lines = "\n".join(f'{point} = "{name}:{what}"' for point, what in points.items())
    project = f"""
        [project]
        name = "{name}"
        version = "1.0"
        [project.entry-points."hugginggpt.runtimes"]
        {lines}
        [tool.setuptools]
        py-modules = ["{name}"]
    """
    return {f"{name}.py": code, "pyproject.toml": re.sub("(?m)^ +", "", project)}


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example of the documentation, to the letter, installed in a folder."""
    folder = tmp_path_factory.mktemp("example")
    text = (ROOT / "docs" / "runtimes.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", text, re.DOTALL))
    assert files.keys() == {"acme_runtime.py", "pyproject.toml"}
    install(folder / "installed", source=files)
    return folder / "installed"


def hugginggpt(path, *args, status=0):
    code = "from hugginggpt.app.cli import process; process()"
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        check=False,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    return done


def test_the_models_of_another_package_are_listed(example):
    rows = json.loads(hugginggpt(example, "tasks", "--json").stdout)
    [row] = [row for row in rows if row["task"] == "image-to-image"]
    assert {"model": "acme/negative", "runtime": "acme", "ready": True} in row["models"]


def test_the_models_of_another_package_are_used(example, tmp_path):
    Image.new("RGB", (4, 4), (255, 0, 10)).save(tmp_path / "red.png")
    asked = [
        "Turn this picture into its negative",
        "--file",
        str(tmp_path / "red.png"),
        "--out",
        str(tmp_path),
    ]
    whole = json.loads(hugginggpt(example, "ask", "--json", *asked).stdout)
    assert [(r["model"], r["runtime"]) for r in whole["results"]] == [("acme/negative", "acme")]
    [made] = whole["artifacts"]
    assert Image.open(made["path"]).getpixel((0, 0)) == (0, 255, 245)


BROKEN = """
from hugginggpt.tools.runtime import Availability

class Fine:
    name = "x"
    def __init__(self, settings): ...
    def available(self): return Availability(ok=True)
    def cards(self, task): return []
    def can_run(self, card): return True
    def ready(self, card): return True
    async def run(self, card, task, inputs): return {"text": "fine"}

class Away(Fine):
    def available(self): return Availability(ok=False, reason="set ACME_KEY")

class Constructor(Fine):
    def __init__(self, settings): raise RuntimeError("no licence file")

class NoMethods:
    def __init__(self, settings): ...

class Available(Fine):
    def available(self): return None

class Cards(Fine):
    def cards(self, task): return ["no card"]

class CanRun(Fine):
    def can_run(self, card): raise KeyError(card.id)

class Ready(Fine):
    def ready(self, card): raise SystemExit(3)
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    names = ["Constructor", "NoMethods", "Available", "Cards", "CanRun", "Ready", "NotThere"]
    points = {name.lower(): name for name in names} | {"builtin": "Fine", "fine": "Fine", "away": "Away"}
    install(
        folder / "installed",
        one=package("broken_package", BROKEN, points),
        two=package("broken_module", "import no_such_module", {"module": "X"}),
    )
    return folder / "installed"


@pytest.fixture
def loaded(broken, monkeypatch):
    """All runtimes with the broken packages, and what was told."""
    monkeypatch.syspath_prepend(str(broken))
    told = []
    settings = RuntimeSettings(
        encoder=None, tell=lambda type_, **facts: told.append((type_, facts["message"]))
    )
    return load_runtimes(settings), told


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("constructor", "RuntimeError: no licence file"),
        ("nomethods", "TypeError: broken_package:NoMethods has no available, cards, can_run, ready, run"),
        ("notthere", "AttributeError: module 'broken_package' has no attribute 'NotThere'"),
        ("available", "TypeError: available() gave None"),
        ("cards", "ValidationError: "),
        ("canrun", "KeyError: 'acme/x'"),
        ("ready", "SystemExit: 3"),
        ("module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_broken_package_is_not_available_and_is_told_once_in_one_line(loaded, name, fault):
    runtimes, told = loaded
    runtime = runtimes[name]
    for _ in range(2):
        runtime.available(), runtime.cards("text-generation"), runtime.can_run(CARD), runtime.ready(CARD)
    state = runtime.available()
    assert not state
    assert fault in state.reason
    mine = [message for _, message in told if f"the runtime {name} of" in message]
    assert len(mine) == 1
    assert "\n" not in mine[0]
    assert mine[0].endswith("; fix or uninstall it")


def test_a_name_of_ours_stays_ours(loaded):
    runtimes, told = loaded
    assert type(runtimes["builtin"]).__module__ == "hugginggpt.tools.builtin"
    assert (
        "notice",
        "the runtime builtin of the package broken_package is not used: its name is taken",
    ) in told


def test_what_a_package_says_of_its_runtime_is_kept(loaded):
    runtimes, _ = loaded
    assert runtimes["away"].available().reason == "set ACME_KEY"


async def test_beside_broken_packages_a_sound_one_runs(loaded):
    runtimes, _ = loaded
    assert runtimes["fine"].available()
    assert await runtimes["fine"].run(CARD, "text-generation", {}) == {"text": "fine"}


def test_a_run_beside_broken_packages_is_answered_and_the_doctor_names_them(broken):
    done = hugginggpt(broken, "ask", "--json", 'Read aloud: "The parcel has arrived."')
    assert [r["status"] for r in json.loads(done.stdout)["results"]] == ["done"]
    found = json.loads(hugginggpt(broken, "doctor", "--json").stdout)
    lines = {line["found"]: line["advice"] for line in found if line["about"] == "runtime"}
    assert "no licence file" in lines["constructor: not available"]
