"""A language model in this process, made on the spot: it is real, tiny, and talks nonsense."""

import asyncio
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.messages import HumanMessage, SystemMessage

from hugginggpt.app.cli import main
from hugginggpt.graph import calls, chat_models, local_chat
from hugginggpt.graph.app import graph
from hugginggpt.graph.calls import Ask, Limits, LLMError
from hugginggpt.graph.chat_models import choice
from hugginggpt.graph.context import Accounts, Context

REQUEST = "Write a story about a cat that sails to France."
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
MESSAGES = [SystemMessage("Be brief."), HumanMessage("go")]


def make(folder, *, template=TEMPLATE, safetensors=True):
    """A Llama of 7,000 parameters that knows 300 bytes and pairs of bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator([REQUEST, "a cat, a boat, the sea"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16_384,
            bos_token_id=0,
            eos_token_id=None,  # what it samples is random: only its length ends a reply
        )
    )
    model.save_pretrained(folder)
    if not safetensors:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def short_replies(monkeypatch):
    monkeypatch.setattr(local_chat, "MAX_NEW_TOKENS", 24)


@pytest.fixture
def named(tiny, bench, monkeypatch):
    """The tiny model, named by this process's environment."""
    monkeypatch.setenv("HUGGINGGPT_LLM", f"local:{tiny}")


def model_of(folder):
    llm = f"local:{folder}"
    return choice(llm, replace(Accounts.from_environment(), named_here=frozenset({llm}))).model


async def replies(folder, schema=None):
    return [p async for p in calls.stream(model_of(folder), Ask("answer", MESSAGES, schema), Limits())]


async def ask(**context):
    events = []
    async for mode, chunk in graph.astream(
        {"messages": [HumanMessage(REQUEST)]},
        context=Context.from_environment(**context),
        stream_mode=["custom", "values"],
    ):
        if mode == "custom":
            events.append(chunk)
        else:
            output = chunk
    return output, output["messages"][-1].text, events


async def test_nonsense_for_a_plan_still_ends_in_an_answer_that_says_so(named):
    output, answer, events = await ask()
    assert [r["status"] for r in output["results"]] == ["done"]
    assert "planned by the embedded controller" in answer
    assert {e["model"] for e in events if e["type"] == "usage"} == {"local:tiny"}


async def test_nothing_blocks_the_event_loop_of_a_server(named):
    await graph.ainvoke({"messages": [HumanMessage(REQUEST)]})  # what langgraph loads at first is not ours
    chat_models._opened_local.cache_clear()
    local_chat.pipeline.cache_clear()
    with blockbuster_ctx():
        output = await graph.ainvoke({"messages": [HumanMessage(REQUEST)]})
    assert [r["status"] for r in output["results"]] == ["done"]


async def test_the_reply_streams_in_pieces(tiny, monkeypatch):
    monkeypatch.setattr(local_chat, "MAX_NEW_TOKENS", 400)  # a piece ends at a space: there will be some
    assert len(await replies(tiny)) > 1


async def test_a_plan_is_asked_for_in_words(tiny):
    await replies(tiny, {"type": "object"})
    assert calls._known[f"local:{tiny}", True] == "words"


async def test_tokens_are_counted(tiny):
    reply = await model_of(tiny).open().ainvoke(MESSAGES)
    told = "system: Be brief.\nuser: go\nassistant:"
    prompt = len(local_chat.pipeline(str(tiny)).tokenizer(told)["input_ids"])
    assert reply.usage_metadata["input_tokens"] == prompt
    assert 0 < reply.usage_metadata["output_tokens"] <= 24


async def test_a_model_is_loaded_once_however_many_ask(tiny, monkeypatch):
    loads = []
    load = local_chat._loaded
    monkeypatch.setattr(local_chat, "_loaded", lambda folder: loads.append(folder) or load(folder))
    local_chat.pipeline.cache_clear()
    await asyncio.gather(*(replies(tiny) for _ in range(3)))
    assert loads == [tiny]


async def test_one_reply_is_written_at_a_time(tiny, monkeypatch):
    now, most = [0], [0]
    alone = local_chat._Reply._written

    def written(reply):
        now[0] += 1
        most[0] = max(most[0], now[0])
        try:
            return alone(reply)
        finally:
            now[0] -= 1

    monkeypatch.setattr(local_chat._Reply, "_written", written)
    await asyncio.gather(*(replies(tiny) for _ in range(3)))
    assert most == [1]


