"""The runtime of Gradio Spaces, and of any Gradio app: those that this process's settings name for a task."""

import asyncio
import contextlib
import importlib.util
import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.faults import run_error
from hugginggpt.tools.media import extension_of, type_of_name
from hugginggpt.tools.runtime import Availability, PermanentError, RunError, RuntimeSettings, TransientError
from hugginggpt.tools.tasks import MEDIA, TASKS, Kind
from hugginggpt.tools.values import Inputs, Media, Outputs

if TYPE_CHECKING:
    from gradio_client import Client  # type: ignore[import-untyped]
    from gradio_client.client import Endpoint  # type: ignore[import-untyped]

LARGEST = 100_000_000
"""Bytes of a file that is taken from a Space."""
PATIENCE, REACHED = 60.0, 10.0
"""Seconds to wait for an app's next word, and for its address to be reached."""

_WORDS: frozenset[Kind] = frozenset({"text", "texts"})
_TAKES: dict[str, frozenset[Kind]] = {
    "image": frozenset({"image"}),
    "imageeditor": frozenset({"image"}),
    "audio": frozenset({"audio"}),
    "video": frozenset({"video"}),
    "file": MEDIA,
    "dataframe": frozenset({"table"}),
    **dict.fromkeys(("textbox", "dropdown", "radio", "checkboxgroup", "code", "json"), _WORDS),
}
"""The kinds that a component of an app takes. What is not here, such as a slider, keeps its default."""


class Space(BaseModel):
    """One Space, for one task. `inputs` names the parameter of a port, `outputs` the place of a result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s]+|[\w.-]+/[\w.-]+)$")]
    api_name: str = ""
    inputs: dict[str, str] = {}
    outputs: dict[str, int] = {}

    @property
    def id(self) -> str:
        """Its card's id: `spaces/owner/name`, or `spaces/` and the address."""
        return f"spaces/{self.space.rstrip('/').rpartition('://')[2]}"


def read_settings(text: str) -> dict[str, Space]:
    """The Spaces by task. Raises `ValueError`, a line that says what is wrong."""
    try:
        named = TypeAdapter(dict[str, Space | str]).validate_python(json.loads(text or "{}"))
        spaces = {task: Space(space=it) if isinstance(it, str) else it for task, it in named.items()}
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    for task, space in spaces.items():
        if task not in TASKS:
            raise ValueError(f"{task} is not a task")
        ports: list[str] = [port.name for port in TASKS[task].inputs]
        if unknown := [name for name in space.inputs if name not in ports]:
            raise ValueError(f"{task} has no input {unknown[0]}, but {', '.join(ports)}")
        if unknown := [name for name in space.outputs if name not in TASKS[task].outputs]:
            raise ValueError(f"{task} has no output {unknown[0]}, but {', '.join(TASKS[task].outputs)}")
    return spaces


