"""``python -m alert_threader``."""

import sys

from alert_threader.cli.main import main

sys.exit(main())
