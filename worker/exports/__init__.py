"""Files that a worker writes into PostgreSQL for whoever asked: answers of a job, rows of a source to train on."""
