import coarsefine

print(coarsefine.__version__)
