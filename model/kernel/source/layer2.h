/* The second layer of one trial in one mini-batch: equations (1) to (4), their gradients, and the step of the small
   parameters. A trial's rows and classes are chunked like the rows of the stack, so that the same tiles multiply. */

/* Arrays of a thread. A chunk of hidden units that begins at row h lies at h·b, one of classes that begins at c at c·b. */
struct F(work) {
  real *H, *D;         /* [chunk of hidden][b][rows] */
  real *G;             /* [chunk of classes][b][classes]: first z, then the gradient */
  real *W2T;           /* [chunk of classes][m][classes] */
  real *nrho, *keep;   /* a vector of each row of a chunk */
  real *total, *right; /* [b]: Σ eᶻ, and z of the label */
  real *row;           /* [d]: a mirrored image */
};

/* Return how many numbers the arrays of a thread take. */
static long F(layer2_size)(long b, long m, long hidden, long classes, long d) {
  const long numbers = 2 * hidden * b + classes * b + classes * m + 2 * MOST_VECTORS * LANES + 2 * F(whole_vectors)(b) + d;
  return (numbers / CACHE_LINE + 9) * CACHE_LINE; /* each array begins on a cache line */
}

static struct F(work) F(work_of)(const struct F(space) *a, const struct stack *s, long thread) {
  struct F(work) w;
  real *next = a->work + thread * a->work_size;
#define PLACE(array, count) \
  (array) = next;           \
  next += ((count) + CACHE_LINE / (long)sizeof(real) - 1) / (CACHE_LINE / (long)sizeof(real)) * (CACHE_LINE / (long)sizeof(real));
  PLACE(w.H, a->hidden * s->batch)
  PLACE(w.D, a->hidden * s->batch)
  PLACE(w.G, a->classes * s->batch)
  PLACE(w.W2T, a->classes * s->m)
  PLACE(w.nrho, MOST_VECTORS * LANES)
  PLACE(w.keep, MOST_VECTORS * LANES)
  PLACE(w.total, F(whole_vectors)(s->batch))
  PLACE(w.right, F(whole_vectors)(s->batch))
  PLACE(w.row, s->d)
#undef PLACE
  return w;
}

/* Copy n numbers for each of b images from one layout into another; each has its own distance between images. */
static void F(copy)(real *into, long into_stride, const real *from, long from_stride, long n, long b) {
  for (long k = 0; k < b; k++, into += into_stride, from += from_stride) {
    if (n < LANES) {
      for (long i = 0; i < n; i++) into[i] = from[i];
      continue;
    }
    for (long i = 0; i + LANES <= n; i += LANES) F(save)(into + i, F(load)(from + i));
    F(save)(into + n - LANES, F(load)(from + n - LANES)); /* the rest, and some numbers once more */
  }
}

/* Copy the rows of a trial from the stack's chunks into its own, or back. */
static void F(copy_rows)(const struct stack *s, const struct F(space) *a, real *stack, real *own, long trial, long b,
                         int back) {
  const long first = trial * s->m;
  long q = first / LANES * a->chunks / a->vectors;
  while (a->starts[q + 1] <= first) q++;
  while (a->starts[q] > first) q--;
  for (long i = 0, count; i < s->m; i += count) {
    const long row = first + i, own_row = i / (FULL_CHUNK * LANES) * (FULL_CHUNK * LANES);
    const long width = a->starts[q + 1] - a->starts[q], own_width = F(width_at)(own_row, a->hidden);
    count = s->m - i;
    if (count > a->starts[q + 1] - row) count = a->starts[q + 1] - row;
    if (count > own_row + own_width - i) count = own_row + own_width - i;
    real *there = stack + a->starts[q] * b + row - a->starts[q], *here = own + own_row * b + i - own_row;
    if (back)
      F(copy)(there, width, here, own_width, count, b);
    else
      F(copy)(here, own_width, there, width, count, b);
    if (row + count == a->starts[q + 1]) q++;
  }
}

