"""LM Studio, as a provider for Multitap."""
