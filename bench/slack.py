"""The sandbox as a process: ``python -m bench.slack SETTINGS`` prints its address and serves until stdin ends."""

import json
import sys

from slack_sandbox import SandboxServer


def main() -> None:
    """Serve; the argument is a JSON object of the sandbox's settings."""
    with SandboxServer(**json.loads(sys.argv[1])) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
