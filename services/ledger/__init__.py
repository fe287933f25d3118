"""The transparency log: every domain event as a leaf that anyone can verify offline."""
