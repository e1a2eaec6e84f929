import numpy as np
import pytest
import safetensors.numpy
from scipy.spatial.distance import cdist
from sklearn.datasets import load_sample_image
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortal.cluster import ProductQuantizer, VectorQuantizer
from sortal.cluster.codebook_file import write_codebooks
from sortal.errors import DataError, InputError

X = np.random.default_rng(0).normal(size=(300, 7))
BOTH = [VectorQuantizer(8, random_state=0), ProductQuantizer(3, 8, random_state=0)]


@pytest.mark.slow
@parametrize_with_checks([VectorQuantizer(2), ProductQuantizer(1, 2)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def pixels():
    return load_sample_image("china.jpg")[::3, ::3].reshape(-1, 3)


@pytest.mark.slow
def test_colours_of_an_image(pixels):
    """16 colours: 4 bits for 24, and the picture can still be recognised; 64 lose less."""
    coder = VectorQuantizer(16, random_state=0).fit(pixels)
    codes = coder.encode(pixels)
    assert codes.dtype == np.uint8
    back = coder.decode(codes)
    found = coder.measure(pixels)
    assert (found.bits_per_vector, found.raw_bits_per_vector) == (4, 24)
    size = len(pixels) * 4 + 16 * 3 * 32
    assert found.compression == pytest.approx(len(pixels) * 24 / size)
    noise = np.square(back - pixels.astype(float)).mean()
    assert found.mean_squared_error == pytest.approx(noise)
    assert found.psnr(255) == pytest.approx(10 * np.log10(255**2 / noise))
    variance = np.square(pixels - pixels.mean(axis=0)).mean()
    assert found.distortion_db == pytest.approx(10 * np.log10(noise / variance))
    assert found.psnr(255) > 27
    assert found.distortion_db < -15
    finer = VectorQuantizer(64, random_state=0).fit(pixels).measure(pixels)
    assert finer.psnr(255) > found.psnr(255) + 3
    assert finer.compression < found.compression


def test_codes_are_of_the_nearest_entry():
    coder = VectorQuantizer(20, random_state=0).fit(X)
    assert np.array_equal(coder.encode(X), cdist(X, coder.codebook_).argmin(axis=1))
    assert np.array_equal(coder.decode(coder.encode(X)), coder.codebook_[coder.encode(X)])
    assert np.array_equal(coder.encode(coder.decode(np.arange(20))), np.arange(20))


def test_product_codes_are_of_the_nearest_entry_of_each_run():
    coder = ProductQuantizer(3, 16, random_state=0).fit(X)
    codes = coder.encode(X)
    assert codes.shape == (300, 3)
    assert [c.shape for c in coder.codebooks_] == [(16, 3), (16, 2), (16, 2)]
    for m, columns in enumerate([slice(0, 3), slice(3, 5), slice(5, 7)]):
        assert np.array_equal(codes[:, m], cdist(X[:, columns], coder.codebooks_[m]).argmin(axis=1))
        assert np.array_equal(coder.decode(codes)[:, columns], coder.codebooks_[m][codes[:, m]])
    assert coder.bits_per_vector_ == 12


def test_equal_bits_and_more_entries_lose_less():
    """12 bits as three codebooks of 16 against two of 64: longer runs know more of the vectors."""
    three = ProductQuantizer(3, 16, random_state=0).fit(X).measure(X)
    two = ProductQuantizer(2, 64, random_state=0).fit(X).measure(X)
    assert three.bits_per_vector == two.bits_per_vector == 12
    assert two.distortion_db < three.distortion_db


@pytest.mark.parametrize("coder", BOTH, ids=lambda coder: type(coder).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saved_and_loaded(coder, dtype, tmp_path):
    x = X.astype(dtype)
    coder.fit(x).save(tmp_path / "coder.safetensors")
    loaded = type(coder).load(tmp_path / "coder.safetensors")
    assert np.array_equal(loaded.encode(x), coder.encode(x))
    assert np.array_equal(loaded.decode(coder.encode(x)), coder.decode(coder.encode(x)))
    assert loaded.codebooks_[0].dtype == dtype
    assert loaded.measure(x) == coder.measure(x)
    assert [path.name for path in tmp_path.iterdir()] == ["coder.safetensors"]


def test_no_changed_byte_passes(tmp_path):
    path = tmp_path / "coder"
    VectorQuantizer(3, random_state=0).fit(X[:, :2]).save(path)
    good = path.read_bytes()
    codebook = VectorQuantizer.load(path).codebook_
    for at in range(len(good)):
        for bit in (1, 64):
            path.write_bytes(good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :])
            try:
                loaded = VectorQuantizer.load(path)
            except DataError:
                continue
            assert np.array_equal(loaded.codebook_, codebook)  # spaces that pad the header
    for length in (0, 7, 8, 100, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(DataError):
            VectorQuantizer.load(path)


def stranger(tensors, kind="VectorQuantizer"):
    return safetensors.numpy.save(tensors, {"format": "sortal.codebooks.1", "kind": kind, "sha256": "0" * 64})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x04pickle", "cannot be read as safetensors"),
        (b"", "cannot be read as safetensors"),
        (b"\xff" * 64, "cannot be read as safetensors"),
        (stranger({}), "must hold codebook_0"),
        (stranger({"codebook_1": np.ones((2, 2))}), "must hold codebook_0"),
        (stranger({"codebook_0": np.ones((2, 2)), "codebook_1": np.ones((2, 2))}), "must hold codebook_0"),
        (stranger({"codebook_0": np.ones(3)}), r"must be codes x columns .* got float64 of shape \(3,\)"),
        (stranger({"codebook_0": np.ones((0, 3))}), "must be codes x columns"),
        (stranger({"codebook_0": np.ones((2, 3), int)}), "got int64"),
        (stranger({"codebook_0": np.full((2, 3), np.nan)}), "codebook_0 holds NaN or infinity"),
        (stranger({"codebook_0": np.ones((2, 3))}), "do not match their SHA-256"),
        (stranger({"codebook_0": np.ones((2, 3))}, "ProductQuantizer"), "got 'ProductQuantizer'"),
        (safetensors.numpy.save({"codebook_0": np.ones((2, 3))}), "must hold a VectorQuantizer"),
    ],
)
def test_a_strangers_file_is_checked(data, message, tmp_path):
    (tmp_path / "it").write_bytes(data)
    with pytest.raises(DataError, match=message):
        VectorQuantizer.load(tmp_path / "it")


def test_codebooks_that_no_fit_makes_are_refused(tmp_path):
    """Their hash is right."""
    write_codebooks(tmp_path / "it", "ProductQuantizer", [np.ones((2, 1)), np.ones((2, 3))])
    with pytest.raises(DataError, match=r"must be \[2, 2\] columns wide"):
        ProductQuantizer.load(tmp_path / "it")


def test_where_nothing_can_be_written(tmp_path):
    coder = VectorQuantizer(8, random_state=0).fit(X)
    for path in (tmp_path / "no" / "folder", tmp_path):
        with pytest.raises(InputError, match="path must name a file in a folder that can be written"):
            coder.save(path)
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}*"))
    coder.save(tmp_path / "it")
    (tmp_path / "other").touch()
    assert (tmp_path / "it").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="there is none"):
        VectorQuantizer.load(tmp_path / "none")
    with pytest.raises(DataError, match="there is none"):
        ProductQuantizer.load(tmp_path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (VectorQuantizer(0), "n_codes must be an integer between 1 and the number of samples; got n_codes=0"),
        (VectorQuantizer(301), "got n_codes=301 for n_samples=300"),
        (ProductQuantizer(8, 2), "got n_subspaces=8 for n_features=7"),
        (VectorQuantizer(2, max_iter=0), "max_iter must be an integer of at least 1; got 0"),
        (ProductQuantizer(2, 2, tol=np.nan), "tol must be a number of at least 0; got nan"),
    ],
)
def test_what_cannot_be_asked_is_said(model, message):
    with pytest.raises(InputError, match=message):
        model.fit(X)


