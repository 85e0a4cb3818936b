"""What the nodes work with, opened once per process: the encoder, the index, the store, the runtimes,
what was seen of models.

All of these block when they are opened; nodes open them in a thread.
"""

from functools import cache, partial

from hugginggpt.graph.chat_models import choice
from hugginggpt.graph.context import Accounts, Context, Home
from hugginggpt.graph.events import tell
from hugginggpt.graph.preference import preferred
from hugginggpt.index.search import Index, ensure_index
from hugginggpt.tools.artifacts import ArtifactStore, artifact_store
from hugginggpt.tools.breaker import Circuits
from hugginggpt.tools.chat import Chat
from hugginggpt.tools.encoder import Encoder, load_encoder
from hugginggpt.tools.runtime import Runtime, RuntimeSettings, load_runtimes
from hugginggpt.tools.seen import Seen


def encoder(home: Home) -> Encoder:
    """The sentence encoder. Raises `EncoderError` when there is none."""
    return load_encoder(home.encoder, home.encoder_cache)


def index(home: Home) -> Index:
    """The index; the starter index is built where there is none."""
    return ensure_index(home.index, encoder(home))


def is_prepared(home: Home) -> bool:
    """Whether the encoder and the index are there, so that opening them takes no longer than a second."""
    return home.index.exists() and home.encoder_cache.exists()


def store(home: Home) -> ArtifactStore:
    """Where artifacts are kept."""
    return artifact_store(home.artifacts)


def runtimes(home: Home, context: Context | None = None) -> dict[str, Runtime]:
    """Every runtime by name, in order of preference; those that the Context leaves out are not available.

    They are the same for all runs but `chat`, which runs the language model of this Context. Raises
    `SettingsError`.
    """
    loaded = _loaded(home)
    if context is None:
        return loaded
    if isinstance(chat := loaded.get(Chat.name), Chat):
        model = choice(context.llm, Accounts.from_environment()).model
        loaded = {**loaded, Chat.name: chat.on(model, context.llm_pictures)}
    return preferred(loaded, context)


@cache
def circuits(home: Home) -> Circuits:  # noqa: ARG001, what is known of models is known per home
    """Which models are left alone for a while in this process."""
    return Circuits()


@cache
def seen(home: Home) -> Seen:
    """What was seen of models so far."""
    return Seen(home.seen)


@cache
def _loaded(home: Home) -> dict[str, Runtime]:
    return load_runtimes(RuntimeSettings(encoder=partial(encoder, home), tell=tell))
