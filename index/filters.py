"""What a model must be, whatever is searched for: hard filters, judged by columns and not by cards."""

from collections.abc import Sequence
from dataclasses import dataclass

# fmt: off
PERMISSIVE = frozenset((
    "afl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear",
    "bsl-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc0-1.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "ecl-2.0", "isc", "mit", "ms-pl", "ncsa", "odc-by", "ofl-1.1", "pddl",
    "postgresql", "unlicense", "wtfpl", "zlib",
))
# fmt: on
"""Licences, as the Hub writes them, that allow any use of the weights, at most with attribution."""

ANY_LANGUAGE = frozenset({"multilingual"})


@dataclass(frozen=True, slots=True)
class Filters:
    """What a model must be; what is None does not matter. A fact that a card does not state fails its filter.

    `task` is as the index has it; `tag` is the Hub's, for those that it calls otherwise (`inference.FOLDED`).
    `license` is an id as the Hub writes it, or `permissive`; `language` is an ISO 639-1 code, and models that
    are `multilingual` pass too; `max_parameters` is a number of weights.
    """

    task: str | None = None
    tag: str | None = None
    license: str | None = None
    language: str | None = None
    max_parameters: int | None = None

    def licensed(self, license_: str) -> bool:
        """Whether a licence passes."""
        return self.license in {None, license_} or (self.license == "permissive" and license_ in PERMISSIVE)

    def speaks(self, languages: Sequence[str]) -> bool:
        """Whether a model of these languages passes."""
        return self.language is None or self.language in languages or not ANY_LANGUAGE.isdisjoint(languages)


EVERYTHING = Filters()
