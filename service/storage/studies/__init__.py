"""Studies in the database: their store, queue, leases, transitions, sweeps and quotas.

``store``: submit, read and change studies. ``queue``: claim and release them. ``leases``: the
lease under which a runner writes. ``transitions``: state changes; ``triggers``: the database's
refusal of false ones. ``sweeps``: many studies from one request. ``quotas``: limits of submitters.
``idempotency``: keys of submissions that may be sent twice.
"""
