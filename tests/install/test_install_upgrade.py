"""An installation of the first release is upgraded, taken back and upgraded again, without a loss (see box.py)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import first_release
from tests.install.kit import (
    BEARER,
    GREEN,
    INSTALL,
    Place,
    Played,
    edited,
    only_thread,
    preparation,
    said,
    slack_thread,
    threads,
)
from tests.install.story import tell

ROOT = Path(__file__).parents[2]
#: Where a box finds the first release: it sees no other folder than the repository's.
FIRST = ROOT / "build" / "first-release"


@pytest.fixture(scope="module")
def _first() -> Iterator[None]:
    shutil.copytree(first_release.extracted(), FIRST, dirs_exist_ok=True)
    yield
    shutil.rmtree(FIRST)


@pytest.fixture(scope="module")
def upgraded(_first: None, place: Place) -> Played:
    """The first release with a thread, and changes that only its journal has; then this one, broken and whole."""
    script = place.script
    # It starts, takes the threads over, and fails: what it took over must come back.
    broken = edited(
        "'s/^ *service.start()/        raise RuntimeError(\"broken on purpose\")/'", "src/alert_threader/server.py", ""
    )
    mend = "cp /src/src/alert_threader/server.py /root/clone/src/alert_threader/server.py"
    steps = {
        **preparation(),
        "first release": f"cp -r /src/build/first-release /root/first && /root/first/install.sh {place.answers()}",
        "bearer": BEARER,
        "fires": script("send firing db01"),
        "killed": script(
            "send firing db01 db02; systemctl kill --signal KILL alert-threader; sleep 0.5; healthy; cache"
        ),
        "broken": broken,
        "after the way back": script("healthy; cache; ls /var/lib/alert-threader; send firing db01 db02 db03"),
        "upgrade": f"{mend}; {INSTALL}",
        "after the upgrade": script("healthy; cache; ls /var/lib/alert-threader"),
        "resolves": script("send resolved db01 db02 db03"),
    }
    return Played(tell(steps), place)


def test_the_way_back(upgraded: Played) -> None:
    """The first release is healthy again, with every thread; the database of the newer one is kept."""
    assert "9.9.9" not in upgraded["broken"].out
    assert "version 0.1.0-" in upgraded["broken"].err
    assert "and its settings are back, healthy at http://" in upgraded["broken"].err
    assert "the threads are handed back to version 0.1.0" in upgraded["broken"].out
    back = upgraded["after the way back"].out.splitlines()
    ts = only_thread(upgraded["killed"])
    assert json.loads(back[1]) == threads(upgraded["killed"])
    assert ts in json.loads(back[1]).values()
    assert any(name.startswith("threads.db.before-downgrade-") for name in back)
    assert "threads.db" not in back


def test_the_upgrade(upgraded: Played) -> None:
    """Every thread goes on in the database; in Slack it is one thread, with each event once."""
    assert said(upgraded["upgrade"])[-1].startswith("  done")
    after = said(upgraded["after the upgrade"])
    ts = only_thread(upgraded["killed"])
    assert ts in json.loads(after[1]).values()
    assert "threads.db" in after
    assert not [name for name in after if "journal" in name]
    last = json.loads(upgraded["resolves"].out)["results"][0]
    assert last["thread_ts"] == ts
    assert slack_thread(upgraded, ts) == (GREEN, 3)
