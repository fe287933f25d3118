"""What happens where something is missing or is lost: docs/degradation.md, row by row."""
