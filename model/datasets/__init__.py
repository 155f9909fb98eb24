"""Images to train on: digits that ship with scikit-learn, and CIFAR-10 in each of its official forms."""

from model.datasets.cifar10 import Selection, load_cifar10
from model.datasets.digits import load_digits
from model.datasets.split import Dataset, Images, Part

__all__ = ["Dataset", "Images", "Part", "Selection", "load_cifar10", "load_digits"]
