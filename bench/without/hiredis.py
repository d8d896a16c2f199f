"""Hides the library from the first release, which did not require it: redis-py takes whatever parser it finds."""

raise ImportError("hiredis is hidden")
