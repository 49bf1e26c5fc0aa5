"""Hugging Face's Text Generation Inference (TGI), as a provider for Multitap."""
