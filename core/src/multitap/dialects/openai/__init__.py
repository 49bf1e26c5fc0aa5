"""OpenAI's dialect as many servers speak it: read tolerantly, written strictly."""
