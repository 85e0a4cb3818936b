"""Downloads of model files from the Hub into huggingface_hub's own cache, where other programs find them too.

Everything here blocks. What goes wrong is one line, and soon: a Hub that cannot be reached is asked once,
and then not again for half a minute.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hugginggpt.tools.faults import run_error
from hugginggpt.tools.runtime import PermanentError

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

_T = TypeVar("_T")

_TIMEOUT = 10.0  # seconds for a word from the Hub
_PAUSE = 30.0  # seconds for which a Hub that could not be reached is not asked again

Progress = Callable[[int, int], None]
"""Is told how many bytes are here, and how many there will be."""

_unreachable: dict[str, float] = {}
"""Address of a Hub that could not be reached, and until when it is not asked."""


def snapshot(model_id: str, revision: str) -> Path:
    """The folder of a model's files at a commit, or at what a branch was when it was downloaded."""
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE, f"models--{model_id.replace('/', '--')}")
    reference = repository / "refs" / revision
    return repository / "snapshots" / (reference.read_text() if reference.is_file() else revision)


def note_commit(model_id: str, revision: str, commit: str) -> None:
    """Writes down what a branch is now, as huggingface_hub does: its files are then found without the Hub."""
    from huggingface_hub import constants

    reference = Path(constants.HF_HUB_CACHE, f"models--{model_id.replace('/', '--')}", "refs", revision)
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)


def model_info(model_id: str, revision: str | None) -> "ModelInfo":
    """What the Hub says of a model now: commit, files and their sizes. Raises `RunError`."""
    from huggingface_hub import HfApi

    ask = partial(HfApi().model_info, revision=revision, files_metadata=True, timeout=_TIMEOUT)
    return _asked(model_id, lambda: ask(model_id))


def download(model_id: str, commit: str, sizes: Mapping[str, int], progress: Progress) -> Path:
    """Downloads these files, given with their bytes, one by one; the folder. Raises `RunError`.

    What is here already is left out. Where a connection breaks, huggingface_hub itself goes on behind the
    last 10 MB that it has, five times; where a process ends, the next one begins the unfinished file anew.
    """
    from huggingface_hub import hf_hub_download

    count = _Count(sum(sizes.values()), progress)
    get = partial(hf_hub_download, revision=commit, tqdm_class=_bar(count), etag_timeout=_TIMEOUT)
    here = 0
    for name, size in sizes.items():
        _asked(model_id, partial(get, model_id, name))
        here += size
        count.add(here - count.done)
    return snapshot(model_id, commit)


class _Count:
    """The bytes that are here, of all that there will be."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.done, self._total, self._progress = 0, total, progress

    def add(self, more: int) -> None:
        self.done += more
        self._progress(self.done, self._total)


def _bar(count: _Count) -> type[Any]:
    """A progress bar as huggingface_hub uses one, that draws nothing and counts."""

    class Bar:
        def __init__(self, **_: object) -> None: ...

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None: ...

        def close(self) -> None: ...

        def update(self, more: int) -> None:
            count.add(more)

        def update_transfer(self, more: int) -> None:
            """Bytes on the wire; those that are written down are counted."""

        def set_postfix_str(self, *_: object, **__: object) -> None: ...

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None: ...

    return Bar


def _asked(model_id: str, ask: Callable[[], _T]) -> _T:
    """What the Hub gives. Raises `RunError`, at once where it could not be reached a moment ago."""
    import httpx
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    hub = constants.ENDPOINT
    lost = PermanentError("connection", f"is not on this machine, and {hub} cannot be reached")
    if time.monotonic() < _unreachable.get(hub, 0.0):
        raise lost
    try:
        return ask()
    except GatedRepoError as error:
        raise gated(model_id) from error
    except RepositoryNotFoundError as error:
        raise PermanentError("gone", "is not on the Hub, or not for this account") from error
    except (httpx.ConnectError, httpx.TimeoutException, LocalEntryNotFoundError) as error:
        _unreachable[hub] = time.monotonic() + _PAUSE
        raise lost from error
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise run_error(error) from error


def gated(model_id: str) -> PermanentError:
    """What is said of a model that needs an accepted licence."""
    todo = f"accept its licence at hf.co/{model_id} and set HF_TOKEN"
    return PermanentError("gated", f"is only for accounts that accepted its licence: {todo}")
