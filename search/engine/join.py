"""One process more for a campaign that others run."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from coarsefine.search.arguments import require, require_callable, require_strings, whole_number
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.stage_loop import StageLoop
from coarsefine.search.engine.worker_process import end_in_import
from coarsefine.search.results.observer import Observer, require_observer
from coarsefine.search.results.study import Study
from coarsefine.search.standard_streams import fill_standard_streams
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.training.images import Source, require_source
from coarsefine.search.training.user_code.devices import own_gpus
from coarsefine.search.training.workload import load_workload, serving


def join(  # noqa: PLR0913 - what a worker can be given, by keyword
    campaign: Campaign,
    storage: str | Path | Location,
    *,
    data: Source | None = None,
    workers: int = 2,
    gpus: Sequence[str] | None = None,
    observer: Observer | None = None,
    stop: Callable[[], bool] = lambda: False,
    accept_changes: bool = False,
) -> Mapping[str, Study]:
    """Train a campaign's stages together with other processes; return their studies once the last stage has ended.

    `data` is as for `coarsefine.run`. `workers` is the expected number of processes. `gpus` are those that the trials
    of user code in this process may use. `stop` is called after every epoch; once it returns true, slots are
    released and `Interrupted` is raised. `accept_changes` is as for `coarsefine.run`.

    Raises the same errors as `coarsefine.run`.
    """
    end_in_import()
    fill_standard_streams()
    workers = whole_number("join: workers", workers, 1)
    require_campaign("join", campaign, data, observer, stop)
    if gpus is not None:
        require_strings("join: gpus", gpus, 'a list of GPUs by index or UUID, such as ["0", "1"]')
    observer = observer or Observer()
    own = own_gpus(campaign, None if gpus is None else tuple(gpus))
    workload = load_workload(campaign, data, observer.on_message)
    location, say = locate(storage), observer.on_message
    with serving(workload), closing(open_storage(location, writing=True, patient=True, say=say)) as opened:
        return StageLoop(campaign, opened, workload, observer, stop, workers, own, accept_changes).run_stages()


def require_campaign(function: str, campaign: object, data: object, observer: object, stop: object) -> None:
    """Raise `UsageError` unless these arguments of a public function are what it trains with."""
    wanted = 'a Campaign: read one by Campaign.load("FILE.toml")'
    require(isinstance(campaign, Campaign), f"{function}: campaign", campaign, wanted)
    require_source(f"{function}: data", data)
    require_observer(f"{function}: observer", observer)
    require_callable(f"{function}: stop", stop)
