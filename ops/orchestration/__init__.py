"""The platform of `deploy/compose.yml` for orchestrators of many machines: one source, written out by `make manifests`."""
