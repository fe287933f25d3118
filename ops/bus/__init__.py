"""Operators' commands on the bus: queues, dead letters, replays, events."""
