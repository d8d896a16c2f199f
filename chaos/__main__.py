"""``python -m chaos``: run it, and print the verdict."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pytest

from chaos.run import Plan, run


def main() -> int:
    """Run; return 1 if anything is lost, told twice or out of order, 2 if a server is not installed."""
    arguments = _arguments()
    plan = Plan(seconds=arguments.seconds, kills=arguments.kills, seed=arguments.seed, faults=not arguments.sound)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        try:
            verdict = run(Path(folder), plan, lambda line: print(line, flush=True))
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:
            print(f"cannot run: {missing}")
            return 2
    print(verdict)
    print(f"{'sound' if verdict.ok else 'NOT SOUND'} after {time.monotonic() - began:.0f} s")
    return 0 if verdict.ok else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m chaos", description=sys.modules["chaos"].__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120, metavar="N", help="how long alerts come and go (120)")
    parser.add_argument("--kills", type=int, default=12, metavar="N", help="how often a replica is killed (12)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="where chance begins (0)")
    parser.add_argument("--sound", action="store_true", help="let Slack be without faults")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
