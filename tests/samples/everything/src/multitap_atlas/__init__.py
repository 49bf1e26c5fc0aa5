"""Atlas servers for Multitap."""
