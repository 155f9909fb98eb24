from coarsefine import Campaign, Observer, run


class Progress(Observer):
    def on_message(self, sentence):
        print(sentence)

    def on_progress(self, stage):
        for trial in stage.snapshot().new:
            print(stage.stage_name, trial.number, trial.state.name, trial.value)


run(Campaign.load("small.toml"), observer=Progress())
