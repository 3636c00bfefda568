import pytest

from pluralism.errors import UsageError
from pluralism.models import BradleyTerry, MixtureBradleyTerry, model_from_recipe
from pluralism.models.recipes import available, read_recipe


def test_every_shipped_recipe_builds_and_says_what_it_assumes():
    assert {"bt", "maxmin"} <= set(available())
    for name in available():
        recipe = read_recipe(name)
        assert recipe.name == name
        assert recipe.paper
        assert recipe.assumes
        assert recipe.cannot_identify
        assert "python examples/" in recipe.measured or "pytest -m slow tests/" in recipe.measured
        recipe.build()


def test_recipes_give_their_models():
    assert isinstance(model_from_recipe("bt"), BradleyTerry)
    model = model_from_recipe("maxmin", n_groups=3, rng=7)
    assert isinstance(model, MixtureBradleyTerry)
    assert (model.n_groups, model.rng) == (3, 7)


def test_ones_own_recipe_by_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('kind = "BradleyTerry"\n[parameters]\nridge = 2.0\ncovariates = ["length"]\n')
    model = model_from_recipe(path)
    assert model.ridge == 2.0
    assert model.covariates == ("length",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind = ", "TOML"),
        ('kind = "subprocess.Popen"', "kind"),
        ('kind = "BradleyTerry"\n[parameters]\nridg = 1', "ridg"),
    ],
)
def test_wrong_recipes_are_named(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        model_from_recipe(path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="maxmin"):
        model_from_recipe("minmax")
