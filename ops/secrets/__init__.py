"""Secrets of operators: sealed in files that may be committed, opened into folders of files, and rotated in time."""
