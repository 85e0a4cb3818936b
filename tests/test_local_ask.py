"""A request, and a model of a Hub on loopback that is downloaded for it: the whole path."""

import json

import pytest
from tiny_models import MAKERS

from hugginggpt.app.cli import main
from hugginggpt.graph import resources
from hugginggpt.graph.context import Home, Machine, SettingsError
from hugginggpt.index import build_index
from hugginggpt.tools.card import ModelCard

REQUEST = 'Translate into German: "The ferry was late."'


@pytest.fixture
def indexed(tiny_hub, home, monkeypatch, tmp_path):
    """An index whose only model is a tiny translator that the Hub on loopback has."""
    made = tiny_hub.make("tiny/translator", MAKERS["translation"])
    card = ModelCard(
        id=made.id,
        task="translation",
        summary="Translates between many languages.",
        library="transformers",
        revision=made.commit,
        safetensors=True,
    )
    build_index(home / "index", [card], resources.encoder(Home.from_environment()))
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(home / "index"))
    monkeypatch.chdir(tmp_path)
    yield tiny_hub
    Machine.on_command_line()


def test_a_request_is_answered_by_a_model_that_is_downloaded_for_it(indexed, capsys):
    assert main(["ask", "--llm", "embedded", "--json", REQUEST]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["status"], result["model"], result["runtime"]) == ("done", "tiny/translator", "local")
    assert isinstance(result["outputs"]["text"], str)
    assert indexed.asked("model.safetensors")["GET"] == 1


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--max-download", "0"], "no available model can do translation"),
        (["--memory", "1kb"], "tiny/translator: takes 0.0 MB of memory; models may take 0.0 MB (--memory)"),
    ],
)
def test_the_limits_of_the_command_line_hold(flags, line, indexed, capsys):
    assert main(["ask", "--llm", "embedded", *flags, REQUEST]) == 1
    assert line in capsys.readouterr().out
    assert not indexed.asked("model.safetensors")


@pytest.mark.parametrize("flags", [["--memory", "much"], ["--max-download", "auto"]])
def test_a_limit_that_is_no_size_is_told(flags, capsys):
    assert main(["ask", *flags, REQUEST]) == 2
    assert f"argument {flags[0]}: {flags[1]}" in capsys.readouterr().err


def test_limits_come_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_MEMORY", "4GB")
    monkeypatch.setenv("HUGGINGGPT_MAX_DOWNLOAD", "0")
    machine = Machine.from_environment()
    assert (machine.memory_bytes, machine.download_bytes) == (4 * 10**9, 0)
    monkeypatch.setenv("HUGGINGGPT_MEMORY", "much")
    with pytest.raises(SettingsError, match=r"HUGGINGGPT_MEMORY=much: .*is not a size"):
        Machine.from_environment()


def test_doctor_tells_where_models_run_and_what_they_may_take(monkeypatch, capsys):
    monkeypatch.setenv("HUGGINGGPT_MEMORY", "4GB")
    assert main(["doctor"]) == 0
    assert (
        "models       on cpu in float32, 4.0 GB of memory, downloads up to 2GB, kept in"
        in capsys.readouterr().out
    )
