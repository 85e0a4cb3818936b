"""Every setting of one run, and every environment variable of ours."""

import os
import sys
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import platformdirs
from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.json_schema import SkipJsonSchema

from hugginggpt.tools.machine import parse_size

_PREFIX = "HUGGINGGPT_"
LLM = r"auto|embedded|openai:.+|huggingface:.+|local:.+"
"""What `Context.llm` may be, besides a chat model object."""

_named_here: set[str] = set()
_runtimes_here: set[str] = set()
_flags: dict[str, str] = {}  # of Machine, from the command line


def _chat_model(value: object) -> object:
    """A chat model object. Where there is one, its module is loaded, which takes too long for `--help`."""
    models = sys.modules.get("langchain_core.language_models")
    if models is None or not isinstance(value, models.BaseChatModel):
        raise ValueError("not a language model")
    return value


if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
else:
    BaseChatModel = Annotated[Any, AfterValidator(_chat_model)]


Strategy = Literal["plan", "adaptive", "react"]


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message is one line for people."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Settings of one run. Each can be set by an environment variable: `HUGGINGGPT_` and its name."""

    llm: Annotated[
        Annotated[str, StringConstraints(pattern=rf"^({LLM})$")] | SkipJsonSchema[BaseChatModel],
        Field(description="auto, embedded, openai:MODEL[@URL], huggingface:MODEL[:PROVIDER] or local:MODEL."),
    ] = "auto"
    llm_timeout: Annotated[
        float, Field(gt=0, description="Seconds to wait for a language model's next words.")
    ] = 60.0
    llm_pictures: Annotated[
        Literal["auto", "yes", "no"],
        Field(description="Whether the language model reads pictures; auto is what is known of it."),
    ] = "auto"
    strategy: Annotated[
        Strategy,
        Field(
            description="plan: all at once; adaptive: the rest anew after every wave of results; "
            "react: one task at a time. The last two need a language model."
        ),
    ] = "plan"
    max_steps: Annotated[int, Field(ge=1, le=100, description="Most plans of adaptive and react.")] = 12
    max_tokens: Annotated[
        int, Field(ge=0, description="Most tokens of language models in a turn; 0 is no limit.")
    ] = 0
    max_cost: Annotated[
        float, Field(ge=0, description="Most US dollars in a turn, at the prices below; 0 is no limit.")
    ] = 0.0
    prompt_price: Annotated[float, Field(ge=0, description="US dollars per million prompt tokens.")] = 0.0
    completion_price: Annotated[
        float, Field(ge=0, description="US dollars per million completion tokens.")
    ] = 0.0
    runtimes: Annotated[
        str,
        StringConstraints(pattern=r"^([\w.-]+( *, *[\w.-]+)*)?$"),
        Field(
            description="Runtimes that may be used, best first, e.g. builtin,local; all where it is empty."
        ),
    ] = ""
    max_request_chars: Annotated[int, Field(gt=0, description="Longest request, in characters.")] = 100_000
    top_k: Annotated[int, Field(ge=1, le=50, description="Candidates on each task's shortlist.")] = 5
    max_tasks: Annotated[int, Field(ge=1, le=200, description="Most tasks a plan may have.")] = 40
    max_items: Annotated[int, Field(ge=1, le=10_000, description="Most items one `each` task runs over.")] = (
        64
    )
    provider: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9-]+$",
            description="Inference Provider: a name, or auto for the first in your account's order; cheapest "
            "and fastest are for chat models, and auto for others.",
        ),
    ] = "auto"
    max_parallel: Annotated[int, Field(ge=1, le=256, description="Most tasks that run at once.")] = 8
    task_timeout: Annotated[
        float, Field(gt=0, description="Seconds one attempt at a task may take, without downloads.")
    ] = 120.0
    task_deadline: Annotated[
        float, Field(gt=0, description="Seconds all attempts at a task may take together.")
    ] = 600.0
    max_attempts: Annotated[
        int, Field(ge=1, le=10, description="Tries of one model on transient faults.")
    ] = 3
    max_repairs: Annotated[int, Field(ge=0, le=10, description="Times a faulty plan is sent back.")] = 2
    max_retries: Annotated[int, Field(ge=0, le=10, description="Times models are selected anew.")] = 1
    max_replans: Annotated[int, Field(ge=0, le=10, description="Times a failed plan is made anew.")] = 1
    max_file_bytes: Annotated[int, Field(gt=0, description="Largest file, in bytes.")] = 100_000_000
    max_pixels: Annotated[int, Field(gt=0, description="Largest picture, in pixels.")] = 50_000_000

    @classmethod
    def of(cls, context: object) -> "Context":
        """The Context itself; else one from the environment, as for None or a parent graph's own context."""
        return context if isinstance(context, cls) else cls.from_environment()

    def runtime_names(self) -> list[str]:
        """The runtimes that may be used, in order of preference; empty: all of them.

        What the environment of this process names is a bound for callers from outside: they can narrow it,
        and what goes beyond it raises `SettingsError`. A flag on the command line is no caller from outside.
        """
        asked, here = _names(self.runtimes), _names(os.environ.get(f"{_PREFIX}RUNTIMES", ""))
        beyond = [name for name in asked if here and name not in here]
        if beyond and self.runtimes not in _runtimes_here:
            raise SettingsError(
                f"runtimes={self.runtimes}: {beyond[0]} may not be used here, but {', '.join(here)}"
            )
        return asked or here

    @classmethod
    def from_environment(cls, **overrides: object) -> "Context":
        """Settings from the environment, then `overrides`. Raises `SettingsError` on a bad value."""
        values = {
            field.name: os.environ[_PREFIX + field.name.upper()]
            for field in fields(cls)
            if os.environ.get(_PREFIX + field.name.upper())
        }
        try:
            context = _adapter().validate_python(values | overrides)
        except ValidationError as error:
            first = error.errors()[0]
            name = _PREFIX + str(first["loc"][0]).upper()
            raise SettingsError(f"{name}={first['input']}: {first['msg']}") from error
        if isinstance(context.llm, str):
            _named_here.add(context.llm)
        _runtimes_here.add(context.runtimes)
        return context


