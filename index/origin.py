"""Where an index's models are from, as its manifest keeps it, so that it can be brought up to date."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, urlencode


@dataclass(frozen=True, slots=True)
class Origin:
    """Source of an index that was built with `hugginggpt index build`."""

    kind: str
    """`starter`, `hub` for the Hub's API, `custom` for files."""
    where: str = ""
    """The file, folder or address; of the starter, its digest."""
    tasks: tuple[str, ...] = ()
    """Only models of these tasks; empty for all."""
    whole: bool = False
    """Whether it is meant to have all models of its tasks, so that new ones belong to it."""
    until: datetime | None = None
    """Changes on the Hub before that are in it; None: not known."""

    @classmethod
    def parse(cls, source: str) -> "Origin":
        """From `IndexInfo.source`."""
        kind, _, rest = source.partition(":")
        if kind == "starter":
            return cls(kind, rest)
        said = parse_qs(rest)
        until = said.get("until")
        return cls(
            kind,
            said.get("where", [""])[0],
            tuple(said.get("task", [])),
            "whole" in said,
            datetime.fromisoformat(until[0]) if until else None,
        )

    def __str__(self) -> str:
        """As `IndexInfo.source` keeps it: `hub:whole=1&task=translation&until=2026-08-01T00:00:00Z`."""
        if self.kind == "starter":
            return f"{self.kind}:{self.where}"
        said = [("where", self.where)] if self.where else []
        said += [("whole", "1")] if self.whole else []
        said += [("task", task) for task in self.tasks]
        said += [("until", f"{self.until:%Y-%m-%dT%H:%M:%SZ}")] if self.until else []
        return f"{self.kind}:{urlencode(said, safe='/:')}".rstrip(":")
