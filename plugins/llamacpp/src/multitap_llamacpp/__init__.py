"""llama.cpp inside this process, as a provider for Multitap: GGUF files, no server, no account."""
