"""What comes from others, and what static analysis says of our own: advisories, licences, bandit, semgrep, workflows."""
