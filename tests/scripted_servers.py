"""A scripted server for each plugin that needs one."""

from __future__ import annotations

from scripted_llamaserver import ScriptedLlamaServer
from scripted_lmstudio import ScriptedLmStudio
from scripted_ollama import ScriptedOllama
from scripted_openai import ScriptedOpenAI
from scripted_tgi import ScriptedTgi
from scripted_vllm import ScriptedVllm

SERVERS = {
    "llamaserver": ScriptedLlamaServer,
    "lmstudio": ScriptedLmStudio,
    "ollama": ScriptedOllama,
    "openai": ScriptedOpenAI,
    "tgi": ScriptedTgi,
    "vllm": ScriptedVllm,
}
