"""Client keys and features out of uploads: CSV and NDJSON, read strictly and in blocks of 64 kB; cells of other files.

Here lives what knows bytes and client keys. HTTP, files and PostgreSQL have no place in it: the gateway, the command
line and the screens hand bytes in, and get keys or a refusal that names its line.
"""
