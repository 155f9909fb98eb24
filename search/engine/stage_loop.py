"""One process's way through the stages of a campaign, from wherever the campaign stands.

Any number of processes may do this at the same time. Each opens the stages that nobody has opened yet, trains the slots
it can claim, waits for slots that others train, and takes over the slots of processes that died. Any of them can be
killed at any moment.
"""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import partial
from typing import Any, Protocol

from coarsefine.model.datasets import Dataset, cache_folder
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.sections import AnyStage, Confirm, FinalSettings
from coarsefine.search.errors import Interrupted, RepeatedFailure, StorageError, WorkersFailed
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.results.commands import shown_path, to_continue
from coarsefine.search.results.losses import refuse_edited, refuse_lost
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.other_programs import OtherPrograms, StudyWatch, not_ours, notes_on
from coarsefine.search.results.outcome import refuse_empty
from coarsefine.search.results.progress import StageProgress, paced
from coarsefine.search.results.stage_opening import open_confirm, open_final, open_study
from coarsefine.search.results.status_reading import status_of
from coarsefine.search.results.study import Study
from coarsefine.search.results.trial_files import remove_empty_folders, trial_log, trials_folder
from coarsefine.search.storage.database import only_here
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Record, Slot
from coarsefine.search.storage.tables import IDENTITY, OBJECTIVE
from coarsefine.search.training.checkpoints import Checkpoints, ReportedEpochs
from coarsefine.search.training.identity import accept_change, fingerprint, refuse_other
from coarsefine.search.training.objective import Objective
from coarsefine.search.training.scheduler import SlotGroups
from coarsefine.search.training.user_code.devices import Gpus
from coarsefine.search.training.version_changes import changes_before, without_versions
from coarsefine.search.training.worker import Worker
from coarsefine.search.training.workload import ServedCommand, Workload, objective_of

_POLL_SECONDS = 0.5
"""Seconds between checks whether other processes are done, or have given something back."""
_WATCH_SECONDS = 0.25
"""Seconds between checks how far the workers of a pool have come."""


