"""The parts of measuring that can be checked without measuring."""
