"""Damaged files of every format, put through every reader: what the fuzz tests run, in a process of its own.

``python -m tests.fuzzing COUNT SEED`` makes COUNT damaged files, the same for the same seed, spread over the formats, and
prints as JSON how often they were read or refused, whatever went wrong, and the most memory that was taken.
"""

import bz2
import faulthandler
import gzip
import io
import json
import lzma
import os
import resource
import signal
import struct
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse
import torch
from safetensors.torch import save as save_tensors

from daleml import signs
from daleml._support.idx_files import read_idx
from daleml.analysis import spectrum, weight_sample
from daleml.datasets import (
    cerebellum,
    fashion_mnist,
    kasthuri,
    larva,
    microns_l23,
    mossy_fibres,
    read_synapses,
)
from daleml.reading import ReadingError, TableOptions
from daleml.weight_files import read_columns, read_matrices, read_state, read_weights
from daleml.weight_study import gather

REFUSALS = (ValueError, ReadingError, FileNotFoundError)
SECONDS = 30  # for one file through one reader
ROOM = 1 << 30  # of address space beyond what the libraries take
FORBIDDEN = {
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "socket.connect", "pickle.find_class",
    "os.remove", "os.rename", "os.mkdir", "shutil.rmtree", "ctypes.dlopen",
}  # fmt: skip
EDGES = [
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64 - 1,
]
TEXTS = [
    b",", b";", b"\t", b'"', b"\n", b"\r", b"\x00", b"nan", b"1e999", b"-1", b"99999999999999999999", b"#N/A", b"<0.01", b"%",
    b"\xff\xfe", b"\xef\xbb\xbf", b"0x10", b"1_0", b"1.234,5", b" ", b"#", b"sep=;\n", b"\x1b[2J", b"\xff", "µ".encode(),
]  # fmt: skip


class Evil:
    def __reduce__(self):
        return (os.system, ("exit 3",))


