"""Kiln for Multitap."""
