"""vLLM over its HTTP API, as a provider for Multitap."""
