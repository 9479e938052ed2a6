import pytest
import torch

from runtime.diffusion.noise import EmptyNoise, RandomNoise, StepNoise, seeded_generator, seeded_noise

CPU = torch.device("cpu")


def rows(count: int) -> torch.Tensor:
    return torch.zeros(count, 4, 2, 3)


@pytest.mark.parametrize("seed", [0, 42, 2**63 + 5, 2**64 - 1])
def test_noise_is_what_torchs_own_generator_draws_from_the_seed(seed: int) -> None:
    noise = RandomNoise(seed=seed).generate_noise({"samples": rows(2)})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        assert torch.equal(noise, torch.randn(2, 4, 2, 3))


def test_drawing_noise_leaves_the_process_random_state_alone() -> None:
    before = torch.get_rng_state()
    RandomNoise(seed=1).generate_noise({"samples": rows(2), "batch_index": [3, 1]})
    StepNoise(rows(1), 5)(torch.tensor(2.0), torch.tensor(1.0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("batch_index", [[0, 1, 2], [2], [3, 0], [1, 1, 4]], ids=str)
def test_an_item_taken_out_of_a_batch_keeps_its_noise(batch_index: list[int]) -> None:
    generator = seeded_generator(7, CPU)
    long_batch = torch.cat([torch.randn(1, 4, 2, 3, generator=generator) for _ in range(5)])
    noise = RandomNoise(seed=7).generate_noise({"samples": rows(len(batch_index)), "batch_index": batch_index})
    assert torch.equal(noise, long_batch[batch_index])


def test_noise_has_the_dtype_of_the_latent() -> None:
    assert seeded_noise(rows(1).half(), 3).dtype == torch.float16


def test_empty_noise_is_zero_and_has_a_seed_for_samplers() -> None:
    noise = EmptyNoise().generate_noise({"samples": rows(2) + 1})
    assert torch.equal(noise, rows(2))
    assert EmptyNoise().seed == 0


def test_step_noise_is_fresh_at_each_call_and_fixed_by_its_seed() -> None:
    sigma, one, other = torch.tensor(1.0), StepNoise(rows(1), 9), StepNoise(rows(1), 9)
    first = one(sigma, sigma)
    assert not torch.equal(one(sigma, sigma), first)
    assert torch.equal(other(sigma, sigma), first)


def test_a_seed_past_the_last_one_starts_again() -> None:
    assert torch.equal(seeded_noise(rows(1), 2**64), seeded_noise(rows(1), 0))
