"""Every question that film production asks its tables: `state` for what verbs decide on, `shown` for what people read."""
