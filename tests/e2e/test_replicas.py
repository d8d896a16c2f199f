"""Three replicas with two workers each, two real Alertmanagers in one cluster, and kill -9: see ``chaos``.

CHAOS_SECONDS and CHAOS_REPLICA_KILLS make it as long as ``make chaos``.
"""

import os
from pathlib import Path

from chaos.run import Plan, run

_SECONDS = float(os.environ.get("CHAOS_SECONDS", "15"))
_KILLS = int(os.environ.get("CHAOS_REPLICA_KILLS", "3"))


def test_replicas_under_fire(tmp_path: Path) -> None:
    """Of 200 alerts that come and go by chance every accepted change is told once, in order, in one thread."""
    verdict = run(tmp_path, Plan(seconds=_SECONDS, kills=_KILLS, faults=False))
    assert verdict.ok, str(verdict)
    assert verdict.figures["threads"] == 40
    assert verdict.figures["changes"] > 200
