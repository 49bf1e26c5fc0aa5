"""One outlet, every model backend."""
