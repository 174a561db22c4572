"""When to run and with which options."""
