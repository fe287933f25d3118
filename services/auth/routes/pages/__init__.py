"""The doors of the pages on which people sign up, sign in and look after their account."""
