import os
import zlib

import numpy as np
import pytest

from sortal.errors import InputError, StoreError
from sortal.store.segments import BLOCK, PAGE, Segment, SegmentWriter

# One of each; none; a row wider than two blocks; rows that straddle blocks; exactly one block; one column.
ARRAYS = [
    np.ones((1, 1), np.float32),
    np.zeros((0, 3), np.float32),
    np.arange(3 * 20_001, dtype=np.int32).reshape(3, 20_001),
    np.arange(4_000 * 7, dtype=np.float32).reshape(-1, 7),
    np.arange(BLOCK, dtype=np.uint8).reshape(-1, 1),
    np.arange(BLOCK + 1, dtype=np.int64) - 9,
    np.zeros(0, np.int32),
]


def written(path, array, step=1_000):
    with SegmentWriter(path, array.dtype, array.shape[1:]) as writer:
        for start in range(0, len(array), step):
            writer.append(array[start : start + step])
    return path


def flip(path, offset, bit=1):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bit]))


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_what_was_written_comes_back(tmp_path, array):
    segment = Segment(written(tmp_path / "a.seg", array))
    assert segment.array.dtype == array.dtype
    assert segment.array.shape == array.shape
    assert not segment.array.flags.writeable
    np.testing.assert_array_equal(segment.array, array)
    at = np.random.default_rng(0).permutation(len(array))
    np.testing.assert_array_equal(segment.rows(at), array[at])
    assert segment.verify() == []
    assert os.listdir(tmp_path) == ["a.seg"]


def test_chunks_do_not_change_the_bytes(tmp_path):
    array = ARRAYS[3]
    one, other = (written(tmp_path / f"{step}.seg", array, step) for step in (1, 4_000))
    assert one.read_bytes() == other.read_bytes()


def test_table_holds_the_crc_of_each_block(tmp_path):
    array = ARRAYS[3]
    raw = written(tmp_path / "a.seg", array).read_bytes()
    data = array.tobytes()
    expected = [zlib.crc32(data[i : i + BLOCK]) for i in range(0, len(data), BLOCK)]
    table = np.frombuffer(raw[PAGE + len(data) : -4], "<u4")
    assert table.tolist() == expected
    assert raw[PAGE : PAGE + len(data)] == data


def test_every_header_byte_and_every_table_byte_is_guarded(tmp_path):
    path = written(tmp_path / "a.seg", ARRAYS[3])
    size = path.stat().st_size
    n_table = 4 * -(-ARRAYS[3].nbytes // BLOCK) + 4
    for offset in [*range(PAGE), *range(size - n_table, size)]:
        flip(path, offset, 1 << offset % 8)
        with pytest.raises(StoreError, match=r"a\.seg: damaged"):
            Segment(path)
        flip(path, offset, 1 << offset % 8)
    Segment(path)


def test_a_flipped_bit_in_the_data_is_found_and_never_read(tmp_path):
    array = ARRAYS[3]
    path = written(tmp_path / "a.seg", array)
    for offset in np.random.default_rng(1).integers(0, array.nbytes, 60):
        flip(path, PAGE + offset, 1 << offset % 8)
        segment = Segment(path)
        assert segment.verify() == [offset // BLOCK]
        with pytest.raises(StoreError, match=f"block {offset // BLOCK} is damaged"):
            segment.rows([offset // array[0].nbytes])
        sound = next(i for i in range(len(array)) if abs(i * 28 - offset) > BLOCK + 28)
        np.testing.assert_array_equal(segment.rows([sound]), array[[sound]])
        flip(path, PAGE + offset, 1 << offset % 8)


@pytest.mark.parametrize("n_bytes", [0, 1, 8, PAGE - 1, PAGE, PAGE + 1, PAGE + 4_000 * 28, -1])
def test_a_truncated_file_is_refused(tmp_path, n_bytes):
    path = written(tmp_path / "a.seg", ARRAYS[3])
    os.truncate(path, n_bytes % path.stat().st_size)
    with pytest.raises(StoreError, match="damaged segment"):
        Segment(path)


def test_a_longer_file_is_refused(tmp_path):
    path = written(tmp_path / "a.seg", ARRAYS[3])
    with open(path, "ab") as file:
        file.write(b"x")
    with pytest.raises(StoreError, match=r"it has \d+ bytes and should have"):
        Segment(path)


def test_a_segment_from_the_future_is_named(tmp_path):
    path = written(tmp_path / "a.seg", ARRAYS[0])
    raw = bytearray(path.read_bytes())
    raw[8] = 9
    raw[PAGE - 4 : PAGE] = zlib.crc32(raw[: PAGE - 4]).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="format 9; this Sortal reads 1: upgrade"):
        Segment(path)


def test_a_header_with_a_right_checksum_and_wrong_sizes_is_refused(tmp_path):
    path = written(tmp_path / "a.seg", ARRAYS[0])
    raw = bytearray(path.read_bytes()).replace(b'"shape": [1, 1]', b'"shape": [9, 9]')
    raw[PAGE - 4 : PAGE] = zlib.crc32(raw[: PAGE - 4]).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="contradicts itself"):
        Segment(path)


def test_rows_out_of_range_and_other_dtypes_are_refused(tmp_path):
    segment = Segment(written(tmp_path / "a.seg", ARRAYS[3]))
    for wrong in ([-1], [4_000]):
        with pytest.raises(InputError, match="from 0 to 3999"):
            segment.rows(wrong)
    with pytest.raises(InputError, match="dtype of a column"):
        SegmentWriter(tmp_path / "b.seg", np.float64, (3,))
    with SegmentWriter(tmp_path / "b.seg", np.float32, (3,)) as writer:
        for rows in (np.zeros((2, 4), np.float32), np.zeros((2, 3), np.int32)):
            with pytest.raises(InputError, match="rows must be float32"):
                writer.append(rows)


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), SegmentWriter(tmp_path / "a.seg", np.float32, (3,)) as writer:  # noqa: PT012
        writer.append(np.zeros((2, 3), np.float32))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "a.seg")
    with pytest.raises(StoreError, match=r"a\.seg: damaged, no plain file: restore"):
        Segment(tmp_path / "a.seg")


def test_a_mapped_segment_survives_its_file(tmp_path):
    path = written(tmp_path / "a.seg", ARRAYS[3])
    segment = Segment(path)
    path.unlink()
    np.testing.assert_array_equal(segment.rows([3_999]), ARRAYS[3][[3_999]])
