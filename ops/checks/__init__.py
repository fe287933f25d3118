"""What `make check` asks of the repository before any test runs."""
