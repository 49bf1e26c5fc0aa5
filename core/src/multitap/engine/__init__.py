"""The only package that does I/O: one pure flow, two interpreters, and the carriers."""
