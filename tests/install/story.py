"""A story on one machine that may be rebooted in between: steps for a box (box.py), each of which is done once."""

import shlex
from collections.abc import Mapping

from tests.install.box import Step, run_in_box

#: A step that boots the box anew.
REBOOT = "reboot"
_FOLDER = "/root/story"


def tell(steps: Mapping[str, str]) -> dict[str, Step]:
    """Do the steps one after the other, as root in a new box, and return what came of each.

    After a reboot a box runs its script from the beginning: what was done before it then only says again what it said.
    """
    return run_in_box({name: _once(index, command) for index, (name, command) in enumerate(steps.items())})


def _once(index: int, command: str) -> str:
    folder = f"{_FOLDER}/{index}"
    if command == REBOOT:
        return f"[ ! -e {folder} ] || exit 0; mkdir -p {folder}; sync; systemctl reboot; sleep 60"
    return f"""
        if [ ! -e {folder}/code ]; then
            mkdir -p {folder}
            /bin/bash -c {shlex.quote(command)} >{folder}/out 2>{folder}/err; echo $? >{folder}/code
        fi
        cat {folder}/out; cat {folder}/err >&2; exit "$(cat {folder}/code)"
    """
