import os

# Tiny models are much slower on several threads, the more so where a machine is shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read when langgraph and huggingface_hub are imported, so before anything of theirs is.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["LANGGRAPH_CLI_NO_ANALYTICS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import itertools

import doubles
import hypothesis
import pytest
from hub_server import HubServer
from llm_server import LLMServer

from hugginggpt.graph import nodes, resources
from hugginggpt.graph.context import Home
from hugginggpt.index.opening import build_index
from hugginggpt.tools import runtime

# Shared machines are slow now and then; that is no finding.
hypothesis.settings.register_profile(
    "shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared")


_ACCOUNTS = {"OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "HF_TOKEN"}


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """Home of what is slow to make and the same for all: the exported encoder and the starter index."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder if worker_id == "master" else folder.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def home(shared, tmp_path_factory, monkeypatch):
    """Every test has a home folder of its own, and none of the settings of the person who runs it."""
    for name in [*os.environ]:
        if name.startswith("HUGGINGGPT_") or name in _ACCOUNTS:
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HUGGINGGPT_HOME", str(folder))
    monkeypatch.setenv("HUGGINGGPT_ENCODER_CACHE", str(shared / "encoder"))
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(shared / "index"))
    return folder


@pytest.fixture
def models(home, monkeypatch):
    """Makes the index hold just these text-generation models of the bench runtime."""
    numbers = itertools.count()

    def use(*names):
        folder = home / f"index-{next(numbers)}"
        cards = [*map(doubles.card, names), doubles.card("names", "token-classification")]
        build_index(folder, cards, resources.encoder(Home.from_environment()))
        monkeypatch.setenv("HUGGINGGPT_INDEX", str(folder))

    return use


@pytest.fixture
def bench(models, monkeypatch):
    """The bench runtime in place of all others; gives the instance that the graph uses."""
    monkeypatch.setattr(runtime, "RUNTIMES", {"bench": "doubles:Bench"})
    models("echo")
    return lambda: resources.runtimes(Home.from_environment())["bench"]


@pytest.fixture
def llm(home, monkeypatch):
    """A language model on loopback that says what it is told, and that is configured."""
    with LLMServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_MODEL", "scripted")
        yield server


@pytest.fixture
def script(monkeypatch):
    def use(*plans, **how):
        scripted = doubles.Scripted(*plans, **how)
        monkeypatch.setattr(nodes, "controller_for", lambda *_: scripted)
        return scripted

    return use


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """Makes a tiny model once, and gives its folder."""
    made = {}

    def make(maker):
        if maker not in made:
            made[maker] = maker(tmp_path_factory.mktemp("tiny"))
        return made[maker]

    return make


@pytest.fixture
def tiny_hub(tiny_folder, tmp_path, monkeypatch):
    """A Hub on loopback that this process downloads from, into a cache of its own."""
    from huggingface_hub import constants

    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        server.make = lambda id_, maker, **facts: server.add(id_, tiny_folder(maker), **facts)
        yield server


@pytest.fixture
def paged_hub(tiny_hub):
    """A Hub of 25 translators, listed 10 to a page, the most downloaded first by their numbers."""
    tiny_hub.page = 10
    for number in range(25):
        tiny_hub.add(f"a/{number:02}", pipeline_tag="translation", downloads=100 - number)
    return tiny_hub
