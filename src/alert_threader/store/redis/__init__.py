"""The store in Redis. Nothing else imports ``redis``. Imports what every store may: ``store.base``, threads, errors."""
