"""Linear pipelines, compiled into the sum that they are. Whatever is not known in full stays with its estimator."""
