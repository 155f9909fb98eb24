"""What other programs, such as Optuna and its dashboard, have made of a campaign's studies.

What they add is left alone and named once. What they took away stops the campaign, before anything is trained again.
"""

import math
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.labels import listed
from coarsefine.search.campaign.words import counted, join_words
from coarsefine.search.errors import CampaignError, SearchError, StorageError
from coarsefine.search.results.campaign_studies import (
    find_studies,
    named_after,
    of_campaign,
    other_studies,
    own_and_copies,
)
from coarsefine.search.results.study import Study
from coarsefine.search.storage.location import Location, at_file, read_only
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.sqlite import good_backups
from coarsefine.search.storage.study_headers import StudyName
from coarsefine.search.storage.tables import IDENTITY, NEXT, SLOTS

_CHECK_SECONDS = 1.0
"""Least seconds between checks of the study that is trained."""
_CHECK_FACTOR = 20
"""The least time between checks, as a multiple of the time that one takes: it reads a row for each slot."""
_LONGEST_PAUSE = 10.0
"""Most seconds between checks, also if one has waited for the database, or this process was suspended within it."""
_AGAIN = "start the campaign under another name or --storage"


@dataclass(frozen=True, slots=True)
class _Loss:
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
    for loss in (*_losses(storage, campaign, studies, known or {}), *_altered(studies)):
        raise StorageError(f"{loss.what} {_remedy(storage.location, loss)}")


def notes_on(storage: Storage, campaign: Campaign, studies: Mapping[str, Study]) -> Iterator[str]:
    """Yield a sentence for each thing that is lost, and for what other programs have added or changed."""
    for loss in _losses(storage, campaign, studies, {}):
        yield loss.what
    for study in studies.values():
        yield from _sentences(study.name, study.others, study.changed)
        yield from left_out_of(study)


def notes_with_remedies(storage: Storage, campaign: Campaign, studies: Mapping[str, Study]) -> Iterator[str]:
    """Yield what `notes_on` yields, with what to do about losses, and a sentence for each study of another program."""
    for loss in (*_losses(storage, campaign, studies, {}), *_altered(studies)):
        yield f"{loss.what} {_remedy(storage.location, loss)}"
    for study in studies.values():
        yield from _sentences(study.name, study.others, study.changed)
        yield from left_out_of(study)
    yield from map(_stranger, _strange_names(storage, campaign, studies))


class OtherPrograms:
    """Says once what other programs have added to a campaign's studies, and which slots they have set."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._named: set[tuple[str, int] | str] = set()

    def say_studies(self, storage: Storage, campaign: Campaign, studies: Mapping[str, Study]) -> None:
        """Say what is found in studies that were read.

        Raises `CampaignError` if another program made a study under the name of a stage.
        """
        stages = [campaign.study_name(stage) for stage in campaign.stages]
        for name in _strange_names(storage, campaign, studies):
            if name in stages:
                raise not_ours(name)
            if name not in self._named:
                self._named.add(name)
                self._say(_stranger(name))
        for study in studies.values():
            self.say_trials(study.name, study.others, study.changed)

    def say_trials(self, study: str, others: Iterable[int], changed: Iterable[int]) -> None:
        """Say which trials are of another program, and which slots another program has set."""
        new = [[number for number in numbers if (study, number) not in self._named] for numbers in (others, changed)]
        self._named.update((study, number) for numbers in new for number in numbers)
        for sentence in _sentences(study, *new):
            self._say(sentence)


class StudyWatch:
    """Watches the study of a stage while it is trained."""

    def __init__(
        self,
        storage: Storage,
        study: Study,
        others: OtherPrograms,
        refuse_lost: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`refuse_lost` reads all studies of the campaign, and raises if something is lost."""
        self._storage, self._study, self._others, self._refuse_lost = storage, study, others, refuse_lost
        self._clock, self._due = clock, -math.inf

    def check_if_due(self) -> None:
        """Do what `check` does, unless it was done less than a second ago, or less than 20 times as long as it took.

        Ten seconds after the last check it is done in any case.
        """
        if self._clock() >= self._due:
            self.check()

    def check(self) -> None:
        """Say what other programs have added or set; raise `StorageError` if the study, or a slot of it, is lost."""
        study, began = self._study, self._clock()
        standing = self._storage.queries.standing(study.id, study.attrs.get(IDENTITY))
        if standing.name != study.name or standing.slots != study.planned:
            self._refuse_lost()
            raise StorageError(
                f"Another program deleted the study {study.name}, or slots of it, and they were put back while this "
                "process trained them. Run the same command again."
            )
        marked = SLOTS in study.attrs  # an earlier version does not mark the slots that it ends
        self._others.say_trials(study.name, standing.others, standing.changed if marked else ())
        now = self._clock()
        self._due = now + min(max(_CHECK_SECONDS, _CHECK_FACTOR * (now - began)), _LONGEST_PAUSE)


