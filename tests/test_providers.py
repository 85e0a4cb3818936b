"""Inference Providers: huggingface_hub's real clients, a Hub and a router on loopback."""

import asyncio
import base64
import io
import json
import socket
import threading

import pytest
import soundfile
from hub_server import HubServer
from huggingface_hub import constants
from PIL import Image
from router_server import ANSWERS, RouterServer, Server, fails, gives, huge, mp4, png, redirects, stalls, wav

from hugginggpt.tools import outgoing
from hugginggpt.tools.artifacts import artifact_store
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.providers import Providers
from hugginggpt.tools.runtime import PermanentError, RuntimeSettings, TransientError
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Media
from hugginggpt.tools.views import store_outputs

# of huggingface_hub, which hands bytes to httpx by an old name
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

IMAGE = Media(png(), "image/png", "red.png")
AUDIO = Media(wav(), "audio/wav", "tone.wav")
INPUTS = {
    "text-generation": {"text": "Write."},
    "summarization": {"text": "https://example.com/long"},  # a text, and never opened
    "translation": {"text": "Good morning.", "target_language": "German"},
    "question-answering": {"question": "When?", "context": "On Monday."},
    "table-question-answering": {"question": "How many?", "table": [{"n": 4, "of": "cats"}]},
    "text-classification": {"text": "Great."},
    "zero-shot-classification": {"text": "Woof.", "candidate_labels": ["cat", "dog"]},
    "token-classification": {"text": "Ada"},
    "fill-mask": {"text": "[MASK] is nice."},
    "sentence-similarity": {"source": "a", "sentences": ["b", "c"]},
    "feature-extraction": {"text": "a"},
    "image-classification": {"image": IMAGE},
    "zero-shot-image-classification": {"image": IMAGE, "candidate_labels": ["cat", "dog"]},
    "object-detection": {"image": IMAGE},
    "image-segmentation": {"image": IMAGE},
    "image-to-text": {"image": IMAGE},
    "image-text-to-text": {"image": IMAGE, "text": "What is it?"},
    "visual-question-answering": {"image": IMAGE, "question": "Which colour?"},
    "document-question-answering": {"image": IMAGE, "question": "What sum?"},
    "image-to-image": {"image": IMAGE, "prompt": "bluer"},
    "text-to-image": {"prompt": "a red square"},
    "text-to-video": {"prompt": "a cat"},
    "image-to-video": {"image": IMAGE, "prompt": "walk"},
    "text-to-speech": {"text": "Hello."},
    "automatic-speech-recognition": {"audio": AUDIO},
    "audio-classification": {"audio": AUDIO},
    "audio-to-audio": {"audio": AUDIO},
}
CHAT = {"text-generation", "image-text-to-text"}
ELSEWHERE = {"text-to-video": "fal-ai", "image-to-video": "fal-ai"}
"""Tasks that Hugging Face's own servers do not do, to who does."""


@pytest.fixture
def hub(monkeypatch):
    with HubServer() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        yield server


@pytest.fixture
def router(hub, monkeypatch):
    with RouterServer() as server:
        monkeypatch.setattr(constants, "INFERENCE_PROXY_TEMPLATE", server.url + "/{provider}")
        yield server


@pytest.fixture
def providers(router):
    return Providers(RuntimeSettings(encoder=None, hf_token="hf_secret"))


def serve(hub, task, provider=None, kind=None):
    """A model that the Hub says is served, and its card."""
    provider = provider or ELSEWHERE.get(task, "hf-inference")
    kind = kind or ("conversational" if task in CHAT else task)
    mapping = {provider: {"providerId": f"served/{task}", "status": "live", "task": kind}}
    hub.add(f"org/{task}", inferenceProviderMapping=mapping)
    return card(task)


def card(task, **facts):
    return ModelCard(id=f"org/{task}", task=task, summary="s", languages=("en", "de"), **facts)