/* H ← max(0, S + b1): the sum of S and the bias is rounded. NaN stays NaN. */
static void F(activate)(const struct F(space) *a, real *H, const real *b1, long b) {
  EACH_CHUNK(h, width, a->hidden)
    for (long k = 0; k < b; k++)
      for (long i = 0; i < width; i += LANES) {
        V *place = (V *)(H + h * b + k * width + i);
        const V sum = *place + *(const V *)(b1 + h + i);
        *place = F(choose)(sum < (V){0}, (V){0}, sum);
      }
}

/* z ← b2 + W2·H: a chain that begins with the bias, over the hidden units in their order. */
static void F(classify)(const struct stack *s, const struct F(space) *a, const struct F(work) *w, const real *W2,
                        const real *b2, long b) {
  EACH_CHUNK(c, classes, a->classes) {
    real *W2T = w->W2T + c * s->m, *z = w->G + c * b;
    EACH_CHUNK(h, width, a->hidden)
      for (long i = 0; i < width && h + i < s->m; i++)
        for (long j = 0; j < classes; j++)
          W2T[(h + i) * classes + j] = c + j < s->C ? W2[h * s->C + (c + j) * width + i] : 0;
    for (long k = 0; k < b; k++)
      for (long j = 0; j < classes; j += LANES) *(V *)(z + k * classes + j) = *(const V *)(b2 + c + j);
    EACH_CHUNK(h, width, a->hidden)
      F(multiply)((int)(classes / LANES), CHAIN, z, W2T + h * classes, w->H + h * b, width, b,
                  s->m - h < width ? s->m - h : width);
  }
}

/* Return z of an image and a class. */
static INLINE real *F(place_of)(const struct F(space) *a, real *G, long k, long c, long b) {
  const long first = c / (FULL_CHUNK * LANES) * (FULL_CHUNK * LANES);
  return G + first * b + k * F(width_at)(first, a->classes) + c - first;
}

/* z ← e^(z − max z) for each class, 0 for the lanes after the last class. Set `total` to the sum of these, class after
   class, and `right` to z − max z of the label. Return how many images have their largest z, the first of equals, at
   the label. */
static long F(exponentiate)(const struct stack *s, const struct F(space) *a, const struct F(work) *w, const int32_t *y,
                            long b) {
  long hits = 0;
  for (long k = 0; k < b; k++) {
    real most = *F(place_of)(a, w->G, k, 0, b), total = 0;
    long best = 0;
    EACH_CHUNK(c, classes, a->classes) {
      const real *z = w->G + c * b + k * classes;
      for (long j = 0; j < classes && c + j < s->C; j++)
        if (z[j] > most) most = z[j], best = c + j;
    }
    hits += best == y[k];
    w->right[k] = *F(place_of)(a, w->G, k, y[k], b) - most;
    EACH_CHUNK(c, classes, a->classes) {
      real *z = w->G + c * b + k * classes;
      for (long j = 0; j < classes; j += LANES) *(V *)(z + j) = F(exp)(*(V *)(z + j) - F(all)(most));
      for (long j = 0; j < classes; j++)
        if (c + j < s->C)
          total += z[j];
        else
          z[j] = 0;
    }
    w->total[k] = total;
  }
  return hits;
}

/* Return the sum of ln(Σ eᶻ) − z of the label over the images in their order, each in this precision, the sum in double. */
static double F(sum_of_losses)(const struct F(work) *w, double sum, long b) {
  for (long k = b; k < F(whole_vectors)(b); k++) w->total[k] = 1;
  for (long k = 0; k < b; k += LANES) {
    V *total = (V *)(w->total + k);
    V losses = F(log)(*total) - *(V *)(w->right + k);
    for (long lane = 0; lane < LANES && k + lane < b; lane++) sum += (double)losses[lane];
  }
  return sum;
}

/* G ← (eᶻ / Σ eᶻ − [c = label])·weight: the quotient, the difference and the product are rounded. */
static void F(differentiate)(const struct F(space) *a, const struct F(work) *w, const int32_t *y, real weight, long b) {
  I lanes;
  for (integer lane = 0; lane < LANES; lane++) lanes[lane] = lane;
  EACH_CHUNK(c, classes, a->classes)
    for (long k = 0; k < b; k++)
      for (long j = 0; j < classes; j += LANES) {
        V *place = (V *)(w->G + c * b + k * classes + j);
        const V one = F(choose)(lanes == (integer)(y[k] - c - j) + (I){0}, F(all)(1), (V){0});
        *place = (*place / F(all)(w->total[k]) - one) * F(all)(weight);
      }
}

