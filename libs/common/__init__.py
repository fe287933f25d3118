"""The shared kernel: what every service may assume. It knows no service."""
