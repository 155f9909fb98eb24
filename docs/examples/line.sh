#!/bin/bash
# Fit a line to 40 noisy points by gradient descent with momentum, and print after each epoch how well it fits.
exec awk -v rate="$1" -v momentum="$2" -v seed="$3" -v epochs="$4" '
function uniform() { state = (state * 16807) % 2147483647; return state / 2147483647 }
BEGIN {
    state = 1
    for (i = 0; i < 40; i++) { x[i] = 2 * uniform() - 1; y[i] = 3 * x[i] - 1 + uniform(); mean += y[i] / 40 }
    state = seed % 2147483646 + 1
    slope = uniform(); offset = uniform()
    for (epoch = 1; epoch <= epochs; epoch++) {
        for (step = 0; step < 40; step++) {
            i = int(40 * uniform())
            error = slope * x[i] + offset - y[i]
            fast = momentum * fast - rate * error * x[i]; slope += fast
            slow = momentum * slow - rate * error; offset += slow
        }
        rest = all = 0
        for (i = 0; i < 40; i++) { rest += (slope * x[i] + offset - y[i])^2; all += (y[i] - mean)^2 }
        printf "epoch %d: score=%.4f slope=%.3f\n", epoch, 1 - rest / all, slope
        fflush()
    }
}'
