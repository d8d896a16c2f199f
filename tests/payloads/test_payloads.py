from pathlib import Path

import pytest

from tests.payloads.golden import messages, pairs, written

PAIRS = list(pairs())


@pytest.mark.parametrize(("file", "expected"), PAIRS, ids=[file.stem for file, _ in PAIRS])
def test_payload_becomes_the_expected_messages(file: Path, expected: Path) -> None:
    """Each captured payload, and each story of several, shows in Slack exactly as it was read and agreed."""
    assert written(messages(file)) == expected.read_text()


def test_every_expectation_has_its_payload() -> None:
    """No expected file outlives the payload or story that it belongs to."""
    folder = Path(__file__).parent
    assert {expected for _, expected in PAIRS} == set(folder.rglob("*.expected.json"))
