"""The scheduler process and its runner processes.

- ``study_scheduler.py``: claims studies, prolongs study leases, starts and reaps runners.
- ``runner_process.py``: a runner as the scheduler process sees it.
- ``runner.py``: the runner's own program, which runs one study after the other.
- ``processes.py``: what both sides share: study assignments and exit statuses.
"""
