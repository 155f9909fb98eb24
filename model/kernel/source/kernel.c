/* The training of a stack of two-layer networks, equations (1) to (6) of the paper, for one processor core or several.

   T trials of m hidden units are R = T·m rows of W1. The rows of all trials follow each other; a few rows more fill
   the last vector. Rows are kept in chunks of up to four vectors:

            W1, as `network.py` has it                      here, one chunk
              row 0   x x x x … x  d columns                  column 0   r r r r … r   rows, side by side
              row 1   x x x x … x                             column 1   r r r r … r
              ⋮                                               ⋮
                                                              column d−1 r r r r … r

   Images are kept in panels of 96 columns, image after image. A step goes through the panels; for each panel, through
   the chunks; and for each chunk it takes the step of the panel's weights from this mini-batch (`step_tile`), and
   multiplies the new weights, which are still in the first-level cache, with the next mini-batch (`project_tile`):

       for each panel p                         x[p], x_next[p]: b × 96 numbers, in the second-level cache
         for each chunk q                       D[q], S[q]: b × rows
           W_prev[q][p] ← −ρ·W_prev[q][p] + (1 + ρ − 2ηλ)·W[q][p] − D[q]·x[p]
           S[q] ← S[q] + W_prev[q][p]·x_next[p]

   Then W and W_prev change places. Between two such passes the second layer is computed trial by trial (`layer2.h`).

   Every sum except S is one chain, in an order stated where it is computed. S adds the sums of the panels in their
   order. Numbers near zero become zero (`flush` in `vectors.h`). So the bits of a trial follow from its own numbers, and
   the same source gives the same bits for every instruction set with fused multiply-add. */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "processor.h"

#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define PUBLIC __attribute__((visibility("default")))
#define PANEL 96L /* columns of a panel: part of the definition of S */
#define CACHE_LINE 64L
#define MAX_VECTORS 4 /* of a chunk */
#define LEAST_PIXEL 0x1p-37 /* pixels and rates nearer to zero count as 0 */

#if defined(__SANITIZE_ADDRESS__) /* between two arrays lies memory that may not be touched */
#include <sanitizer/asan_interface.h>
#define GAP CACHE_LINE
#define FORBID(address, size) ASAN_POISON_MEMORY_REGION(address, size)
#else
#define GAP 0L
#define FORBID(address, size) ((void)(address))
#endif

enum { SET, CHAIN, ADD }; /* how `project_tile` uses what is in S */

/* The arguments of the functions below. `stack.py` fills them. θ and θ_prev have the shapes of `Parameters`; `begin`
   reads them, and `finish` writes them. */
struct stack {
  int64_t T, m, d, C;
  int64_t batch;   /* images of a mini-batch; the last one of an epoch may have fewer */
  int64_t n;       /* images of an epoch */
  int64_t threads;
  int64_t row;     /* pixels of a row of an image, for mirroring */
  void *W1, *b1, *W2, *b2, *W1_prev, *b1_prev, *W2_prev, *b2_prev;
  const double *eta, *lambda, *rho; /* (T,) */
  const float *x;                   /* (.., d) */
  const int64_t *y;                 /* (..,) labels below C */
  const int64_t *order;             /* (n,) places in x and y, or NULL for 0, 1, … */
  const uint8_t *mirrored;          /* (n,) whether an image is mirrored, or NULL */
  double *losses;                   /* (T,) sums of the cross-entropy */
  int64_t *hits;                    /* (T,) numbers of images classified correctly; `evaluate` alone */
  char *memory;                     /* of the size that `memory_needed` returns, on a cache line */
};

#include "threads.h"

#ifndef KERNEL_SOURCES /* A digest of sources and flags. build.py sets it; build.py and library.py compare it. */
#define KERNEL_SOURCES "unknown"
#endif

PUBLIC const char *kernel_sources(void) { return KERNEL_SOURCES; }
PUBLIC int32_t kernel_interface(void) { return 1; }
PUBLIC int32_t kernel_runs_here(void) { return has_instructions(); }

#define real float
#define integer int32_t
#define F(name) name##_float
#define ROUNDER 0x1.8p23f
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define ROOT_HALF_BITS 0x3f3504f3
#define LN2_HIGH 0x1.63p-1f
#define LN2_LOW -0x1.bd0106p-13f
#define LOG_TERMS 5
#define HIGH_EXPONENT 0x60000000
#define LEAST 0x1p-50f
#define EXP_FACTORS {1 / 5040.f, 1 / 720.f, 1 / 120.f, 1 / 24.f, 1 / 6.f, .5f, 1, 1}
#include "stack.h"

#undef V
#undef I
#undef LANES
#undef real
#undef integer
#undef F
#undef ROUNDER
#undef MANTISSA_BITS
#undef EXPONENT_BIAS
#undef ROOT_HALF_BITS
#undef LN2_HIGH
#undef LN2_LOW
#undef LOG_TERMS
#undef HIGH_EXPONENT
#undef LEAST
#undef EXP_FACTORS
#define real double
#define integer int64_t
#define F(name) name##_double
#define ROUNDER 0x1.8p52
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define ROOT_HALF_BITS 0x3fe6a09e667f3bcd
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LOG_TERMS 11
#define HIGH_EXPONENT 0x6000000000000000
#define LEAST 0x1p-480
#define EXP_FACTORS                                                                                               \
  {1 / 6227020800., 1 / 479001600., 1 / 39916800., 1 / 3628800., 1 / 362880., 1 / 40320., 1 / 5040., 1 / 720., 1 / 120., \
   1 / 24., 1 / 6., .5, 1, 1}
#include "stack.h"
