"""Answers of a job as Parquet, Arrow and Excel, written by a worker into PostgreSQL for whoever asked."""
