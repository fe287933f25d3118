"""The rules of the transparency log: hashing, proofs, tiles, signed notes and the form of a leaf. Pure: bytes in, bytes out."""
