"""What things are called in Redis; the list is in ``store.redis``."""

from typing import NamedTuple


class Names(NamedTuple):
    """Every name begins with ``prefix``: in cluster mode its hash tag keeps them all on one server."""

    prefix: str

    def __call__(self, kind: str, rest: str = "") -> str:
        """The name of the only one of its kind, or of one of several."""
        return f"{self.prefix}-{kind}:{rest}" if rest else f"{self.prefix}-{kind}"

    def stamp(self, key: str) -> str:
        """Where the ``ts`` of a thread is."""
        return f"{self.prefix}:{key}"

    def record(self, key: str) -> str:
        """Where a record is."""
        return self("record", key)