def not_ours(study: str) -> CampaignError:
    """Return the error for a study of another program that has the name of a stage."""
    return CampaignError(
        f"The study {study} in this storage was not made by Coarsefine: rename the campaign, or give another --storage."
    )


def _sentences(study: str, others: Sequence[int], changed: Sequence[int]) -> Iterator[str]:
    if others:
        them, are = ("it", "is") if len(others) == 1 else ("they", "are")
        yield (
            f"{study}: another program, such as Optuna, added {listed(others)}: {them} {are} neither trained nor "
            "counted."
        )
    if changed:
        them, count = ("it", "counts") if len(changed) == 1 else ("they", "count")
        yield (
            f"{study}: another program, such as Optuna's dashboard, set the state of {listed(changed)}: {them} {count} "
            f"as failed until `coarsefine retry` puts {'it' if len(changed) == 1 else 'them'} back."
        )


def left_out_of(study: Study) -> Iterator[str]:
    """Yield a sentence about the trials of each kind that cannot be read."""
    kinds: dict[str, list[int | None]] = {}
    for damaged in study.left_out:
        kinds.setdefault(damaged.why, []).append(damaged.number)
    for why, numbers in kinds.items():
        known, unknown = [number for number in numbers if number is not None], numbers.count(None)
        named = join_words([*([listed(known)] if known else []), *([counted(unknown, "trial")] if unknown else [])])
        yield f"{study.name}: {named} cannot be read and {'is' if len(numbers) == 1 else 'are'} left out: {why}."


def _strange_names(storage: Storage, campaign: Campaign, studies: Mapping[str, Study]) -> list[str]:
    """Return the studies of other programs; one is neither a stage that was renamed, nor one that was just opened."""
    known = storage.queries.names()  # read once: a stage that opens between two readings would be in the second alone
    own = {study.name for study in own_and_copies(known, campaign.name)[0]}
    return [study.name for study in of_campaign(known, campaign.name) if study.name not in {*studies, *own}]


def _stranger(name: str) -> str:
    return f"The study {name} was not made by Coarsefine: it is left alone."


def _losses(
    storage: Storage, campaign: Campaign, studies: Mapping[str, Study], known: Mapping[str, str | None]
) -> Iterator[_Loss]:
    """Yield what is lost, studies first, in the order of the stages."""
    for study in studies.values():
        if study.called is not None:
            what = f"Another program renamed the study {study.name} to {study.called}."
            yield _Loss(study.name, study.attrs.get(IDENTITY), what, study.called)
    others = other_studies(storage, campaign.name, studies)
    for name, identity in _lost_studies(campaign, studies, others, known).items():
        if called := _new_name(others, campaign, name, identity):
            yield _Loss(name, identity, f"Another program renamed the study {name} to {called}.", called)
        else:
            exists = any(other.name == name for other in others)
            yield _Loss(name, identity, f"Another program, such as Optuna, deleted the study {name}.", exists=exists)
    for study in studies.values():
        if lost := study.missing:
            what = f"Another program deleted {listed(lost)} of the {study.planned} of {study.name}."
            yield _Loss(study.name, study.attrs.get(IDENTITY), what, exists=True)


def _altered(studies: Mapping[str, Study]) -> Iterator[_Loss]:
    """Yield the studies that have slots with another point or seed than planned."""
    for study in studies.values():
        if altered := study.altered:
            what = f"Another program changed the point or the seed of {listed(altered)} of {study.name}."
            yield _Loss(study.name, study.attrs.get(IDENTITY), what, exists=True)


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


def _remedy(location: Location, loss: _Loss) -> str:
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


def _backup_of(path: Path, loss: _Loss) -> Path | None:
    """Return the newest backup that holds the whole study; None if there is none."""
    for copy in good_backups(path):
        with suppress(SearchError), closing(open_storage(read_only(at_file(copy)))) as storage:
            study = find_studies(storage, named_after(loss.study)).get(loss.study)
            same = study is not None and loss.identity in {None, study.attrs.get(IDENTITY)}
            if study is not None and same and not study.missing and not study.altered:
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
    return f"python -c {shlex.quote(f'import optuna; {script}'.rstrip('; '))}"
