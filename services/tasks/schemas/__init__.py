"""The shapes that go in and out of production's doors."""
