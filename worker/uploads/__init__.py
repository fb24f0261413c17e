"""Files that callers sent as rows of a job: opened, understood, checked as a whole, and handed on line by line.

Each is opened in a closed process of its own: what a file does to a library costs that process alone, which reaches
nothing.
"""
