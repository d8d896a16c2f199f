"""Times the making of roots; run by either release, so it takes nothing from this folder: ``MODULE TIMES``."""

import importlib
import json
import statistics
import sys
import time

from alert_threader.formatter import render
from alert_threader.threads import Batch, Identity, Policy, Step, apply, changes


def main() -> None:
    """Read ``[[size, webhook], …]`` and print the median of each size in ms, by MODULE's way to read a webhook."""
    parse = importlib.import_module(sys.argv[1]).parse
    identity = Identity(environment="production", channel="C0BENCH")
    found = {}
    for size, body in json.load(sys.stdin):
        (change,) = changes(parse(body.encode()), identity)
        thread = apply(None, change, time.time(), Policy()).thread
        took = []
        for _ in range(int(sys.argv[2])):
            began = time.perf_counter()
            render(thread, Step.POST_ROOT, Batch(), environment="production")
            took.append(time.perf_counter() - began)
        found[size] = statistics.median(took) * 1000
    print(json.dumps(found))


if __name__ == "__main__":
    main()