class Spaces:
    """Gradio apps as models. Each is connected when it is first used; their client blocks, in threads.

    No token goes to them: a private Space is reached by an address of yours.
    """

    name = "spaces"

    def __init__(self, settings: RuntimeSettings) -> None:
        """A setting that cannot be read is why it is not available; a notice says so."""
        self._fault, self._spaces = "", dict[str, Space]()
        try:
            self._spaces = read_settings(settings.spaces)
        except ValueError as error:
            self._fault = f"HUGGINGGPT_SPACES cannot be read: {' '.join(str(error).split())}"
            settings.tell("notice", message=self._fault)
        self._clients: dict[str, Client] = {}
        self._connecting = {space.space: threading.Lock() for space in self._spaces.values()}

    def available(self) -> Availability:
        """Whether Spaces are named, and the package that calls them is installed."""
        if self._fault or not self._spaces:
            reason = self._fault or "no Space is named; HUGGINGGPT_SPACES names one per task"
            return Availability(ok=False, reason=reason)
        if importlib.util.find_spec("gradio_client") is None:
            reason = "gradio_client is not installed; pip install 'hugginggpt[spaces]'"
            return Availability(ok=False, reason=reason)
        return Availability(ok=True)

    def cards(self, task: str) -> Sequence[ModelCard]:
        """The Space that is named for a task."""
        if (space := self._spaces.get(task)) is None:
            return []
        summary = f"The Gradio app that is set up for this here: {TASKS[task].description}"
        return [ModelCard(id=space.id, task=task, summary=summary, library="gradio")]

    def can_run(self, card: ModelCard) -> bool:
        """Whether it is the Space that is named for that task."""
        return card in self.cards(card.task)

    def ready(self, card: ModelCard) -> bool:  # noqa: ARG002 - the protocol's
        """Always: it runs elsewhere."""
        return True

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:
        """Call the app once. When nobody waits any longer, the app is told to stop."""
        if not self.can_run(card):
            raise PermanentError("missing", f"{card.id} is not named for {task}")
        space = self._spaces[task]
        try:
            return await _stoppable(lambda keep: self._run(space, task, inputs, keep))
        except RunError as error:
            if isinstance(error, TransientError):
                self._clients.pop(space.space, None)  # the next attempt connects anew
            raise

    def _run(self, space: Space, task: str, inputs: Inputs, keep: Callable[[Any], None]) -> Outputs:
        """`keep` is handed the job as soon as there is one. Blocks."""
        with _faults_of(space.id), tempfile.TemporaryDirectory(prefix="hugginggpt-") as folder:
            client = self._client(space.space)
            endpoint = _endpoint(client, space)
            job = client.submit(
                api_name=endpoint.api_name, **_arguments(endpoint, space, task, inputs, Path(folder))
            )
            keep(job)
            given = job.result()
            single = sum(not kind.skip for kind in endpoint.output_component_types) == 1
            return _outputs(client, space, task, [given] if single else [*given])

    def _client(self, address: str) -> "Client":
        """The connection to an app, made once."""
        with self._connecting[address]:
            if address not in self._clients:
                self._clients[address] = _connected(address)
            return self._clients[address]


def _connected(address: str) -> "Client":
    import httpx
    from gradio_client import Client

    class Quiet(Client):  # type: ignore[misc]
        def _telemetry_thread(self) -> None:
            """Tells nobody."""

    client = Quiet(
        address,
        token=False,  # else the token of the person's own login goes to the app
        verbose=False,
        download_files=False,
        analytics_enabled=False,
        httpx_kwargs={"timeout": httpx.Timeout(PATIENCE, connect=REACHED)},
    )
    if httpx.URL(client.src).host != httpx.URL(client.src_prefixed).host:
        raise PermanentError("foreign", f"the app at {client.src} points to {client.src_prefixed}")
    return client


async def _stoppable(work: Callable[[Callable[[Any], None]], Outputs]) -> Outputs:
    """What the work gives, in a thread; where nobody waits any longer, the job that it keeps is cancelled."""
    jobs: list[Any] = []
    try:
        return await asyncio.to_thread(work, jobs.append)
    except asyncio.CancelledError:
        for job in jobs:
            threading.Thread(target=_cancel, args=(job,), daemon=True).start()
        raise


def _cancel(job: Any) -> None:  # noqa: ANN401, gradio_client's Job forwards to a future
    with contextlib.suppress(Exception):
        job.cancel()


@contextlib.contextmanager
def _faults_of(who: str) -> Iterator[None]:
    """What gradio_client raises, as faults of a model."""
    from gradio_client import exceptions, utils

    try:
        yield
    except RunError:
        raise
    except exceptions.AppError as error:
        raise PermanentError("app", f"the app failed: {' '.join(str(error).split())[:200]}") from error
    except exceptions.AuthenticationError as error:
        raise PermanentError("account", f"{who} asks for a login") from error
    except (exceptions.ValidationError, TypeError) as error:
        raise PermanentError("bad-input", " ".join(str(error).split())[:200]) from error
    except (utils.QueueError, utils.TooManyRequestsError) as error:
        raise TransientError("busy", str(error)) from error
    except Exception as error:
        raise run_error(error) from error


def _endpoint(client: "Client", space: Space) -> "Endpoint":
    """The function that is called: the named one, the only one, or `/predict`."""
    named = {it.api_name: it for it in client.endpoints.values() if it.parameters_info is not None}
    name = f"/{space.api_name.strip('/')}" if space.api_name else "/predict"
    if name in named:
        return named[name]
    if len(named) == 1 and not space.api_name:
        return next(iter(named.values()))
    raise PermanentError("missing", f"{space.id} has no {name}; set api_name to one of {', '.join(named)}")