def stored(task, outputs, home):
    return store_outputs(TASKS[task], outputs, INPUTS[task], artifact_store(str(home / "artifacts")), "made")


@pytest.mark.parametrize("task", INPUTS)
async def test_every_task_of_the_client_runs_once_and_gives_what_the_task_gives(
    task, hub, router, providers, home
):
    router.file = mp4() if "video" in task else png()
    made = serve(hub, task)
    outputs = stored(task, await providers.run(made, task, INPUTS[task]), home)
    assert outputs["text"] not in {"", "nothing found"}
    for port in TASKS[task].outputs:
        assert outputs[port] not in ([], None)
    request = router.asked()[0]
    assert request[2]["authorization"] == "Bearer hf_secret"
    assert f"org/{task}" in request[1] or request[3].get("model") == made.id or "fal-ai" in request[1]


def test_no_task_that_the_client_has_a_method_for_is_left_out():
    from huggingface_hub import AsyncInferenceClient

    methods = {task for task in TASKS if hasattr(AsyncInferenceClient, task.replace("-", "_"))}
    served_by_nobody = {"tabular-classification", "tabular-regression"}  # they run on endpoints
    assert methods - served_by_nobody <= set(INPUTS)


async def test_what_is_asked_is_what_the_model_reads(hub, router, providers):
    for task in ("summarization", "table-question-answering", "image-classification", "image-text-to-text"):
        await providers.run(serve(hub, task), task, INPUTS[task])
    text, table, image, talk = (request[3] for request in router.asked())
    assert text["inputs"] == "https://example.com/long"
    assert table["inputs"] == {"query": "How many?", "table": {"n": ["4"], "of": ["cats"]}}
    assert image == IMAGE.data
    assert router.asked()[2][2]["content-type"] == "image/png"
    [picture, words] = talk["messages"][0]["content"]
    assert base64.b64decode(picture["image_url"]["url"].partition(",")[2]) == IMAGE.data
    assert words == {"type": "text", "text": "What is it?"}


async def test_what_a_model_gives_is_read_as_it_is_meant(hub, router, providers):
    gave = {}
    for task in ("image-classification", "feature-extraction", "object-detection", "image-segmentation"):
        gave |= await providers.run(serve(hub, task), task, INPUTS[task])
    assert [each["label"] for each in gave["labels"]] == ["dog", "cat"]
    assert gave["vector"] == [1.0, 1.0]
    assert gave["objects"][0]["box"] == {"xmin": 1, "ymin": 1, "xmax": 5, "ymax": 4}
    assert Image.open(io.BytesIO(gave["image"].data)).size == (8, 6)
    assert Image.open(io.BytesIO(gave["masks"][0]["mask"].data)).size == (8, 6)


@pytest.mark.parametrize(
    ("name", "mask"),
    [("org/fill-mask", "[MASK]"), ("org/distilroberta", "<mask>")],
)
async def test_a_masked_word_is_masked_as_the_model_knows_it(name, mask, hub, router, providers):
    served = {"hf-inference": {"providerId": "x", "status": "live", "task": "fill-mask"}}
    hub.add(name, inferenceProviderMapping=served)
    router.faults = [gives(ANSWERS["fill-mask"])]
    await providers.run(ModelCard(id=name, task="fill-mask", summary="s"), "fill-mask", INPUTS["fill-mask"])
    assert router.asked()[0][3]["inputs"] == f"{mask} is nice."


GERMAN = {"text": "The house is old and it is not for sale.", "target_language": "German"}


