"""What is wrong, and what to do, if user code reports more or fewer epochs than its campaign gives a trial."""

from dataclasses import dataclass
from typing import Literal

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.sections import AnyStage, FinalSettings
from coarsefine.search.campaign.words import counted
from coarsefine.search.training.user_code.function import Form

CodeForm = Form | Literal["command"]
ASKED: dict[CodeForm, str] = {
    "plain": "`report.epochs`",
    "batched": "`report.epochs`",
    "optuna": "`trial.epochs`",
    "command": "`{epochs}` or COARSEFINE_EPOCHS",
}
"""Where code of each form finds the number of epochs."""
_CALLS: dict[CodeForm, str] = {"plain": "report(value)", "batched": "report(values)", "optuna": "trial.report"}


@dataclass(frozen=True, slots=True)
class EpochsRemedy:
    """The epochs of a trial in one stage, and the ways to have its code report them."""

    epochs: int
    form: CodeForm = "plain"
    in_final: bool = False
    """Whether it is the final training, whose epochs are those of [final]."""
    may_change: bool = True
    """Whether the campaign's file may give other epochs: before a stage has ended, a changed campaign starts again."""

    @classmethod
    def of(cls, campaign: Campaign, stage: AnyStage, form: CodeForm) -> "EpochsRemedy":
        """Return what holds for a stage of a campaign."""
        is_first = stage == campaign.stage[0]
        return cls(campaign.epochs_of(stage), form, isinstance(stage, FinalSettings), is_first)

    def ended_after(self, reports: int) -> str:
        """Return what is wrong with code that ends after so few reports, and what to do."""
        if reports or self.form == "command":
            return f"returned after {counted(reports, 'report')}, and {self.due}: {self.instead(reports)}"
        removed = ", or remove `epochs` and `pruner` from the campaign's file" * self.may_change
        return f"never called {_CALLS[self.form]}, and {self.due}: call it after each epoch{removed}"

    def reported_too_often(self) -> str:
        """Return what is wrong with code that reports after its last epoch, and what to do."""
        return f"reported more than {counted(self.epochs, 'time')}, and {self.due}: {self.instead(None)}"

    @property
    def due(self) -> str:
        """Return what the campaign's file says."""
        return f"[final] has epochs = {self.epochs}" if self.in_final else f"`epochs` is {self.epochs}"

    def instead(self, reports: int | None) -> str:
        """Return what to do about code that makes so many reports; None if they have not been counted."""
        number = "the number of reports that it makes" if reports is None else str(reports)
        changed = f", or set `epochs` to {number}" * (self.may_change and reports != 0)
        return f"have it report as often as {ASKED[self.form]} says{changed}"
