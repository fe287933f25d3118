"""The history of schema `tasks`."""
