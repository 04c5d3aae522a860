"""ROOM 1: brings a remote source here: exactly the files that the conversion needs, and none beside them.

What passes through: an address comes in, a private folder with one complete source goes out, for as long as
it is needed. Which checkpoint is meant is decided by the same rules as for a local folder, on names, sizes
and what has to be read for it; event files and other steps are never fetched. No TensorFlow here.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servable.errors import ServableError
from servable.formats.checkpoints.checkpoint_names import index_path, list_v1_paths, split_step, strip_shards
from servable.formats.checkpoints.table_blocks import FOOTER_BYTES
from servable.formats.remote import RemotePlace, is_remote, open_remote, read_local_path
from servable.graphs.meta_graph_files import META_SUFFIXES
from servable.graphs.saved_model_parts import MODEL_FILES
from servable.model import Progress
from servable.report import Finding
from servable.sources.locating.checkpoint_spelling import find_prefix, list_checkpoints, read_step
from servable.sources.locating.checkpoint_state import STATE_FILE, find_latest, is_state_file
from servable.sources.locating.mirror import Mirror
from servable.sources.resolving import MODEL_SUFFIXES, SAVED_MODEL_DIRS, Source, resolve_source

_SAVED_MODEL_SUFFIXES = (".pb", ".pbtxt")
_MAX_STATE_BYTES = 2**20
# Names of what is no checkpoint of the old format.
_TELLING = re.compile(
    r"tfevents|^checkpoint$|\.(pb|pbtxt|meta|json|txt|csv|py|h5|hdf5|keras|npz|gz|log|tmp)$"
)
_MAX_ENDS = 100


@dataclass(frozen=True, slots=True)
class Staged:
    """A source on this machine.

    Attributes:
        path: The exact file, SavedModel folder or checkpoint prefix; what the user typed when it is local.
        address: Its remote address, "" for a local source.
        notes: Why this one was chosen, where there was a choice.
        renamed: Folder here and the address that it stands for, to put into what is told to the user.
    """

    path: Path
    address: str = ""
    notes: tuple[Finding, ...] = ()
    renamed: tuple[str, str] | None = None

    def name_remotely(self, text: str) -> str:
        """Puts the address where a text has the folder here."""
        return text if self.renamed is None else text.replace(*self.renamed)


@contextmanager
def stage_source(
    address: str, *, step: int | None = None, with_values: bool = True, progress: Progress | None = None
) -> Iterator[Staged]:
    """Makes a source readable here.

    Args:
        address: `gs://...`, `s3://...` or what else has a driver; a local path or `file://...` is not copied.
        step: Which checkpoint of a folder; the latest complete one by default.
        with_values: Whether variables are needed; without them, an index and a graph are enough.
        progress: Told of the bytes fetched.

    Yields:
        Where it lies. A copy is removed with the block.

    Raises:
        SettingsError: The driver is not installed.
        UnknownSourceError: Nothing known is there.
        BrokenSourceError: What is there is damaged or incomplete.
        SourceError: The place cannot be read.
    """
    if not is_remote(address):
        yield Staged(read_local_path(address))
        return
    place, wanted = _find_folder(open_remote(address))
    # Only their owner can enter folders made by tempfile.
    with tempfile.TemporaryDirectory(prefix="servable-source-") as scratch:
        root = Path(scratch).resolve() / (place.name or "source")
        mirror = Mirror(place, root, progress)
        renamed = str(root), place.address
        try:
            source = _choose_source(mirror, wanted, step)
            heavy = set() if with_values else {path for path in source.files if _is_data(path)}
            mirror.fetch(set(source.files) - heavy)
            mirror.drop_unfetched(keep=heavy)
            found = str(source.path).replace(*renamed)
            yield Staged(source.path, found, source.notes, renamed)
        except ServableError as error:
            for field in ("received", "where", "advice"):
                setattr(error, field, getattr(error, field).replace(*renamed))
            raise


@contextmanager
def stage_file(address: str, *, progress: Progress | None = None) -> Iterator[Path]:
    """Makes one file of the user's readable here; a local one is not copied.

    Raises:
        SettingsError: The driver is not installed.
        SourceError: The file cannot be read.
    """
    if not is_remote(address):
        yield read_local_path(address)
        return
    place = open_remote(address)
    with tempfile.TemporaryDirectory(prefix="servable-file-") as scratch:
        mirror = Mirror(place.parent, Path(scratch).resolve() / "files", progress)
        size = place.parent.list_files().get(place.name)
        if size is not None:
            mirror.add_files({place.name: size})
            mirror.fetch(mirror.sizes)
        yield mirror.root / place.name  # where it is not there, whoever opens it says what it is for


def _find_folder(place: RemotePlace) -> tuple[RemotePlace, str | None]:
    """Which folder has to be listed, and what is meant in it; None for the folder itself."""
    if place.is_dir():
        folder, wanted = place, None
    else:
        folder, wanted = place.parent, place.name
    if wanted in MODEL_FILES:
        wanted = None
    if folder.name == "variables" and set(MODEL_FILES) & folder.parent.list_files().keys():
        folder, wanted = folder.parent, None
    return folder, wanted


def _choose_source(mirror: Mirror, wanted: str | None, step: int | None) -> Source:
    subfolders = mirror.add_files(mirror.place.list_files())
    if wanted is None and any(mirror.root / name in mirror.sizes for name in MODEL_FILES):
        mirror.drop(path for path in mirror.sizes if path.suffix not in _SAVED_MODEL_SUFFIXES)
        for name in sorted(SAVED_MODEL_DIRS.intersection(subfolders)):
            mirror.add_tree(name)
        return resolve_source(mirror.root)
    _fetch_state(mirror, mirror.root / STATE_FILE)
    path = mirror.root if wanted is None else mirror.root / wanted
    candidates = _list_candidates(mirror, path, step)
    if not candidates and wanted is None:
        _look_below(mirror, subfolders)
        candidates = _list_candidates(mirror, path, step)
    while True:
        if candidates:
            mirror.fetch(_name_describing(candidates.pop(0)))
        try:
            return resolve_source(path, step=step)
        except ServableError:
            if not candidates:
                raise


def _list_candidates(mirror: Mirror, path: Path, step: int | None) -> list[Path]:
    """Lists checkpoints or model files that may be meant, likeliest first."""
    if path in mirror.sizes and find_prefix(path) is None:
        mirror.fetch([path])
    if path.is_file() and not is_state_file(path) and find_prefix(path) is None:
        return [path]
    state_path = path if path.is_file() and is_state_file(path) else mirror.root / STATE_FILE
    prefix = None if path.is_dir() or path == state_path else find_prefix(path)
    if prefix is not None and step in (None, read_step(prefix)):
        return [prefix]
    name = None if path in (mirror.root, state_path) else split_step(prefix or path)[0]
    prefixes = [p for p in reversed(_list_all_checkpoints(mirror)) if name in (None, split_step(p)[0])]
    if step is not None:
        return [p for p in prefixes if read_step(p) == step]
    if name is None:
        states = {state_path, *(folder / STATE_FILE for folder in {p.parent for p in prefixes})}
        latest = {find_latest(path) for path in states}
        prefixes.sort(key=lambda prefix: prefix not in latest)
    models = [p for p in mirror.sizes if p.suffix.lower() in MODEL_SUFFIXES]
    return prefixes or (models if len(models) == 1 else [])


def _fetch_state(mirror: Mirror, path: Path) -> None:
    if mirror.sizes.get(path, _MAX_STATE_BYTES) < _MAX_STATE_BYTES:
        mirror.fetch([path])


def _list_all_checkpoints(mirror: Mirror) -> list[Path]:
    folders = {path.parent for path in mirror.sizes}
    folders = {folder for folder in folders if folder.name not in SAVED_MODEL_DIRS}
    found = [prefix for folder in sorted(folders) for prefix in list_checkpoints(folder)]
    if found:
        return found
    # A checkpoint of the old format that lacks its graph is told by its last bytes alone.
    untold = [p for p in mirror.sizes if p.parent in folders and not _TELLING.search(p.name)]
    for path in untold[:_MAX_ENDS]:
        mirror.fetch_end(path, FOOTER_BYTES)
    return [prefix for folder in sorted(folders) for prefix in list_checkpoints(folder)] if untold else []


def _name_describing(candidate: Path) -> list[Path]:
    """Names the files that tell what a checkpoint is and whether it is complete."""
    base = strip_shards(candidate)
    graphs = [base.with_name(base.name + suffix) for suffix in META_SUFFIXES]
    return [index_path(candidate), *list_v1_paths(candidate), *graphs]


def _look_below(mirror: Mirror, subfolders: list[str]) -> None:
    """The one folder in this one that holds a model may be meant."""
    for name in subfolders:
        if name.startswith("."):
            continue
        folder = mirror.root / name
        files = mirror.place.join(name).list_files()
        if set(MODEL_FILES) & files.keys():
            mirror.add_tree(name)
        else:
            mirror.add_files(files, below=folder)
            _fetch_state(mirror, folder / STATE_FILE)


def _is_data(path: Path) -> bool:
    return ".data-" in path.name