/* D ← W2ᵀ·G where H > 0, else 0: a chain from 0 over the classes in their order. */
static void F(propagate)(const struct stack *s, const struct F(space) *a, const struct F(work) *w, const real *W2,
                         long b) {
  EACH_CHUNK(h, width, a->hidden) {
    EACH_CHUNK(c, classes, a->classes)
      F(multiply)((int)(width / LANES), c ? CHAIN : SET, w->D + h * b, W2 + h * s->C + c * width, w->G + c * b,
                  classes, b, s->C - c < classes ? s->C - c : classes);
    for (long i = 0; i < width * b; i += LANES) {
      V *D = (V *)(w->D + h * b + i);
      *D = F(choose)(*(V *)(w->H + h * b + i) > (V){0}, *D, (V){0});
    }
  }
}

/* prev ← nrho·prev + keep·now − Σₖ gradient[k] for the lanes of a chunk: keep·now is rounded, nrho·prev is added to it,
   then each image's gradient is subtracted in their order. */
static void F(step_bias)(real *prev, const real *now, const real *gradient, real nrho, real keep, long width, long b) {
  for (long i = 0; i < width; i += LANES) {
    V sum = F(fma)(F(all)(nrho), *(V *)(prev + i), F(all)(keep) * *(const V *)(now + i));
    for (long k = 0; k < b; k++) sum -= *(const V *)(gradient + k * width + i);
    *(V *)(prev + i) = sum;
  }
}

static real F(keep_of)(const struct stack *s, long trial) {
  return (real)(1 + s->rho[trial] - 2 * s->eta[trial] * s->lambda[trial]);
}

/* Compute the second layer of a trial from S; `now` is the half of θ, or −1 to evaluate alone. In a training, leave D in
   the stack's chunks, and take the step of b1, W2 and b2. */
static void F(layer2)(const struct stack *s, struct F(space) *a, const struct F(work) *w, long trial, long b,
                      const int32_t *y, int now) {
  const int half = now < 0 ? 0 : now;
  real *W2 = a->W2[half] + trial * s->C * a->hidden, *W2_prev = a->W2[!half] + trial * s->C * a->hidden;
  real *b1 = a->b1[half] + trial * a->hidden, *b1_prev = a->b1[!half] + trial * a->hidden;
  real *b2 = a->b2[half] + trial * a->classes, *b2_prev = a->b2[!half] + trial * a->classes;
  F(copy_rows)(s, a, a->S, w->H, trial, b, 0);
  F(activate)(a, w->H, b1, b);
  F(classify)(s, a, w, W2, b2, b);
  const long hits = F(exponentiate)(s, a, w, y, b);
  s->losses[trial] = F(sum_of_losses)(w, s->losses[trial], b);
  if (now < 0) {
    s->hits[trial] += hits;
    return;
  }
  F(differentiate)(a, w, y, (real)(s->eta[trial] / (double)b), b);
  F(propagate)(s, a, w, W2, b);
  F(copy_rows)(s, a, a->D, w->D, trial, b, 1);
  const real nrho = (real)-s->rho[trial], keep = F(keep_of)(s, trial), keep_bias = (real)(1 + s->rho[trial]);
  for (long i = 0; i < MOST_VECTORS * LANES; i++) w->nrho[i] = nrho, w->keep[i] = keep;
  EACH_CHUNK(h, width, a->hidden) {
    EACH_CHUNK(c, classes, a->classes)
      F(step_chunk)((int)(width / LANES), W2_prev + h * s->C + c * width, W2 + h * s->C + c * width, w->H + h * b,
                    w->G + c * b, classes, w->nrho, w->keep, b, s->C - c < classes ? s->C - c : classes);
    F(step_bias)(b1_prev + h, b1 + h, w->D + h * b, nrho, keep_bias, width, b);
  }
  EACH_CHUNK(c, classes, a->classes)
    F(step_bias)(b2_prev + c, b2 + c, w->G + c * b, nrho, keep_bias, classes, b);
}
