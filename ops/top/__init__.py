"""`lumiere top`: a live view of the platform's processes, queues and rates, made of what every process tells of itself."""