def seeds():
    """Return a small whole file of each format, by name."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "pre": [720575940600000001 + i % 3 for i in range(8)],
            "post": [1, 2, 1, 2, 1, 2, 1, 2],
            "kind": list("EIEIEIEI"),
            "size": rng.lognormal(size=8).round(4),
        }
    )
    square = pd.DataFrame(
        rng.poisson(2, (4, 4)), index=list("ABCD"), columns=list("ABCD")
    )
    csv = frame.to_csv(index=False).encode()
    state = {
        "a.weight": torch.rand(3, 4),
        "a.weight_signs": torch.ones(4),
        "b.bias": torch.zeros(3),
    }
    found = {
        "t.csv": csv,
        "m.csv": square.to_csv().encode(),
        "h.csv": frame[["size"]].to_csv(index=False, header=["2019"]).encode(),
        "e.csv": frame.to_csv(index=False, sep=";", decimal=",").encode("utf-16"),
        "t.tsv": frame.to_csv(index=False, sep="\t").encode(),
        "t.csv.gz": gzip.compress(csv, mtime=0),
        "t.csv.bz2": bz2.compress(csv),
        "t.csv.xz": lzma.compress(csv),
        "t.csv.zip": zipped({"t.csv": csv}),
        "w.npy": written(lambda file: np.save(file, square.to_numpy(float))),
        "r.npy": written(lambda file: np.save(file, frame[["pre", "size"]].to_records(index=False))),
        "p.npy": written(lambda file: np.save(file, np.array([Evil()]), allow_pickle=True)),
        "w.npz": written(lambda file: np.savez(file, w=square.to_numpy(float), pre=frame["pre"], size=frame["size"])),
        "c.npz": written(lambda file: np.savez_compressed(file, w=np.eye(4), v=np.arange(5.0))),
        "x.safetensors": save_tensors(state),
        "x.pt": written(lambda file: torch.save(state, file)),
        "l.pth": written(lambda file: torch.save(state, file, _use_new_zipfile_serialization=False)),
        "e.pt": written(lambda file: torch.save({"model": state, "evil": Evil()}, file)),
        "n.ckpt": written(lambda file: torch.save({"net": state, "lr": np.float64(1), "w": np.ones(3)}, file)),
        "m.mat": written(lambda file: scipy.io.savemat(file, {"W": np.eye(3), "s": {"v": np.arange(3.0)}})),
        "z.mat": written(lambda file: scipy.io.savemat(file, {"W": np.eye(3), "S": scipy.sparse.eye(3).tocsc()}, do_compression=True)),
        "t-idx3-ubyte": bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 3) + bytes(18),
        "t-idx1-ubyte.gz": gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + bytes(5), mtime=0),
        "kasthuri.csv": (
            b"axon,dendrite,axon_type,is_spine,psd_px,spine_um3,vesicles,axon_len_um,spine_id,spine_vox\n"
            b"1,9,0,1,100,0.5,7,2.5,4,300\n1,9,1,0,200,,-1,-1,0,-1\n"
        ),
        "microns.csv": b"pre_root_id,post_root_id,cleft_vx,spine_vol_um3\n1,2,100,0.5\n3,4,200,0.7\n",
        "cerebellum.csv": b"granule_cell,purkinje_cell,score,cleft_area_um2\ng,p,1,0.01125\ng,q,1,0.5\n",
        "mossy.csv": b"mossy_bouton,granule_cell\nmf_3__0,g1\nmf_3__1,g1\n",
    }  # fmt: skip
    for kind in ("csr", "csc", "coo", "bsr", "dia"):
        made = scipy.sparse.random(4, 4, 0.4, format=kind, random_state=0)
        found[f"{kind}.npz"] = written(
            lambda file, made=made: scipy.sparse.save_npz(file, made)
        )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        import h5py

        frame.to_parquet(home / "t.parquet")
        frame.to_feather(home / "t.feather")
        frame.astype({"pre": str}).to_excel(home / "t.xlsx", index=False)
        with h5py.File(home / "t.h5", "w") as file:
            file["g/W"], file["v"] = np.eye(3), np.arange(4.0)
            file.create_dataset("c", data=np.eye(8), chunks=(4, 4), compression="gzip")
        with h5py.File(home / "v.mat", "w", userblock_size=512) as file:
            file["W"] = np.eye(3)
        for path in sorted(home.iterdir()):
            found[path.name] = path.read_bytes()
    return found


def written(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def damaged(content, rng, others):
    """Return a file with one to four faults; inside of a container as often as in the container itself."""
    inner = unpacked(content) if rng.random() < 0.5 else None
    if inner is not None:
        members, pack = inner
        name = list(members)[rng.integers(len(members))]
        members[name] = damaged_bytes(members[name], rng, others)
        return pack(members)
    return damaged_bytes(content, rng, others)


def unpacked(content):
    if content[:2] == b"\x1f\x8b":
        return {"": gzip.decompress(content)}, lambda members: gzip.compress(
            members[""], mtime=0
        )
    if content[:2] == b"BZ":
        return {"": bz2.decompress(content)}, lambda members: bz2.compress(members[""])
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}, zipped
    return None


def damaged_bytes(content, rng, others):
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        fault, at = rng.integers(9), int(rng.integers(len(data) + 1))
        early = int(rng.integers(min(len(data), 64) + 1))
        if fault == 0 and data:
            data[at % len(data)] ^= 1 << int(rng.integers(8))
        elif fault == 1 and data:
            data[early % len(data)] = int(rng.integers(256))
        elif fault == 2:
            del data[at:]
        elif fault == 3:
            del data[at : at + int(rng.integers(1, 40))]
        elif fault == 4:
            data[at:at] = data[at : at + int(rng.integers(1, 200))]
        elif fault == 5:
            data[at:at] = TEXTS[rng.integers(len(TEXTS))]
        elif fault == 6:
            size = int(rng.choice([1, 2, 4, 8]))
            value = EDGES[rng.integers(len(EDGES))] % 256**size
            data[at : at + size] = value.to_bytes(
                size, "big" if rng.random() < 0.3 else "little"
            )
        elif fault == 7:
            other = others[rng.integers(len(others))]
            data[at:] = other[int(rng.integers(len(other))) :]
        elif data:
            start = data.find(b"1", at)
            data[max(start, 0) : max(start, 0) + 1] = str(
                EDGES[rng.integers(len(EDGES))]
            ).encode()
    return bytes(data)


def small(matrices):
    """Return what the command computes of matrices, where that is quick."""
    for value in matrices.values():
        if np.prod(value.shape) < 10_000:
            spectrum(value)


def readers(path):
    """Yield the readers for a file, by name."""
    yield "read_weights", lambda: taken(read_weights(path)[1])
    yield (
        "read_weights of a column",
        lambda: taken(
            read_weights(path, "size" if path.suffix != ".pt" else "a.weight")[1]
        ),
    )
    yield "read_matrices", lambda: small(read_matrices(path))
    yield "read_state", lambda: signs.check(read_state(path))
    yield (
        "read_columns",
        lambda: read_columns(path, "size", {}, {"--by": "kind", "--pre": "pre"}),
    )
    yield "gather", lambda: gather(path, "size", by="kind", connections=("pre", "post"))
    yield (
        "gather whole",
        lambda: gather(
            path, options=TableOptions(trailing=True), matrix=path.name.startswith("m.")
        ),
    )
    yield (
        "read_synapses",
        lambda: str(read_synapses(path, pre="pre", post="post").to_dict()),
    )
    yield "read_idx", lambda: read_idx(path)
    for load in (kasthuri, microns_l23, cerebellum, mossy_fibres):
        if load.__name__[:5] == path.name[:5]:
            yield load.__name__, lambda load=load: load(path, check=False).to_dict()
    yield "larva", lambda: larva(path.parent, check=False)
    yield "fashion_mnist", lambda: fashion_mnist(path.parent, check=False)


def taken(values):
    return (
        weight_sample(values, pool=True, drop_missing=True)
        if not isinstance(values, dict)
        else values
    )


def fitting(path, name):
    """Whether a reader says more of a file than that its ending is another."""
    if "idx" in path.name:
        return name == "read_idx"
    if name in ("larva", "fashion_mnist", "read_idx"):
        return False
    return name != "read_state" or path.suffix in (
        ".npz",
        ".pt",
        ".pth",
        ".ckpt",
        ".safetensors",
    )


class TooSlowError(BaseException):
    """A reader took too long; no reader catches it."""


def late(*_):
    raise TooSlowError


def run(count, seed, start=0):
    """Read ``count`` damaged files and return what came of it; a fault names its number, from which to start again."""
    whole = seeds()
    names, contents = list(whole), list(whole.values())
    outcomes, faults, events = Counter(), [], Counter()
    watching = [False]

    def hook(event, arguments):
        writes = (
            event == "open"
            and isinstance(arguments[1], str)
            and set(arguments[1]) & set("wax+")
        )
        if watching[0] and (event in FORBIDDEN or writes):
            events[f"{event} {str(arguments)[:80]}"] += 1

    with tempfile.TemporaryDirectory() as folder:
        for name, content in whole.items():  # what the readers import, they import here
            path = Path(folder) / name
            path.write_bytes(content)
            for _, read in readers(path):
                attempt(read)
            path.unlink()
        sys.addaudithook(hook)
        signal.signal(signal.SIGALRM, late)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for i in range(start, start + count):
            name = names[i % len(names)]
            path = Path(folder) / name
            content = damaged(whole[name], np.random.default_rng([seed, i]), contents)
            path.write_bytes(content)
            for reader, read in readers(path):
                if not fitting(path, reader):
                    continue
                watching[0] = True
                signal.alarm(SECONDS)
                what = attempt(read)
                signal.alarm(0)
                watching[0] = False
                outcomes[what.split(":")[0]] += 1
                if what not in ("read", "refused"):
                    faults.append(
                        {"file": name, "number": i, "reader": reader, "what": what}
                    )
            path.unlink()
    peak = peak_memory()
    return {
        "files": count,
        "outcomes": outcomes,
        "faults": faults,
        "events": events,
        "peak": peak,
    }


def peak_memory():
    """Return the most memory that this process has held, in bytes.

    Linux counts in ``ru_maxrss`` what the process that started this one held, even after exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(
            one for one in status.read_text().splitlines() if one.startswith("VmHWM")
        )
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def attempt(read):
    """Return "read", "refused", or what was wrong with the way in which a reader failed."""
    try:
        with warnings.catch_warnings(action="ignore"):
            read()
    except (ValueError, OSError) as error:
        text = str(error)
        if (
            "must" in text
            and "\n" not in text
            and len(text) < 1500
            and type(error) in REFUSALS
        ):
            return "refused"
        return f"{type(error).__name__}: {text[:300]}"
    except TooSlowError:
        return "slow: "
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return "read"


if __name__ == "__main__":
    faulthandler.enable()
    print(json.dumps(run(*map(int, sys.argv[1:]))))
