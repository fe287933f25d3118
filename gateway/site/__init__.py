"""What people see of the gateway in a browser, in French and English: nothing comes from elsewhere."""
