"""Which features a model takes, of which types and categories: inferred from the estimator and from its source."""
