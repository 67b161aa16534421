"""Results in the database: combinations, recommendations and Pareto fronts."""
