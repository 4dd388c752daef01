"""Optimisers: what Muon does to a matrix, and which weights it is given."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from stemsplit.errors import StemsplitError
from stemsplit.training.fit.optimiser import STEP_RMS, Muon, make_optimisers, orthogonalise
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.networks.catalog import build


@pytest.mark.parametrize("shape", [(8, 8), (3, 5, 12), (2, 20, 6)])
def test_all_directions_become_about_as_strong(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape) * torch.logspace(0, -2, shape[-1])
    strengths = torch.linalg.svdvals(orthogonalise(matrices))
    assert strengths.min() > 0.3 and strengths.max() < 1.3
    before = torch.linalg.svdvals(matrices)
    assert (before.amax(-1) / before.amin(-1)).min() > 5  # they were not


def test_each_matrix_of_a_stack_is_by_itself() -> None:
    torch.manual_seed(0)
    stack = torch.randn(4, 6, 9)
    alone = torch.stack([orthogonalise(each) for each in stack])
    assert torch.allclose(
        orthogonalise(stack * torch.tensor([1.0, 10, 100, 0.1])[:, None, None]), alone, atol=1e-4
    )


@pytest.mark.slow
def test_a_step_is_as_large_as_the_rate_says_whatever_the_gradient() -> None:
    torch.manual_seed(0)
    for scale in (1e-4, 1e4):
        weight = nn.Parameter(torch.zeros(3, 16, 16))
        weight.grad = scale * torch.randn_like(weight)
        Muon([{"params": [weight]}], lr=0.5, weight_decay=0.0).step()
        rms = float(weight.detach().square().mean().sqrt())
        assert rms == pytest.approx(0.5 * STEP_RMS, rel=0.3)


def test_weights_decay_as_they_do_by_adamw() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros_like(weight)
    Muon([{"params": [weight]}], lr=0.5, weight_decay=0.1).step()
    assert torch.allclose(weight, torch.full((4, 4), 0.95))


def test_gates_of_a_recurrent_layer_are_matrices_of_their_own() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(4, 8, 8) * torch.tensor([1.0, 1e-3, 1, 1])[:, None, None]
    changes = {}
    for n_stacked in (1, 4):
        weight = nn.Parameter(torch.zeros(32, 8))
        weight.grad = gradient.flatten(0, 1)
        Muon([{"params": [weight], "n_stacked": n_stacked}], lr=1.0, weight_decay=0.0).step()
        changes[n_stacked] = weight.detach().reshape(4, 8, 8).square().mean((1, 2)).sqrt()
    assert changes[4][1] == pytest.approx(float(changes[4][0]), rel=0.2)
    assert changes[1][1] < 0.1 * changes[1][0]  # the weak gate would hardly move


def test_every_weight_has_one_optimiser() -> None:
    network = build("bandsplit", n_features=8, n_layers=1)
    muon, adamw = make_optimisers(network, FitSettings(budget_s=1, optimiser="muon"))
    given = [weight for each in (muon, adamw) for group in each.param_groups for weight in group["params"]]
    assert sorted(map(id, given)) == sorted(id(weight) for weight in network.parameters())
    assert all(weight.ndim > 1 for group in muon.param_groups for weight in group["params"])
    hidden = [
        each for name, each in network.named_parameters() if name.partition(".")[0] not in network.end_modules
    ]
    left = {id(weight) for weight in adamw.param_groups[0]["params"]} & {id(weight) for weight in hidden}
    assert all(weight.ndim == 1 or 1 in weight.shape for weight in hidden if id(weight) in left)
    assert id(network.encode[0].weight) not in {id(w) for group in muon.param_groups for w in group["params"]}
    gates = [group for group in muon.param_groups if group["n_stacked"] == 4]
    assert sum(len(group["params"]) for group in gates) == 4  # two directions, input and state


def test_an_unknown_optimiser_is_refused() -> None:
    with pytest.raises(StemsplitError, match="adamw or muon or sgd, not 'adam'"):
        FitSettings(budget_s=1, optimiser="adam")


def test_sgd_updates_all_weights_with_momentum() -> None:
    network = build("bandsplit", n_features=8, n_layers=1)
    (sgd,) = make_optimisers(network, FitSettings(budget_s=1, optimiser="sgd", weight_decay=0.0))
    assert len(sgd.param_groups[0]["params"]) == len(list(network.parameters()))
    sgd.param_groups[0]["lr"] = 1.0
    before = [weight.detach().clone() for weight in network.parameters()]
    for expected in (1.0, 2.9):  # the second step is 1 + 0.9 larger
        for weight in network.parameters():
            weight.grad = torch.ones_like(weight)
        sgd.step()
        moved = [old - weight.detach() for old, weight in zip(before, network.parameters(), strict=True)]
        assert all(torch.allclose(each, torch.full_like(each, expected), atol=1e-5) for each in moved)