@pytest.mark.parametrize(
    ("name", "sent", "told"),
    [
        ("org/opus-mt-en-de", GERMAN["text"], {}),
        ("org/nllb-200-600m", GERMAN["text"], {"src_lang": "eng_Latn", "tgt_lang": "deu_Latn"}),
        ("org/m2m100_418m", GERMAN["text"], {"src_lang": "en", "tgt_lang": "de"}),
        ("org/madlad400-3b", f"<2de> {GERMAN['text']}", {}),
        ("org/t5-base", f"translate English to German: {GERMAN['text']}", {}),
    ],
)
async def test_a_model_is_told_the_languages_in_its_own_way(name, sent, told, hub, router, providers):
    served = {"hf-inference": {"providerId": "x", "status": "live", "task": "translation"}}
    hub.add(name, inferenceProviderMapping=served)
    router.faults = [gives(ANSWERS["translation"])]
    await providers.run(ModelCard(id=name, task="translation", summary="s"), "translation", GERMAN)
    assert router.asked()[0][3] == {"inputs": sent, "parameters": told}


@pytest.mark.parametrize("name", ["org/opus-mt-en-fr", "org/translator"])
async def test_a_model_that_translates_into_another_language_is_not_asked(name, hub, router, providers):
    served = {"hf-inference": {"providerId": "x", "status": "live", "task": "translation"}}
    hub.add(name, inferenceProviderMapping=served)
    with pytest.raises(PermanentError, match="does not say that it translates into German"):
        await providers.run(ModelCard(id=name, task="translation", summary="s"), "translation", GERMAN)
    assert router.asked() == []


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("auto", "org/text-generation"),
        ("groq", "org/text-generation:groq"),
        ("cheapest", "org/text-generation:cheapest"),
        ("fastest", "org/text-generation:fastest"),
    ],
)
async def test_a_chat_model_is_asked_of_the_provider_that_is_chosen(provider, name, hub, router, providers):
    made = serve(hub, "text-generation", "groq")
    outputs = await providers.on(provider).run(made, "text-generation", {"text": "Write."})
    assert outputs == {"text": f"Said by {name}."}


async def test_a_model_that_does_not_chat_completes(hub, router, providers):
    made = serve(hub, "text-generation", "together", kind="text-generation")
    assert await providers.run(made, "text-generation", {"text": "Well"}) == {"text": "and so on."}
    assert router.asked()[0][3]["model"] == "served/text-generation"


@pytest.mark.parametrize("provider", ["together", "replicate", "fal-ai"])
async def test_third_parties_are_asked_through_the_router_and_their_results_fetched(
    provider, hub, router, providers
):
    made = serve(hub, "text-to-image", provider)
    outputs = await providers.run(made, "text-to-image", {"prompt": "a red square"})
    assert Image.open(io.BytesIO(outputs["image"].data)).size == (8, 6)
    assert router.asked()[0][1].startswith(f"/{provider}/")


async def test_the_first_provider_that_is_up_is_taken(hub, router, providers):
    task = {"task": "text-to-image"}
    mapping = {
        "fal-ai": {"providerId": "a", "status": "error", **task},
        "together": {"providerId": "b", "status": "live", **task},
    }
    hub.add("org/text-to-image", inferenceProviderMapping=mapping)
    await providers.run(card("text-to-image"), "text-to-image", {"prompt": "x"})
    assert router.asked()[0][1].startswith("/together/")
    await providers.on("fal-ai").run(card("text-to-image"), "text-to-image", {"prompt": "x"})
    assert router.asked()[1][1].startswith("/fal-ai/")


async def test_a_model_whose_provider_fails_is_tried_with_its_next_provider(hub, router, providers):
    served = {"status": "live", "task": "text-to-image"}
    mapping = {"together": {"providerId": "a", **served}, "replicate": {"providerId": "b", **served}}
    hub.add("org/text-to-image", inferenceProviderMapping=mapping)
    router.faults = [fails(502)]
    with pytest.raises(TransientError):
        await providers.run(card("text-to-image"), "text-to-image", {"prompt": "x"})
    await providers.run(card("text-to-image"), "text-to-image", {"prompt": "x"})
    assert [path.split("/")[1] for _, path, *_ in router.asked()] == ["together", "replicate"]


