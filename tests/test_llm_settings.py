"""Which language model a setting means, and where its requests, and the keys, go."""

import dataclasses
import json
import subprocess
import sys

import pytest
from doubles import generate
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage

from hugginggpt.app.cli import main
from hugginggpt.graph import chat_models
from hugginggpt.graph.app import graph
from hugginggpt.graph.chat_models import choice
from hugginggpt.graph.context import Accounts, Context, SettingsError

NOTHING = {field.name: "" for field in dataclasses.fields(Accounts)} | {"named_here": frozenset()}
URL = "http://127.0.0.1:8000/v1"


def means(llm, **accounts):
    model = choice(llm, Accounts(**{**NOTHING, **accounts})).model
    return model.name if model else "embedded"


@pytest.mark.parametrize(
    ("accounts", "name"),
    [
        ({}, "embedded"),
        ({"openai_key": "k"}, f"openai:{chat_models.OPENAI_MODEL}"),
        ({"openai_key": "k", "openai_model": "m", "hf_token": "t"}, "openai:m"),
        ({"openai_url": URL, "openai_model": "m"}, "openai:m"),
        ({"hf_token": "t"}, f"huggingface:{chat_models.ROUTER_MODEL}"),
    ],
)
def test_auto_takes_what_is_configured(accounts, name):
    assert means("auto", **accounts) == name


@pytest.mark.parametrize(
    ("llm", "accounts", "name"),
    [
        ("embedded", {"openai_key": "k"}, "embedded"),
        ("openai:m", {"openai_key": "k"}, "openai:m"),
        ("openai:@cf/meta/llama", {"openai_url": URL}, "openai:@cf/meta/llama"),
        (f"openai:m@{URL}/", {"openai_url": URL}, "openai:m"),
        (f"openai:m@{URL}", {"named_here": frozenset({f"openai:m@{URL}"})}, "openai:m"),
        ("huggingface:a/b:groq", {"hf_token": "t", "openai_key": "k"}, "huggingface:a/b:groq"),
        ("local:a/b", {"named_here": frozenset({"local:a/b"})}, "local:a/b"),
        ("local:/models/small", {"named_here": frozenset({"local:/models/small"})}, "local:small"),
        (FakeListChatModel(responses=[]), {}, "chat model FakeListChatModel"),
    ],
)
def test_a_language_model_can_be_asked_for(llm, accounts, name):
    assert means(llm, **accounts) == name


@pytest.mark.parametrize(
    ("llm", "accounts", "line"),
    [
        ("gpt", {}, "llm 'gpt': not a language model"),
        ("local:x", {}, "llm 'local:x': this model is not one that this server loads"),
        ("openai:m", {}, "set OPENAI_API_KEY"),
        ("huggingface:m", {}, "set HF_TOKEN"),
        ("auto", {"openai_url": URL}, "set OPENAI_MODEL"),
        (f"openai:m@{URL}", {"openai_key": "k"}, "this address is not one that this server calls"),
    ],
)
def test_a_setting_that_cannot_be_used_gets_one_line(llm, accounts, line):
    with pytest.raises(SettingsError, match=line) as error:
        means(llm, **accounts)
    assert "\n" not in str(error.value)


async def ask(**context):
    return await graph.ainvoke({"messages": [HumanMessage("go")]}, context=context)


async def test_the_key_goes_to_its_own_server(llm, bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    llm.says(plan=[generate(0, "a")])
    await ask()
    assert {request["key"] for request in llm.requests} == {"Bearer secret"}
    assert {request["model"] for request in llm.requests} == {"scripted"}


async def test_a_caller_cannot_have_another_address_called(llm, bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.delenv("OPENAI_BASE_URL")
    output = await ask(llm=f"openai:m@{llm.url}")
    assert "this address is not one that this server calls" in output["messages"][-1].text
    assert llm.requests == []


async def test_another_address_that_the_environment_names_is_called_without_the_key(llm, bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("HUGGINGGPT_LLM", f"openai:other@{llm.url}")
    await graph.ainvoke({"messages": [HumanMessage("go")]})
    assert {request["key"] for request in llm.requests} == {"Bearer none"}
    assert {request["model"] for request in llm.requests} == {"other"}


async def test_hugging_face_is_asked_through_its_router_with_its_token(llm, bench, monkeypatch):
    monkeypatch.setattr(chat_models, "ROUTER_URL", llm.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    await ask(llm="huggingface:a/b:groq")
    assert {(r["model"], r["key"]) for r in llm.requests} == {("a/b:groq", "Bearer hf_secret")}


async def test_a_wrong_setting_of_a_caller_is_answered_in_one_line(bench):
    output = await ask(llm="gpt")
    assert output["messages"][-1].text.startswith("llm 'gpt': not a language model; use auto, embedded")


def test_the_command_line_plans_with_the_language_model_of_its_flag(llm, bench, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL")
    llm.says(plan=[generate(0, "a")])
    assert main(["plan", "--json", "--llm", f"openai:m@{llm.url}", "go"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["controller"], len(told["plan"]["tasks"])) == ("openai:m", 1)


def test_a_wrong_flag_is_bad_input(capsys):
    assert main(["plan", "--llm", "gpt", "go"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_doctor_says_which_language_model_is_taken_and_why(llm, capsys, monkeypatch):
    assert main(["doctor"]) == 0
    assert "openai:scripted: OPENAI_BASE_URL is set" in capsys.readouterr().out
    monkeypatch.delenv("OPENAI_MODEL")
    assert main(["doctor"]) == 0
    assert "set OPENAI_MODEL too" in capsys.readouterr().out


def test_a_form_shows_a_text_field():
    shown = graph.get_context_jsonschema()["properties"]["llm"]
    assert (shown["type"], shown["default"]) == ("string", "auto")


def test_the_context_keeps_the_chat_model_that_it_is_given():
    model = FakeListChatModel(responses=[])
    assert Context.from_environment(llm=model).llm is model


def test_importing_the_graph_loads_no_client():
    code = "import sys, hugginggpt.graph.app; print([*sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = ["openai", "langchain_openai", "langchain_huggingface", "torch", "transformers"]
    assert [name for name in heavy if f"'{name}'" in loaded] == []
