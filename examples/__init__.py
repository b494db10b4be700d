"""Applications that use Flask-Follows, to run and to copy from."""
