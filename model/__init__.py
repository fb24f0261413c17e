"""From data to artefact: sample clients, training, and the file that a worker serves."""
