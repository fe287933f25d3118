"""The pure rules of film production: no web, no database, no clock; what a rule needs is passed in."""
