"""The rules of uploads, pure: what may be sent, what an address permits, what bytes are, which state follows which."""
