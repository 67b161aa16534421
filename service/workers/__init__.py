"""Runs queued studies: the scheduler process, its runners, and the workers that train.

- ``scheduler/``: claims studies and starts runner processes.
- ``study/``: the execution of one study, its stages, and its search in Optuna.
- ``cluster/``: Ray: the worker pool, the worker, the Tune adapter, checkpoints.

One study, from its claim to its result. ``->>`` is a call, ``-->>`` its answer; the file of each
participant is in brackets:

```mermaid
sequenceDiagram
    participant S as StudyScheduler [scheduler/study_scheduler.py]
    participant R as runner [scheduler/runner.py]
    participant D as database [service/storage]
    participant E as StudyExecution [study/execution.py]
    participant O as OptunaSearch [study/optuna_search.py]
    participant T as Tune with Relay, StudySearcher [cluster/engine.py, cluster/tune_adapter.py]
    participant J as TrainRun [cluster/trainable.py]
    participant P as WorkerPool [cluster/worker_pool.py]
    participant W as Trainer, the worker [cluster/trainer.py]

    S->>D: claim a queued study
    D-->>S: study, study lease
    S->>R: StudyAssignment(study lease, log)
    Note over S,D: heartbeats prolong the study lease while the runner lives
    R->>D: begin_search
    D-->>R: plan, with the prior from other combinations
    R->>T: Engine.run(StudyExecution)
    loop until the execution is finished
        T->>E: next: which training comes now?
        E->>O: ask (search stage only)
        O-->>E: Proposal: number, configuration, sparsity
        E->>D: begin a run for the job
        E-->>T: TrainingAssignment
        T->>J: config of the training
        J->>P: lease a worker
        P-->>J: worker, under a worker lease
        J->>W: begin, from a checkpoint if there is one
        loop every epoch, in batches of about a second
            J->>W: advance: train epochs
            W-->>J: metrics of the epochs; checkpoint written or due
            J-->>T: result per epoch
            T->>E: report: metrics of an epoch
            E->>O: report: validation accuracy
            E-->>T: verdict of early stopping: go on, or stop
        end
        W-->>J: outcome
        J->>P: give_back
        J-->>T: last result, with the outcome
        T->>E: end (or stop, after early stopping)
        E->>D: end the run: outcome, curve, cost
        E->>O: tell: COMPLETE, PRUNED or FAIL
    end
    T-->>R: Engine.run returns
    R->>D: succeed: recommendation or Pareto front
    R-->>S: "done": free for the next study
```
"""