def _names(listed: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


@cache
def _adapter() -> TypeAdapter[Context]:
    return TypeAdapter(Context)


@dataclass(frozen=True)
class Accounts:
    """Accounts and addresses of language models. From the environment only."""

    openai_key: str
    openai_url: str
    openai_model: str
    hf_token: str
    bill_to: str
    """The organisation on the Hub that pays for Inference Providers; empty for the account of the token."""
    endpoints: str
    """Servers of one's own, as JSON or the path of a file of it; `servers.py` reads it."""
    named_here: frozenset[str]
    """Values of `Context.llm` that came from this process's own environment or command line."""

    @classmethod
    def from_environment(cls) -> "Accounts":
        """`OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_MODEL`, `HF_TOKEN`, and ours; empty where not set."""
        value = cls.secret
        return cls(
            openai_key=value("OPENAI_API_KEY"),
            openai_url=value("OPENAI_BASE_URL"),
            openai_model=value("OPENAI_MODEL"),
            hf_token=value("HF_TOKEN"),
            bill_to=value(f"{_PREFIX}BILL_TO"),
            endpoints=value(f"{_PREFIX}ENDPOINTS"),
            named_here=frozenset(_named_here),
        )

    @staticmethod
    def secret(name: str) -> str:
        """The value of an environment variable that holds a key; empty where it is not set."""
        return os.environ.get(name, "").strip()


def _size(text: str) -> str:
    """What is a size, or `auto`, as it stands. Raises `ValueError`."""
    if text != "auto":
        parse_size(text)
    return text


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What models of the Hub may take of this machine. A remote caller cannot raise it.

    From this process's environment, `HUGGINGGPT_` and the name, or from its command line.
    """

    memory: Annotated[
        str,
        AfterValidator(_size),
        Field(
            description="Memory that models on this machine may take, e.g. 8GB; auto is 60 % of what is free."
        ),
    ] = "auto"
    max_download: Annotated[
        str,
        AfterValidator(_size),
        Field(
            description="Largest model that is downloaded to run on this machine; 0: none is.", pattern=r"^\d"
        ),
    ] = "2GB"

    @classmethod
    def from_environment(cls) -> "Machine":
        """Flags of this process's command line before its environment. Raises `SettingsError`."""
        names = {field.name: _PREFIX + field.name.upper() for field in fields(cls)}
        values = {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
        try:
            return TypeAdapter(cls).validate_python(values | _flags)
        except ValidationError as error:
            first = error.errors()[0]
            raise SettingsError(f"{names[str(first['loc'][0])]}={first['input']}: {first['msg']}") from error

    @staticmethod
    def on_command_line(**flags: str) -> None:
        """Takes over flags of this process's command line, which hold as long as it does."""
        _flags.clear()
        _flags.update(flags)

    @property
    def memory_bytes(self) -> int | None:
        """None: a part of what is free."""
        return None if self.memory == "auto" else parse_size(self.memory)

    @property
    def download_bytes(self) -> int:
        """0: nothing is downloaded."""
        return parse_size(self.max_download)


@dataclass(frozen=True)
class Home:
    """Where this process keeps its files. From the environment only: a remote caller cannot move it."""

    folder: Path

    @classmethod
    def from_environment(cls) -> "Home":
        """`HUGGINGGPT_HOME`, else the user's data folder of the platform."""
        return cls(Path(os.environ.get(f"{_PREFIX}HOME") or platformdirs.user_data_dir("hugginggpt")))

    @property
    def artifacts(self) -> str:
        """fsspec URL of the artifact store: `HUGGINGGPT_ARTIFACTS`, e.g. `s3://bucket`, else a folder."""
        return os.environ.get(f"{_PREFIX}ARTIFACTS") or (self.folder / "artifacts").as_posix()

    @property
    def index(self) -> Path:
        """Folder of the index: `HUGGINGGPT_INDEX`, else one in the home folder."""
        return Path(os.environ.get(f"{_PREFIX}INDEX") or self.folder / "index")

    @property
    def threads(self) -> Path:
        """SQLite file of the command line's threads."""
        return self.folder / "threads.sqlite"

    @property
    def seen(self) -> Path:
        """SQLite file of what was seen of models: how often they worked, and in how many seconds."""
        return self.folder / "seen.sqlite"

    @property
    def spaces(self) -> str:
        """Gradio Spaces by task, as JSON: `HUGGINGGPT_SPACES`; empty where none is named."""
        return os.environ.get(f"{_PREFIX}SPACES", "")

    @property
    def encoder_cache(self) -> Path:
        """Folder of the encoder in its fast form: `HUGGINGGPT_ENCODER_CACHE`, else one in the home folder."""
        return Path(os.environ.get(f"{_PREFIX}ENCODER_CACHE") or self.folder / "encoder")

    @property
    def encoder(self) -> str:
        """Model id of the sentence encoder: `HUGGINGGPT_ENCODER`, else all-MiniLM-L6-v2."""
        return os.environ.get(f"{_PREFIX}ENCODER") or "sentence-transformers/all-MiniLM-L6-v2"
