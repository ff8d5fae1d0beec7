"""What `scripts/reader-matrix` is made of: lakes, the readers of their tables, and the comparison of what each one shows."""
