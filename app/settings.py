"""The parser of every command, and the settings as its flags."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Never, get_type_hints

if TYPE_CHECKING:
    from hugginggpt.graph.context import Context


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and knows the settings."""

    with_settings = False
    """Whether the command has a flag for every setting."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401, as argparse
        """As argparse does it. Settings are added only now: `hugginggpt --help` need not load them."""
        if self.with_settings:
            _add_settings(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> Never:
        """One line on stderr and exit status 2."""
        self.exit(2, f"hugginggpt: {message}; see {self.prog} --help\n")


def context(args: argparse.Namespace) -> "Context":
    """The settings of this call: flags before environment. Raises `SettingsError` on a bad value."""
    from hugginggpt.graph.context import Context, Machine

    Machine.on_command_line(**_given(args, Machine))
    Machine.from_environment()  # what is wrong with it is said before anything runs
    return Context.from_environment(**_given(args, Context))


def _given(args: argparse.Namespace, settings: type[Any]) -> dict[str, Any]:
    given = {field.name: getattr(args, field.name) for field in fields(settings)}
    return {name: value for name, value in given.items() if value is not None}


def _add_settings(parser: argparse.ArgumentParser) -> None:
    from pydantic.fields import FieldInfo

    from hugginggpt.graph.context import Context, Machine

    group = parser.add_argument_group("settings", "also environment variables: HUGGINGGPT_ and the name")
    hints = get_type_hints(Context, include_extras=True) | get_type_hints(Machine, include_extras=True)
    for field in (*fields(Context), *fields(Machine)):
        about = next(note for note in hints[field.name].__metadata__ if isinstance(note, FieldInfo))
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            metavar="N" if isinstance(field.default, int | float) else "TEXT",
            type=_checked(hints[field.name]),
            help=f"{about.description} (default {field.default})".replace("%", "%%"),
        )


def _checked(annotation: Any) -> Callable[[str], object]:  # noqa: ANN401, a type
    def value(text: str) -> object:
        from pydantic import TypeAdapter, ValidationError

        try:
            checked: object = TypeAdapter(annotation).validate_python(text)
        except ValidationError as error:
            raise argparse.ArgumentTypeError(f"{text}: {error.errors()[0]['msg']}") from error
        return checked

    return value