def _arguments(endpoint: "Endpoint", space: Space, task: str, inputs: Inputs, folder: Path) -> dict[str, Any]:
    """Parameter to value. A port goes to the parameter that is named for it or like it, else to the next free
    one that takes its kind; a port that no parameter takes is left out.
    """
    kinds = {it["parameter_name"]: it["component"].lower() for it in endpoint.parameters_info or []}
    free, arguments = dict(kinds), dict[str, Any]()
    ports = [port for port in TASKS[task].inputs if inputs.get(port.name) is not None]
    for port in sorted(ports, key=lambda port: port.name not in {*space.inputs, *kinds}):
        likely = [name for name, component in free.items() if port.kind in _TAKES.get(component, ())]
        name = space.inputs.get(port.name) or next((n for n in likely if n == port.name), None)
        name = name or next(iter(likely), None)
        if name is None:
            continue
        free.pop(name, None)
        arguments[name] = _sent(port.kind, inputs[port.name], kinds.get(name, ""), folder)
    return arguments


def _sent(kind: Kind, value: Any, component: str, folder: Path) -> Any:  # noqa: ANN401, as many types as kinds
    """A value as the app takes it. Media become files of the folder, which the client uploads."""
    if isinstance(value, Media):
        from gradio_client import handle_file

        path = folder / f"{len([*folder.iterdir()])}{extension_of(value.media_type)}"
        path.write_bytes(value.data)
        file = handle_file(path)
        return {"background": file, "layers": [], "composite": None} if component == "imageeditor" else file
    if kind == "table":
        names = list(dict.fromkeys(name for row in value for name in row))
        return {"headers": names, "data": [[_cell(row.get(name)) for name in names] for row in value]}
    return ", ".join(value) if isinstance(value, list) and component in {"", "textbox"} else value


def _cell(value: object) -> object:
    """Plain, because the client uploads what a dictionary in a table names as a file."""
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _outputs(client: "Client", space: Space, task: str, given: list[Any]) -> Outputs:
    """Output port to value: the place that is named for a port, else the next result that fits its kind."""
    outputs: Outputs = {}
    left = dict(enumerate(given))
    for port in sorted(TASKS[task].outputs, key=lambda port: port not in space.outputs):
        fits = [n for n, value in left.items() if (_file(value) is not None) == (port in MEDIA)]
        place = space.outputs.get(port, next(iter(fits), None))
        if place not in left:
            continue
        value = left.pop(place)
        if port in MEDIA:
            outputs[port] = _fetched(client, _file(value))
        else:
            outputs[port] = _labels(value) if port == "labels" else value
    if missing := [port for port in TASKS[task].outputs if port not in outputs]:
        raise PermanentError("wrong-output", f"gave no {missing[0]}; outputs says which result is which port")
    return outputs


def _labels(value: Any) -> Any:  # noqa: ANN401, whatever an app gives is checked where outputs are stored
    """What gradio's Label gives, as labels."""
    if isinstance(value, dict) and isinstance(value.get("confidences"), list):
        return [{"label": str(it["label"]), "score": it["confidence"]} for it in value["confidences"]]
    return value


def _file(value: Any) -> Mapping[str, Any] | None:  # noqa: ANN401
    """The first file in a result: a file itself, a video with subtitles, a gallery."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            return value
        return next((file for file in map(_file, value.values()) if file), None)
    return next((file for file in map(_file, value) if file), None) if isinstance(value, list) else None


def _fetched(client: "Client", file: Mapping[str, Any] | None) -> Media:
    """A file of the app: from the app's own address and from no other, wherever the result points to."""
    import httpx
    from gradio_client.utils import encode_file_path  # type: ignore[import-untyped]

    if file is None:
        raise PermanentError("wrong-output", "gave no file")
    address, data = f"{client.src_prefixed}file={encode_file_path(file['path'])}", bytearray()
    with httpx.stream(
        "GET",
        address,
        headers=client.headers,
        cookies=client.cookies,
        timeout=PATIENCE,
        follow_redirects=False,
    ) as reply:
        if not reply.is_success:
            raise PermanentError("wrong-output", f"its file could not be fetched: HTTP {reply.status_code}")
        for piece in reply.iter_bytes():
            data += piece
            if len(data) > LARGEST:
                raise PermanentError("too-large", f"its file has more than {LARGEST:,} bytes")
    name = str(file.get("orig_name") or Path(file["path"]).name)
    return Media(bytes(data), type_of_name(name), name)
