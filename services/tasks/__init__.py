"""Films, phases, micro-tasks, claims, submissions and their review."""
