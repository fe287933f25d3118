"""What operators see of the platform: objectives, dashboards, the watchman that measures what no service can, and `lumiere top`."""
