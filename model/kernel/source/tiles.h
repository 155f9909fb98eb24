/* The two inner loops, each over a tile of numbers that are held in registers.

   A chunk is rv vectors of rows (rv·LANES hidden units), whose numbers lie side by side in memory. One vector of each
   row's numbers is multiplied by one number of an image, so a lane belongs to one hidden unit, and each sum is one
   chain of fused multiply-adds in a lane of its own. So no sum depends on the size of a tile, a chunk or a vector, on
   the number of rows, or on the place of a row among them.

   `rv` and `n` are constants wherever these functions are inlined. */

/* Take the step of n columns of weights; W and W_prev are [n][rv·LANES], D is [b][rv·LANES], x is [b][..stride].

     W_prev[c] ← nrho·W_prev[c] + keep·W[c] − Σₖ D[k]·x[k][c]

   keep·W is rounded, then the chain begins with nrho·W_prev added to it, and continues with k = 0, 1, …, b − 1. Last
   comes `flush`. */
static INLINE void F(step_tile)(const int rv, const int n, real *W_prev, const real *W, const real *D, const real *x,
                                const long stride, const real *nrho, const real *keep, const long b) {
  V sum[24][4];
  for (int c = 0; c < n; c++)
    for (int r = 0; r < rv; r++) {
      const long at = (c * rv + r) * LANES;
      sum[c][r] = F(fma)(*(const V *)(nrho + r * LANES), *(V *)(W_prev + at),
                         *(const V *)(keep + r * LANES) * *(const V *)(W + at));
    }
  for (long k = 0; k < b; k++) {
    V d[4];
    for (int r = 0; r < rv; r++) d[r] = *(const V *)(D + (k * rv + r) * LANES);
    for (int c = 0; c < n; c++) {
      const V pixel = F(broadcast)(x[k * stride + c]);
      for (int r = 0; r < rv; r++) sum[c][r] = F(fnma)(d[r], pixel, sum[c][r]);
    }
  }
  for (int c = 0; c < n; c++)
    for (int r = 0; r < rv; r++) *(V *)(W_prev + (c * rv + r) * LANES) = F(flush)(sum[c][r]);
}

/* Multiply n images with w columns of weights; S is [n][rv·LANES], W is [w][rv·LANES], x is [n][..stride].

     SET:    S[k] ← Σⱼ W[j]·x[k][j]              the chain begins with 0
     CHAIN:  S[k] ← S[k] + Σⱼ W[j]·x[k][j]       the chain begins with S
     ADD:    the sum of SET, then added to S

   While it multiplies, `lines` cache lines from `ahead` on are fetched for what comes next. */
static INLINE void F(project_tile)(const int rv, const int n, const int mode, real *S, const real *W, const real *x,
                                   const long stride, const long w, const char *ahead, const long lines) {
  V sum[16][4];
  for (int c = 0; c < n; c++)
    for (int r = 0; r < rv; r++) sum[c][r] = mode == CHAIN ? *(V *)(S + (c * rv + r) * LANES) : (V){0};
  long j = 0;
#define COLUMN                                                                     \
  {                                                                                \
    V weight[4];                                                                   \
    for (int r = 0; r < rv; r++) weight[r] = *(const V *)(W + (j * rv + r) * LANES); \
    for (int c = 0; c < n; c++) {                                                  \
      const V pixel = F(broadcast)(x[c * stride + j]);                                   \
      for (int r = 0; r < rv; r++) sum[c][r] = F(fma)(weight[r], pixel, sum[c][r]); \
    }                                                                              \
  }
  for (; j < lines; j++) {
    __builtin_prefetch(ahead + j * CACHE_LINE, 0, 2);
    COLUMN
  }
  for (; j < w; j++) COLUMN
#undef COLUMN
  for (int c = 0; c < n; c++)
    for (int r = 0; r < rv; r++) {
      V *place = (V *)(S + (c * rv + r) * LANES);
      if (mode == ADD) sum[c][r] = *place + sum[c][r];
      *place = sum[c][r];
    }
}

/* A chunk's functions for each number of vectors in a chunk, and each number of columns or images that remain after
   the tiles of the best size. */
#define REMAINDERS(TILE)                                                                              \
  TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) \
  TILE(13) TILE(14) TILE(15)

