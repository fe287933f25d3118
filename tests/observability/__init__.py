"""Rules, dashboards and the servers that read them."""
