"""Planning: from a request to a plan, what the plan may spend, and what it would cost.

- ``plans``: a request becomes a plan.
- ``stage_sizes``: how many trainings and epochs a plan has, at most.
- ``budget_changes``: a study gets another priority or budget.
- ``sweeps``: a sweep becomes the requests and plans of its studies.
- ``budget_limits``: what a study has spent, and which trainings may still begin.
- ``estimates``: wall time and compute that a plan would take.
- ``progress``: how far studies are.
- ``permissions``: who may act on a study, and with which priority.
"""
