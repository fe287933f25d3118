"""What operators see: objectives, dashboards, `lumiere top`, and the watchman, who measures what no service can."""
