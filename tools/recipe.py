"""A recipe says how the models of a task are loaded and run on this machine.

A module of recipes has constants such as `SUMMARIZATION = Recipe(...)`; a row of `local.RECIPES` names each.
It imports nothing heavy at its top: torch, transformers and diffusers are imported inside functions.
"""

import ast
import functools
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.values import Inputs, Outputs

if TYPE_CHECKING:
    import torch

TRANSFORMERS_FILES = (
    "*.json",
    "*.txt",
    "*.model",
    "*.spm",
    "*.jinja",
    "model.safetensors",
    "model-?????-of-?????.safetensors",
)
"""What a model of transformers consists of. A `*` does not reach into folders."""

SENTENCE_FILES = (*TRANSFORMERS_FILES, "[0-9]_*/*.json", "[0-9]_*/model.safetensors")
"""What a model of sentence-transformers consists of: one of transformers, and layers in folders."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where models run and in which precision: bfloat16 or float16 on accelerators, float32 on the CPU."""

    device: Literal["cpu", "cuda", "mps"]
    dtype: Literal["float32", "bfloat16", "float16"]

    @property
    def width(self) -> int:
        """Bytes of a number."""
        return 4 if self.dtype == "float32" else 2

    @property
    def torch_dtype(self) -> "torch.dtype":
        """The same as torch calls it."""
        import torch

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def safely(self) -> dict[str, Any]:
        """Keywords for every `from_pretrained` of weights: no pickle, no code of the model, no network."""
        return {
            "dtype": self.torch_dtype,
            "use_safetensors": True,
            "trust_remote_code": False,
            "local_files_only": True,
        }


def _alone(_folder: Path) -> None:
    """Most models work alone."""


def _runs(_folder: Path) -> None:
    """Most models of a class that is allowed run."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How models of a task are loaded and run. `load` and `run` block; they are called in one thread.

    The thread is the loaded model's own: `run` is never called twice at once with the same model. What `run`
    raises ends the calls of its inputs; with more than one input each is tried again alone, so that an input
    that a model cannot take fails nobody else. `PermanentError` says in one line what was wrong.
    """

    load: Callable[[Path, Place], Any]
    """The folder of the model's files → what `run` takes. Weights are loaded with `Place.safely`."""
    run: Callable[[Any, Sequence[Inputs]], list[Outputs]]
    """One Outputs per Inputs, in the same order. Inputs may differ in everything, e.g. in their languages."""
    architectures: Callable[[], frozenset[str]]
    """Classes that the library itself has for the task, see `names`: a model of another class is refused."""
    batch: int = 1
    """Most inputs of one call."""
    files: tuple[str, ...] = TRANSFORMERS_FILES
    """Patterns of the files that are downloaded; nothing else is."""
    beside: "Callable[[Path], tuple[ModelCard, Recipe] | None]" = _alone
    """Another model that the one in a folder works with, and its recipe. It is here when `load` is called."""
    check: Callable[[Path], None] = _runs
    """Raises `PermanentError` where small files tell that a model cannot run here; weights come after."""
    libraries: frozenset[str] = frozenset({"transformers"})
    """What the Hub may call the library of its models. Where it says nothing, config.json decides."""


@functools.cache
def names(module: str, *mappings: str) -> frozenset[str]:
    """Class names in constants of a module, such as transformers' auto mappings, read without importing it.

    `names("transformers.models.auto.modeling_auto", "MODEL_FOR_MASKED_LM_MAPPING_NAMES")` has
    `BertForMaskedLM`.
    A mapping's values may be strings, classes, or tuples of these. Importing transformers takes seconds, and
    this is asked of every card. Raises `LookupError` where the module has no such constant.
    """
    found: set[str] = set()
    missing = set(mappings)
    for node in _parsed(module).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id in missing and isinstance(node, ast.Assign):
            missing.remove(target.id)
            for pair in ast.walk(node.value):
                if isinstance(pair, ast.Tuple) and len(pair.elts) == 2:
                    found.update(_class_names(pair.elts[1]))
    if missing:
        raise LookupError(f"{module} has no {', '.join(sorted(missing))}")
    return frozenset(found)


@functools.cache
def _parsed(module: str) -> ast.Module:
    package, *path = module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"{package} is not installed")
    return ast.parse(Path(spec.submodule_search_locations[0], *path).with_suffix(".py").read_text("utf-8"))


def _class_names(value: ast.expr) -> set[str]:
    strings = {n.value for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return strings | {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