class Pool(Protocol):
    """A pool of worker processes that run the stages."""

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` for a worker to end or die; replace a dead one, or raise what cannot be repaired."""


@dataclass(slots=True)
class StageLoop:
    """Runs a campaign's stages in order."""

    campaign: Campaign
    storage: Storage
    workload: Workload
    """What is trained: the network on these images, or a user's function."""
    observer: Observer
    stop: Callable[[], bool]
    workers: int = 1
    """The expected number of processes: each kind of slot is divided into as many shares, or a multiple."""
    gpus: Gpus | None = None
    """The GPUs of this process's trials; by default those that the process sees."""
    accept_changes: InitVar[bool] = False
    """Whether to record a change of the user's code or of versions since the campaign was started, and go on."""
    attrs: dict[str, Any] = field(init=False)
    """The attributes that identify the campaign's studies."""
    initial_studies: Mapping[str, Study] = field(init=False)
    """The campaign's studies as they stood when this process came, by name."""
    others: OtherPrograms = field(init=False)
    """Says what other programs do to the studies."""
    _known: dict[str, str | None] = field(init=False, default_factory=dict)
    """The identities of all studies that this process has seen, by name."""

    def __post_init__(self, accept_changes: bool) -> None:
        """Raise `CampaignError` if the storage holds the campaign with another identity."""
        self.storage.database.say = only_here(self.observer.on_message)
        self.storage.database.say_locked = only_here(self.observer.on_locked)
        found = find_studies(self.storage, self.campaign.name)
        refuse_edited(self.storage.location, found)
        if isinstance(self.workload, ServedCommand):
            for study in found.values():
                self.workload = self.workload.limited(study.attrs.get(OBJECTIVE, {}))
        self.attrs = fingerprint(self.campaign, self.workload)
        code = None if isinstance(self.workload, Dataset) else self.workload
        if accept_changes:
            accept_change(self.storage, found, self.attrs, code, self.observer.on_message)
            found = find_studies(self.storage, self.campaign.name)
        # What is left of a campaign whose stages have ended, the final training, compares its values itself.
        refuse_other(found, without_versions(self.attrs) if self._have_ended(found) else self.attrs, code)
        self.others = OtherPrograms(self.observer.on_other_program)
        self.others.say_studies(self.storage, self.campaign, found)
        self.initial_studies = self._checked(found)

    def run_stages(self, pool: Pool | None = None, *, back_up: bool = False) -> Mapping[str, Study]:
        """Run every stage in this process, or watch the workers of a pool run them; return their studies, by name.

        Trials that are retried meanwhile are trained as well. With `back_up`, the database is copied after each stage
        that ended while this process ran, if that pays.
        """
        studies = self.initial_studies  # read a moment ago: a worker that replaces a dead one should lose no time
        seen = {name for name, study in studies.items() if study.finished}
        while (stage := self._next_stage(studies, seen)) is not None:
            study, studies = self.open(stage, studies)
            if study is not None:
                seen.add(study.name)
                self._run_stage(stage, study, studies, pool)
                if back_up:
                    self._back_up(stage)
            studies = self.studies()
        for stage in self.campaign.stages:
            self._checkpoints(stage, studies[self.campaign.study_name(stage)]).clear()
        if not self.campaign.of_network:
            remove_empty_folders(self.storage.location, self.campaign.name)
        return studies

    @property
    def most_at_once(self) -> int:
        """Return how many trials can train at the same time: those left of the stage that has most of them left."""
        found = [(stage, self.initial_studies.get(self.campaign.study_name(stage))) for stage in self.campaign.stages]
        left = [stage.trials if study is None else study.planned - study.ended for stage, study in found]
        return max(*left, 1)

    def _have_ended(self, studies: Mapping[str, Study]) -> bool:
        found = [studies.get(self.campaign.study_name(stage)) for stage in self.campaign.stages]
        return all(study is not None and study.finished for study in found)

    def _next_stage(self, studies: Mapping[str, Study], seen: Container[str]) -> AnyStage | None:
        """Return the first stage that has not been opened or has not ended; None if all have ended.

        A stage that others have opened and ended meanwhile is still to be reported and copied: it is not `seen`.
        """
        found = ((stage, studies.get(self.campaign.study_name(stage))) for stage in self.campaign.stages)
        return next((s for s, study in found if study is None or not study.finished or study.name not in seen), None)

    def _run_stage(self, stage: AnyStage, study: Study, studies: Mapping[str, Study], pool: Pool | None) -> None:
        progress = self._report_opened(stage, study, studies)
        if pool is not None:
            self._watch(pool, study, progress)
        else:
            self._train(stage, study, progress)
        self._checkpoints(stage, study).clear()

    def _back_up(self, stage: AnyStage) -> None:
        try:
            if self.storage.backup_pays:
                self.storage.back_up(f"{self.campaign.name}+{stage.name}")
        except StorageError as error:
            self.observer.on_warning(f"There is no backup of stage {stage.name}. {error}")

    def studies(self) -> dict[str, Study]:
        """Return the campaign's studies as they stand, by name.

        Raises `StorageError` if another program has deleted or renamed one, or deleted slots of it.
        """
        return self._checked(find_studies(self.storage, self.campaign.name))

    def _checked(self, found: dict[str, Study]) -> dict[str, Study]:
        """Return studies that were read, noting their identities; raise `StorageError` if something of them is lost."""
        refuse_lost(self.storage, self.campaign, found, self._known)
        self._known |= {name: study.attrs.get(IDENTITY) for name, study in found.items()}
        return found

    def open(self, stage: AnyStage, studies: Mapping[str, Study]) -> tuple[Study | None, Mapping[str, Study]]:
        """Return a stage's study and all studies of the campaign by name, given these; open the stage if nobody has.

        The study is None if trials of an earlier stage were retried, which must end first.
        """
        name = self.campaign.study_name(stage)
        if name not in studies:
            if not self._write_study(stage, studies):
                return None, studies
            studies = self.studies()
        if name not in studies:
            raise not_ours(name)
        return studies[name], studies

    def _write_study(self, stage: AnyStage, studies: Mapping[str, Study]) -> bool:
        """Write a stage's study unless it exists; return False if trials of an earlier stage were retried."""
        if not self.campaign.of_network:
            refuse_empty(studies.values(), self.storage.location)
        if isinstance(stage, Confirm):
            return open_confirm(self.storage, self.campaign, list(studies.values()), self.attrs)
        if isinstance(stage, FinalSettings):
            return open_final(self.storage, self.campaign, studies, self.attrs)
        parent = self.campaign.parent_of(stage)
        parent_study = studies[self.campaign.study_name(parent)] if parent else None
        after = next((study.id for study in reversed([*studies.values()])), None)
        return open_study(self.storage, self.campaign, stage, parent_study, self.attrs, after)

    def _report_opened(self, stage: AnyStage, study: Study, studies: Mapping[str, Study]) -> StageProgress:
        progress = StageProgress(self.storage, study, self.campaign, stage, self.initial_studies.get(study.name))
        notes = notes_on(self.storage, self.campaign, studies)
        self.observer.on_stage_opened(status_of(self.storage, self.campaign.name, studies, notes), progress)
        return progress

    def _watch(self, pool: Pool, study: Study, progress: StageProgress) -> None:
        """Report the progress of a stage until the workers of a pool have finished it."""
        watch, report = self._study_watch(study), paced(partial(self.observer.on_progress, progress))
        while self.storage.queries.has_unfinished(study.id):
            if self.stop():
                raise Interrupted("Stopped while workers train.")
            try:
                pool.wait(_WATCH_SECONDS)
            except WorkersFailed as failed:
                watch.check()
                if failed.exit_code == RepeatedFailure.exit_code:  # trials failed: report the last ones
                    self.observer.on_progress(progress)
                raise
            watch.check_if_due()
            report()
        watch.check()
        self.observer.on_progress(progress)

    def _study_watch(self, study: Study) -> StudyWatch:
        return StudyWatch(self.storage, study, self.others, self.studies)

    def _train(self, stage: AnyStage, study: Study, progress: StageProgress) -> None:
        """Train a stage until no slot is left, and wait for the slots that other processes train."""
        watch = self._study_watch(study)

        def left() -> str:
            watch.check()
            unfinished = self.storage.queries.count_unfinished(study.id)
            self.observer.on_progress(progress)
            return f"{unfinished} slots of {study.name}" if unfinished else ""

        try:
            self.work_until_done(self._worker(stage, study, progress, watch).work, left)
        except RepeatedFailure as failure:
            if not left():
                return
            raise self._explained(failure, stage, study) from failure

    def _explained(self, failure: RepeatedFailure, stage: AnyStage, study: Study) -> RepeatedFailure:
        """Return why this worker stopped, where the log is, and how to go on."""
        name, location = self.campaign.name, self.storage.location
        log = trial_log(location, name, stage.name, failure.trial)
        where = f" Log: {shown_path(log)}" if log.exists() else ""
        return RepeatedFailure(
            f"{study.name}: {failure}.{where}\n"
            f"{to_continue(name, location)} If trials may fail like this, raise `max_failures`.",
            failure.trial,
        )

    def work_until_done(self, work: Callable[[], None], left: Callable[[], str]) -> None:
        """Do the work of this process again and again, until other processes have done the rest, too.

        `left` returns what others are training, or nothing. Raises `Interrupted` if stopped while they train.
        """
        work()
        waiting = False
        while others := left():
            if not waiting:
                self.observer.on_message(f"Another process trains {others}: waiting for it.")
                waiting = True
            if self.stop():
                raise Interrupted("Stopped while another process trains.")
            time.sleep(_POLL_SECONDS)
            work()

    def _worker(self, stage: AnyStage, study: Study, progress: StageProgress, watch: StudyWatch) -> Worker:
        observer, report = self.observer, paced(partial(self.observer.on_progress, progress))

        def on_recorded(records: Sequence[Record]) -> None:
            ended = [record.claim.slot.number for record in records if record.state.is_finished()]
            observer.on_recorded(study.name, sum(len(record.steps) for record in records), ended)
            report()

        objective = objective_of(
            self.campaign, stage, self.workload, observer, self.stop, self.storage.location, self.gpus
        )
        return Worker(
            storage=self.storage,
            study_id=study.id,
            identity=study.attrs.get(IDENTITY),
            check=watch.check_if_due,
            objective=objective,
            groups=self._groups(stage, study, objective),
            pruning=self.campaign.pruning(stage),
            checkpoints=self._checkpoints(stage, study),
            stop=self.stop,
            on_claimed=partial(observer.on_claimed, study.name),
            on_resumed=partial(observer.on_resumed, study.name),
            on_recorded=on_recorded,
            source=self.attrs.get(OBJECTIVE, {}).get("digest"),
            version_changes=changes_before(study.attrs, self.attrs),
            max_failures=self.campaign.most_failures,
        )

    def _groups(self, stage: AnyStage, study: Study, objective: Objective) -> SlotGroups:
        """Return a stage's slots by kind; those of one confirmation seed are one stack for any number of workers."""

        def widest(slot: Slot) -> int:
            best = objective.width(slot)
            if isinstance(stage, Confirm):
                return len(study.attrs["finalists"]) if best > 1 else 1
            return best if isinstance(stage, FinalSettings) or stage.stack == "auto" else stage.stack

        workers = 1 if isinstance(stage, Confirm) else self.workers
        return SlotGroups.of(study.slots, objective.kind, widest, workers)

    def _checkpoints(self, stage: AnyStage, study: Study) -> Checkpoints:
        if self.campaign.resumable:
            folder = trials_folder(self.storage.location, self.campaign.name) / f".{stage.name}"
            return ReportedEpochs(folder, self.observer.on_warning)
        return Checkpoints.of(study.attrs.get("id", ""), cache_folder(), self.observer.on_warning)
