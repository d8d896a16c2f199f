"""A local stand-in for Slack: its Web API, its rules and limits, trouble on request, and a page to watch.

It imports nothing from the rest of Alert Threader, so that both agree only through HTTP, as with Slack.
"""

from slack_sandbox.server import SandboxServer, serve

__all__ = ["SandboxServer", "serve"]
