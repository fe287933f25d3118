"""The outside world of notify: mail, words, sealed storage, open streams."""
