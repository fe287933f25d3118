"""The bus: what database and exactly-once effects cost on top of RabbitMQ itself, and what others take for less."""
