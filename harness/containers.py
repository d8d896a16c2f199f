"""Containers for tests: podman in namespaces of its own, which end with the test and are seen by nobody else."""

import ctypes
import json
import os
import resource
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import pytest

from harness.servers import program
from harness.service import ROOT, Background

T = TypeVar("T")

#: How long one command may take, in seconds: the base system is fetched meanwhile.
_TIMEOUT = 300
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of setns(2)

#: The first process of the namespaces. Its mounts are seen by nobody else, and hide what podman keeps for the machine.
#: SIGCHLD stays ignored, so that the kernel buries whoever has lost its parent. It ends with its input, and so with the
#: test, however that ends.
_HOLD = """
ip link set lo up
for folder in /run /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
mkdir -p /var/lib/containers
mount --bind "$1" /var/lib/containers
trap '' CHLD
echo ready
exec cat >/dev/null
"""

#: crun does not run where cgroups of both versions are mounted.
_CONFIGURATION = """
[containers]
default_ulimits = [{limits}]
http_proxy = false
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""


def unusable(why: str) -> NoReturn:
    """Fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


class Podman:
    """Podman with storage, network and processes of its own: all of it ends with the ``with`` block.

    Ports that containers publish on 127.0.0.1 are found there by ``ask``, and by nobody else on this machine.
    """

    def __init__(self, folder: Path) -> None:
        """Take where its files are."""
        self._nsenter = program("nsenter")
        for name in ("podman", "runc", "ip", "iptables", "unshare"):
            program(name)
        if os.geteuid() != 0:
            unusable("containers need root")
        self._folder = folder

    def __enter__(self) -> Self:
        storage = self._folder / "storage"
        storage.mkdir(parents=True)
        limits = ", ".join(f'"{name}={_hard_limit(name)}"' for name in ("nofile", "nproc"))
        self._configuration = self._folder / "containers.conf"
        self._configuration.write_text(_CONFIGURATION.format(limits=limits, folder=self._folder))
        self._holder = subprocess.Popen(
            [
                *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("sh", "-euc", _HOLD, "sh", str(storage)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            _, fault = self._holder.communicate()
            unusable(f"no namespaces for containers: {fault.strip()}")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self._pid = int(children.read_text().split()[0])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(["podman", "rm", "--all", "--force", "--time=0"], check=False)
        # The kernel ends whatever is left of its namespace.
        self._holder.kill()
        self._holder.communicate()
        # The groups of the second version, and of each controller of the first.
        groups = Path("/sys/fs/cgroup")
        for group in (groups / "libpod_parent", *groups.glob("*/libpod_parent")):
            for folder in (group / "conmon", group):
                with suppress(OSError):  # not there, or not ours alone
                    folder.rmdir()

    def __call__(self, *arguments: str | Path) -> str:
        """Run a podman command, which must succeed, and return what it printed on stdout."""
        return self.run(["podman", *arguments]).stdout

    def run(
        self, command: Sequence[str | Path], *, check: bool = True, cwd: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where the containers are. With ``check`` it must succeed."""
        ended = subprocess.run(
            [self._nsenter, f"--target={self._pid}", "--mount", "--net", "--pid", "--wd=.", "--", *map(str, command)],
            cwd=cwd,
            env={**os.environ, "CONTAINERS_CONF": str(self._configuration)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
        assert ended.returncode == 0 or not check, f"{command}: {ended.returncode}\n{ended.stderr}\n{ended.stdout}"
        return ended

    def inspect(self, name: str) -> dict[str, Any]:
        """What podman knows of a container or an image."""
        found: list[dict[str, Any]] = json.loads(self("inspect", name))
        return found[0]

    def ask(self, function: Callable[[], T]) -> T:
        """Call a function in a thread that is in the containers' network, and return what it returns."""

        def work() -> T:
            with Path(f"/proc/{self._pid}/ns/net").open("rb") as network:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(network.fileno(), _NEW_NETWORK) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            return function()

        # A thread stays in a network until it ends, and so do those that it starts.
        return Background(work).finish()


def _hard_limit(name: str) -> str:
    """A limit that is no higher than ours: not every root may raise it."""
    _, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
    highest = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    return f"{highest}:{highest}"