def test_fewer_distinct_rows_than_codes():
    x = np.repeat([[0.0, 1], [2, 1], [5, 1]], 4, axis=0)
    with pytest.raises(InputError, match="n_codes=4 for 3: with n_codes=3 nothing is lost"):
        VectorQuantizer(4, random_state=0).fit(x)
    exact = VectorQuantizer(3, random_state=0).fit(x).measure(x)
    assert (exact.mean_squared_error, exact.distortion_db) == (0, -np.inf)
    constant = ProductQuantizer(2, 3, random_state=0).fit(x)  # the second column is one value: no bits
    assert constant.bits_per_vector_ == 2
    assert np.array_equal(constant.decode(constant.encode(x)), x)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([0.5], "codes must be integers"),
        ([[0]], "codes must be integers"),
        ([0, 8], "codes must be between 0 and 7; got 8 for vector 1"),
        ([-1], "got -1 for vector 0"),
    ],
)
def test_codes_of_another_codebook(codes, message):
    with pytest.raises(InputError, match=message):
        VectorQuantizer(8, random_state=0).fit(X).decode(codes)


def test_nan_is_refused_with_its_place():
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(InputError, match="row 3, column 2"):
        VectorQuantizer(8).fit(bad)


def test_a_fit_says_what_moved_and_why_it_stopped(capsys):
    X = np.random.default_rng(0).normal(size=(500, 6))
    coder = ProductQuantizer(3, 8, verbose=1, random_state=0).fit(X)
    assert len(coder.stopped_) == 3
    assert set(coder.stopped_) <= {"tol", "labels", "rounding"}
    for history in coder.histories_:
        costs = [step.inertia for step in history]
        assert len(costs) > 1
        assert costs == sorted(costs, reverse=True)
    assert capsys.readouterr().out.count("Codebook 2, inertia ") == len(coder.histories_[2])
