"""The disk of the file store is full, slow, or its folder is read-only."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.plan import CannotRunError, Plan
from chaos.stage import Stage, conclude, go_on, stage
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from harness.service import Service, wait_for
from harness.slow_disk import SlowDisk

#: How long each sync takes, one after the other, in seconds.
_SYNCS = (0.5, 3.5)
_SIZE = "8m"
_PIECE = b"\0" * 65536
#: Some megabytes may be free again after a commit: the disk is filled up this often, in seconds.
_FILL_EVERY = 0.02
#: root may write anywhere; without these rights it is kept out as everybody is.
_RIGHTS = "-dac_override,-dac_read_search"


def disk_full(plan: Plan) -> Verdict:
    """The disk of the file store is full for a while, also during a restart."""
    with _small_disk(plan.folder / "service" / "store") as disk, stage(plan) as here:
        ballast = disk / "ballast"
        return _play(plan, here, lambda: _fill(ballast), lambda: ballast.unlink(missing_ok=True))


def read_only(plan: Plan) -> Verdict:
    """The folder of the file store is made read-only for a while, also during a restart."""
    wrapper = _as_others_are()
    with stage(plan, wrapper=wrapper) as here:
        folder = here.service.store.parent
        try:
            return _play(plan, here, lambda: folder.chmod(0o500), lambda: folder.chmod(0o700))
        finally:
            folder.chmod(0o700)


def slow_disk(plan: Plan) -> Verdict:
    """Every sync of the disk takes half a second, then 3.5 s, with a kill -9 in between."""
    disk = SlowDisk(plan.folder / "disk")
    said: set[str] = set()
    with stage(plan, **disk.settings) as here:
        with Traffic(here.service, seed=plan.seed) as traffic:
            for seconds in _SYNCS:
                disk.delay(seconds)
                go_on(traffic, plan.lasting(60, 28) / len(_SYNCS))
                said |= set(here.service.health["problems"])
                here.service.kill()
                disk.delay(0)  # a start syncs often
                here.service.start()
        verdict = conclude(traffic, here.workspace, here.service)
        verdict.wrong += [f"/health still complains: {problem}" for problem in here.service.health["problems"]]
    if not any("s to sync: " in problem for problem in said):
        verdict.wrong.append(f"/health did not say that the disk is slow: {sorted(said)}")
    verdict.figures = {"delays": len(_SYNCS), **verdict.figures}
    return verdict


def _play(plan: Plan, here: Stage, close: Callable[[], None], reopen: Callable[[], None]) -> Verdict:
    """Take the store's folder away and give it back, with a kill -9 and a start in between, during traffic."""
    complaints: set[str] = set()
    # A file that is open can be written to in a read-only folder: only the readable copy, made each second, cannot.
    lasting = plan.lasting(5, 3)
    rounds = plan.times(5, 2)
    with Traffic(here.service, seed=plan.seed) as traffic:
        for number in range(rounds):
            go_on(traffic, lasting / 2)
            complaints |= _endure(here.service, traffic, close, lasting)
            if number % 2:
                here.service.kill()
                complaints |= _try_to_start(here.service, close)
                reopen()
                if not here.service.is_running:
                    here.service.start()
            reopen()
    verdict = conclude(traffic, here.workspace, here.service)
    plan.say(f"what it said: {sorted(complaints)}")
    if not complaints:
        verdict.wrong.append("the service did not notice: neither /health nor a start said anything")
    verdict.wrong += [f"not one clear line: {text!r}" for text in complaints if not _is_clear(text)]
    # The readable copy is written at its own pace, after the changes.
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not here.service.health["problems"], 10)
    verdict.wrong += [f"/health still complains: {problem}" for problem in here.service.health["problems"]]
    verdict.figures = {"times": rounds, **verdict.figures}
    return verdict


def _endure(service: Service, traffic: Traffic, close: Callable[[], None], seconds: float) -> set[str]:
    """Keep the folder closed for so long; return what ``/health`` says: that it cannot store, or not copy."""
    complaints = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until and not traffic.is_over:
        close()
        complaints |= set(service.health["problems"])
        time.sleep(_FILL_EVERY)
    return complaints


def _try_to_start(service: Service, close: Callable[[], None]) -> set[str]:
    """Start where nothing can be written: it answers what it cannot do, or ends and says why; return that."""
    close()
    said = len(service.log)
    process = service.launch()
    wait_for(lambda: process.poll() is not None or service.answers_health(), 20, lambda: service.log)
    if process.poll() is None:
        return set(service.health["problems"])
    service.kill()
    lines = [line for line in service.log[said:].splitlines() if "cannot start: " in line]
    return {line.partition("cannot start: ")[2] for line in lines} or {f"nothing at its end: {service.log[said:]}"}


def _is_clear(text: str) -> bool:
    return text.startswith("cannot keep threads in ") and "make room" in text and "\n" not in text


def _fill(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        for piece in (_PIECE, _PIECE[:4096]):
            with contextlib.suppress(OSError):
                while file.write(piece):
                    pass


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own in memory."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True) if os.geteuid() == 0 else None
    if done is None or done.returncode:
        raise CannotRunError(
            "skipped: needs root, to mount a small disk" + (f": {done.stderr.strip()}" if done else "")
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _as_others_are() -> list[str]:
    """How to start a program that is kept out of a folder as everybody is."""
    if os.geteuid() != 0:
        return []
    program = shutil.which("setpriv")
    if program is None:
        raise CannotRunError("skipped: needs setpriv (util-linux), for root is kept out of nowhere")
    return [program, f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}"]
