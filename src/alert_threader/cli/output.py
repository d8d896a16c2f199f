"""What commands print."""

from collections.abc import Iterable


def say(line: str) -> None:
    """Print a line at once, also into a pipe: whoever waits for the demo's URL reads it there."""
    # Not click.echo: on an ASCII terminal it would write UTF-8, where main() has asked for escapes.
    print(line, flush=True)


def say_all(lines: Iterable[str]) -> None:
    """Print each line as soon as it is known."""
    for line in lines:
        say(line)