#define STEP_FUNCTION(rv, size)                                                                                   \
  static NOINLINE void F(step_##rv)(real *W_prev, const real *W, const real *D, const real *x, const long stride, \
                                    const real *nrho, const real *keep, const long b, const long w) {            \
    long c = 0;                                                                                                   \
    for (; c + size <= w; c += size)                                                                              \
      F(step_tile)(rv, size, W_prev + c * rv * LANES, W + c * rv * LANES, D, x + c, stride, nrho, keep, b);       \
    switch (w - c) { REMAINDERS(STEP_REMAINDER_##rv) }                                                            \
  }
#define STEP_REMAINDER(rv, n, size)                                                                               \
  case n:                                                                                                         \
    if (n < size) F(step_tile)(rv, n < size ? n : 1, W_prev + c * rv * LANES, W + c * rv * LANES, D, x + c, stride, \
                               nrho, keep, b);                                                                    \
    break;
#define STEP_REMAINDER_1(n) STEP_REMAINDER(1, n, STEP_SIZE_1)
#define STEP_REMAINDER_2(n) STEP_REMAINDER(2, n, STEP_SIZE_2)
#define STEP_REMAINDER_3(n) STEP_REMAINDER(3, n, STEP_SIZE_3)
#define STEP_REMAINDER_4(n) STEP_REMAINDER(4, n, STEP_SIZE_4)

#define PROJECT_FUNCTION(rv, name, size, stride_of_panel)                                                            \
  static NOINLINE void F(name)(const int mode, real *S, const real *W, const real *x, const long given_stride,      \
                               const long b, const long w, const char *ahead, long lines) {                         \
    const long stride = stride_of_panel ? PANEL : given_stride;                                                      \
    const long each = lines / (b / size + 1) + 1, most = each < w ? each : w;                                        \
    long k = 0;                                                                                                      \
    for (; k + size <= b; k += size) {                                                                               \
      const long count = lines < most ? lines : most;                                                                \
      F(project_tile)(rv, size, mode, S + k * rv * LANES, W, x + k * stride, stride, w, ahead, count);               \
      ahead += count * CACHE_LINE, lines -= count;                                                                   \
    }                                                                                                                \
    switch (b - k) { REMAINDERS(PROJECT_REMAINDER_##rv) }                                                            \
  }
#define PROJECT_REMAINDER(rv, n, size)                                                                               \
  case n:                                                                                                            \
    if (n < size)                                                                                                    \
      F(project_tile)(rv, n < size ? n : 1, mode, S + k * rv * LANES, W, x + k * stride, stride, w, ahead, 0);       \
    break;
#define PROJECT_REMAINDER_1(n) PROJECT_REMAINDER(1, n, PROJECT_SIZE_1)
#define PROJECT_REMAINDER_2(n) PROJECT_REMAINDER(2, n, PROJECT_SIZE_2)
#define PROJECT_REMAINDER_3(n) PROJECT_REMAINDER(3, n, PROJECT_SIZE_3)
#define PROJECT_REMAINDER_4(n) PROJECT_REMAINDER(4, n, PROJECT_SIZE_4)

#define CHUNK_FUNCTIONS(rv)                                            \
  STEP_FUNCTION(rv, STEP_SIZE_##rv)                                    \
  PROJECT_FUNCTION(rv, project_panel_##rv, PROJECT_SIZE_##rv, 1)       \
  PROJECT_FUNCTION(rv, project_##rv, PROJECT_SIZE_##rv, 0)
CHUNK_FUNCTIONS(1)
CHUNK_FUNCTIONS(2)
CHUNK_FUNCTIONS(3)
CHUNK_FUNCTIONS(4)

#define CHOOSE(rv, call) \
  switch (rv) {          \
    case 1: call(1);     \
    case 2: call(2);     \
    case 3: call(3);     \
    default: call(4);    \
  }

static void F(step_chunk)(int rv, real *W_prev, const real *W, const real *D, const real *x, long stride,
                          const real *nrho, const real *keep, long b, long w) {
#define CALL(rv) F(step_##rv)(W_prev, W, D, x, stride, nrho, keep, b, w); return
  CHOOSE(rv, CALL)
#undef CALL
}

static void F(project_chunk)(int rv, int mode, real *S, const real *W, const real *x, long b, long w,
                             const char *ahead, long lines) {
#define CALL(rv) F(project_panel_##rv)(mode, S, W, x, PANEL, b, w, ahead, lines); return
  CHOOSE(rv, CALL)
#undef CALL
}

static void F(multiply)(int rv, int mode, real *S, const real *W, const real *x, long stride, long b, long w) {
#define CALL(rv) F(project_##rv)(mode, S, W, x, stride, b, w, (const char *)W, 0); return
  CHOOSE(rv, CALL)
#undef CALL
}
