"""An invented server, and a plugin for it that keeps every rule."""
