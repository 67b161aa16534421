"""Evidence: what the runs of studies show, in numbers, words and pictures.

- ``statistics``: confidence intervals and paired comparisons.
- ``recommendations``: a study's runs become a recommendation with its evidence.
- ``pareto_fronts``: the runs of a study of two objectives become a Pareto front.
- ``stored_pareto_fronts``: reads a stored Pareto front.
- ``messages``: the sentences and warnings of a recommendation.
- ``leaderboards``: rankings at equal model, dataset, sparsity and recipe.
- ``overview``: what all leaderboards show together.
- ``bundle``: the reproduction bundle of a study.
- ``plots``: plots of a study as SVG.
- ``environments``: labels of the machines that runs were trained on.
"""
