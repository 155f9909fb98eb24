/* A stack in one precision: where its arrays are, a step, and the calls from Python. Included once per precision. */

#include "vectors.h"
#include "tiles.h"

/* The arrays of a call. Chunk q of the stack has its first row at starts[q]; the arrays of a chunk lie at that row times
   the length of a row. A trial's own rows and classes are chunked alike, in `hidden` and `classes`. */
struct F(space) {
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
  real *work;           /* of each thread: see `layer2.h` */
  long work_size;       /* numbers of one thread */
  long size;            /* bytes of all */
};

static long F(whole_vectors)(long count) { return (count + LANES - 1) / LANES * LANES; }

/* Return the rows of the chunk, of those of `rows` rows, that begins at a row. */
static long F(width_at)(long row, long rows) {
  return rows - row < FULL_CHUNK * LANES ? rows - row : FULL_CHUNK * LANES;
}

#define EACH_CHUNK(row, width, rows) \
  for (long row = 0, width; row < (rows) && (width = F(width_at)(row, rows)); row += width)

#include "layer2.h"

/* Return the addresses of all arrays; with memory = NULL only the sizes count. */
static struct F(space) F(arrange)(const struct stack *s) {
  struct F(space) a = {0};
  uintptr_t next = (uintptr_t)s->memory;
  a.vectors = (s->T * s->m + LANES - 1) / LANES;
  a.chunks = (a.vectors + FULL_CHUNK - 1) / FULL_CHUNK;
  if (a.chunks < s->threads) a.chunks = a.vectors < s->threads ? a.vectors : s->threads;
  a.hidden = F(whole_vectors)(s->m);
  a.classes = F(whole_vectors)(s->C);
  const long rows = a.vectors * LANES, panels = (s->d + PANEL - 1) / PANEL;
  a.work_size = F(layer2_size)(s->batch, s->m, a.hidden, a.classes, s->d);
#define PLACE(array, count)                                                                            \
  (array) = (void *)next;                                                                              \
  next += (uintptr_t)(((long)sizeof *(array) * (count) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
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
  PLACE(a.work, s->threads * a.work_size)
#undef PLACE
  a.size = (long)(next - (uintptr_t)s->memory);
  if (s->memory)
    for (long q = 0; q <= a.chunks; q++) a.starts[q] = q * a.vectors / a.chunks * LANES;
  return a;
}

/* Return where the weights of w columns from column d0 on of a chunk are: those of θ for half = 0 or those of θ_prev for
   half = 1, and the other way round after an odd number of steps. */
static INLINE real *F(panel_of)(const struct stack *s, const struct F(space) *a, long q, long d0, long w, long half) {
  const long row = a->starts[q], width = a->starts[q + 1] - row;
  return a->W + 2 * (row * s->d + d0 * width) + half * w * width;
}

static INLINE long F(columns)(const struct stack *s, long d0) { return s->d - d0 < PANEL ? s->d - d0 : PANEL; }

/* Copy image `place` of the epoch into row k of a mini-batch of b images, mirrored if it is marked. */
static void F(gather)(const struct stack *s, struct F(space) *a, real *work, int half, long place, long k, long b) {
  const int64_t at = s->order ? s->order[place] : place;
  const float *x = s->x + at * s->d;
  a->y[half][k] = (int32_t)s->y[at];
  const int mirrored = s->mirrored && s->mirrored[place];
  if (mirrored)
    for (long start = 0; start < s->d; start += s->row)
      for (long j = 0; j < s->row; j++) work[start + j] = x[start + s->row - 1 - j];
  for (long d0 = 0; d0 < s->d; d0 += PANEL) {
    real *into = a->x[half] + d0 * b + k * PANEL;
    const long w = F(columns)(s, d0);
    if (mirrored)
      for (long j = 0; j < w; j++) into[j] = work[d0 + j];
    else
      for (long j = 0; j < w; j++) into[j] = x[d0 + j];
  }
}

/* For the chunks q0 to q1 and all panels: take the step if b > 0, and multiply with the next mini-batch if b_next > 0.
   The weights are multiplied in the place that `half` says, where a step has put them. */
static void F(pass)(const struct stack *s, struct F(space) *a, long q0, long q1, const real *x, long b,
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
  struct F(space) a;
  long first, last; /* steps, or for an evaluation chunks of images */
  int training;
  atomic_long threads;  /* how many there are, once it is known */
  atomic_long tasks[2]; /* the next task of even and odd steps */
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

#define GATHERED 8L /* images of a task */

/* Run the steps of a call in one of its threads. The trials' second layers, and copying the next mini-batch, are tasks
   that any thread may take; of the large products, each thread has its own chunks. */
static void *F(run)(void *thread) {
  struct F(call) *call = ((struct F(thread) *)thread)->call;
  while (!atomic_load(&call->threads)) sched_yield();
  const long number = ((struct F(thread) *)thread)->number, threads = atomic_load(&call->threads);
  const uint64_t before = ignore_denormals();
  const struct stack *s = call->s;
  struct F(space) *a = &call->a;
  const struct F(work) work = F(work_of)(a, s, number);
  const long q0 = number * a->chunks / threads, q1 = (number + 1) * a->chunks / threads;
  for (long step = call->first - 1; step < call->last; step++) {
    /* Of θ, `now` is the half before the step, and !now the half after it. A step before the first only projects. */
    const int now = (int)((step < 0 ? 0 : step) & 1), begins = step < call->first;
    const long b = begins ? 0 : F(images_of)(s, step), b_next = F(images_of)(s, step + 1);
    if (begins && step >= 0) continue; /* the call before has projected it */
    const int from = (int)(step & 1), into = !from, half = call->training && b ? !now : call->training ? now : 0;
    const long trials = b ? s->T : 0, tasks = trials + (b_next + GATHERED - 1) / GATHERED;
    for (long task; (task = atomic_fetch_add(&call->tasks[from], 1)) < tasks;)
      if (task < trials)
        F(layer2)(s, a, &work, task, b, a->y[from], call->training ? now : -1);
      else
        for (long k = (task - trials) * GATHERED; k < b_next && k < (task - trials + 1) * GATHERED; k++)
          F(gather)(s, a, work.row, into, (step + 1) * s->batch + k, k, b_next);
    wait_for_all(&call->barrier, threads);
    if (number == 0) atomic_store(&call->tasks[from], 0);
    F(pass)(s, a, q0, q1, a->x[from], call->training ? b : 0, a->x[into], b_next, half);
    wait_for_all(&call->barrier, threads);
  }
  restore_denormals(before);
  return NULL;
}

/* Run a call in as many of its threads as can be started. */
static void F(run_all)(struct F(call) *call) {
  struct F(thread) threads[MOST_THREADS];
  pthread_t started[MOST_THREADS];
  long count = 1;
  for (; count < call->s->threads && count < MOST_THREADS; count++) {
    threads[count] = (struct F(thread)){call, count};
    if (pthread_create(&started[count], NULL, F(run), &threads[count])) break;
  }
  threads[0] = (struct F(thread)){call, 0};
  atomic_store(&call->threads, count); /* the others wait for this */
  F(run)(&threads[0]);
  for (long k = 1; k < count; k++) pthread_join(started[k], NULL);
}

/* Copy W1 of one half from or into `Parameters`: rows of one trial after the other, (T·m, d). */
static void F(copy_W1)(const struct stack *s, struct F(space) *a, real *W1, int half, int back) {
  for (long q = 0; q < a->chunks; q++) {
    const long row = a->starts[q], width = a->starts[q + 1] - row, rows = s->T * s->m;
    for (long d0 = 0; d0 < s->d; d0 += PANEL) {
      const long w = F(columns)(s, d0);
      real *panel = F(panel_of)(s, a, q, d0, w, half);
      for (long i = 0; i < width; i++)
        for (long j = 0; j < w; j++)
          if (row + i >= rows)
            panel[j * width + i] = 0;
          else if (back)
            W1[(row + i) * s->d + d0 + j] = panel[j * width + i];
          else
            panel[j * width + i] = W1[(row + i) * s->d + d0 + j];
    }
  }
}

/* Copy the small parameters of one half from or into `Parameters`. */
static void F(copy_small)(const struct stack *s, struct F(space) *a, real *b1, real *W2, real *b2, int half, int back) {
#define COPY(inside, outside) \
  if (back)                   \
    outside = inside;         \
  else                        \
    inside = outside;
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

static void F(copy_parameters)(const struct stack *s, struct F(space) *a, int half, int back) {
  F(copy_W1)(s, a, s->W1, half, back);
  F(copy_small)(s, a, s->b1, s->W2, s->b2, half, back);
  if (!s->W1_prev) return; /* an evaluation has no θ_prev */
  F(copy_W1)(s, a, s->W1_prev, !half, back);
  F(copy_small)(s, a, s->b1_prev, s->W2_prev, s->b2_prev, !half, back);
}

/* Return the size of the memory that a stack needs. */
PUBLIC int64_t F(memory_needed)(const struct stack *s) {
  struct stack sizes = *s;
  sizes.memory = NULL;
  return F(arrange)(&sizes).size;
}

/* Begin an epoch, or an evaluation of θ if there is no θ_prev: read the parameters into the memory. */
PUBLIC void F(begin)(const struct stack *s) {
  struct F(space) a = F(arrange)(s);
  const long rows = a.vectors * LANES;
  memset(a.S, 0, (size_t)((char *)a.nrho - (char *)a.S));
  for (int half = 0; half < 2; half++) { /* the lanes that fill the last vector of a trial */
    memset(a.W2[half], 0, (size_t)(s->T * s->C * a.hidden) * sizeof(real));
    memset(a.b1[half], 0, (size_t)(s->T * a.hidden) * sizeof(real));
    memset(a.b2[half], 0, (size_t)(s->T * a.classes) * sizeof(real));
  }
  for (long thread = 0; thread < s->threads; thread++) { /* the lanes after the last class */
    const struct F(work) work = F(work_of)(&a, s, thread);
    memset(work.W2T, 0, (size_t)(a.classes * s->m) * sizeof(real));
  }
  F(copy_parameters)(s, &a, 0, 0);
  for (long t = 0; t < s->T; t++) s->losses[t] = 0;
  for (long r = 0; r < rows; r++) {
    const long t = r / s->m;
    a.nrho[r] = s->rho && t < s->T ? (real)-s->rho[t] : 0;
    a.keep[r] = s->rho && t < s->T ? F(keep_of)(s, t) : 0;
  }
}

/* Take the steps first to last − 1 of an epoch. The calls of an epoch follow each other without a gap. */
PUBLIC void F(train)(const struct stack *s, int64_t first, int64_t last) {
  struct F(call) call = {.s = s, .a = F(arrange)(s), .first = first, .last = last, .training = 1};
  F(run_all)(&call);
}

/* Write the parameters back, after a number of steps. */
PUBLIC void F(finish)(const struct stack *s, int64_t steps) {
  struct F(space) a = F(arrange)(s);
  F(copy_parameters)(s, &a, (int)(steps & 1), 1);
}

/* Evaluate the images first·batch to last·batch − 1: add to `losses` and `hits`. */
PUBLIC void F(evaluate)(const struct stack *s, int64_t first, int64_t last) {
  struct F(call) call = {.s = s, .a = F(arrange)(s), .first = first, .last = last};
  F(run_all)(&call);
}
