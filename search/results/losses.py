"""What other programs have taken from a campaign's studies or edited in them, and how to get it back.

It stops the campaign, before anything is trained again.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.labels import listed
from coarsefine.search.campaign.words import join_words
from coarsefine.search.errors import SearchError, StorageError
from coarsefine.search.results.campaign_studies import find_studies, named_after, other_studies
from coarsefine.search.results.study import Study
from coarsefine.search.storage.location import Location, at_file, read_only
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.sqlite import good_backups
from coarsefine.search.storage.study_headers import StudyName
from coarsefine.search.storage.tables import IDENTITY, NEXT

_AGAIN = "start the campaign under another name or --storage"


@dataclass(frozen=True, slots=True)
class Loss:
    """What is lost of a study."""

    study: str
    identity: str | None
    """Its identity; None if it is not known."""
    what: str
    """A sentence."""
    called: str | None = None
    """The study's new name, if it was renamed."""
    exists: bool = False
    """Whether the study is still there, with other slots than planned."""


def refuse_lost(
    storage: Storage, campaign: Campaign, studies: Mapping[str, Study], known: Mapping[str, str | None] | None = None
) -> None:
    """Raise `StorageError` if another program deleted, renamed or changed a study of a campaign, or slots of it.

    `known` has the identities of studies that existed before, by name. The message says how to get back what is lost.
    """
    for problem in problems(storage, campaign, studies, known or {}):
        raise StorageError(problem)


def refuse_edited(location: Location, studies: Mapping[str, Study]) -> None:
    """Raise `StorageError` if another program edited attributes of a study, which are then not to be added to."""
    for problem in _edited(location, studies):
        raise StorageError(problem)


def problems(
    storage: Storage, campaign: Campaign, studies: Mapping[str, Study], known: Mapping[str, str | None]
) -> Iterator[str]:
    """Yield a sentence for what is lost, edited or altered, with what to do about it."""
    for loss in losses(storage, campaign, studies, known):
        yield f"{loss.what} {_remedy(storage.location, loss)}"
    yield from _edited(storage.location, studies)
    for loss in _altered(studies):
        yield f"{loss.what} {_remedy(storage.location, loss)}"


def _edited(location: Location, studies: Mapping[str, Study]) -> Iterator[str]:
    return (f"{edits_of(study)} {_to_undo(study, location)}" for study in studies.values() if study.edits)


def edits_of(study: Study) -> str:
    """Return which attributes of a study another program has edited."""
    keys = [edit.key for edit in study.edits]
    noun = "attribute" if len(keys) == 1 else "attributes"
    texts = "; ".join(edit.text for edit in study.edits)
    return f"Another program, such as Optuna, changed the {noun} {join_words(keys)} of the study {study.name}: {texts}."


def _to_undo(study: Study, location: Location) -> str:
    """Return the command that puts edited attributes back."""
    opened = (
        f"storage = optuna.storages.RDBStorage({location.shown!r}); "
        f"study = storage.get_study_id_from_name({study.name!r}); copies = storage.get_study_system_attrs(study); "
    )
    back = "; ".join(edit.undo for edit in study.edits)
    what = "it" if len(study.edits) == 1 else "them"
    return f"To put {what} back, run `{_python(opened + back)}`, then run the same command again; or {_AGAIN}."


def losses(
    storage: Storage, campaign: Campaign, studies: Mapping[str, Study], known: Mapping[str, str | None]
) -> Iterator[Loss]:
    """Yield what is lost, studies first, in the order of the stages."""
    for study in studies.values():
        if study.called is not None:
            what = f"Another program renamed the study {study.name} to {study.called}."
            yield Loss(study.name, study.attrs.get(IDENTITY), what, study.called)
    others = other_studies(storage, campaign.name, studies)
    for name, identity in _lost_studies(campaign, studies, others, known).items():
        if called := _new_name(others, campaign, name, identity):
            yield Loss(name, identity, f"Another program renamed the study {name} to {called}.", called)
        else:
            exists = any(other.name == name for other in others)
            yield Loss(name, identity, f"Another program, such as Optuna, deleted the study {name}.", exists=exists)
    for study in studies.values():
        if lost := study.missing:
            what = f"Another program deleted {listed(lost)} of the {study.planned} of {study.name}."
            yield Loss(study.name, study.attrs.get(IDENTITY), what, exists=True)


