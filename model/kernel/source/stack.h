/* A stack in one precision: where its arrays are, a step, and the calls from Python. Included once per precision. */

#include "vectors.h"
#include "tiles.h"

/* The arrays of a call. In each array of the stack, chunk q begins at starts[q] times the numbers of a row. A trial's own
   rows and classes are chunked alike. The lanes that fill a last vector hold arbitrary numbers; no result reads them. */
struct F(layout) {
  long vectors, chunks, *starts;
  long hidden, classes; /* rows of a trial and its classes, filled up to whole vectors */
  real *W;              /* [chunk][panel][2][w][rows]: W1 of θ and θ_prev side by side */
  real *S, *D;          /* [chunk][b][rows] */
  real *nrho, *keep;    /* [rows] */
  real *x[2];           /* [panel][b][96], of two mini-batches in turn */
  int32_t *y[2];        /* [b] */
  real *W2[2];          /* of θ and θ_prev; of each trial [chunk of hidden][C][rows] */
  real *b1[2];          /* of each trial [hidden] */
  real *b2[2];          /* of each trial [classes] */
  real *row;            /* of each thread [d]: a mirrored image */
  long workers;         /* threads that compute second layers */
  real *work;           /* of each worker: see `layer2.h` */
  long work_size;       /* numbers of one worker */
  long size;            /* bytes of all */
};

static long F(whole_vectors)(long count) { return (count + LANES - 1) / LANES * LANES; }

/* Return the number of rows in the chunk that begins at `row`, given `rows` in all. */
static long F(width_at)(long row, long rows) {
  return rows - row < FULL_CHUNK * LANES ? rows - row : FULL_CHUNK * LANES;
}

#define EACH_CHUNK(row, width, rows) \
  for (long row = 0, width; row < (rows) && (width = F(width_at)(row, rows)); row += width)

#include "layer2.h"

