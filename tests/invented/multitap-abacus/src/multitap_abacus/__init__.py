"""Abacus for Multitap."""
