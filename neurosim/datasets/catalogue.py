"""The table of data sets that have a name: what they hold, where they come from, under which licence."""

from __future__ import annotations

from math import prod
from typing import Literal

from neurosim.descriptions import Description, PositiveAmount, PositiveCount

Format = Literal["package", "idx", "cifar"]


class DataFile(Description):
    """One file of a data set, as its authors published it."""

    name: str
    size_bytes: PositiveCount
    sha256: str


class DatasetInfo(Description):
    """What is known of a data set before it is read.

    ``image_shape`` is [rows, columns], or [channels, rows, columns] of a colour image; ``full_scale`` the largest
    value an input can take. ``files`` are what is downloaded (none: the data are part of the package), and
    ``mirrors`` the addresses that serve them, each ending in a slash. Read are the files themselves, in the order
    training images, training labels, test images, test labels, or what is packed in them: the ``members``, of which
    the last holds the test samples. They lie in ``folder``, which is the name unless it says otherwise.
    """

    name: str
    title: str
    train_samples: PositiveCount
    test_samples: PositiveCount
    image_shape: tuple[PositiveCount, ...]
    classes: PositiveCount
    full_scale: PositiveAmount
    source: str
    licence: str
    format: Format = "package"
    folder: str = ""
    files: tuple[DataFile, ...] = ()
    members: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        """Values per sample."""
        return prod(self.image_shape)

    @property
    def samples(self) -> int:
        """All samples, training and test."""
        return self.train_samples + self.test_samples

    @property
    def contents(self) -> tuple[str, ...]:
        """Names of the files that are read, in the folder."""
        return self.members or tuple(file.name for file in self.files)

    @property
    def size_bytes(self) -> int:
        """What has to be downloaded, in bytes."""
        return sum(file.size_bytes for file in self.files)


def _files(*rows: tuple[str, int, str]) -> tuple[DataFile, ...]:
    return tuple(DataFile(name=name, size_bytes=size_bytes, sha256=sha256) for name, size_bytes, sha256 in rows)


DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            name="digits",
            title="UCI handwritten digits, 8 x 8 pixels of 0 to 16, part of the package",
            train_samples=1437,
            test_samples=360,
            image_shape=(8, 8),
            classes=10,
            full_scale=16.0,
            source="E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
            "Repository, 1998, https://doi.org/10.24432/C50P49; the 1797 images of its test part (optdigits.tes) as "
            "scikit-learn 1.9.1 ships them; split here, stratified and seeded, into 1437 and 360",
            licence="CC BY 4.0",
        ),
        DatasetInfo(
            name="mnist",
            title="MNIST handwritten digits, 28 x 28 pixels of 0 to 255",
            train_samples=60000,
            test_samples=10000,
            image_shape=(28, 28),
            classes=10,
            full_scale=255.0,
            source="Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998",
            licence="CC BY-SA 3.0 (as commonly given; the authors' page states none)",
            format="idx",
            files=_files(
                (
                    "train-images-idx3-ubyte.gz",
                    9912422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                (
                    "train-labels-idx1-ubyte.gz",
                    28881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
                (
                    "t10k-images-idx3-ubyte.gz",
                    1648877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                (
                    "t10k-labels-idx1-ubyte.gz",
                    4542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ),
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
        ),
        DatasetInfo(
            name="fashion-mnist",
            title="Fashion-MNIST articles of clothing, 28 x 28 pixels of 0 to 255",
            train_samples=60000,
            test_samples=10000,
            image_shape=(28, 28),
            classes=10,
            full_scale=255.0,
            source="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine "
            "Learning Algorithms, arXiv:1708.07747, 2017",
            licence="MIT, Copyright 2017 Zalando SE",
            format="idx",
            files=_files(
                (
                    "train-images-idx3-ubyte.gz",
                    26421880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                (
                    "train-labels-idx1-ubyte.gz",
                    29515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                (
                    "t10k-images-idx3-ubyte.gz",
                    4422102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                (
                    "t10k-labels-idx1-ubyte.gz",
                    5148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            ),
        ),
        DatasetInfo(
            name="cifar10",
            title="CIFAR-10 photographs of ten classes, 32 x 32 pixels in red, green and blue of 0 to 255",
            train_samples=50000,
            test_samples=10000,
            image_shape=(3, 32, 32),
            classes=10,
            full_scale=255.0,
            source="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, "
            "https://www.cs.toronto.edu/~kriz/cifar.html, binary version; of its 60000 images 50000 are for training",
            licence="none stated; the authors ask for a citation of the report",
            format="cifar",
            folder="cifar-10-batches-bin",
            # The data set's page gives the MD5, c32a1d4ab5d03f1284b67883e8d87530; this is the same archive.
            files=_files(
                (
                    "cifar-10-binary.tar.gz",
                    170052171,
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                ),
            ),
            members=(*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
            mirrors=("https://www.cs.toronto.edu/~kriz/",),
        ),
    )
}
