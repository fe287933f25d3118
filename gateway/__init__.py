"""The entrance: compiles the services' policy manifests into HAProxy rules and keeps its runtime state."""
