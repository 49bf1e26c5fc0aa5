"""Model files: where they lie, what their names mean, and what each can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import attrs
from platformdirs import user_data_path

from multitap.errors import BackendError, ModelNotFound, NotSupported, ProtocolError
from multitap.work import Backend
from multitap_llamacpp.gguf import Header, read_header

__all__ = ("ModelFile", "ModelFolder", "Role")

Role = Literal["chat", "embedding", "rerank"]
"""What a loaded model serves: llama.cpp loads it in another way for each."""

DEMO = "demo"
DEMO_FILE = Path(__file__).with_name("demo.gguf")
SCHEME = "path:"
PART = re.compile(r"-(\d{5})-of-(\d{5})$")

POOLING_NONE, POOLING_RANK = 0, 4
ENCODERS = ("bert", "nomic-bert", "jina-bert", "modern-bert", "neo-bert", "eurobert", "t5encoder")
THINKING_WORDS = ("enable_thinking", "reasoning_effort", "<think>")


@attrs.frozen
class ModelFile:
    """One model: its id, and its file with a checked header."""

    id: str
    path: Path
    header: Header

    @property
    def template(self) -> str:
        """The chat template, empty where the file has none."""
        return self.header.text("tokenizer.chat_template")

    @property
    def thinks(self) -> bool:
        """Does the template know of thinking?"""
        return any(word in self.template for word in THINKING_WORDS)

    @property
    def context_length(self) -> int | None:
        """Most tokens that the model was made for."""
        return self.header.own("context_length")

    @property
    def encodes(self) -> bool:
        """Was it made for vectors or scores? Such a model writes no text."""
        pooling = self.header.facts.get(f"{self.header.architecture}.pooling_type")
        known = self.header.architecture.startswith(ENCODERS)
        return known or (isinstance(pooling, int) and pooling != POOLING_NONE)

    @property
    def ranks(self) -> bool:
        """Was it made to score documents?"""
        architecture = self.header.architecture
        pooling = self.header.facts.get(f"{architecture}.pooling_type")
        labelled = f"{architecture}.classifier.output_labels" in self.header.lengths
        return pooling == POOLING_RANK or labelled

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do, as the catalog says it."""
        if self.problem:
            return frozenset()
        if self.ranks:
            return frozenset({"rerank"})
        if self.encodes:
            return frozenset({"embedding"})
        found = {"chat": True, "embedding": True, "thinking": self.thinks}
        found["tools"] = "tools" in self.template
        return frozenset(name for name, can in found.items() if can)

    @property
    def problem(self) -> str | None:
        """Why it is no model that runs by itself, or ``None``."""
        if self.header.text("general.type") == "adapter":
            return "It is a LoRA adapter: name it in the setting lora, and load its base model."
        if self.header.architecture in ("", "clip"):
            return "It is a part of another model, not one by itself."
        if not self.header.tensors:
            return "It holds no weights."
        missing = [part.name for part in self.parts if not part.is_file()]
        return f"Its part {missing[0]} is missing." if missing else None

    @property
    def parts(self) -> tuple[Path, ...]:
        """All files of a model that is split; else the one."""
        found = PART.search(self.path.stem)
        if not found:
            return (self.path,)
        stem, count = self.path.stem[: found.start()], int(found[2])
        names = (f"{stem}-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1))
        return tuple(self.path.with_name(name) for name in names)

    def check(self, role: Role) -> None:
        """Refuse, before any native call, what cannot work.

        Raises:
            ProtocolError: The file is no sound model.
            NotSupported: The model is of another kind.
        """
        if self.problem:
            raise ProtocolError(
                f"{self.path.name} cannot be loaded: {self.problem}",
                hint="Choose another file; `multitap models` lists what there is.",
                kind="model_file_invalid",
                phase="local",
            )
        for part in self.parts:
            read_header(part)
        if role not in self.capabilities:
            kind = ", ".join(sorted(self.capabilities))
            raise NotSupported(
                f"The model {self.id} cannot do {role}: it is made for {kind}",
                hint=f"Choose a model that lists {role}; `multitap models` shows each one's kind.",
                model=self.id,
            )

    @property
    def any_role(self) -> Role:
        """A role that it can be loaded for."""
        if self.ranks:
            return "rerank"
        return "embedding" if self.encodes else "chat"


@attrs.frozen
class ModelFolder:
    """The models of one backend: those of a folder, any file by its path, and the demo."""

    path: Path

    @classmethod
    def of(cls, backend: Backend) -> ModelFolder:
        """The folder that the backend's settings name, or the user's own."""
        settings: Mapping[str, Any] = backend.settings
        chosen = settings.get("models_dir")
        default = user_data_path("multitap", appauthor=False) / "models"
        return cls(Path(chosen).expanduser() if chosen else default)

    def files(self) -> dict[str, Path]:
        """Every model file by id; of a model in parts, the first."""
        found = {self._id(path): path for path in sorted(self.path.rglob("*.gguf"))}
        if DEMO_FILE.is_file():
            found.setdefault(DEMO, DEMO_FILE)
        return {id_: path for id_, path in found.items() if _is_first(path)}

    def _id(self, path: Path) -> str:
        return path.relative_to(self.path).with_suffix("").as_posix()

    def find(self, model: str) -> ModelFile:
        """The model of an id, or of a path.

        Raises:
            ModelNotFound: There is none; the nearest names are in the message.
            ProtocolError: There is one, and its file is no sound GGUF file.
        """
        path = self._path(model)
        try:
            return ModelFile(model, path, read_header(path))
        except OSError as error:
            raise ModelNotFound(
                f"{path} cannot be read: {error.strerror}", model=model, phase="local"
            ) from error

    def _path(self, model: str) -> Path:
        named = model.removeprefix(SCHEME)
        if named != model or Path(named).is_absolute():
            return _existing(Path(named).expanduser().absolute(), model)
        files = self.files()
        wanted = named.removesuffix(".gguf")
        if wanted not in files:
            raise self._unknown(model, list(files))
        return files[wanted]

    def _unknown(self, model: str, known: list[str]) -> BackendError:
        if model == DEMO:
            hint = "This build of multitap-llamacpp is without its demo model; name another one."
            return ModelNotFound("There is no demo model", hint=hint, model=model, phase="local")
        near = get_close_matches(model, known, n=3, cutoff=0.4)
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        hint = f"{meant}Put GGUF files into {self.path}, or name one as path:/file.gguf."
        return ModelNotFound(f"There is no model {model!r}", hint=hint, model=model, phase="local")


def _is_first(path: Path) -> bool:
    found = PART.search(path.stem)
    return found is None or int(found[1]) == 1


def _existing(path: Path, model: str) -> Path:
    if path.is_file():
        return path
    beside = [p.name for p in path.parent.glob("*.gguf")] if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, n=3, cutoff=0.4)
    hint = f"Beside it lies {', '.join(near)}." if near else "Check the path."
    raise ModelNotFound(f"There is no file {path}", hint=hint, model=model, phase="local")
