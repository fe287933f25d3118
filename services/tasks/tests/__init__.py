"""Tests of film production, on a real database."""
