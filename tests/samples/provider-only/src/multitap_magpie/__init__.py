"""Magpie accounts for Multitap."""
