#!/usr/bin/env python3
"""Runs inside a box: starts a program on a terminal of its own and answers what it asks; prints all that was shown.

The argument is JSON: ``command``, and ``answers``, pairs of a text to wait for and the keys to press then; ``@token``
stands for the content of /root/token, which must not be an argument. Ends with the program's exit code, or 99 where it
asked for something else.
"""

import json
import os
import pty
import select
import sys
import time
from pathlib import Path

#: How long the program may say nothing that is waited for, in seconds.
PATIENCE = 40

story = json.loads(sys.argv[1])
process, terminal = pty.fork()
if process == 0:
    os.execvp(story["command"][0], story["command"])

shown = b""
seen = 0
token = Path("/root/token").read_text().strip()
answers = [(wanted.encode(), keys.replace("@token", token).encode()) for wanted, keys in story["answers"]]
until = time.monotonic() + PATIENCE
while time.monotonic() < until:
    if answers and (at := shown.find(answers[0][0], seen)) >= 0:
        wanted, keys = answers.pop(0)
        seen = at + len(wanted)
        # The question is there a moment before it is waited for an answer.
        time.sleep(0.15)
        os.write(terminal, keys)
        until = time.monotonic() + PATIENCE
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # so a terminal says that its program has ended
            break
        if not more:
            break
        shown += more
else:
    os.kill(process, 9)
code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
sys.stdout.write(shown.decode(errors="replace").replace("\r\n", "\n"))
if answers:
    sys.stdout.write(f"\nstill to be asked: {answers[0][0].decode()}\n")
sys.exit(99 if answers and code == 0 else code % 256)
