"""Test `packages`: the names that are read, what is stored of them, and names of packages that are not installed."""

from importlib.metadata import version

import pytest
from campaigns import campaign_toml, read_campaign, write_campaign

from coarsefine import Campaign, CampaignError, run


def refusal(folder, *base, packages):
    """Return the sentence with which a campaign file with these packages is refused."""
    (folder / "small.toml").write_text(campaign_toml(*base, packages=packages), "utf-8")
    with pytest.raises(CampaignError) as refused:
        Campaign.load(folder / "small.toml")
    return str(refused.value)


def test_names_are_read_as_pip_reads_them():
    """Spelling and order of the names make no other campaign, and their versions are part of its identity."""
    campaign = read_campaign("objective", packages=["SQLAlchemy", "Optuna", "optuna", "typing_extensions"])
    assert campaign.as_stored()["packages"] == ["optuna", "sqlalchemy", "typing-extensions"]
    assert Campaign.from_stored(campaign.as_stored()) == campaign
    assert campaign.packages()["typing-extensions"] == version("typing_extensions")


def test_campaign_that_declares_none_is_stored_as_before():
    """The key does not make a campaign differ from one that an earlier version has stored."""
    assert read_campaign("objective", packages=[]) == read_campaign("objective")
    assert "packages" not in read_campaign("objective").as_stored()
    assert Campaign.model_validate(read_campaign("objective").model_dump(by_alias=True)).package_names is None


def test_network_declares_no_packages(tmp_path):
    """The versions that decide the network's bits are known: the key belongs to user code."""
    assert refusal(tmp_path, packages=["torch"]).endswith("packages belong to an objective or a command: remove them.")


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        ("torch", 'packages are a list of names, such as ["torch", "scikit-learn"]'),
        (["torch==2.3"], "'torch==2.3' is not the name of a package: write it as for pip, without a version"),
        ([3], "3 is not the name of a package"),
        ([""], "'' is not the name of a package"),
    ],
)
def test_what_is_no_list_of_names_is_refused(tmp_path, packages, message):
    """The message shows the value and says what is wanted."""
    assert message in refusal(tmp_path, "objective", packages=packages)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-kit", "packages: 'no-such-kit' is not installed here: install it, or correct its name."),
        ("sklearn", "packages: 'sklearn' is not installed here: the package of that module is called 'scikit-learn'."),
    ],
)
def test_package_that_is_not_installed_is_refused_before_anything_is_created(tmp_path, name, message):
    """The campaign file is read without the package; a run says what to do, and creates no file."""
    write_campaign(tmp_path, "objective", packages=[name])
    with pytest.raises(CampaignError) as refused:
        run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    assert str(refused.value) == message
    assert not (tmp_path / "studies.db").exists()