@pytest.mark.parametrize("provider", ["hf-inference", "together", "groq"])
async def test_the_organisation_that_pays_is_named(provider, hub, router):
    payer = Providers(RuntimeSettings(encoder=None, hf_token="hf_secret", bill_to="acme"))
    task = "text-generation" if provider == "groq" else "text-to-image"
    await payer.run(serve(hub, task, provider), task, {"prompt": "x", "text": "x"})
    assert router.asked()[0][2]["x-hf-bill-to"] == "acme"


async def test_who_serves_a_model_is_asked_once_however_many_ask(hub, router, providers):
    made = serve(hub, "summarization")
    await asyncio.gather(*(providers.run(made, "summarization", {"text": "x"}) for _ in range(5)))
    await providers.on("fastest").run(made, "summarization", {"text": "x"})
    assert hub.asked("org/summarization") == {"GET": 1}


async def test_that_nobody_serves_a_model_is_remembered_too(hub, router, providers):
    made = card("summarization")
    assert providers.can_run(made)
    for _ in range(2):
        with pytest.raises(PermanentError, match="no Inference Provider serves it for summarization"):
            await providers.run(made, "summarization", {"text": "x"})
    assert hub.asked("org/summarization") == {"GET": 1}
    assert not providers.can_run(made)


@pytest.mark.parametrize("name", ["../secrets", "org/a?b", "org/-x"])
async def test_an_id_that_no_repository_can_have_is_served_by_nobody(name, hub, router, providers):
    odd = ModelCard(id=name, task="summarization", summary="s")
    with pytest.raises(PermanentError, match="no Inference Provider serves it"):
        await providers.run(odd, "summarization", {"text": "x"})
    assert router.requests == []


async def test_what_is_remembered_is_asked_again_after_a_while(hub, router, providers, monkeypatch):
    monkeypatch.setattr(providers._served, "_seconds", 0.0)
    made = serve(hub, "summarization")
    for _ in range(2):
        await providers.run(made, "summarization", {"text": "x"})
    assert hub.asked("org/summarization") == {"GET": 2}


async def test_a_hub_that_fails_is_a_passing_fault_and_not_remembered(hub, router, providers):
    from hub_server import Fails

    made = serve(hub, "summarization")
    hub.fails["org/summarization"] = [Fails(503)]
    with pytest.raises(TransientError):
        await providers.run(made, "summarization", {"text": "x"})
    assert await providers.run(made, "summarization", {"text": "x"}) == {"text": "A bridge."}


@pytest.mark.parametrize(
    ("provider", "task", "named", "can"),
    [
        ("auto", "summarization", None, True),
        ("auto", "summarization", ("hf-inference",), True),
        ("auto", "summarization", ("groq",), False),
        ("auto", "summarization", (), False),
        ("auto", "text-generation", ("groq",), True),
        ("auto", "text-generation", ("newcomer",), True),
        ("auto", "text-to-image", ("newcomer",), False),
        ("fal-ai", "text-to-image", ("fal-ai", "together"), True),
        ("nscale", "text-to-image", ("fal-ai", "together"), False),
        ("cheapest", "text-generation", ("groq",), True),
        ("auto", "depth-estimation", None, False),
        ("auto", "tabular-regression", None, False),
    ],
)
def test_whether_a_model_can_run_is_judged_by_its_card(provider, task, named, can, providers):
    assert providers.on(provider).can_run(card(task, providers=named)) is can


@pytest.mark.parametrize("name", ["builtin/minilm-summary", "chat/gpt", "endpoint/summarization", "gpt2/a/b"])
def test_what_is_no_repository_is_not_asked_for(name, providers):
    assert not providers.can_run(ModelCard(id=name, task="summarization", summary="s"))


