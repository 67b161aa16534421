"""The rules of the service: pure functions over records, without database, network or training.

- ``planning``: from a request to a plan, its limits and its cost.
- ``search``: which configurations are tried, screened, selected and confirmed.
- ``evidence``: what the runs show: recommendations, Pareto fronts, leaderboards, plots.
- ``transfer``: what is expected of a combination that has not been tuned.
"""
