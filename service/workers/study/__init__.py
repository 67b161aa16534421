"""The execution of one study, without Ray.

- ``execution.py``: decides which training comes next and stores each result.
- ``assignments.py``, ``outcomes.py``: what it hands out, and what it stores.
- ``stages.py``: the stages of a study as batches of jobs.
- ``optuna_search.py``, ``samplers.py``: the search in Optuna, and its samplers by name.
- ``optuna_storage.py``, ``optuna_compat.py``: Optuna's storage, and Optuna's private names.
- ``log_keeper.py``: stores a runner's log lines with the study.
"""
