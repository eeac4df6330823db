"""Starting noise: stock's where nobody asks for more, a region's own that moves with its box."""

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from diffusion.noise import cells_of, starting_noise
from diffusion.request import Region

SHAPE = (1, 12, 8, 8)


def draw(*regions: Region, seed: int = 5) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    made = starting_noise(SHAPE, generator, regions, dtype=torch.float32, device=torch.device("cpu"))
    return made, generator


def test_without_seeds_it_is_stocks_noise_and_leaves_the_generator_where_stock_leaves_it() -> None:
    other = torch.Generator().manual_seed(5)
    expected = randn_tensor(SHAPE, generator=other, device=torch.device("cpu"), dtype=torch.float32)
    made, generator = draw(Region("a", "a cat", (0, 0, 0.5, 0.5)))
    assert torch.equal(made, expected)
    assert torch.equal(generator.get_state(), other.get_state())


def test_a_seeded_region_carries_its_noise_along() -> None:
    here, _ = draw(Region("a", "a cat", (0.0, 0.0, 0.5, 0.5), seed=9))
    there, _ = draw(Region("a", "a cat", (0.5, 0.25, 1.0, 0.75), seed=9))
    assert torch.equal(here[..., 0:4, 0:4], there[..., 2:6, 4:8])


def test_the_rest_of_the_canvas_stays() -> None:
    plain, _ = draw()
    made, generator = draw(Region("a", "a cat", (0.0, 0.0, 0.5, 0.5), seed=9))
    changed = (made != plain).any(1)[0]
    assert changed[:4, :4].all()
    assert int(changed.sum()) == 16
    assert torch.equal(generator.get_state(), draw()[1].get_state())


def test_the_front_wins_with_and_without_a_seed() -> None:
    plain, _ = draw()
    behind = Region("behind", "a cat", (0.0, 0.0, 1.0, 1.0), seed=9)
    alone, _ = draw(behind)
    front, _ = draw(Region("front", "a dog", (0.0, 0.0, 0.5, 1.0)), behind)
    assert torch.equal(front[..., :4], plain[..., :4])
    assert torch.equal(front[..., 4:], alone[..., 4:])


def test_a_tiny_box_owns_one_cell_and_edges_are_safe() -> None:
    assert cells_of((0.99, 0.99, 1.0, 1.0), 8, 8) == (slice(7, 8), slice(7, 8))
    assert cells_of((0.0, 0.0, 0.01, 1.0), 8, 8) == (slice(0, 8), slice(0, 1))
