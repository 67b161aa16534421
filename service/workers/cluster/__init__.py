"""Ray: where and how trainings run.

- ``connection.py``: starts or joins a cluster, and counts the trainings that fit.
- ``engine.py``, ``tune_adapter.py``: one Tune experiment that serves study after study.
- ``trainable.py``: one training as Tune sees it; it leases a worker.
- ``worker_pool.py``, ``trainer.py``: the pool of warm workers, and the worker itself.
- ``checkpoints.py``, ``checkpoint_files.py``: the checkpoint store, and the files in it.
- ``ray_compat.py``: Ray's private names.
"""
