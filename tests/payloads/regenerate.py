"""Write all expected files anew: ``python -m tests.payloads.regenerate``, then read the diff."""

from tests.payloads.golden import messages, pairs, written


def main() -> None:
    """Write all expected files."""
    for file, expected in pairs():
        expected.write_text(written(messages(file)))


if __name__ == "__main__":
    main()