/* Return the addresses of all arrays; with memory = NULL only the sizes count. */
static struct F(layout) F(lay_out)(const struct stack *s) {
  struct F(layout) a = {0};
  uintptr_t next = (uintptr_t)s->memory;
  a.vectors = (s->T * s->m + LANES - 1) / LANES;
  a.chunks = (a.vectors + FULL_CHUNK - 1) / FULL_CHUNK;
  if (a.chunks < s->threads) a.chunks = a.vectors < s->threads ? a.vectors : s->threads;
  a.hidden = F(whole_vectors)(s->m);
  a.classes = F(whole_vectors)(s->C);
  const long rows = a.vectors * LANES, panels = (s->d + PANEL - 1) / PANEL;
  a.workers = s->threads < s->T ? s->threads : s->T;
  a.work_size = F(layer2_size)(s->batch, s->m, a.hidden, a.classes);
#define PLACE(array, count)                                                                            \
  (array) = (void *)next;                                                                              \
  next += (uintptr_t)(((long)sizeof *(array) * (count) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);    \
  if (s->memory) FORBID((void *)next, GAP);                                                             \
  next += GAP;
  PLACE(a.starts, a.chunks + 1)
  PLACE(a.W, 2 * rows * s->d)
  PLACE(a.S, rows * s->batch)
  PLACE(a.D, rows * s->batch)
  PLACE(a.nrho, rows)
  PLACE(a.keep, rows)
  for (int half = 0; half < 2; half++) {
    PLACE(a.x[half], panels * PANEL * s->batch)
    PLACE(a.y[half], s->batch)
    PLACE(a.W2[half], s->T * s->C * a.hidden)
    PLACE(a.b1[half], s->T * a.hidden)
    PLACE(a.b2[half], s->T * a.classes)
  }
  PLACE(a.row, s->threads * s->d)
  PLACE(a.work, a.workers * a.work_size)
#undef PLACE
  a.size = (long)(next - (uintptr_t)s->memory);
  if (s->memory)
    for (long q = 0; q <= a.chunks; q++) a.starts[q] = q * a.vectors / a.chunks * LANES;
  return a;
}

/* Return the weights of chunk q in the columns d0 to d0 + w − 1. After an even number of steps half 0 holds θ, and half 1
   θ_prev; after an odd number it is the other way round. */
static INLINE real *F(panel_of)(const struct stack *s, const struct F(layout) *a, long q, long d0, long w, long half) {
  const long row = a->starts[q], width = a->starts[q + 1] - row;
  return a->W + 2 * (row * s->d + d0 * width) + half * w * width;
}

static INLINE long F(columns)(const struct stack *s, long d0) { return s->d - d0 < PANEL ? s->d - d0 : PANEL; }

/* Copy image `place` of the epoch into place k of a mini-batch of b images, mirrored if it is marked. Numbers nearer to
   zero than 2⁻³⁷ become 0: see `flush`. */
static void F(gather)(const struct stack *s, struct F(layout) *a, real *turned, int into, long place, long k, long b) {
  const int64_t at = s->order ? s->order[place] : place;
  const float *x = s->x + at * s->d;
  a->y[into][k] = (int32_t)s->y[at];
  const int mirrored = s->mirrored && s->mirrored[place];
  if (mirrored)
    for (long start = 0; start < s->d; start += s->row)
      for (long j = 0; j < s->row; j++) turned[start + j] = x[start + s->row - 1 - j];
  for (long d0 = 0; d0 < s->d; d0 += PANEL) {
    real *pixels = a->x[into] + d0 * b + k * PANEL;
    const long w = F(columns)(s, d0);
    if (mirrored)
      for (long j = 0; j < w; j++) pixels[j] = turned[d0 + j];
    else
      for (long j = 0; j < w; j++) pixels[j] = x[d0 + j];
    for (long j = 0; j < w; j++) pixels[j] = pixels[j] < LEAST_PIXEL && pixels[j] > -LEAST_PIXEL ? 0 : pixels[j];
  }
}

/* For the chunks q0 to q1 and all panels: take the step if b > 0, and multiply with the next mini-batch if b_next > 0.
   `half` is the half to multiply: the one that a step has just written. */
static void F(step_and_project)(const struct stack *s, struct F(layout) *a, long q0, long q1, const real *x, long b,
                    const real *x_next, long b_next, int half) {
  for (long d0 = 0; d0 < s->d; d0 += PANEL) {
    const long w = F(columns)(s, d0);
    for (long q = q0; q < q1; q++) {
      const long row = a->starts[q], width = a->starts[q + 1] - row;
      const int rv = (int)(width / LANES);
      real *W = F(panel_of)(s, a, q, d0, w, half);
      if (b)
        F(step_chunk)(rv, W, F(panel_of)(s, a, q, d0, w, !half), a->D + row * b, x + d0 * b, PANEL, a->nrho + row,
                      a->keep + row, b, w);
      if (b_next) {
        const int last = q + 1 == q1;
        const long d_ahead = last ? d0 + w : d0;
        const char *ahead = (const char *)W;
        long lines = 0;
        if (d_ahead < s->d) {
          const long r = last ? q0 : q + 1, w_ahead = F(columns)(s, d_ahead);
          ahead = (const char *)F(panel_of)(s, a, r, d_ahead, w_ahead, 0);
          lines = 2 * w_ahead * (a->starts[r + 1] - a->starts[r]) * (long)sizeof(real) / CACHE_LINE;
        }
        F(project_chunk)(rv, d0 ? ADD : SET, a->S + row * b_next, W, x_next + d0 * b_next, b_next, w, ahead, lines);
      }
    }
  }
}

/* What the threads of a call share. */
struct F(call) {
  const struct stack *s;
  struct F(layout) a;
  long first, last; /* steps, or the mini-batches of an evaluation */
  int training;
  atomic_long threads;    /* how many there are, once it is known */
  atomic_long trials[2];  /* the next trial whose second layer is to be computed, of even and odd steps */
  atomic_long images[2];  /* the next images to be gathered */
  struct barrier barrier;
};

struct F(thread) {
  struct F(call) *call;
  long number;
};

static INLINE long F(images_of)(const struct stack *s, long step) {
  const long left = s->n - step * s->batch;
  return left < 0 ? 0 : left < s->batch ? left : s->batch;
}

#define IMAGES_PER_TASK 8L

/* Run the steps of a call in one of its threads. The trials' second layers, and gathering the next mini-batch, are tasks
   that any thread may take; of the large products, each thread has its own chunks. */
static void *F(run)(void *thread) {
  struct F(call) *call = ((struct F(thread) *)thread)->call;
  while (!atomic_load(&call->threads)) sched_yield();
  const long number = ((struct F(thread) *)thread)->number, threads = atomic_load(&call->threads);
  const uint64_t before = ignore_denormals();
  const struct stack *s = call->s;
  struct F(layout) *a = &call->a;
  const struct F(work) work = F(work_of)(a, s, number < a->workers ? number : 0);
  const long q0 = number * a->chunks / threads, q1 = (number + 1) * a->chunks / threads;
  /* The first call begins with a step before the first one, which only multiplies with the first mini-batch. A later
     call finds that done. */
  for (long step = call->first ? call->first : -1; step < call->last; step++) {
    const int this_batch = (int)(step & 1), next_batch = !this_batch; /* −1 counts as odd */
    const long b = step < 0 ? 0 : F(images_of)(s, step), b_next = F(images_of)(s, step + 1);
    const int theta = call->training && step > 0 ? this_batch : 0; /* the half of θ before the step */
    const int stepped = call->training && b ? !theta : theta;      /* and after it */
    if (b && number < a->workers)
      for (long trial; (trial = atomic_fetch_add(&call->trials[this_batch], 1)) < s->T;)
        F(layer2)(s, a, &work, trial, b, a->y[this_batch], call->training ? theta : -1);
    for (long k; (k = IMAGES_PER_TASK * atomic_fetch_add(&call->images[this_batch], 1)) < b_next;)
      for (long end = k + IMAGES_PER_TASK; k < end && k < b_next; k++)
        F(gather)(s, a, a->row + number * s->d, next_batch, (step + 1) * s->batch + k, k, b_next);
    wait_for_all(&call->barrier, threads);
    if (number == 0) {
      atomic_store(&call->trials[this_batch], 0);
      atomic_store(&call->images[this_batch], 0);
    }
    F(step_and_project)(s, a, q0, q1, a->x[this_batch], call->training ? b : 0, a->x[next_batch], b_next, stepped);
    wait_for_all(&call->barrier, threads);
  }
  restore_denormals(before);
  return NULL;
}

/* Run a call in as many of its threads as can be started. */
static void F(run_all)(struct F(call) *call) {
  struct F(thread) threads[MAX_THREADS];
  pthread_t started[MAX_THREADS];
  long count = 1;
  for (; count < call->s->threads && count < MAX_THREADS; count++) {
    threads[count] = (struct F(thread)){call, count};
    if (pthread_create(&started[count], NULL, F(run), &threads[count])) break;
  }
  threads[0] = (struct F(thread)){call, 0};
  atomic_store(&call->threads, count); /* the others wait for this */
  F(run)(&threads[0]);
  for (long k = 1; k < count; k++) pthread_join(started[k], NULL);
}

/* Copy W1 of one half, the rows of one trial after the other (T·m, d): into `Parameters` if `to_python`, else from it. */
static void F(copy_W1)(const struct stack *s, struct F(layout) *a, real *W1, int half, int to_python) {
  for (long q = 0; q < a->chunks; q++) {
    const long row = a->starts[q], width = a->starts[q + 1] - row, rows = s->T * s->m;
    for (long d0 = 0; d0 < s->d; d0 += PANEL) {
      const long w = F(columns)(s, d0);
      real *panel = F(panel_of)(s, a, q, d0, w, half);
      for (long i = 0; i < width && row + i < rows; i++)
        for (long j = 0; j < w; j++)
          if (to_python)
            W1[(row + i) * s->d + d0 + j] = panel[j * width + i];
          else
            panel[j * width + i] = W1[(row + i) * s->d + d0 + j];
      if (!to_python)
        for (long i = 0; i < w * width; i += LANES) *(V *)(panel + i) = F(flush)(*(V *)(panel + i));
    }
  }
}

/* Copy the small parameters of one half: into `Parameters` if `to_python`, else from it. */
static void F(copy_small)(const struct stack *s, struct F(layout) *a, real *b1, real *W2, real *b2, int half,
                          int to_python) {
#define COPY(inside, outside) \
  if (to_python)              \
    outside = inside;         \
  else                        \
    inside = outside < LEAST && outside > -LEAST ? 0 : outside;
  for (long t = 0; t < s->T; t++) {
    for (long i = 0; i < s->m; i++) {
      const long h = i / (FULL_CHUNK * LANES) * (FULL_CHUNK * LANES), width = F(width_at)(h, a->hidden);
      real *column = a->W2[half] + t * s->C * a->hidden + h * s->C + i - h;
      COPY(a->b1[half][t * a->hidden + i], b1[t * s->m + i])
      for (long c = 0; c < s->C; c++) { COPY(column[c * width], W2[(t * s->C + c) * s->m + i]) }
    }
    for (long c = 0; c < s->C; c++) { COPY(a->b2[half][t * a->classes + c], b2[t * s->C + c]) }
  }
#undef COPY
}

static void F(copy_parameters)(const struct stack *s, struct F(layout) *a, int half, int to_python) {
  F(copy_W1)(s, a, s->W1, half, to_python);
  F(copy_small)(s, a, s->b1, s->W2, s->b2, half, to_python);
  if (!s->W1_prev) return; /* an evaluation has no θ_prev */
  F(copy_W1)(s, a, s->W1_prev, !half, to_python);
  F(copy_small)(s, a, s->b1_prev, s->W2_prev, s->b2_prev, !half, to_python);
}

/* Return the size of the memory that a stack needs. */
PUBLIC int64_t F(memory_needed)(const struct stack *s) {
  struct stack sizes = *s;
  sizes.memory = NULL;
  return F(lay_out)(&sizes).size;
}

/* Begin an epoch, or an evaluation of θ if there is no θ_prev: read the parameters into the memory. */
PUBLIC void F(begin)(const struct stack *s) {
  struct F(layout) a = F(lay_out)(s);
  /* Lanes that fill a last vector begin as zeros. Those of classes after the last one stay zeros, as `logits` needs. */
  const long last = a.starts[a.chunks - 1];
  memset(a.W + 2 * last * s->d, 0, (size_t)(2 * (a.vectors * LANES - last) * s->d) * sizeof(real));
  for (int half = 0; half < 2; half++) {
    memset(a.W2[half], 0, (size_t)(s->T * s->C * a.hidden) * sizeof(real));
    memset(a.b1[half], 0, (size_t)(s->T * a.hidden) * sizeof(real));
    memset(a.b2[half], 0, (size_t)(s->T * a.classes) * sizeof(real));
  }
  for (long worker = 0; worker < a.workers; worker++) {
    const struct F(work) work = F(work_of)(&a, s, worker);
    memset(work.W2T, 0, (size_t)(a.classes * s->m) * sizeof(real));
  }
  F(copy_parameters)(s, &a, 0, 0);
  for (long t = 0; t < s->T; t++) s->losses[t] = 0;
  for (long r = 0; r < a.vectors * LANES; r++) {
    const long t = r / s->m;
    a.nrho[r] = s->rho && t < s->T ? F(nrho_of)(s, t) : 0;
    a.keep[r] = s->rho && t < s->T ? F(keep_of)(s, t) : 0;
  }
}

/* Take the steps first to last − 1 of an epoch. The calls of an epoch follow each other without a gap. */
PUBLIC void F(train)(const struct stack *s, int64_t first, int64_t last) {
  struct F(call) call = {.s = s, .a = F(lay_out)(s), .first = first, .last = last, .training = 1};
  F(run_all)(&call);
}

/* Write the parameters back, after a number of steps. */
PUBLIC void F(finish)(const struct stack *s, int64_t steps) {
  struct F(layout) a = F(lay_out)(s);
  F(copy_parameters)(s, &a, (int)(steps & 1), 1);
}

/* Evaluate the images first·batch to last·batch − 1: add to `losses` and `hits`. */
PUBLIC void F(evaluate)(const struct stack *s, int64_t first, int64_t last) {
  struct F(call) call = {.s = s, .a = F(lay_out)(s), .first = first, .last = last};
  F(run_all)(&call);
}
