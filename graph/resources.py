"""What the nodes work with, opened once per process: the encoder, the index, the store, the runtimes,
what was seen of models.

All of these block when they are opened; nodes open them in a thread.
"""

from functools import partial

from hugginggpt.graph import servers
from hugginggpt.graph.chat_models import ChatModel, choice
from hugginggpt.graph.context import Accounts, Context, Home, Machine
from hugginggpt.graph.events import tell
from hugginggpt.graph.preference import preferred
from hugginggpt.index.opening import ensure_index
from hugginggpt.index.search import Index
from hugginggpt.tools.artifacts import ArtifactStore, artifact_store
from hugginggpt.tools.breaker import Circuits
from hugginggpt.tools.chat import Chat
from hugginggpt.tools.encoder import Encoder, load_encoder
from hugginggpt.tools.once import Once
from hugginggpt.tools.providers import Providers
from hugginggpt.tools.runtime import Endpoint, Runtime, RuntimeSettings, load_runtimes
from hugginggpt.tools.seen import Seen


def encoder(home: Home) -> Encoder:
    """The sentence encoder. Raises `EncoderError` when there is none."""
    return load_encoder(home.encoder, home.encoder_cache)


def index(home: Home) -> Index:
    """The index, with the encoder that it was built with; the starter index is built where there is none."""
    return ensure_index(home.index, home.encoder, home.encoder_cache)


def is_prepared(home: Home) -> bool:
    """Whether the encoder and the index are there, so that opening them takes no longer than a second."""
    return home.index.exists() and home.encoder_cache.exists()


def store(home: Home) -> ArtifactStore:
    """Where artifacts are kept."""
    return artifact_store(home.artifacts)


def runtimes(home: Home, context: Context | None = None) -> dict[str, Runtime]:
    """Every runtime by name, in order of preference; those that the Context leaves out are not available.

    They are the same for all runs but `chat`, which runs the language model of this Context, and `providers`,
    which are chosen by it. Raises `SettingsError`.
    """
    accounts, machine = Accounts.from_environment(), Machine.from_environment()
    loaded = _loaded(home, machine, accounts.hf_token, accounts.bill_to, servers.endpoints(accounts))
    if context is None:
        return loaded
    model = choice(context.llm, accounts).model
    return preferred({name: _for_run(each, context, model) for name, each in loaded.items()}, context)


def _for_run(runtime: Runtime, context: Context, model: ChatModel | None) -> Runtime:
    if isinstance(runtime, Chat):
        return runtime.on(model, context.llm_pictures)
    return runtime.on(context.provider) if isinstance(runtime, Providers) else runtime


@Once
def circuits(home: Home) -> Circuits:  # noqa: ARG001, what is known of models is known per home
    """Which models are left alone for a while in this process."""
    return Circuits()


@Once
def seen(home: Home) -> Seen:
    """What was seen of models so far."""
    return Seen(home.seen)


@Once
def _loaded(
    home: Home, machine: Machine, hf_token: str, bill_to: str, endpoints: tuple[Endpoint, ...]
) -> dict[str, Runtime]:
    settings = RuntimeSettings(
        encoder=partial(encoder, home),
        tell=tell,
        memory=machine.memory_bytes,
        max_download=machine.download_bytes,
        hf_token=hf_token,
        bill_to=bill_to,
        endpoints=endpoints,
        spaces=home.spaces,
    )
    return load_runtimes(settings)
