"""llama.cpp's llama-server over HTTP, as a provider for Multitap."""
