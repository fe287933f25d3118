"""Uploads: what was promised, what arrived, and whether both agree."""