async def written():
    """Whether the thread that writes is free again."""
    free = threading.Event()
    local_chat._writer.submit(free.set)
    return await asyncio.to_thread(free.wait, 60)


async def test_a_stream_that_nobody_reads_ends(tiny, monkeypatch):
    monkeypatch.setattr(local_chat, "MAX_NEW_TOKENS", 1_000_000)
    monkeypatch.setattr(local_chat.pipeline(str(tiny)).model.config, "max_position_embeddings", 2_000_000)
    pieces = model_of(tiny).open().astream(MESSAGES)
    await anext(pieces)
    await pieces.aclose()
    assert await written()


async def test_a_reply_that_nobody_waits_for_ends(tiny, monkeypatch):
    monkeypatch.setattr(local_chat, "MAX_NEW_TOKENS", 1_000_000)
    monkeypatch.setattr(local_chat.pipeline(str(tiny)).model.config, "max_position_embeddings", 2_000_000)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await model_of(tiny).open().ainvoke(MESSAGES)
    assert await written()


def broken(folder):
    make(folder)
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("prepare", "line"),
    [
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), "no safetensors weights there"),
        (lambda folder: make(folder, safetensors=False), "no safetensors weights there"),
        (lambda folder: make(folder, template=None), "has no chat template"),
        (broken, "config.json"),
    ],
)
async def test_a_model_that_cannot_be_loaded_is_told_in_one_line(prepare, line, tmp_path):
    folder = tmp_path / "model"
    prepare(folder)
    with pytest.raises(LLMError, match=line) as error:
        await replies(folder)
    assert (error.value.transient, "\n" in str(error.value)) == (False, False)


async def test_without_its_model_a_run_goes_on_and_says_so(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("HUGGINGGPT_LLM", f"local:{tmp_path}/gone")
    output, answer, _ = await ask()
    assert [r["status"] for r in output["results"]] == ["done"]
    assert f"(local:{tmp_path}/gone: no such folder); planned by the embedded controller" in answer


async def test_a_model_of_the_hub_that_is_not_here_is_told_in_one_line():
    with pytest.raises(LLMError, match=r"local:a/b: no such folder, and the Hub does not give it"):
        await replies("a/b")


async def test_a_prompt_that_the_model_cannot_read_is_told_in_one_line(tiny, monkeypatch):
    monkeypatch.setattr(local_chat.pipeline(str(tiny)).model.config, "max_position_embeddings", 10)
    with pytest.raises(LLMError, match=r"reads 10 tokens; the prompt has \d+$"):
        await replies(tiny)


async def test_a_model_that_fails_while_it_writes_is_told_in_one_line(tiny, monkeypatch):
    def fails(reply):
        raise RuntimeError("out of memory:\n8 GB wanted")

    monkeypatch.setattr(local_chat._Reply, "_written", fails)
    with pytest.raises(LLMError, match=r"out of memory: 8 GB wanted$"):
        await replies(tiny)


async def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    folder = make(tmp_path / "model")
    config = (folder / "config.json").read_text()
    own = '"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}'
    (folder / "config.json").write_text(config.replace('"model_type": "llama"', own))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(LLMError):
        await replies(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("llm", ["local:/etc", "local:a/b"])
async def test_a_caller_cannot_have_a_model_loaded(llm, bench):
    output = await graph.ainvoke({"messages": [HumanMessage("go")]}, context={"llm": llm})
    answer = output["messages"][-1].text
    assert f"llm '{llm}': this model is not one that this server loads" in answer
    assert "\n" not in answer.strip()


def test_doctor_names_it(named, capsys):
    assert main(["doctor"]) == 0
    assert "local:tiny: asked for" in capsys.readouterr().out


def test_the_flag_of_the_command_line_names_a_model(tiny, bench, capsys):
    main(["plan", "--json", "--llm", f"local:{tiny}", REQUEST])
    assert '"controller": "local:tiny"' in capsys.readouterr().out


def test_importing_it_loads_no_library():
    code = "import sys, hugginggpt.graph.local_chat; print({'torch', 'transformers'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded == "set()\n"
