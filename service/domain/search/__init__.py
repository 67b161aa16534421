"""Search: which configurations a study tries, screens, selects and confirms.

The functions decide from a plan and its runs alone: equal runs give equal decisions.

- ``stages``: the stages of a study with one objective, and the jobs of each.
- ``screening_rounds``: how many configurations and seeds each round of a screening has.
- ``ranking``: which runs of a study count, the surface they give, and the order of configurations.
- ``candidates``: a grid over the search space, and the configurations proposed from it.
- ``surface``: the Gaussian process over validation accuracies.
- ``kernel``: the covariance of that process.
- ``optimum``: the description of the surface around a configuration.
- ``space_boundary``: whether an optimum lies at the boundary of the search space.
- ``early_stopping``: the rules that stop search trials early.
- ``early_stopping_report``: what early stopping saved in a study.
- ``objectives``: studies of two objectives: allowed requests, values of runs, Pareto order.
- ``pareto_stages``: the stages of a study with two objectives, and the jobs of each.
"""
