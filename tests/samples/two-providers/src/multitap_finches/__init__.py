"""Finches for Multitap."""
