"""Networks of the tests are small: on a busy machine a second thread makes them up to nine times as slow.

Whatever file or conftest.py imports the fixture has it in all of its tests.
"""

import pytest

__all__ = ["one_thread"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
