"""The store in Redis: primitives of ``store.base``, and what every key is called. Nothing else imports ``redis``.

Imports what every store may: ``store.base``, ``threads``, errors. ``store`` is the way in; ``transactions`` changes
records, ``commit`` makes a change outlive a failover, ``records`` and ``lanes`` read, ``leases`` lends
lanes and tokens, ``upkeep`` takes over what the first release keeps, ``way_back`` hands it back, ``client`` connects
and explains errors, ``cluster`` finds the right server in cluster mode, ``probe`` tries what all of them do.

The names, for a prefix ``threader:ts``. ``KEYS threader:ts:*`` matches the first only:

======================  ======  ==========================================================================
threader:ts:KEY         string  the thread's ``ts``, for operators
threader:ts-record:KEY  hash    ``thread``, the record as JSON; ``rev``, another after every change; ``lanes``,
                                where it is listed; ``data``, which the first release cannot read
threader:ts-lane:LANE   hash    the next action of each thread that has something pending, as JSON, by key
threader:ts-lanes       set     the lanes that have had something pending
threader:ts-threads     zset    all keys, by the time at which time alone changes the record; infinite for never
threader:ts-open        set     the keys of threads that fire
threader:ts-lease:NAME  string  the token of a lane's sender, with a time to live
threader:ts-damaged     set     the keys of the records that a process could not read
threader:ts-budget:NAME string  when a token bucket is full again, in seconds
threader:ts-policy      string  the settings with which the records were planned
threader:ts-ping…               what ``ping`` writes and takes away again, under the names above
======================  ======  ==========================================================================

The first release keeps ``record``, ``lease``, ``damaged`` and ``budget`` under the same names, and lists records in
``due:CHANNEL``, ``channels``, ``index`` and ``seen``; see ``upkeep``.
"""
