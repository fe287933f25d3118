"""Notices to people: in the list, on the event stream, by e-mail."""