@pytest.mark.parametrize(("token", "reason"), [("", "set HF_TOKEN"), ("sk-x", "begins with hf_")])
def test_why_it_is_not_available_says_what_to_do(token, reason, router):
    state = Providers(RuntimeSettings(encoder=None, hf_token=token)).available()
    assert not state
    assert reason in state.reason


def test_a_provider_that_is_not_there_is_named_with_those_that_are(providers):
    assert not providers.on("fal").available()
    assert "no provider 'fal'; there are baseten, " in providers.on("fal").available().reason
    assert providers.on("fal-ai").available()


def test_it_is_available_with_an_account_and_not_offline(providers, monkeypatch):
    assert providers.available()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "unset it" in providers.available().reason


async def test_a_result_at_a_public_address_is_fetched_there_without_the_token(
    hub, router, providers, monkeypatch
):
    checked = []
    monkeypatch.setattr(outgoing, "is_public", lambda address: checked.append(address) or True)
    with Server(lambda *_: png((3, 3))) as storage:
        router.result = storage.url.replace("127.0.0.1", "localhost") + "/a.png"
        made = serve(hub, "text-to-image", "replicate")
        outputs = await providers.run(made, "text-to-image", {"prompt": "x"})
        assert Image.open(io.BytesIO(outputs["image"].data)).size == (3, 3)
        [(_, path, headers, _)] = storage.requests
    assert checked
    assert (path, headers["host"]) == ("/a.png", f"localhost:{storage.server_port}")
    assert {"authorization", "x-hf-bill-to", "cookie"} & headers.keys() == set()


async def test_a_name_that_means_another_address_later_does_not_help(hub, router, providers, monkeypatch):
    looked_up = []
    real = socket.getaddrinfo

    def lookup(host, *args, **named):
        if host == "moving.example":
            looked_up.append(host)
            host = "127.0.0.1"
        return real(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(outgoing, "is_public", lambda _: True)
    with Server(lambda *_: png()) as storage:
        router.result = storage.url.replace("127.0.0.1", "moving.example")
        await providers.run(serve(hub, "text-to-image", "replicate"), "text-to-image", {"prompt": "x"})
        assert storage.requests[0][2]["host"] == f"moving.example:{storage.server_port}"
    assert len(looked_up) == 1


@pytest.mark.parametrize("provider", ["replicate", "fal-ai"])
@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://127.0.0.1:9/x", "file:///etc/passwd"]
)
async def test_a_result_at_a_private_address_is_not_fetched(url, provider, hub, router, providers):
    router.result = url
    with pytest.raises(PermanentError) as error:
        await providers.run(serve(hub, "text-to-image", provider), "text-to-image", {"prompt": "x"})
    assert error.value.kind in {"refused-address", "wrong-output", "connection"}


async def test_a_public_result_that_redirects_to_a_private_address_is_not_fetched(
    hub, router, providers, monkeypatch
):
    monkeypatch.setattr(outgoing, "is_public", lambda address: address == "127.0.0.1")
    with Server(lambda *_: redirects("http://10.0.0.1/secret")) as storage:
        router.result = f"{storage.url}/a.png"
        with pytest.raises(PermanentError, match=r"10\.0\.0\.1"):
            await providers.run(serve(hub, "text-to-image", "replicate"), "text-to-image", {"prompt": "x"})


async def test_a_posted_file_does_not_follow_a_redirect_to_another_server(
    hub, router, providers, monkeypatch
):
    monkeypatch.setattr(outgoing, "is_public", lambda _: True)
    with Server(lambda *_: ANSWERS["image-classification"]) as other:
        router.faults = [redirects(other.url, 307)]
        with pytest.raises(PermanentError, match="redirects the request"):
            await providers.run(serve(hub, "image-classification"), "image-classification", {"image": IMAGE})
        assert other.requests == []


