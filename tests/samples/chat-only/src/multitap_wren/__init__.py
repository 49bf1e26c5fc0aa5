"""Wren servers for Multitap."""
