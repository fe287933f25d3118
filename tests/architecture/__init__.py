"""The repository matches its own map: each rule here is checked on the real tree and on a planted violation."""
