"""Past one machine, rehearsed on one: a cluster of brokers, a database with a standby, two gateways (docs/cluster.md)."""
