import math

import pytest

from runtime.diffusion.incomplete_beta import beta_quantile, regularized_incomplete_beta


@pytest.mark.parametrize(
    ("p", "a", "b", "expected"),
    [
        (0.5, 0.6, 0.6, 0.5),
        (0.05, 0.6, 0.6, 0.012554456873611399),
        (0.999, 0.6, 0.6, 0.9999814412614826),
        (0.3, 5.0, 2.0, 0.6396423096199798),
        (0.01, 0.05, 3.0, 2.3000470006648106e-41),
        (0.7, 40.0, 30.0, 0.6030129632055583),
        (1e-06, 2.0, 0.5, 0.0016325486115276867),
    ],
)
def test_the_quantile_is_scipys(p: float, a: float, b: float, expected: float) -> None:
    assert math.isclose(beta_quantile(p, a, b), expected, rel_tol=1e-12)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_the_quantile_inverts_the_distribution_function(p: float) -> None:
    assert math.isclose(regularized_incomplete_beta(beta_quantile(p, 2.5, 0.7), 2.5, 0.7), p, rel_tol=1e-12)


@pytest.mark.parametrize("x", [0.1, 0.5, 0.77])
def test_the_uniform_distribution_is_a_beta_distribution(x: float) -> None:
    assert math.isclose(regularized_incomplete_beta(x, 1.0, 1.0), x, rel_tol=1e-14)


def test_no_share_lies_below_0_and_all_of_it_below_1() -> None:
    assert (beta_quantile(0.0, 0.6, 0.6), beta_quantile(1.0, 0.6, 0.6)) == (0.0, 1.0)
    assert (regularized_incomplete_beta(0.0, 2, 2), regularized_incomplete_beta(1.0, 2, 2)) == (0.0, 1.0)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (1.0, -2.0)], ids=["zero", "negative"])
def test_parameters_that_are_not_positive_are_refused(a: float, b: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        beta_quantile(0.5, a, b)