def _altered(studies: Mapping[str, Study]) -> Iterator[Loss]:
    """Yield the studies that have slots with another point or seed than planned."""
    for study in studies.values():
        if altered := study.altered:
            what = f"Another program changed the point or the seed of {listed(altered)} of {study.name}."
            yield Loss(study.name, study.attrs.get(IDENTITY), what, exists=True)


def _lost_studies(
    campaign: Campaign,
    studies: Mapping[str, Study],
    others: Sequence[StudyName],
    known: Mapping[str, str | None],
) -> dict[str, str | None]:
    """Return the identities of the studies that must exist and do not, by name; None if an identity is not known.

    A stage opens after those before it, and its study is named by the attribute `next` of the study before. A study
    that says it is a stage's, and is not called so, was renamed. If another study has the name, that is another error,
    unless it is new.
    """
    names = [campaign.study_name(stage) for stage in campaign.stages]
    opened = max((place for place, name in enumerate(names) if name in studies), default=0)
    expected: dict[str, str | None] = {**dict.fromkeys(names[:opened]), **known}
    for study in studies.values():
        if isinstance(following := study.attrs.get(NEXT), dict):
            expected[str(following.get("study"))] = following.get(IDENTITY)
    for other in others:
        if other.campaign == campaign.name:
            expected.setdefault(f"{campaign.name}/{other.stage}", other.identity)
    there = {*studies, *({other.name for other in others} - known.keys())}
    return {name: expected[name] for name in names if name in expected and name not in there}


def _new_name(others: Iterable[StudyName], campaign: Campaign, name: str, identity: str | None) -> str | None:
    """Return the name under which a study is in the storage now; None if it is not."""
    for other in others:
        stage = (other.campaign, f"{campaign.name}/{other.stage}")
        if identity in {None, other.identity} and stage == (campaign.name, name) and other.name != name:
            return other.name
    return None


def _remedy(location: Location, loss: Loss) -> str:
    """Return what to do about a loss, with a command that puts the study back if there is one."""
    if loss.called is not None:
        script = _copy(loss.called, location.shown, loss.study, location.shown) + _delete(loss.called, location.shown)
        return f"To give it back its name, run `{_python(script)}`, then run the same command again."
    copy = _backup_of(location.path, loss) if location.path else None
    if copy is None:
        kept = "Restore it from a backup of the database" if location.path is None else "No backup holds it"
        return f"{kept}{', or' if location.path is None else ':'} {_AGAIN}."
    script = _copy(loss.study, f"sqlite:///{copy}", loss.study, location.shown)
    script = (_delete(loss.study, location.shown) if loss.exists else "") + script
    return (
        f"Its newest good backup is {copy}. To put it back, run `{_python(script)}`, then run the same command again; "
        f"or {_AGAIN}."
    )


def _backup_of(path: Path, loss: Loss) -> Path | None:
    """Return the newest backup that holds the whole study; None if there is none."""
    for copy in good_backups(path):
        with suppress(SearchError), closing(open_storage(read_only(at_file(copy)))) as storage:
            study = find_studies(storage, named_after(loss.study)).get(loss.study)
            same = study is not None and loss.identity in {None, study.attrs.get(IDENTITY)}
            if study is not None and same and not study.missing and not study.altered and not study.edits:
                return copy
    return None


def _copy(study: str, storage: str, to_study: str, to_storage: str) -> str:
    given = {
        "from_study_name": study, "from_storage": storage, "to_study_name": to_study, "to_storage": to_storage
    }  # fmt: skip
    return f"optuna.copy_study({', '.join(f'{name}={value!r}' for name, value in given.items())}); "


def _delete(study: str, storage: str) -> str:
    return f"optuna.delete_study(study_name={study!r}, storage={storage!r}); "


def _python(script: str) -> str:
    """Return a command that runs a script; in double quotes if no shell changes it there, since it has single ones."""
    text = f"import optuna; {script}".rstrip("; ")
    quoted = shlex.quote(text) if {*'"$`\\!'} & {*text} else f'"{text}"'
    return f"python -c {quoted}"
