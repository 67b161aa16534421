"""Transfer: what is expected of a combination that has not been tuned.

- ``similarity``: the distance between combinations, and the neighbours of one.
- ``neighbour_gains``: a neighbour's gains, rescaled to another recipe.
- ``pooled_effects``: the pooled gains of all neighbours, and the configuration they recommend.
- ``tuned_combinations``: reads tuned combinations from the storage.
- ``transferred``: the transferred recommendation of a combination.
- ``warm_start``: what a search begins with.
- ``published``: published results, with their sources.
- ``paper_default``: the paper's default, where the paper reports HAM for a combination.
"""
