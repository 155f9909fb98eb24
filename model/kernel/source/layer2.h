/* The second layer of one trial in one mini-batch: equations (1) to (4), their gradients, and the step of the small
   parameters. A trial's rows and classes are chunked like the rows of the stack, so that the same tiles multiply. */

/* Arrays of a worker. In H and D, the chunk from hidden unit h on begins at h·b; in G, the chunk from class c on at c·b. */
struct F(work) {
  real *H, *D;         /* [chunk of hidden][b][rows] */
  real *G;             /* [chunk of classes][b][classes]: first z, then the gradient */
  real *z;             /* [C][b, filled up to whole vectors]: z, then eᶻ, then the gradient, with images side by side */
  real *total, *loss;  /* [b]: Σ eᶻ, and the cross-entropy */
  integer *y;          /* [b]: labels */
  real *W2T;           /* [chunk of classes][m][classes] */
  real *nrho, *keep;   /* −ρ and 1 + ρ − 2ηλ, for every lane of a chunk */
};

/* Return how many numbers the arrays of a worker take. */
static long F(layer2_size)(long b, long m, long hidden, long classes) {
  const long images = F(whole_vectors)(b);
  const long numbers = 2 * hidden * b + classes * (b + images + m) + 3 * images + 2 * MAX_VECTORS * LANES;
  return (numbers / CACHE_LINE + 9) * (CACHE_LINE + GAP); /* each array begins on a cache line */
}

static struct F(work) F(work_of)(const struct F(layout) *a, const struct stack *s, long thread) {
  struct F(work) w;
  real *next = a->work + thread * a->work_size;
  const long line = CACHE_LINE / (long)sizeof(real);
#define PLACE(array, count)                             \
  (array) = (void *)next;                               \
  next += ((count) + line - 1) / line * line;           \
  FORBID(next, GAP);                                    \
  next += GAP / (long)sizeof(real);
  PLACE(w.H, a->hidden * s->batch)
  PLACE(w.D, a->hidden * s->batch)
  PLACE(w.G, a->classes * s->batch)
  PLACE(w.z, a->classes * F(whole_vectors)(s->batch))
  PLACE(w.total, F(whole_vectors)(s->batch))
  PLACE(w.loss, F(whole_vectors)(s->batch))
  PLACE(w.y, F(whole_vectors)(s->batch))
  PLACE(w.W2T, a->classes * s->m)
  PLACE(w.nrho, MAX_VECTORS * LANES)
  PLACE(w.keep, MAX_VECTORS * LANES)
#undef PLACE
  return w;
}

/* Copy n numbers for each of b images from one layout into another; consecutive images are `into_stride` and
   `from_stride` numbers apart. */
static void F(copy)(real *into, long into_stride, const real *from, long from_stride, long n, long b) {
  for (long k = 0; k < b; k++, into += into_stride, from += from_stride) {
    if (n < LANES) {
      for (long i = 0; i < n; i++) into[i] = from[i];
      continue;
    }
    for (long i = 0; i + LANES <= n; i += LANES) F(store)(into + i, F(load)(from + i));
    F(store)(into + n - LANES, F(load)(from + n - LANES)); /* overlaps the vector before */
  }
}

