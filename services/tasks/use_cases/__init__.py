"""The verbs of production. Each takes the transaction first; rows and facts leave together."""
