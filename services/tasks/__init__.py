"""Owns film production: films, their ten phases, micro-tasks, claims, submissions, reviews and contributor progress."""
