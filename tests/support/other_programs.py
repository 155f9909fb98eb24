"""What other programs do to a campaign's studies, by real calls of Optuna, at moments that a run's events name."""

import itertools
from contextlib import suppress

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial

from coarsefine import Observer
from coarsefine.search.storage.location import locate

STUDIES = ("small/coarse", "small/fine", "small/confirm", "small/final")


class Meddler(Observer):
    """Acts once at each of some moments, and keeps the warnings of the run."""

    def __init__(self, moments, act, before=None):
        self._left, self._act, self._before = [*moments], act, before
        self.warnings = []
        self._quiet = itertools.count()

    def happen(self, moment):
        if moment in self._left:
            self._left.remove(moment)
            self._act()

    @property
    def acted(self):
        """Return whether all moments have come."""
        return not self._left

    def stop(self):
        """Be asked whether to stop: five times without another event, and the worker waits at a rung."""
        if next(self._quiet) == 5:
            self.happen("waiting")
        return False

    def on_warning(self, sentence):
        self.warnings.append(sentence)

    def on_stage_opened(self, status, stage):
        if self._before is not None:
            self._before(stage)
        self.happen(f"{stage.stage_name} opened")

    def on_claimed(self, stage, numbers):
        self.happen(f"{stage.rpartition('/')[2]} claimed")

    def on_recorded(self, stage, epochs, ended):
        self._quiet = itertools.count()
        self.happen(f"{stage.rpartition('/')[2]} recorded")

    def on_progress(self, stage):
        self.happen(f"{stage.stage_name} progress")

    def on_final_opened(self, campaign, status):
        self.happen("final opened")

    def on_final_epoch(self, epoch, epochs, accuracy):
        self.happen("final epoch")


class Hands:
    """Another program that has opened the storage with plain Optuna."""

    def __init__(self, address):
        self.address, self.location = address, locate(address)
        self._storage = None

    @property
    def storage(self):
        if self._storage is None:
            self._storage = optuna.storages.RDBStorage(self.location.url)
        return self._storage

    def close(self):
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()

    @property
    def newest(self):
        """Return the study that was opened last."""
        names = {study.study_name for study in self.storage.get_all_studies()}
        return optuna.load_study(study_name=[name for name in STUDIES if name in names][-1], storage=self.storage)

    def delete(self, name=None):
        optuna.delete_study(study_name=name or self.newest.study_name, storage=self.storage)

    def rename(self, name=None, to="mine"):
        """Rename a study as optuna-dashboard does: copy it under the other name, and delete it."""
        name = name or self.newest.study_name
        optuna.copy_study(
            from_study_name=name, from_storage=self.storage, to_study_name=to, to_storage=self.storage
        )  # fmt: skip
        self.delete(name)

    def add(self):
        """Add to the newest study whatever Optuna can add, copies of slots too, and another study."""
        study = self.newest
        slot = study.trials[0]
        study.enqueue_trial(slot.params)
        study.enqueue_trial(slot.params, user_attrs={"seed": 1})
        study.add_trial(slot)
        done = {"state": TrialState.COMPLETE, "value": 1e9, "user_attrs": slot.user_attrs}
        study.add_trial(create_trial(params=slot.params, distributions=slot.distributions, **done))
        with suppress(DuplicatedStudyError):
            optuna.create_study(study_name="small/own", storage=self.storage)

    def tell(self):
        """End the last slot of the newest study with the best value, unless it has ended."""
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_state_values(self.newest.trials[-1]._trial_id, TrialState.COMPLETE, [1e9])

    def replace(self):
        """Delete the newest study, and make one with its name, in which trials wait and run."""
        name, slot = self.newest.study_name, self.newest.trials[0]
        self.delete(name)
        study = optuna.create_study(study_name=name, storage=self.storage)
        study.enqueue_trial(slot.params)
        study.ask()
        study.enqueue_trial(slot.params)

    def make_next(self):
        """Make a study with the name of the next stage."""
        optuna.create_study(study_name="small/fine", storage=self.storage)

    def optimize(self):
        """Optimise the newest study: Optuna takes a slot that waits, or adds a trial, and trains it in its way."""
        self.newest.optimize(lambda trial: 1e9 + trial.number, n_trials=1)

    def ask(self):
        """Ask for a trial: Optuna sets the first WAITING one RUNNING, or adds one."""
        self.newest.ask()

    def reset(self):
        """Set all RUNNING slots of the newest study WAITING."""
        for trial in self.newest.trials:
            if trial.state is TrialState.RUNNING:
                self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


class Waiting(Hands):
    """Acts when a worker waits at a rung for the slot that another worker, with this storage, holds and then leaves."""

    def __init__(self, address, worker):
        super().__init__(address)
        self._worker = worker

    def claim(self, stage):
        if stage.stage_name == "coarse":
            assert self._worker.queue.claim(self._worker.get_study_id_from_name(stage.study_name), 1)

    def add(self):
        super().add()
        self._worker.close()

    def tell(self):
        super().tell()
        self._worker.close()
