"""``python -m alert_threader``."""

import sys

from alert_threader.cli import main

sys.exit(main())
