"""The README and .env.example say what is there."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic.fields import FieldInfo

from hugginggpt.app.cli import _COMMANDS as COMMANDS
from hugginggpt.app.cli import main
from hugginggpt.graph.context import Context, Machine

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = (ROOT / ".env.example").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_there_are_two_commands_to_set_up_and_go():
    assert blocks("sh")[0].splitlines() == ["make demo", "make test"]


def test_the_continuous_integration_runs_the_test_command():
    assert blocks("sh")[0].splitlines()[1] in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_command_that_is_shown_exists(capsys):
    shown = set(re.findall(r"^hugginggpt (\w+)", "\n".join(blocks("sh")), re.MULTILINE))
    assert shown <= {*COMMANDS}
    for name in shown:
        assert main([name, "--help"]) == 0


def test_every_linked_file_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_that_is_shown_exists():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`?make (\w+)", "\n".join(blocks("sh")))) <= {*targets}


@pytest.mark.parametrize("field", [*fields(Context), *fields(Machine)], ids=lambda field: field.name)
def test_every_setting_is_in_the_environment_file_with_its_description_and_default(field):
    hints = get_type_hints(Context, include_extras=True) | get_type_hints(Machine, include_extras=True)
    annotation = hints[field.name]
    about = next(note.description for note in annotation.__metadata__ if isinstance(note, FieldInfo))
    default = f"{field.default:g}" if isinstance(field.default, float) else field.default
    assert f"# {about}\n# HUGGINGGPT_{field.name.upper()}={default}\n" in ENVIRONMENT


def test_the_environment_file_has_the_variables_that_are_read_and_no_others():
    source = (ROOT / "graph" / "context.py").read_text(encoding="utf-8")
    read = {f"HUGGINGGPT_{name}" for name in re.findall(r"\{_PREFIX\}(\w+)", source)}
    read |= {f"HUGGINGGPT_{field.name.upper()}" for field in (*fields(Context), *fields(Machine))}
    read |= {*re.findall(r"value\(\"([A-Z_]+)\"\)", source)}
    assert set(re.findall(r"^# ([A-Z_]+)=", ENVIRONMENT, re.MULTILINE)) == read


def test_no_other_module_reads_our_environment_variables():
    files = [file for package in ("app", "graph", "index", "tools") for file in (ROOT / package).glob("*.py")]
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    assert [name for name, text in texts.items() if "HUGGINGGPT_" in text and "os.environ" in text] == [
        "context.py"
    ]


def test_the_embedding_example_runs(capsys):
    example = next(block for block in blocks("python") if "StateGraph" in block)
    exec(compile(example, "README.md", "exec"), {"__name__": "example"})
    assert "builtin/espeak-ng" in capsys.readouterr().out


def test_the_api_example_is_python():
    example = next(block for block in blocks("python") if "langgraph_sdk" in block)
    compile(example, "README.md", "exec")
