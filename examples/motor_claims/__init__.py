"""Motor insurance: policyholders and vehicles in two tables, a view over both, and three models.

Unlike the other example in everything that can differ: text keys, dates, decimals, gaps, accents, classes in words.
"""
