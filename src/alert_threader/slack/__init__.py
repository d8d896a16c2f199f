"""Slack's Web API behind one adapter, its failures sorted by what to do next. Imports only ``errors``.

``client`` has the calls, ``failures`` what they can end in. ``transport`` is the road to Slack: a request within a
``deadline``, over a connection that ``connecting`` makes, by way of a ``proxy`` or after asking a ``resolver``.
``interactions`` reads what people press, ``signature`` says whether Slack sent it, ``socket`` is a connection of Socket
Mode.
"""