/* Copy the rows of a trial from the stack's chunks into its own, or back. */
static void F(copy_rows)(const struct stack *s, const struct F(layout) *a, real *stack, real *own, long trial, long b,
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
static void F(activate)(const struct F(layout) *a, real *H, const real *b1, long b) {
  EACH_CHUNK(h, width, a->hidden)
    for (long k = 0; k < b; k++)
      for (long i = 0; i < width; i += LANES) {
        V *place = (V *)(H + h * b + k * width + i);
        const V sum = *place + *(const V *)(b1 + h + i);
        *place = F(flush_small)(F(select)(sum < (V){0}, (V){0}, sum));
      }
}

/* z ← b2 + W2·H: a chain that begins with the bias, over the hidden units in their order. `begin` has set the lanes of
   W2T after the last class to 0. */
static void F(logits)(const struct stack *s, const struct F(layout) *a, const struct F(work) *w, const real *W2,
                        const real *b2, long b) {
  EACH_CHUNK(c, classes, a->classes) {
    real *W2T = w->W2T + c * s->m, *z = w->G + c * b;
    const long used = s->C - c < classes ? s->C - c : classes;
    EACH_CHUNK(h, width, a->hidden)
      for (long i = 0; i < width && h + i < s->m; i++)
        for (long j = 0; j < used; j++) W2T[(h + i) * classes + j] = W2[h * s->C + (c + j) * width + i];
    for (long k = 0; k < b; k++)
      for (long j = 0; j < classes; j += LANES) *(V *)(z + k * classes + j) = *(const V *)(b2 + c + j);
    EACH_CHUNK(h, width, a->hidden)
      F(multiply)((int)(classes / LANES), CHAIN, z, W2T + h * classes, w->H + h * b, width, b,
                  s->m - h < width ? s->m - h : width);
  }
}

/* Copy z of the classes from [b][classes] to [C][b], or the gradient back. */
static void F(transpose)(const struct stack *s, const struct F(layout) *a, const struct F(work) *w, long b, int back) {
  const long images = F(whole_vectors)(b);
  EACH_CHUNK(c, classes, a->classes) {
    const long used = s->C - c < classes ? s->C - c : classes;
    real *there = w->G + c * b, *here = w->z + c * images;
    for (long k = 0; k < b; k++)
      for (long j = 0; j < used; j++)
        if (back)
          there[k * classes + j] = here[j * images + k];
        else
          here[j * images + k] = there[k * classes + j];
  }
}

/* z ← e^(z − max z) for each class; `total` is the sum of these, class after class, and `loss` is ln(total) − (z − max z)
   of the label. Return how many images have their largest z, the first of equals, at the label. */
static long F(softmax)(const struct stack *s, const struct F(work) *w, const int32_t *y, long b) {
  const long images = F(whole_vectors)(b);
  long hits = 0;
  for (long k = 0; k < images; k++) w->y[k] = k < b ? y[k] : -1;
  for (long k = 0; k < images; k += LANES) {
    const I label = *(I *)(w->y + k);
    V most = *(V *)(w->z + k), right = most, total = {0};
    I best = {0};
    for (long c = 1; c < s->C; c++) {
      const V z = *(V *)(w->z + c * images + k);
      const I class = (I){0} + (integer)c;
      best = (class & (z > most)) | (best & ~(z > most));
      most = F(select)(z > most, z, most);
      right = F(select)(label == class, z, right);
    }
    for (long c = 0; c < s->C; c++) {
      V *z = (V *)(w->z + c * images + k);
      *z = F(exp)(*z - most);
      total += *z;
    }
    *(V *)(w->total + k) = total;
    *(V *)(w->loss + k) = F(log)(total) - (right - most);
    const I found = best == label; /* −1 where they are equal */
    for (long lane = 0; lane < LANES; lane++) hits -= found[lane];
  }
  return hits;
}

/* z ← (eᶻ / Σ eᶻ − [c = label])·weight: the quotient, the difference and the product are rounded. */
static void F(differentiate)(const struct stack *s, const struct F(work) *w, real weight, long b) {
  const long images = F(whole_vectors)(b);
  for (long c = 0; c < s->C; c++)
    for (long k = 0; k < images; k += LANES) {
      V *z = (V *)(w->z + c * images + k);
      const V one = F(select)(*(I *)(w->y + k) == (I){0} + (integer)c, F(broadcast)(1), (V){0});
      *z = F(flush_small)((*z / *(V *)(w->total + k) - one) * F(broadcast)(weight));
    }
}

/* D ← W2ᵀ·G where H > 0, else 0: a chain from 0 over the classes in their order. */
static void F(propagate)(const struct stack *s, const struct F(layout) *a, const struct F(work) *w, const real *W2,
                         long b) {
  EACH_CHUNK(h, width, a->hidden) {
    EACH_CHUNK(c, classes, a->classes)
      F(multiply)((int)(width / LANES), c ? CHAIN : SET, w->D + h * b, W2 + h * s->C + c * width, w->G + c * b,
                  classes, b, s->C - c < classes ? s->C - c : classes);
    for (long i = 0; i < width * b; i += LANES) {
      V *D = (V *)(w->D + h * b + i);
      *D = F(flush_small)(F(select)(*(V *)(w->H + h * b + i) > (V){0}, *D, (V){0}));
    }
  }
}

/* prev ← nrho·prev + keep·now − Σₖ gradient[k] for the lanes of a chunk: keep·now is rounded, nrho·prev is added to it,
   then each image's gradient is subtracted in their order. */
static void F(step_bias)(real *prev, const real *now, const real *gradient, real nrho, real keep, long width, long b) {
  for (long i = 0; i < width; i += LANES) {
    V sum = F(fma)(F(broadcast)(nrho), *(V *)(prev + i), F(broadcast)(keep) * *(const V *)(now + i));
    for (long k = 0; k < b; k++) sum -= *(const V *)(gradient + k * width + i);
    *(V *)(prev + i) = F(flush_small)(sum);
  }
}

/* Return −ρ and 1 + ρ − 2ηλ of a trial, 0 if they are nearer to zero than 2⁻³⁷. */
static real F(nrho_of)(const struct stack *s, long trial) {
  return s->rho[trial] < LEAST_PIXEL && s->rho[trial] > -LEAST_PIXEL ? 0 : (real)-s->rho[trial];
}

static real F(keep_of)(const struct stack *s, long trial) {
  const double keep = 1 + s->rho[trial] - 2 * s->eta[trial] * s->lambda[trial];
  return keep < LEAST_PIXEL && keep > -LEAST_PIXEL ? 0 : (real)keep;
}

/* Compute the second layer of a trial from S; `now` is the half that holds θ, or −1 in an evaluation. When
   training, also leave D in the stack's chunks, and take the step of b1, W2 and b2. */
static void F(layer2)(const struct stack *s, struct F(layout) *a, const struct F(work) *w, long trial, long b,
                      const int32_t *y, int now) {
  const int half = now < 0 ? 0 : now;
  real *W2 = a->W2[half] + trial * s->C * a->hidden, *W2_prev = a->W2[!half] + trial * s->C * a->hidden;
  real *b1 = a->b1[half] + trial * a->hidden, *b1_prev = a->b1[!half] + trial * a->hidden;
  real *b2 = a->b2[half] + trial * a->classes, *b2_prev = a->b2[!half] + trial * a->classes;
  F(copy_rows)(s, a, a->S, w->H, trial, b, 0);
  F(activate)(a, w->H, b1, b);
  F(logits)(s, a, w, W2, b2, b);
  F(transpose)(s, a, w, b, 0);
  const long hits = F(softmax)(s, w, y, b);
  double losses = s->losses[trial];
  for (long k = 0; k < b; k++) losses += (double)w->loss[k]; /* image after image */
  s->losses[trial] = losses;
  if (now < 0) {
    s->hits[trial] += hits;
    return;
  }
  F(differentiate)(s, w, (real)(s->eta[trial] / (double)b), b);
  F(transpose)(s, a, w, b, 1);
  F(propagate)(s, a, w, W2, b);
  F(copy_rows)(s, a, a->D, w->D, trial, b, 1);
  const real nrho = F(nrho_of)(s, trial), keep = F(keep_of)(s, trial), keep_bias = (real)(1 + s->rho[trial]);
  for (long i = 0; i < MAX_VECTORS * LANES; i++) w->nrho[i] = nrho, w->keep[i] = keep;
  EACH_CHUNK(h, width, a->hidden) {
    EACH_CHUNK(c, classes, a->classes)
      F(step_chunk)((int)(width / LANES), W2_prev + h * s->C + c * width, W2 + h * s->C + c * width, w->H + h * b,
                    w->G + c * b, classes, w->nrho, w->keep, b, s->C - c < classes ? s->C - c : classes);
    for (long i = 0; i < s->C * width; i += LANES)
      *(V *)(W2_prev + h * s->C + i) = F(flush_small)(*(V *)(W2_prev + h * s->C + i));
    F(step_bias)(b1_prev + h, b1 + h, w->D + h * b, nrho, keep_bias, width, b);
  }
  EACH_CHUNK(c, classes, a->classes)
    F(step_bias)(b2_prev + c, b2 + c, w->G + c * b, nrho, keep_bias, classes, b);
}
