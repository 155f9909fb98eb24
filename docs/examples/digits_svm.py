from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

images, digits = load_digits(return_X_y=True)


def train(point, seed, report):
    x, x_valid, y, y_valid = train_test_split(images, digits, test_size=0.3, random_state=seed)
    return SVC(C=point["C"], gamma=point["gamma"]).fit(x, y).score(x_valid, y_valid)
