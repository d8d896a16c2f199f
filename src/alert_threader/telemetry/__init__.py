"""What the service says about itself: log lines and metrics. Imports only ``errors`` and ``settings.secret``."""
