#!/usr/bin/env python3
"""Runs inside a box: does the steps of its argument (JSON: shell commands by name), and prints what came of each."""

import json
import subprocess
import sys

done = {}
for name, command in json.loads(sys.argv[1]).items():
    ended = subprocess.run(
        ["/bin/bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    done[name] = {"code": ended.returncode, "out": ended.stdout, "err": ended.stderr}
sys.stdout.write(json.dumps(done))
