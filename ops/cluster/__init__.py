"""`lumiere cluster`: how servers of several machines stand together, and the one step that no machine may take by itself."""
