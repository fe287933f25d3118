"""Stories across services, through the gateway."""
