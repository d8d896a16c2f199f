"""Images for tests, of the names that people use, made here: no registry is asked.

What stands for Python's official image is a minimal Debian with its Python; for Redis's and Alertmanager's, that Debian
with this machine's programs.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.containers import Podman, unusable
from harness.servers import program
from harness.service import ROOT, at_once

CONTAINERFILE = ROOT / "Containerfile"
#: What the project's image is called (compose.yaml).
IMAGE = "localhost/alert-threader"

#: How long a Debian or the wheels may take, in seconds: they come over the network.
_FETCHING = 300.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PIP_CONFIGURATION = """
[global]
no-index = yes
find-links = /wheels
"""


def base_name() -> str:
    """What the image is built from, as the Containerfile says."""
    found = re.search(r"^ARG PYTHON=(\S+)$", CONTAINERFILE.read_text(), re.MULTILINE)
    assert found
    return found[1]


def build(podman: Podman, folder: Path) -> None:
    """Build the project's image, and the one it is built from."""
    _, version, release = re.split(r":|-slim-", base_name())
    base, wheels, configuration = folder / "base.tar", folder / "wheels", folder / "pip.conf"
    # Both outside: where containers are there is no network but theirs.
    for ended in at_once([lambda: _make_debian(release, base), lambda: _fetch_wheels(version, wheels)], _FETCHING):
        if ended.returncode != 0:
            unusable(f"the image cannot be built here: {ended.stderr.strip()}")
    podman("import", "--change", f"ENV PATH={_PATH}", base, base_name())
    base.unlink()
    configuration.write_text(_PIP_CONFIGURATION)
    mounts = (f"--volume={wheels}:/wheels:ro", f"--volume={configuration}:/etc/pip.conf:ro")
    podman("build", "--isolation=chroot", "--format=docker", *mounts, f"--file={CONTAINERFILE}", f"--tag={IMAGE}", ROOT)


def _make_debian(release: str, tar: Path) -> subprocess.CompletedProcess[str]:
    """The smallest Debian with a Python that can make virtual environments."""
    packages = "--include=python3,python3-venv,ca-certificates"
    return _run(program("mmdebstrap"), "--quiet", "--variant=essential", packages, release, str(tar))


def _fetch_wheels(version: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the build installs, and with what it builds, from wherever pip gets it on this machine."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--no-deps")
    return _run(*pip, f"--python-version={version}", f"--dest={folder}", "--requirement=requirements.txt", "setuptools")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_FETCHING
    )


def stand_in(podman: Podman, folder: Path, name: str, programs: Sequence[str], *lines: str) -> None:
    """Make an image of this name: the base, programs of this machine with their libraries, and a Containerfile's lines.

    A program may be renamed, ``prometheus-alertmanager=alertmanager``; a path is a folder that they need.
    """
    root = folder / "root" / "usr"
    (root / "bin").mkdir(parents=True)
    for each in programs:
        if each.startswith("/"):
            shutil.copytree(each, folder / "root" / each[1:])
            continue
        here, _, there = each.partition("=")
        path = program(here)
        shutil.copy(path, root / "bin" / (there or here))
        libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"=> (?:/usr)?/(lib/\S+)", libraries):
            (root / library).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/usr", library), root / library)
    (folder / "Containerfile").write_text("\n".join([f"FROM {base_name()}", "COPY root/ /", *lines, ""]))
    podman("build", "--isolation=chroot", "--format=docker", f"--tag={name}", folder)
