"""``multitap doctor``: what is installed, configured, reachable and broken; what mends it."""
