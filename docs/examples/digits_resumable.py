import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

images, digits = load_digits(return_X_y=True)


def train(point, seed, report):
    x, x_valid, y, y_valid = train_test_split(images / 16, digits, test_size=0.3, random_state=seed)
    model = SGDClassifier(alpha=point["alpha"], random_state=seed)
    checkpoint, done = report.folder / "checkpoint", 0
    if checkpoint.exists():
        done, accuracy, model = joblib.load(checkpoint)
        report(accuracy, epoch=done)
    for epoch in range(done + 1, report.epochs + 1):
        model.partial_fit(x, y, classes=range(10))
        accuracy = model.score(x_valid, y_valid)
        joblib.dump((epoch, accuracy, model), report.folder / "unfinished")
        (report.folder / "unfinished").replace(checkpoint)
        report(accuracy, epoch=epoch)
