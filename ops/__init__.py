"""The operator's command: starts, watches, demonstrates and stops the platform."""
