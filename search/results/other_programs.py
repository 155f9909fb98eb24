"""What other programs, such as Optuna and its dashboard, have made of a campaign's studies.

What they add is left alone and named once. What they took away stops the campaign, before anything is trained again.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.labels import listed
from coarsefine.search.campaign.words import counted, join_words
from coarsefine.search.errors import CampaignError, StorageError
from coarsefine.search.results.campaign_studies import of_campaign, own_and_copies
from coarsefine.search.results.losses import edits_of, losses, problems
from coarsefine.search.results.study import Study, is_past_retry
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.tables import IDENTITY, SLOTS

_CHECK_SECONDS = 1.0
"""Least seconds between checks of the study that is trained."""
_CHECK_FACTOR = 20
"""The least time between checks, as a multiple of the time that one takes: it reads a row for each slot."""
_LONGEST_PAUSE = 10.0
"""Most seconds between checks, also if one has waited for the database, or this process was suspended within it."""


def notes_on(storage: Storage, campaign: Campaign, studies: Mapping[str, Study]) -> Iterator[str]:
    """Yield a sentence for each thing that is lost, and for what other programs have added or changed."""
    for loss in losses(storage, campaign, studies, {}):
        yield loss.what
    for study in studies.values():
        if study.edits:
            yield edits_of(study)
        yield from _on_study(study, studies)


def notes_with_remedies(storage: Storage, campaign: Campaign, studies: Mapping[str, Study]) -> Iterator[str]:
    """Yield what `notes_on` yields, with what to do about losses, and a sentence for each study of another program."""
    yield from problems(storage, campaign, studies, {})
    for study in studies.values():
        yield from _on_study(study, studies)
    yield from map(_stranger, _strange_names(storage, campaign, studies))


def _on_study(study: Study, studies: Mapping[str, Study]) -> Iterator[str]:
    """Yield a sentence for each thing that other programs have added to a study, set in it, or made unreadable."""
    yield from study.label_notes
    yield from _sentences(study.name, study.others, study.changed, decided=_is_decided(study, studies))
    yield from left_out_of(study)


def _is_decided(study: Study, studies: Mapping[str, Study]) -> bool:
    return is_past_retry(study.attrs, [each.attrs for each in studies.values()])


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
            self._say_once(_stranger(name))
        for study in studies.values():
            for sentence in study.label_notes:
                self._say_once(sentence)
            self.say_trials(study.name, study.others, study.changed, decided=_is_decided(study, studies))

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._named:
            self._named.add(sentence)
            self._say(sentence)

    def say_trials(self, study: str, others: Iterable[int], changed: Iterable[int], *, decided: bool = False) -> None:
        """Say which trials are of another program, and which slots another program has set.

        `decided` says that slots of the study can no longer be retried.
        """
        new = [[number for number in numbers if (study, number) not in self._named] for numbers in (others, changed)]
        self._named.update((study, number) for numbers in new for number in numbers)
        for sentence in _sentences(study, *new, decided=decided):
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


def _sentences(study: str, others: Sequence[int], changed: Sequence[int], *, decided: bool) -> Iterator[str]:
    if others:
        them, are = ("it", "is") if len(others) == 1 else ("they", "are")
        yield (
            f"{study}: another program, such as Optuna, added {listed(others)}: {them} {are} neither trained nor "
            "counted."
        )
    if changed:
        them, count, it = ("it", "counts", "it") if len(changed) == 1 else ("they", "count", "them")
        until = "" if decided else f" until `coarsefine retry` puts {it} back"
        yield (
            f"{study}: another program, such as Optuna's dashboard, set the state of {listed(changed)}: {them} {count} "
            f"as failed{until}."
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
