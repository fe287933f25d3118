"""Payables and Lumens, booked in double entry."""