@pytest.mark.parametrize(
    ("answer", "error", "line"),
    [
        (huge(declared=True), PermanentError, "2,147,483,648 bytes"),
        (huge(declared=False), PermanentError, "at most 4,000,000"),
        (stalls, TransientError, "did not answer in time"),
        (fails(404), PermanentError, "cannot be read"),
        (gives(b"<html></html>"), PermanentError, "cannot be read"),
    ],
)
async def test_what_is_wrong_with_a_third_partys_result_is_told(
    answer, error, line, hub, router, providers, monkeypatch
):
    monkeypatch.setattr(outgoing, "LARGEST", 4_000_000)
    monkeypatch.setattr(outgoing, "STALL", 0.3)
    whole = router.answer
    router.answer = lambda method, path, body: answer if "/files/" in path else whole(method, path, body)
    with pytest.raises(error, match=line):
        await providers.run(serve(hub, "text-to-image", "replicate"), "text-to-image", {"prompt": "x"})
    assert router.sent < 64_000_000


async def test_the_session_of_the_hub_is_as_it_was_for_everybody_else(hub, router, providers):
    from huggingface_hub import HfApi

    await providers.run(serve(hub, "text-to-image", "replicate"), "text-to-image", {"prompt": "x"})
    hub.requests.clear()
    HfApi(token="other").model_info("org/text-to-image")
    headers = {name.lower(): value for name, value in hub.requests[0][2].items()}
    assert headers["authorization"] == "Bearer other"
    assert "gzip" in headers["accept-encoding"]


async def test_an_answer_that_is_packed_is_refused(hub, router, providers):
    import gzip

    bomb = gzip.compress(b" " * 1_000_000)
    router.faults = [lambda handler: handler.send(200, bomb, {"Content-Encoding": "gzip"})]
    with pytest.raises(PermanentError, match="packed with gzip"):
        await providers.run(serve(hub, "summarization"), "summarization", {"text": "x"})
    assert router.asked()[0][2]["accept-encoding"] == "identity"


async def test_a_job_that_nobody_waits_for_is_polled_no_longer(hub, router, providers):
    made = serve(hub, "text-to-video", "fal-ai")
    answer = router.answer
    router.answer = lambda method, path, body: (
        {"status": "IN_PROGRESS"} if "/status" in path else answer(method, path, body)
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await providers.run(made, "text-to-video", {"prompt": "x"})
    await asyncio.sleep(0.7)
    asked = len(router.requests)
    await asyncio.sleep(0.7)
    assert len(router.requests) == asked
    assert "provider" not in [thread.name for thread in threading.enumerate()]


async def test_sounds_come_as_they_were_sent(hub, router, providers):
    outputs = await providers.run(serve(hub, "text-to-speech"), "text-to-speech", {"text": "Hello."})
    samples, rate = soundfile.read(io.BytesIO(outputs["audio"].data))
    assert (len(samples), rate) == (1600, 16_000)


async def test_the_loop_is_never_blocked(hub, router, providers):
    from blockbuster import blockbuster_ctx

    made = serve(hub, "text-to-video", "fal-ai")
    asr = serve(hub, "automatic-speech-recognition")
    with blockbuster_ctx():
        await providers.run(made, "text-to-video", {"prompt": "x"})
        await providers.run(asr, "automatic-speech-recognition", {"audio": AUDIO})


async def test_the_words_of_the_server_are_told(hub, router, providers):
    router.faults = [fails(400, "inputs too long")]
    with pytest.raises(PermanentError) as error:
        await providers.run(serve(hub, "summarization"), "summarization", {"text": "x"})
    assert error.value.message == "answered 400: inputs too long"


def test_doctor_says_what_to_set(capsys):
    from hugginggpt.app.cli import main

    assert main(["doctor", "--json"]) == 0
    found = {f["found"]: f["advice"] for f in json.loads(capsys.readouterr().out) if f["about"] == "runtime"}
    assert "set HF_TOKEN" in found["providers: not available"]
    assert "set HUGGINGGPT_ENDPOINTS" in found["endpoints: not available"]
