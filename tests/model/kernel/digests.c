/* Train five small networks for three epochs in both precisions, and print a CRC-32 of each trial's bits. With an
   argument, print instead by how many units in the last place the exponential and the logarithm are wrong at most.

   `tests/support/kernel_digests.py` does the same through Python. This program needs nothing else, so that it can be built for any processor
   and run by an emulator. */

#include "../../../model/kernel/source/kernel.c"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIALS = 5, HIDDEN = 21, INPUTS = 200, CLASSES = 11, IMAGES = 300, BATCH = 32, ROW = 10, EPOCHS = 3 };

/* Return number i of a stream: from −½ to ½, exact in both precisions. */
static double drawn(uint32_t stream, uint32_t i) {
  uint32_t bits = (i + 1) * 2654435761u + stream * 40503u;
  bits ^= bits >> 15;
  bits *= 2246822519u;
  bits ^= bits >> 13;
  return (bits >> 8) / 16777216.0 - 0.5;
}

static uint32_t crc32(uint32_t crc, const void *data, size_t size) {
  crc = ~crc;
  for (const unsigned char *byte = data; size--; byte++) {
    crc ^= *byte;
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

static void *new_array(size_t size) {
  void *array = aligned_alloc(64, (size + 63) / 64 * 64);
  if (!array) exit(1);
  return array;
}

#define DEFINE_PRINT(real, begin, train, finish, evaluate, memory_needed)                                         \
  static void print_##real(void) {                                                                                \
    static real W1[2][TRIALS][HIDDEN * INPUTS], b1[2][TRIALS][HIDDEN], W2[2][TRIALS][CLASSES * HIDDEN],           \
        b2[2][TRIALS][CLASSES];                                                                                   \
    static float x[IMAGES * INPUTS];                                                                              \
    static int64_t y[IMAGES], order[IMAGES], hits[TRIALS];                                                        \
    static uint8_t mirrored[IMAGES];                                                                              \
    static double eta[TRIALS], lambda[TRIALS], rho[TRIALS], losses[TRIALS];                                       \
    uint32_t crc[TRIALS] = {0};                                                                                   \
    for (int i = 0; i < IMAGES * INPUTS; i++) x[i] = (float)(4 * drawn(1, (uint32_t)i));                          \
    for (int i = 0; i < IMAGES; i++) {                                                                            \
      y[i] = (int64_t)((drawn(2, (uint32_t)i) + 0.5) * CLASSES);                                                  \
      order[i] = (i * 7 + 3) % IMAGES;                                                                            \
      mirrored[i] = drawn(3, (uint32_t)i) < 0;                                                                    \
    }                                                                                                             \
    for (int t = 0; t < TRIALS; t++) {                                                                            \
      eta[t] = 0.03125 * (t + 1), lambda[t] = 0.0009765625 * t, rho[t] = 0.875 - 0.125 * t;                       \
      for (int half = 0; half < 2; half++) {                                                                      \
        for (int i = 0; i < HIDDEN * INPUTS; i++) W1[half][t][i] = (real)(0.125 * drawn(10 + (uint32_t)t, (uint32_t)i)); \
        for (int i = 0; i < CLASSES * HIDDEN; i++) W2[half][t][i] = (real)(0.5 * drawn(20 + (uint32_t)t, (uint32_t)i)); \
      }                                                                                                           \
    }                                                                                                             \
    struct stack s = {                                                                                            \
        .T = TRIALS, .m = HIDDEN, .d = INPUTS, .C = CLASSES, .batch = BATCH, .n = IMAGES, .threads = 2, .row = ROW, \
        .W1 = W1[0], .b1 = b1[0], .W2 = W2[0], .b2 = b2[0], .W1_prev = W1[1], .b1_prev = b1[1], .W2_prev = W2[1], \
        .b2_prev = b2[1], .eta = eta, .lambda = lambda, .rho = rho, .x = x, .y = y, .losses = losses, .hits = hits}; \
    s.memory = new_array((size_t)memory_needed(&s));                                                              \
    for (int epoch = 0; epoch < EPOCHS; epoch++) {                                                                \
      const int64_t steps = (IMAGES + BATCH - 1) / BATCH;                                                         \
      s.order = order, s.mirrored = mirrored;                                                                     \
      begin(&s);                                                                                                  \
      train(&s, 0, 4);                                                                                            \
      train(&s, 4, steps);                                                                                        \
      finish(&s, steps);                                                                                          \
      for (int t = 0; t < TRIALS; t++) crc[t] = crc32(crc[t], &losses[t], sizeof losses[t]), hits[t] = 0;         \
      struct stack evaluated = s;                                                                                 \
      evaluated.order = NULL, evaluated.mirrored = NULL, evaluated.W1_prev = NULL;                                \
      begin(&evaluated);                                                                                          \
      evaluate(&evaluated, 0, steps);                                                                             \
      for (int t = 0; t < TRIALS; t++) {                                                                          \
        crc[t] = crc32(crc[t], &losses[t], sizeof losses[t]);                                                     \
        crc[t] = crc32(crc[t], &hits[t], sizeof hits[t]);                                                         \
      }                                                                                                           \
    }                                                                                                             \
    for (int t = 0; t < TRIALS; t++) {                                                                            \
      for (int half = 0; half < 2; half++) {                                                                      \
        crc[t] = crc32(crc[t], W1[half][t], sizeof W1[half][t]);                                                  \
        crc[t] = crc32(crc[t], b1[half][t], sizeof b1[half][t]);                                                  \
        crc[t] = crc32(crc[t], W2[half][t], sizeof W2[half][t]);                                                  \
        crc[t] = crc32(crc[t], b2[half][t], sizeof b2[half][t]);                                                  \
      }                                                                                                           \
      printf("%s %d %08x\n", #real, t, crc[t]);                                                                   \
    }                                                                                                             \
    free(s.memory);                                                                                               \
  }

/* `real` of the kernel is a macro; here it names each precision in turn. */
#undef real
DEFINE_PRINT(float, begin_float, train_float, finish_float, evaluate_float, memory_needed_float)
DEFINE_PRINT(double, begin_double, train_double, finish_double, evaluate_double, memory_needed_double)

#define DEFINE_ERRORS(real, digits, V, exp, log)                                                    \
  static void print_errors_##real(void) {                                                           \
    long double wrong[2] = {0, 0};                                                                  \
    for (long i = 0; i < 400000; i++) {                                                             \
      const real x[2] = {(real)(-60 * (i / 400000.)), (real)(1 + 100 * (i / 400000.))};             \
      const V found[2] = {exp(x[0] - (V){0}), log(x[1] - (V){0})};                                  \
      const long double exact[2] = {expl(x[0]), logl(x[1])};                                        \
      for (int k = 0; k < 2; k++) {                                                                 \
        int exponent;                                                                               \
        frexpl(exact[k], &exponent);                                                                \
        const long double units = fabsl(found[k][0] - exact[k]) / ldexpl(1, exponent - digits);     \
        if (units > wrong[k]) wrong[k] = units;                                                     \
      }                                                                                             \
    }                                                                                               \
    printf("%.3Lf %.3Lf\n", wrong[0], wrong[1]);                                                    \
  }
DEFINE_ERRORS(float, 24, V_float, exp_float, log_float)
DEFINE_ERRORS(double, 53, V_double, exp_double, log_double)

int main(int count, char **arguments) {
  (void)arguments;
  if (count > 1) {
    print_errors_float();
    print_errors_double();
  } else {
    print_float();
    print_double();
  }
}
