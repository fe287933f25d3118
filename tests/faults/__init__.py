"""Processes are killed while work goes on; nothing may be lost, doubled or out of order."""
