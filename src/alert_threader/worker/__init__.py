"""gunicorn's worker, in which no client keeps a thread, however slow it is. Imports only ``errors`` and ``telemetry``.

gunicorn's own ``gthread`` reads and writes in its threads without a limit: half a request keeps a thread for ever, and
the service ends with as many of them as there are threads. Here one loop does all the waiting for clients. A thread
gets a request once all of it is there, and leaves to the loop what the client does not take at once.
"""
