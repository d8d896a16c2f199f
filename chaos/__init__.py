"""Every fault that the service has to live through, let loose on it, and what became of what was sent to it.

Each fault runs the real service against the sandbox as its Slack, sends it known alerts, and in the end compares what
Slack shows with what was sent: what is lost, delivered twice, or out of order.
"""
