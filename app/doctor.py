"""`hugginggpt doctor`: what is here, what is missing, and what to do about it."""

import argparse
import json
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import TYPE_CHECKING

from hugginggpt.app.inputs import InputError, check_writable
from hugginggpt.app.settings import Parser

if TYPE_CHECKING:
    from hugginggpt.graph.context import Home


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `advice` says what to do; empty where all is well."""

    about: str
    found: str
    advice: str = ""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the command."""
    about = "What is installed and available, and what to install or set to get more."
    parser = subparsers.add_parser("doctor", help="look at the installation", description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(args: argparse.Namespace) -> int:
    """Prints what was found. The exit status is 0: what is missing may not be needed."""
    from hugginggpt.graph.context import Home

    found = [*_findings(Home.from_environment())]
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], ensure_ascii=False))
        return 0
    for finding in found:
        print(f"{'!' if finding.advice else ' '} {finding.about:<12} {finding.found}")
        if finding.advice:
            print(f"  {'':<12} → {finding.advice}")
    return 0


def _findings(home: "Home") -> Iterator[Finding]:
    yield Finding("hugginggpt", version("hugginggpt"))
    yield Finding("python", f"{platform.python_version()} at {sys.executable}")
    yield from _packages()
    yield _home(home)
    yield _encoder(home)
    yield _index(home)
    yield _machine()
    yield from _runtimes(home)
    yield from _seen(home)
    yield _controller(home)


def _packages() -> Iterator[Finding]:
    """The packages of an installation and of each extra, without those for tests."""
    extras = metadata("hugginggpt").get_all("Provides-Extra") or []
    by_extra: dict[str, list[str]] = {extra: [] for extra in ("", *extras) if extra != "test"}
    for requirement in requires("hugginggpt") or []:
        extra = (re.search(r"extra == ['\"](\w+)['\"]", requirement) or ["", ""])[1]
        if extra in by_extra and (name := re.match(r"[\w.-]+", requirement)):
            by_extra[extra].append(name[0])
    for extra, names in by_extra.items():
        versions = {name: _version(name) for name in names}
        missing = [name for name, found in versions.items() if not found]
        found = ", ".join(f"{name} {found}" for name, found in versions.items() if found) or "none"
        advice = f"{', '.join(missing)} missing: pip install 'hugginggpt[{extra}]'" if missing else ""
        yield Finding(extra or "packages", found, advice)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _home(home: "Home") -> Finding:
    try:
        check_writable(home.folder)
    except InputError:
        return Finding(
            "home", str(home.folder), "cannot be written: set HUGGINGGPT_HOME to a folder of yours"
        )
    return Finding("home", str(home.folder))


def _encoder(home: "Home") -> Finding:
    from hugginggpt.tools.encoder import encoder_availability

    return Finding("encoder", home.encoder, encoder_availability(home.encoder, home.encoder_cache))


def _index(home: "Home") -> Finding:
    from hugginggpt.index import ModelIndexError, NoIndexError, index_info
    from hugginggpt.tools.encoder import encoder_availability

    try:
        info = index_info(home.index)
    except NoIndexError as error:
        return Finding("index", "not built yet", str(error))
    except ModelIndexError as error:
        return Finding("index", "cannot be used", str(error))
    return Finding(
        "index",
        f"{info.models} models, built {info.created} with {info.encoder}, in {home.index}",
        encoder_availability(info.encoder, home.encoder_cache),
    )


def _machine() -> Finding:
    """Where models of the Hub run, what they may take, and where their files are kept."""
    from huggingface_hub import constants

    from hugginggpt.graph.context import Machine, SettingsError
    from hugginggpt.tools import machine

    try:
        settings = Machine.from_environment()
    except SettingsError as error:
        return Finding("models", "not run on this machine", str(error))
    here = machine.place()
    memory = machine.default_memory() if settings.memory_bytes is None else settings.memory_bytes
    download = f"downloads up to {settings.max_download}" if settings.download_bytes else "no downloads"
    return Finding(
        "models",
        f"on {here.device} in {here.dtype}, {machine.size_text(memory)} of memory, "
        f"{download}, kept in {constants.HF_HUB_CACHE}",
    )


def _runtimes(home: "Home") -> Iterator[Finding]:
    from hugginggpt.graph import resources
    from hugginggpt.graph.context import Context, SettingsError
    from hugginggpt.graph.preference import UnknownRuntimeError
    from hugginggpt.graph.servers import EndpointsError

    try:
        runtimes = resources.runtimes(home, Context.from_environment())
    except EndpointsError as error:
        yield Finding("runtime", "none", str(error))
        return
    except UnknownRuntimeError as error:
        yield Finding("runtime", "not as asked", str(error))
        runtimes = resources.runtimes(home)
    except SettingsError:  # the controller's line says it
        runtimes = resources.runtimes(home)
    for runtime in runtimes.values():
        state = runtime.available()
        yield Finding("runtime", f"{runtime.name}: {'available' if state else 'not available'}", state.reason)


def _seen(home: "Home") -> Iterator[Finding]:
    """Models that fail here more often than not; the last few of them."""
    from hugginggpt.graph import resources

    for sight in resources.seen(home).failing()[:5]:
        advice = f"fails of late: {sight.error}" if sight.seconds else f"has only failed here: {sight.error}"
        yield Finding("model", f"{sight.model} on {sight.runtime}", advice)


def _controller(home: "Home") -> Finding:
    from hugginggpt.graph.context import Context, SettingsError
    from hugginggpt.graph.controller import controller_for, language_model

    try:
        context = Context.from_environment()
        reason = language_model(context).reason
        return Finding("controller", f"{controller_for(home, context).name}: {reason}")
    except SettingsError as error:
        return Finding("controller", "none", str(error))
