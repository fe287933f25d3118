"""The operator's commands on the gateway: `lumiere gateway …`."""
