"""``python -m chaos [NAME …]``: let the faults loose, print a verdict for each, write all of it as JSON."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bench.report import machine
from chaos.faults import FAULTS, Fault
from chaos.plan import CannotRunError, Plan
from chaos.report import Result, line, table, write_json
from chaos.verdict import Verdict

#: Lines of a long text that are shown, at its beginning and at its end.
_SHOWN = 8


def main() -> int:
    """Run; return 1 if anything is not sound, 2 if something that a fault needs is missing."""
    arguments = _arguments()
    if arguments.list:
        print("\n".join(f"{name:14}{fault.about}" for name, fault in FAULTS.items()))
        return 0
    results: dict[str, Result] = {}
    for name in arguments.names or FAULTS:
        with tempfile.TemporaryDirectory(prefix=f"chaos-{name}-", ignore_cleanup_errors=True) as folder:
            results[name] = _run(FAULTS[name], _plan(arguments, Path(folder)))
        print(line(name, results[name]), flush=True)
    print(f"\n{table(results)}")
    write_json(arguments.json, machine(), results)
    print(f"\nwritten to {arguments.json}")
    words = {result.word for result in results.values()}
    return 1 if "NOT SOUND" in words else 2 if "not run" in words else 0


def _run(fault: Fault, plan: Plan) -> Result:
    missing = [program for program in fault.needs if shutil.which(program) is None]
    if missing:
        return Result(0, None, f"{' and '.join(missing)} is not installed")
    began = time.monotonic()
    try:
        verdict = fault.run(plan)
    except CannotRunError as error:
        return Result(time.monotonic() - began, None, str(error))
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the other faults go on
        # What it ran into and does not count: the service did not start again, say, or has printed a traceback.
        plan.say(str(error))
        verdict = Verdict(wrong=[f"{type(error).__name__}: {_shortened(str(error))}"])
    return Result(time.monotonic() - began, verdict)


def _shortened(text: str) -> str:
    """The beginning and the end of what may hold a service's whole log."""
    lines = text.splitlines()
    return "\n".join(lines if len(lines) <= 2 * _SHOWN else [*lines[:_SHOWN], "…", *lines[-_SHOWN:]])


def _plan(arguments: argparse.Namespace, folder: Path) -> Plan:
    return Plan(
        folder,
        quick=arguments.quick,
        seconds=arguments.seconds,
        kills=arguments.kills,
        seed=arguments.seed,
        sound=arguments.sound,
        say=lambda text: print(f"  {text}", flush=True) if arguments.verbose else None,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description=f"{sys.modules['chaos'].__doc__}\nAll of them take about 37 minutes, with --quick about five.",
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which faults, see --list (default: all)")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--quick", action="store_true", help="a short version of each, to see that it runs")
    parser.add_argument("--seconds", type=float, metavar="N", help="how long each lasts that is measured in time")
    parser.add_argument("--kills", type=int, metavar="N", help="how often each kills that does")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="where chance begins (0)")
    parser.add_argument("--sound", action="store_true", help="let Slack be without faults where they are no subject")
    parser.add_argument("--verbose", action="store_true", help="say what happens meanwhile")
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).with_name("results.json"), metavar="FILE", help="where it goes"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(FAULTS))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; choose from {', '.join(FAULTS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
