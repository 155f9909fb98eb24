import coarsefine

coarsefine.run(coarsefine.Campaign.load("small.toml"))

trials = coarsefine.trials("small")
print(trials.sort_values("value", ascending=False)[["stage", "number", "params_eta", "value"]].head(3))

epochs = coarsefine.trials("small", epochs=True)
print(epochs.groupby("epoch")["value"].max())
