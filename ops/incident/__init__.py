"""Incidents: a timeline that only grows, whom it is announced to, and the review that is due afterwards."""
